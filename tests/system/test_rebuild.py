"""sessiond rebuild: a new database from the transcripts and from what the old one still gives."""

import gc
import json
import os
import random
import shutil
import threading
from pathlib import Path

import duckdb
import pytest

from daemon.config import Settings
from daemon.rebuild import rebuild
from daemon.schema import SCHEMA_VERSION
from processors import ProcessorResult, Table, View
from processors.registry import load, register

GONE, STAYS = "bob/b.jsonl", "alice/a.jsonl"


@pytest.fixture
def rebuilt(box):
    """Runs ``sessiond rebuild`` and returns what it says, and its exit code."""

    def run(*arguments, **settings):
        settings = {"processors": '["usage"]'} | settings
        result = box.sessiond("rebuild", box.root, "--db", box.db, "--json", *arguments, **settings)
        assert result.returncode in {0, 1}, result.stderr
        return json.loads(result.stdout), result.returncode

    return run


@pytest.fixture
def stored(box, line):
    """Two sessions in the database, of which one has no file any more; returns the rows of both."""
    box.append(STAYS, *map(line, range(1000)))
    box.append(GONE, *map(line, range(1000, 1500)))
    assert box.scan().returncode == 0
    rows = box.rows()
    box.path(GONE).unlink()
    return rows


def asides(box):
    return sorted(path for path in box.db.parent.glob("*.set-aside-*") if ".wal" not in path.name)


def test_what_the_old_database_knew_of_deleted_sessions_is_in_the_new_one(box, stored, rebuilt):
    before = box.db.read_bytes()
    outcome, code = rebuilt()
    assert code == 0
    assert [old["sessions"] for old in outcome["old"]] == [1]
    assert outcome["set_aside"] == [str(path) for path in asides(box)]
    assert asides(box)[0].read_bytes() == before
    assert box.rows() == stored
    again = json.loads(box.scan("--json").stdout)
    assert again["processors"][0]["lines"] == 0
    assert box.rows() == stored


def test_a_session_that_comes_back_goes_on_where_it_was(box, line, stored, rebuilt):
    rebuilt()
    box.append(GONE, *map(line, range(1000, 1501)))
    assert box.scan().returncode == 0
    assert box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events") == [(1501, 1501)]


def test_it_can_be_done_again_and_again(box, stored, rebuilt):
    for number in range(1, 4):
        assert rebuilt()[1] == 0
        assert len(asides(box)) == number
    assert not list(box.db.parent.glob("*.rebui*"))
    assert box.rows() == stored
    assert box.query("SELECT action, outcome FROM audit_log") == [("rebuild", "done")] * 3


def test_rows_that_are_in_the_log_only_are_kept_too(box, line, rebuilt):
    daemon = box.daemon(debounce_ms=0)
    box.append(GONE, *map(line, range(10)))
    daemon.wait_lines(GONE, 10)
    daemon.kill()
    box.path(GONE).unlink()
    assert Path(f"{box.db}.wal").stat().st_size
    outcome, code = rebuilt()
    assert (code, outcome["old"][0]["read"]) == (0, "whole")
    assert box.query("SELECT count(*) FROM usage_events") == [(10,)]
    assert Path(f"{asides(box)[0]}.wal").stat().st_size


def _unopenable_log(box):
    """Garble the end of the log, so that the database cannot be opened."""
    log = Path(f"{box.db}.wal")
    content = log.read_bytes()
    log.write_bytes(content[:-64] + os.urandom(64))
    with pytest.raises(duckdb.Error, match="WAL"):
        duckdb.connect(str(box.db), read_only=True)


