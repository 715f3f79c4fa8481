"""Names and trees that are meant to lead astray: each is a session of its own, or refused by name; nobody waits."""

# ruff: noqa: PTH208 PTH112  # descriptors have no Path

import os
import unicodedata
from contextlib import contextmanager

import pytest

from daemon import inotify, transcript
from daemon.client import Remote
from daemon.errors import SessiondError, SessionError
from daemon.opening import is_name, open_session
from daemon.store import open_database
from daemon.transcript import Transcripts
from daemon.tree import LONGEST, MOST_OPEN, Walk, topmost

DEEP = 4_000
DEEP_ENOUGH = 2_100
"""For a path that no system call takes."""


def make_deep(folder, depth, *, name="d", beside=(), data=b""):
    """Folders in one another; in each of them also those named ``beside``; a session at the bottom."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        for each in (name, *beside):
            os.mkdir(each, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    file = os.open("bottom.jsonl", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here)
    os.write(file, data)
    os.close(file)
    os.close(here)


def remove_deep(folder, name="d"):
    """What neither shutil nor pytest can remove: their paths would be too long."""
    here, spare = os.open(folder, os.O_RDONLY), 0
    try:
        while True:
            # Always the topmost one: what is in it goes up, and then it is removed itself.
            inner = os.open(name, os.O_RDONLY, dir_fd=here)
            for each in os.listdir(inner):
                if each == name:
                    os.rename(each, f"spare-{spare}", src_dir_fd=inner, dst_dir_fd=here)
                elif os.path.isdir(f"/proc/self/fd/{inner}/{each}"):
                    os.rmdir(each, dir_fd=inner)
                else:
                    os.unlink(each, dir_fd=inner)
            os.close(inner)
            os.rmdir(name, dir_fd=here)
            try:
                os.rename(f"spare-{spare}", name, src_dir_fd=here, dst_dir_fd=here)
            except FileNotFoundError:
                return
            spare += 1
    finally:
        os.close(here)


@pytest.fixture
def deep(box):
    """Makes a deep tree below a user's folder, which is removed after the test."""
    made = []

    def make(user, depth, **more):
        folder = box.root / user
        folder.mkdir(exist_ok=True)
        made.append(folder)
        make_deep(folder, depth, **more)

    yield make
    box.close()
    for folder in made:
        remove_deep(folder)


def test_a_tree_that_is_too_deep_is_refused_by_name_and_delays_nobody(box, line, deep):
    deep("mallory", DEEP, data=line(666))
    daemon = box.daemon(scan_seconds=1)
    daemon.wait("scanned", 2)
    for number in range(5):
        box.append("alice/a.jsonl", line(number))
        daemon.wait_lines("alice/a.jsonl", number + 1)
    (refused,) = daemon.of("refused")
    assert refused["reason"] == "too_long"
    assert refused["session_file"].startswith("mallory/d/d/d/")
    assert not daemon.of("watch_degraded")
    assert not daemon.of("missed")
    assert daemon.stop() == 0


def test_a_tree_that_becomes_too_deep_under_way_is_refused_by_name_and_delays_nobody(box, line, deep):
    daemon = box.daemon()
    deep("mallory", DEEP_ENOUGH, beside=("x",), data=line(666))
    daemon.wait("refused", reason="too_long")
    for number in range(5):
        box.append("alice/a.jsonl", line(number))
        daemon.wait_lines("alice/a.jsonl", number + 1)
    assert not daemon.of("part_failed")
    assert daemon.stop() == 0


def test_a_tree_that_is_moved_in_is_found_however_deep_it_is(box, line, deep):
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon()
    outside = box.folder / "outside"
    outside.mkdir()
    make_deep(outside, 1_100, data=line(2))
    key = "alice/d/" + "d/" * 1_099 + "bottom.jsonl"
    (outside / "d").rename(box.root / "alice" / "d")
    daemon.wait_lines(key, 1)
    (box.root / "alice" / "d").rename(box.root / "alice" / "e")
    daemon.wait("moved", seconds=90, session_file=key.replace("/d/", "/e/", 1))
    deep("bob", 1)
    (box.root / "alice" / "e").rename(box.root / "bob" / "d" / "d")  # for the removal
    assert daemon.stop() == 0


def test_all_that_is_scanned_is_watched_where_the_root_has_a_longer_name_too(box, deep):
    real = box.folder / ("r" * 200)
    box.root.rename(real)
    box.root.symlink_to(real)
    deep("mallory", DEEP_ENOUGH)
    live = box.live()
    assert live.watch.watches() == live.survey.last_scan.folders > 1_500
    assert not live.of("watch_degraded")


