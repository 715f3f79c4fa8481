"""The same rows by scan, by appends to a running daemon, and with the daemon killed again and again."""

import os
import random
import shutil
import threading
from collections import Counter

import pytest


def _by_lines(content, _rng):
    return content.splitlines(keepends=True)


def _by_bytes(content, rng):
    pieces = []
    while content:
        size = rng.choice((1, rng.randrange(1, 200), rng.randrange(1, 8000)))
        pieces.append(content[:size])
        content = content[size:]
    return pieces


def _shuffled(folder, cut, rng):
    """Pieces of all files as (key, bytes), each file's in order, the files interleaved."""
    files = {str(path.relative_to(folder)): cut(path.read_bytes(), rng) for path in sorted(folder.rglob("*.jsonl"))}
    turns = [key for key, pieces in files.items() for _ in pieces]
    rng.shuffle(turns)
    pieces = {key: iter(pieces) for key, pieces in files.items()}
    return [(key, next(pieces[key])) for key in turns]


@pytest.fixture
def wanted(box, recorded):
    """The rows of a scan of the finished files, into a database of its own."""
    db = box.folder / "reference.duckdb"
    assert box.scan(root=recorded, db=db).returncode == 0
    rows = box.rows(db)
    assert len(rows["usage_session_summary"]) == sum(1 for path in recorded.rglob("*.jsonl") if path.stat().st_size)
    assert len(rows["usage_events"]) > 500
    return rows


def test_scan_again_changes_nothing(box, recorded, wanted):
    db = box.folder / "reference.duckdb"
    assert box.scan(root=recorded, db=db).returncode == 0
    assert box.rows(db) == wanted


@pytest.mark.parametrize("cut", [_by_lines, _by_bytes])
def test_files_that_grow_under_a_running_daemon_give_the_rows_of_a_scan(box, recorded, wanted, cut):
    daemon = box.daemon(debounce_ms=0)
    for number, (key, piece) in enumerate(_shuffled(recorded, cut, random.Random(1))):
        box.append(key, piece)
        if number % 100 == 99:  # lets the daemon keep up, so that there are many runs
            daemon.wait("committed", len(daemon.of("committed")) + 1)
    daemon.wait_quiet()
    assert len(daemon.of("processed")) > 100
    assert daemon.stop() == 0
    assert not daemon.of("rewritten")
    assert box.rows() == wanted


@pytest.mark.parametrize("seed", range(2))
def test_a_daemon_that_is_killed_again_and_again_gives_the_rows_of_a_scan(box, recorded, wanted, seed):
    rng = random.Random(seed)
    pieces = _shuffled(recorded, rng.choice((_by_lines, _by_bytes)), rng)
    edges = sorted(rng.sample(range(len(pieces)), 8))
    moment = threading.Event()
    for start, end in zip([0, *edges], [*edges, len(pieces)], strict=True):
        daemon = box.child(debounce_ms=rng.choice((0, 5)), chunk_bytes=1 << 14, max_attempts=100)
        if rng.random() < 0.7:
            daemon.wait("ready")
        for key, piece in pieces[start:end]:
            box.append(key, piece)
        if rng.random() < 0.7:
            daemon.wait("committed")  # one may be all that there is: what comes at once is one group
        moment.wait(rng.uniform(0, 0.1))  # the moment of the kill is meant to be any
        daemon.kill()
    daemon = box.daemon(max_attempts=100)
    daemon.wait_quiet()
    assert daemon.stop() == 0
    assert box.rows() == wanted


def test_scans_that_are_killed_give_the_rows_of_a_scan(box, recorded, wanted):
    rng, moment = random.Random(3), threading.Event()
    for _ in range(5):
        scan = box.child("scan", str(recorded), "--db", str(box.db), chunk_bytes=1 << 12, max_attempts=100)
        moment.wait(rng.uniform(0.4, 1.2))  # the moment of the kill is meant to be any
        scan.kill()
    assert box.scan(root=recorded, max_attempts=100).returncode == 0
    assert box.rows() == wanted


class _Tree:
    """Sessions that change in every way that files can, all at random."""

    def __init__(self, box, line, rng):
        self.box, self.line, self.rng = box, line, rng
        self.keys = []
        self.number = self.moves = 0

    def content(self):
        lines = []
        for _ in range(self.rng.randrange(1, 30)):
            self.number += 1
            lines.append(self.line(self.number, "x" * self.rng.randrange(300)))
        return b"".join(lines)

    def change(self):
        kind = self.rng.choices(
            ("new", "append", "half", "truncate", "replace", "edit", "move"), (3, 8, 3, 1, 1, 1, 2)
        )[0]
        if not self.keys or kind == "new":
            self.keys.append(f"{self.rng.choice('abc')}/{len(self.keys)}.jsonl")
            self.box.append(self.keys[-1], self.content())
            return
        path = self.box.path(key := self.rng.choice(self.keys))
        if kind == "append":
            self.box.append(key, self.content())
        elif kind == "half":
            self.box.append(key, self.content()[: self.rng.randrange(1, 200)])
        elif kind == "truncate":
            os.truncate(path, self.rng.randrange(path.stat().st_size + 1))
        elif kind == "replace":
            new = path.with_suffix(".tmp")
            new.write_bytes(self.content())
            new.rename(path)
        elif kind == "edit":
            old = path.read_bytes()
            path.write_bytes(old[: len(old) // 2].replace(b"Bash", b"Read") + old[len(old) // 2 :])
        else:
            self.keys.remove(key)
            self.moves += 1
            self.keys.append(f"{self.rng.choice('abc')}/moved-{self.moves}.jsonl")
            path.rename(self.box.path(self.keys[-1]))


@pytest.mark.parametrize("seed", range(2))
def test_kills_among_appends_rewrites_and_moves_leave_the_rows_of_a_scan(box, line, seed):
    rng, moment = random.Random(seed), threading.Event()
    tree = _Tree(box, line, rng)
    for _ in range(6):
        daemon = box.daemon(debounce_ms=rng.choice((0, 5)), chunk_bytes=1 << 12, max_attempts=100)
        for _ in range(rng.randrange(5, 40)):
            tree.change()
            if rng.random() < 0.2:
                moment.wait(rng.uniform(0, 0.05))  # changes are meant to come at any moment
        daemon.kill()
        for _ in range(rng.randrange(4)):
            tree.change()
    daemon = box.daemon(max_attempts=100)
    daemon.wait_quiet()
    assert daemon.stop() == 0
    fresh = box.folder / "fresh.duckdb"
    shutil.copytree(box.root, box.folder / "copy")
    assert box.scan(root=box.folder / "copy", db=fresh).returncode == 0
    difference = {}
    for name, wanted in box.rows(fresh).items():
        found = box.rows()[name]
        lost, more = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
        # A session that was moved and rewritten between two looks is a deleted one, which keeps its rows.
        more = [row for row in more.elements() if any(f"{key!r}," in row for key in tree.keys)]
        if lost or more:
            difference[name] = {"lost": sorted(lost.elements()), "more": more}
    assert not difference