def test_a_database_whose_log_is_damaged_gives_what_is_not_in_the_log(box, line, stored, rebuilt):
    daemon = box.daemon(debounce_ms=0)
    box.append("carol/c.jsonl", *map(line, range(2000, 2010)))
    daemon.wait_lines("carol/c.jsonl", 10)
    daemon.kill()
    _unopenable_log(box)
    before = {path.name: path.read_bytes() for path in box.db.parent.glob("sessiond.duckdb*") if path.is_file()}
    refused = box.scan()
    assert refused.returncode == 2
    assert "sessiond rebuild" in refused.stderr
    assert all(path.read_bytes() == before[path.name] for path in box.db.parent.glob("*.duckdb*") if path.is_file())
    outcome, code = rebuilt()
    assert (code, outcome["old"][0]["read"]) == (1, "without its log")
    assert "checksum" in outcome["old"][0]["why"]
    assert box.query("SELECT session_file, count(*) FROM usage_events GROUP BY ALL ORDER BY ALL") == [
        (STAYS, 1000), (GONE, 500), ("carol/c.jsonl", 10),
    ]  # fmt: skip
    box.rows()
    aside = asides(box)[0]
    assert aside.read_bytes() == before["sessiond.duckdb"]
    assert Path(f"{aside}.wal").read_bytes() == before["sessiond.duckdb.wal"]


@pytest.mark.parametrize("damage", ["header", "empty", "cut"])
def test_a_database_of_which_nothing_can_be_read_is_made_anew_from_the_transcripts(box, stored, rebuilt, damage):
    content = bytearray(box.db.read_bytes())
    content = {"header": os.urandom(8192) + content[8192:], "empty": b"", "cut": content[:20_000]}[damage]
    box.db.write_bytes(content)
    assert "sessiond rebuild" in box.scan().stderr
    outcome, code = rebuilt()
    assert (code, outcome["old"][0]["read"]) == (1, "unreadable")
    assert box.query("SELECT session_file, count(*) FROM usage_events GROUP BY ALL") == [(STAYS, 1000)]
    assert asides(box)[0].read_bytes() == content


class Texts:
    """One row per line, whose text does not shrink; and what is counted of them, kept."""

    name = "texts"
    version = 1
    tables = (
        Table("texts", {"number": "BIGINT", "text": "VARCHAR"}),
        Table("texts_length", {"lines": "BIGINT"}, kind="one_per_session"),
    )
    views = (
        View(
            "texts_seen", "SELECT number, count(*) AS times FROM texts GROUP BY number", table="texts", key="number"
        ),
        View("texts_all", "SELECT sum(lines) AS lines FROM texts_length"),
    )

    def process(self, batch):
        before = batch.carry or 0
        rows = [(before + number, each.decode()) for number, each in enumerate(batch.lines)]
        lines = before + len(rows)
        return ProcessorResult(len(rows), {"texts": rows, "texts_length": [(lines,)]}, carry=lines)


def _texts(seed, lines=3000):
    rng = random.Random(seed)
    return b"".join(json.dumps({"x": rng.randbytes(250).hex()}).encode() + b"\n" for _ in range(lines))


def _settings(box, **more):
    return Settings(root=box.root, db=box.db, **more)


def _rebuild(box, *processors):
    return rebuild(_settings(box), [register(each) for each in processors], lambda *_heard: None)


def _scan(box, *processors):
    live = box.live(*processors)
    live.wait_idle()
    live.stop()