def test_a_session_of_the_longest_path_counts_and_one_byte_more_is_refused_by_name(box, line):
    folder = box.root / "alice"
    while (left := LONGEST - len(os.fsencode(folder)) - 1) > 255:
        folder /= "f" * min(200, left - 60)
    here, name = folder, "s" * (left - len(".jsonl"))
    here.mkdir(parents=True)
    (here / f"{name}.jsonl").write_bytes(line(1))
    at = os.open(here, os.O_RDONLY)
    os.close(os.open(f"{name}x.jsonl", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=at))
    live = box.live()
    key = str((here / f"{name}.jsonl").relative_to(box.root))
    live.wait_ids(key, [1])
    with (here / f"{name}.jsonl").open("ab") as file:
        file.write(line(2))
    live.wait_ids(key, [1, 2])
    assert [entry["reason"] for entry in live.of("refused")] == ["too_long"]
    os.unlink(f"{name}x.jsonl", dir_fd=at)
    os.close(at)


ODD = {
    "255 bytes": "n" * (255 - len(".jsonl")),
    "255 bytes of UTF-8": "é" * 124,
    "newline": "new\nline",
    "escape": "esc\x1b[2J",
    "dots": "...",
    "only the suffix": "",
    "space": " ",
    "option": "--help",
    "glob": "*?[a]",
    "quotes": "'\"`$(true)",
    "backslash": "a\\nb",
    "percent": "%s%n%00",
    "bidi": "\u202egpj",
    "no width": "a\u200bb\ufeff",
    "tag": "a\U000e0041",
}


def test_every_odd_name_is_a_session_of_its_own(box, line):
    for number, name in enumerate(ODD.values()):
        box.append(f"alice/{name}.jsonl", line(number))
    live = box.live()
    for number, name in enumerate(ODD.values()):
        live.wait_ids(f"alice/{name}.jsonl", [number])
    for number, name in enumerate(ODD.values()):
        box.append(f"alice/{name}.jsonl", line(100 + number))
        live.wait_ids(f"alice/{name}.jsonl", [number, 100 + number])
    assert not live.of("refused")
    assert live.query("SELECT DISTINCT username FROM usage_events") == [("alice",)]


LOOK_ALIKES = [
    *{unicodedata.normalize(form, "Zoe\u0301 \u212b \ufb01") for form in ("NFC", "NFD", "NFKC", "NFKD")},
    "alice",
    "Alice",
    "\u0430lice",  # its first letter is Cyrillic
    "alice\u200b",
    "ali\u0441e",
    "\uff41lice",
    "alice\u00a0",
    "alice.",
]


def test_names_that_look_alike_are_never_taken_for_each_other(box, line):
    assert len(set(LOOK_ALIKES)) == len(LOOK_ALIKES) >= 10
    live = box.live()
    for number, name in enumerate(LOOK_ALIKES):
        box.append(f"{name}/{name}.jsonl", line(number))
    for number, name in enumerate(LOOK_ALIKES):
        live.wait_ids(f"{name}/{name}.jsonl", [number])
    found = live.query("SELECT username, session_file FROM usage_session_summary")
    assert sorted(found) == sorted((name, f"{name}/{name}.jsonl") for name in LOOK_ALIKES)
    client_rows = live.query("SELECT count(*) FROM usage_session_summary WHERE username = ?", LOOK_ALIKES[0])
    assert client_rows == [(1,)]


KEYS = [
    "../../etc/passwd",
    "alice/../../../etc/passwd",
    "/etc/passwd",
    "alice/../alice/a.jsonl",
    "alice/./a.jsonl",
    "alice//a.jsonl",
    "alice/a.jsonl/",
    "alice/a.jsonl\0",
    "\0",
    "",
    ".",
    "..",
    "alice/a.jsonl\n",
    "ALICE/A.JSONL",
    "alice/" + "a" * 5_000,
    "al\x1b[2Jice/a.jsonl",
    "alice/\udcff.jsonl",
]