def _garble(box, table):
    """Change some bytes of one of the blocks of a table's column; only that one table has such."""
    with duckdb.connect(str(box.db), read_only=True) as conn:
        blocks = conn.execute(
            "SELECT DISTINCT block_id FROM pragma_storage_info(?)"
            " WHERE column_name = 'text' AND segment_type = 'VARCHAR' AND block_id > 0 ORDER BY ALL", [table],
        ).fetchall()  # fmt: skip
    place = 3 * 4096 + blocks[len(blocks) // 2][0] * 262_144 + 1000
    with box.db.open("r+b") as file:
        file.seek(place)
        file.write(os.urandom(64))


def test_what_lies_in_a_damaged_block_is_lost_and_the_rest_is_not(box):
    box.append(STAYS, _texts(1))
    box.append(GONE, _texts(2))
    _scan(box, Texts)
    with duckdb.connect(str(box.db)) as conn:
        conn.execute("CHECKPOINT")
    content = box.path(GONE).read_bytes()
    box.path(GONE).unlink()
    _garble(box, "texts")
    (old,) = _rebuild(box, Texts)["old"]
    assert [each["what"].partition(":")[0] for each in old["lost"]] == ["table texts"], old["lost"]
    found = dict(box.query("SELECT session_file, count(*) FROM texts GROUP BY ALL"))
    assert found[STAYS] == 3000
    # Which session's rows were in that block is not known; some of the gone one's are there in any case.
    assert 0 < found[GONE] <= 3000
    assert box.query("SELECT * FROM texts_seen ORDER BY ALL") == box.query(f"{Texts.views[0].sql} ORDER BY ALL")
    assert box.query("FROM texts_all") == [(6000,)]
    # Should the file come back, nothing of it is taken for processed.
    box.append(GONE, content)
    _scan(box, Texts)
    assert dict(box.query("SELECT session_file, count(*) FROM texts GROUP BY ALL")) == {STAYS: 3000, GONE: 3000}


def test_rows_whose_positions_are_lost_are_replaced_when_their_file_comes_back(box, line):
    box.append(GONE, line(0), line(1))
    _scan(box, Texts)
    content = box.path(GONE).read_bytes()
    box.path(GONE).unlink()
    with duckdb.connect(str(box.db)) as conn:
        for table in ("session_cursors", "session_cursor_log", "session_processor_state"):
            conn.execute(f"DELETE FROM {table}")
    _rebuild(box, Texts)
    assert box.query("SELECT session_file, lines FROM texts_length") == [(GONE, 2)]
    box.append(GONE, content + line(2))
    _scan(box, Texts)
    assert box.query("SELECT count(*) FROM texts") == [(3,)]


def test_rows_of_a_processor_that_is_not_here_are_kept_with_all_that_goes_with_them(box, line):
    box.append(STAYS, line(0), line(1))
    box.append(GONE, line(2))
    _scan(box, Texts)
    box.path(GONE).unlink()
    names = ("texts", "texts_length", "texts_seen", "texts_all")

    def shown():
        return {name: box.query(f"FROM {name} ORDER BY ALL") for name in (*names, "session_processor_state")}

    before = shown()
    (usage,) = load(["usage"])[0]
    outcome = rebuild(_settings(box), [usage], lambda *_heard: None)
    assert [(old["lost"], old["left"]) for old in outcome["old"]] == [([], [])]
    after = shown()
    assert {name: after[name] for name in names} == {name: before[name] for name in names}
    assert {row for row in after["session_processor_state"] if row[0] == "texts"} == set(
        before["session_processor_state"]
    )
    box.append(STAYS, line(3))
    _scan(box, Texts)  # it goes on where it was
    assert box.query("SELECT session_file, lines FROM texts_length ORDER BY ALL") == [(STAYS, 3), (GONE, 1)]
    assert box.query("SELECT count(*) FROM texts") == [(4,)]


class Whole:
    """A whole-session processor with three tables of its own, of which one does not say whose its rows are."""

    name = "whole"

    def process_session(self, session_path, username, session_key, conn):
        conn.execute("CREATE SEQUENCE IF NOT EXISTS whole_numbers")
        conn.execute("""
            CREATE TABLE IF NOT EXISTS whole_sizes (id BIGINT PRIMARY KEY DEFAULT nextval('whole_numbers'),
                session_file VARCHAR, bytes BIGINT);
            CREATE TABLE IF NOT EXISTS whole_sum (bytes BIGINT);
            CREATE INDEX IF NOT EXISTS whole_index ON whole_sizes (session_file);
            CREATE VIEW IF NOT EXISTS whole_by_user AS
                SELECT session_file, sum(bytes) AS bytes FROM whole_sizes GROUP BY ALL""")
        conn.execute("DELETE FROM whole_sizes WHERE session_file = ?", [session_key])
        size = session_path.stat().st_size
        conn.execute("INSERT INTO whole_sizes (session_file, bytes) VALUES (?, ?)", [session_key, size])
        conn.execute("INSERT INTO whole_sum VALUES (?)", [size])
        return ProcessorResult(1)


@pytest.mark.parametrize("gone", [[GONE], [GONE, STAYS]])
def test_what_whole_session_processors_wrote_is_kept_where_it_says_whose_it_is(box, line, gone):
    box.append(STAYS, line(0))
    box.append(GONE, line(1), line(2))
    _scan(box, Whole)
    before = box.query("SELECT session_file, bytes FROM whole_sizes ORDER BY ALL")
    for key in gone:
        box.path(key).unlink()
    (old,) = _rebuild(box, Whole)["old"]
    found = box.query("SELECT session_file, bytes FROM whole_sizes ORDER BY ALL")
    assert found == before == box.query("FROM whole_by_user ORDER BY ALL")
    if STAYS in gone:  # then all of the table is theirs
        assert old["left"] == old["lost"] == []
        assert len(box.query("FROM whole_sum")) == 2
    else:
        assert [each["what"] for each in old["left"]] == ["table whole_sum"]
    box.append(STAYS, line(0), line(3))
    _scan(box, Whole)
    assert len(box.query("FROM whole_sizes")) == 2


def test_a_file_that_was_moved_meanwhile_is_not_counted_twice(box, line, rebuilt):
    box.append(GONE, line(0), line(1))
    assert box.scan().returncode == 0
    box.path(GONE).rename(box.path("carol/moved.jsonl"))
    outcome, code = rebuilt()
    assert (code, outcome["old"][0]["sessions"]) == (0, 0)
    assert box.query("SELECT session_file, count(*) FROM usage_events GROUP BY ALL") == [("carol/moved.jsonl", 2)]


def test_a_session_that_cannot_be_read_any_more_keeps_the_rows_that_it_had(box, stored, rebuilt):
    box.path(STAYS).rename(box.folder / "elsewhere.jsonl")
    box.path(STAYS).symlink_to(box.folder / "elsewhere.jsonl")
    assert rebuilt()[1] in {0, 1}
    assert box.rows() == stored


def test_a_daemon_that_has_the_database_open_is_named_and_nothing_changes(box, stored):
    daemon = box.daemon()
    listed = sorted(path.name for path in box.db.parent.iterdir())
    for arguments in ([], ["--dry-run"]):
        result = box.sessiond("rebuild", box.root, "--db", box.db, *arguments)
        assert result.returncode == 2
        assert f"in use by process {daemon.process.pid}" in result.stderr
        assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in box.db.parent.iterdir()) == listed
    assert daemon.stop() == 0
    assert box.rows() == stored


def test_no_daemon_can_open_a_database_while_it_is_rebuilt(box, stored, monkeypatch):
    refused = []

    class Meanwhile(Texts):
        def process(self, batch):
            refused.append(box.sessiond("run", box.root, "--db", box.db).stderr)
            return super().process(batch)

    _rebuild(box, Meanwhile)
    assert "is in use by" in refused[0]


STEPS = ("link", "unlink", "rename", "replace", "chmod")


def _forked(box, kill_at):
    """A rebuild in a process of its own that ends before its n-th change of a name; returns whether it did."""
    (usage,) = load(["usage"])[0]
    # What other tests have left is not for the fork to destroy: the threads of these databases are not in it.
    gc.collect()
    gc.freeze()
    if child := os.fork():
        gc.unfreeze()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    code, done = 1, 0

    def step(original):
        def change(*arguments, **options):
            nonlocal done
            counts = ".inflight" not in str(arguments[0]) and os.path.lexists(arguments[0])
            done += counts
            if counts and done == kill_at:
                os._exit(9)
            return original(*arguments, **options)

        return change

    try:
        for name in STEPS:
            setattr(os, name, step(getattr(os, name)))
        rebuild(_settings(box), [usage], lambda *_heard: None)
        code = 0
    finally:
        os._exit(code)