def test_orders_by_keys_that_are_no_sessions_reach_nothing(box, line, monkeypatch):
    """Nothing is opened, nothing recorded but the order itself, and the daemon goes on."""
    box.append("alice/a.jsonl", line(1))
    live = box.live()
    live.wait_ids("alice/a.jsonl", [1])
    live.wait_idle()
    opened = []

    @contextmanager
    def opening(root, key):
        opened.append(key)
        with open_session(root, key) as found:
            yield found

    monkeypatch.setattr(transcript, "open_session", opening)
    remote = Remote(box.db.with_name(box.db.name + ".sock"))
    for key in KEYS:
        assert _named(lambda key=key: remote.reprocess("usage", session=key)) in ([], "error"), key
        assert _named(lambda key=key: remote.requeue("usage", key)) in ([], "error"), key
        assert _named(lambda key=key: remote.reprocess(key)) == "error", key
        assert _named(lambda key=key: remote.run_processor(key)) == "error", key
        assert _named(lambda key=key: remote.sessions(user=key)) in ([], "error"), key
    live.wait_idle()
    assert set(opened) <= {"alice/a.jsonl"}
    assert live.ids("alice/a.jsonl") == [1]
    assert {key for (key,) in live.query("SELECT session_file FROM session_positions")} == {"alice/a.jsonl"}
    assert not live.of("request_failed")


def _named(work):
    try:
        return work()
    except SessiondError:
        return "error"


def test_sessions_of_such_keys_in_the_database_lead_nowhere(box, line):
    """Other tools write to session_processor_state, too: what they name is not opened either."""
    keys = [key for key in KEYS if is_name(key)]
    box.append("alice/a.jsonl", line(1))
    with open_database(box.db) as conn:
        insert = (
            "INSERT INTO session_processor_state VALUES ('usage', ?, 'alice', now()::TIMESTAMP, 0, repeat('0', 32))"
        )
        conn.executemany(insert, [[key] for key in keys])
    live = box.live()
    live.engine.changed(keys)
    box.append("alice/a.jsonl", line(2))
    live.wait_ids("alice/a.jsonl", [1, 2])
    live.wait_idle()
    assert not live.of("part_failed")
    assert live.query("SELECT count(*) FROM usage_events") == [(2,)]


@pytest.mark.parametrize("key", ["alice/a\0.jsonl", "\0", "alice/\udcff\0.jsonl", "alice/\ud800.jsonl"])
def test_a_key_that_no_file_can_have_is_refused(box, key):
    (box.root / "alice").mkdir()
    transcripts = Transcripts(box.root)
    with pytest.raises(SessionError) as caught:
        transcripts.look(key, None)
    assert str(caught.value).isprintable()
    assert not transcripts.exists(key)
    assert transcripts.signature(key) is None


def test_a_walk_keeps_few_folders_open_and_follows_no_link(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside" / "inner").mkdir(parents=True)
    make_deep(root, 300, beside=("x", "y"))
    before = len(os.listdir("/proc/self/fd"))
    most, seen = 0, set()
    with Walk(str(root), lambda path, error: pytest.fail(f"{path}: {error}")) as walk:
        for path, descriptor in walk:
            seen.add(path)
            most = max(most, len(os.listdir("/proc/self/fd")) - before)
            for name in os.listdir(descriptor):
                if os.path.isdir(f"/proc/self/fd/{descriptor}/{name}"):
                    walk.add(name)
            if path == "":  # swapped after it was listed, before it is opened
                (root / "x").rmdir()
                (root / "x").symlink_to(tmp_path / "outside")
    assert len(seen) == 1 + 3 * 300 - 1
    assert "x/" not in seen
    assert most <= MOST_OPEN + 2
    assert len(os.listdir("/proc/self/fd")) == before


def test_only_the_topmost_of_new_folders_are_scanned():
    folders = {"/r/a", "/r/a/b", "/r/a-b", "/r/a/b/c", "/r/b/c", "/r/b/c/d", "/r/ab"}
    assert topmost(folders) == ["/r/a-b", "/r/a", "/r/ab", "/r/b/c"]
    assert topmost(set()) == []


def test_who_makes_folders_in_one_another_has_each_of_them_listed_a_few_times(box, line, monkeypatch, until):
    """Not the square of their number: each is made when the one before it is watched, and not listed yet."""
    depth, left, listed = 150, ["d"] * 150, []
    plain = inotify._listed

    def make_one_more(descriptor):
        listed.append(descriptor)
        if left:
            os.mkdir(left.pop(), dir_fd=descriptor)
        return plain(descriptor)

    box.append("alice/a.jsonl", line(1))
    live = box.live()
    monkeypatch.setattr(inotify, "_listed", make_one_more)
    (box.root / "mallory").mkdir()
    until(lambda: live.watch.watches() == depth + 3)
    box.append("alice/a.jsonl", line(2))
    live.wait_ids("alice/a.jsonl", [1, 2])  # which is reported after all those folders
    assert len(listed) < 10 * depth