@pytest.mark.parametrize("damaged", [False, True])
def test_whatever_ends_it_at_whatever_step_calling_it_again_finishes(box, line, stored, damaged):
    """Killed before each of its changes of names in turn, and called again."""
    daemon = box.daemon(debounce_ms=0)
    box.append("carol/c.jsonl", *map(line, range(2000, 2010)))
    daemon.wait_lines("carol/c.jsonl", 10)
    daemon.kill()
    if damaged:
        _unopenable_log(box)
    start = box.folder / "start"
    shutil.copytree(box.db.parent, start, ignore=shutil.ignore_patterns("*.sock*"))
    before = (start / box.db.name).read_bytes(), (start / f"{box.db.name}.wal").read_bytes()
    kill_at, killed = 0, True
    while killed:
        kill_at += 1
        shutil.rmtree(box.db.parent)
        shutil.copytree(start, box.db.parent)
        killed = _forked(box, kill_at)
        everywhere = [path.read_bytes() for path in box.db.parent.iterdir() if path.is_file()]
        assert all(content in everywhere for content in before), kill_at
        assert not (killed and _forked(box, 0))
        assert not box.db.with_name(f"{box.db.name}.rebuilt").exists()
        assert box.query("SELECT session_file, count(*) FROM usage_events GROUP BY ALL ORDER BY ALL") == [
            (STAYS, 1000), (GONE, 500), ("carol/c.jsonl", 10),
        ], kill_at  # fmt: skip
        whole = next(path for path in asides(box) if path.read_bytes() == before[0])
        assert Path(f"{whole}.wal").read_bytes() == before[1]
    assert kill_at > 6


def test_what_is_written_after_a_rebuild_was_killed_is_set_aside_too(box, line, stored, rebuilt, monkeypatch):
    def killed(_db, _complete):
        raise KeyboardInterrupt

    monkeypatch.setattr("daemon.rebuild._put_in_place", killed)
    with pytest.raises(KeyboardInterrupt):
        rebuild(Settings(root=box.root, db=box.db), load(["usage"])[0], lambda *_: None)
    daemon = box.daemon()
    box.append(STAYS, line(2000))
    daemon.wait_lines(STAYS, 1)
    daemon.kill()
    log = Path(f"{box.db}.wal").read_bytes()
    rebuilt()
    assert any(path.read_bytes() == log for path in box.db.parent.glob("*.set-aside-*.wal"))
    assert box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events") == [(1501, 1501)]


def test_rebuilds_that_are_killed_at_any_moment_finish_at_last(box, stored):
    rng, moment = random.Random(1), threading.Event()
    for _ in range(4):
        child = box.child("rebuild", str(box.root), "--db", str(box.db), max_attempts=100)
        moment.wait(rng.uniform(0.4, 1.4))  # the moment of the kill is meant to be any
        child.kill()
    assert box.sessiond("rebuild", box.root, "--db", box.db, max_attempts=100, processors='["usage"]').returncode == 0
    assert box.rows() == stored


def test_a_database_of_an_older_version_is_rebuilt_with_what_it_has(box, stored, rebuilt):
    with duckdb.connect(str(box.db)) as conn:
        conn.execute("UPDATE sessiond_schema SET version = 1")
        conn.execute("DROP TABLE audit_log")
        conn.execute("""
            CREATE TABLE session_extraction_state (session_file VARCHAR PRIMARY KEY, username VARCHAR NOT NULL,
                processed_at TIMESTAMP, items_extracted INTEGER, file_hash VARCHAR);
            INSERT INTO session_extraction_state VALUES ('a/s.jsonl', 'a', '2026-01-01', 3, 'h')""")
    outcome, code = rebuilt()
    assert (code, outcome["old"][0]["lost"]) == (0, [])
    assert box.rows() == stored
    assert box.query("FROM sessiond_schema") == [(SCHEMA_VERSION,)]
    found = box.query("SELECT session_file FROM session_processor_state WHERE processor_name = 'verification'")
    assert found == [("a/s.jsonl",)]


def test_a_database_of_a_newer_version_is_refused_and_untouched(box, stored):
    with duckdb.connect(str(box.db)) as conn:
        conn.execute("UPDATE sessiond_schema SET version = ?", [SCHEMA_VERSION + 1])
    before = box.db.read_bytes()
    result = box.sessiond("rebuild", box.root, "--db", box.db)
    assert result.returncode == 2
    assert "upgrade sessiond" in result.stderr
    assert box.db.read_bytes() == before
    assert asides(box) == []


POISON = """
import os
from processors import ProcessorResult

class P:
    name = "poisoned"
    tables = ()

    def process(self, batch):
        if b"poison" in batch.data:
            os._exit(9)
        return ProcessorResult()
"""


def test_what_is_in_quarantine_stays_there(box, line, rebuilt):
    box.plugin("poisoned", POISON)
    box.append(STAYS, line(0, "poison"))
    settings = {"processors": '["poisoned"]', "max_attempts": 2}
    while box.scan(**settings).returncode == 9:
        pass
    before = box.query("SELECT session_file, attempts, quarantined FROM session_failures")
    assert before == [(STAYS, 2, True)]
    assert rebuilt(**settings)[1] == 1
    assert box.query("SELECT session_file, attempts, quarantined FROM session_failures") == before


def test_a_session_that_kills_the_rebuild_is_left_alone_at_last(box, line, rebuilt):
    box.append(STAYS, line(0, "poison"))
    box.append(GONE, line(1))
    assert box.scan().returncode == 0
    box.plugin("poisoned", POISON)
    for _ in range(3):
        killed = box.sessiond("rebuild", box.root, "--db", box.db, processors='["poisoned"]', max_attempts=3)
        assert killed.returncode == 9
    outcome, code = rebuilt(processors='["poisoned"]', max_attempts=3)
    assert code == 1
    assert [failed["session_file"] for failed in outcome["scan"]["failed"]] == [STAYS]
    assert box.query("SELECT count(*) FROM usage_events") == [(2,)]


def test_a_dry_run_says_what_there_is_and_changes_nothing(box, stored):
    before = {path: path.stat() for path in box.db.parent.rglob("*")}
    result = box.sessiond("rebuild", box.root, "--db", box.db, "--dry-run", "--json")
    assert result.returncode == 0
    planned = json.loads(result.stdout)
    assert (planned["files"], planned["old"][0]["gone"], planned["old"][0]["lost"]) == (1, 1, [])
    assert {path: path.stat().st_mtime_ns for path in box.db.parent.rglob("*")} == {
        path: status.st_mtime_ns for path, status in before.items()
    }
    shown = box.sessiond("rebuild", box.root, "--db", box.db, "--dry-run")
    assert "nothing was changed" in shown.stderr


def test_what_cannot_be_meant_is_refused_in_one_line(box, line):
    box.append(STAYS, line(0))
    for root, db in (
        (box.root, box.folder / "nowhere.duckdb"),
        (box.folder / "no-root", box.path(STAYS)),
        (box.root, box.path(STAYS)),
        (box.root, box.folder),
    ):
        result = box.sessiond("rebuild", root, "--db", db)
        assert result.returncode == 2
        assert result.stderr.startswith("sessiond: ")
        assert result.stderr.count("\n") == 1
    assert [path.name for path in box.folder.rglob("*.set-aside*")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_leaves_the_new_database_to_the_owner_of_the_old_one(box, stored, rebuilt):
    os.chown(box.db, 65534, 65534)
    box.db.chmod(0o640)
    assert rebuilt()[1] == 0
    status = box.db.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (65534, 65534, 0o640)
    os.chown(box.db, 0, 0)
    assert box.rows() == stored
