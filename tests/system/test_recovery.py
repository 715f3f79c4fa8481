"""What goes on after something went wrong: first transactions, odd clocks, other tools, memory."""

import os
import resource
import uuid

import pytest

from daemon import SessionProcessorStateRepository, open_database, run_processor
from daemon.corrections import invalidate
from daemon.store import transaction
from daemon.tables import ResultTable
from processors import ProcessorResult, Table

KEY = "alice/a.jsonl"


class Numbers:
    """One row per line; a row that does not fit for the word bad."""

    name = "numbers"
    tables = (Table("numbers", {"length": "BIGINT", "text": "VARCHAR"}),)

    def process(self, batch):
        rows = [("no number" if b"bad" in each else len(each), "") for each in batch.lines]
        return ProcessorResult(rows={"numbers": rows})


def count(conn):
    return conn.execute("SELECT count(*) FROM numbers").fetchall()[0][0]


def test_a_first_run_whose_rows_do_not_fit_harms_no_other(box, line, until):
    box.append("alice/a.jsonl", line(0, "bad"))
    live = box.live(Numbers, max_attempts=2)
    live.wait("quarantined", session_file=KEY)
    box.append("bob/b.jsonl", line(1))
    until(lambda: live.query("SELECT count(*) FROM numbers"), [(1,)])
    assert len(live.of("quarantined")) == 1


def test_a_disk_that_is_full_from_the_first_commit_on_harms_no_session(box, line):
    daemon = box.daemon(debounce_ms=0)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    for number in range(100):
        box.append(f"bob/{number % 10}.jsonl", line(number, "x" * 1000))
    daemon.wait("store_blocked")
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    daemon.wait("store_resumed")
    daemon.wait_quiet()
    assert daemon.of("run_failed") == daemon.of("quarantined") == []
    assert daemon.stop() == 0
    assert box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events") == [(100, 100)]


def test_one_processor_alone_goes_on_after_rows_that_do_not_fit(tmp_path, line):
    (tmp_path / "root/alice").mkdir(parents=True)
    (tmp_path / "root" / KEY).write_bytes(line(0, "bad"))
    (tmp_path / "root/alice/b.jsonl").write_bytes(line(1))
    with open_database(tmp_path / "x.duckdb") as conn:
        counts = run_processor(conn, Numbers(), tmp_path / "root")
        assert (counts["errors"], counts["processed"]) == (1, 1)


@pytest.mark.parametrize("mtime", [1.04e10, -1.0e10])
def test_a_file_from_another_century_is_a_file_like_others(box, line, until, mtime):
    box.append(KEY, line(0))
    os.utime(box.path(KEY), (mtime, mtime))
    live = box.live()
    live.wait_ids(KEY, [0])
    box.append(KEY, line(1))
    os.utime(box.path(KEY), (mtime, mtime))
    live.wait_ids(KEY, [0, 1])
    assert live.of("run_failed") == []
    assert live.stop() == 0


@pytest.mark.parametrize("how", ["reprocess", "delete", "update and delete"])
def test_what_another_tool_does_to_a_state_row_never_doubles_rows(tmp_path, line, how):
    root = tmp_path / "root"
    (root / "alice").mkdir(parents=True)
    (root / KEY).write_bytes(line(0) + line(1))
    with open_database(tmp_path / "x.duckdb") as conn:
        run_processor(conn, Numbers(), root)
        if how == "update and delete":
            conn.execute("UPDATE session_processor_state SET file_hash = 'other'")
            run_processor(conn, Numbers(), tmp_path / "nowhere")
        else:
            SessionProcessorStateRepository(conn).mark_processed("numbers", KEY, "alice", 2, "some hash")
        if how == "reprocess":
            with transaction(conn):
                assert invalidate(conn, "numbers", None) == [("numbers", KEY)]
        else:
            conn.execute("DELETE FROM session_processor_state")
        assert run_processor(conn, Numbers(), root)["processed"] == 1
        assert count(conn) == 2


GROWS = """
import os
from processors import ProcessorResult

class P:
    name = "grows"
    tables = ()

    def process(self, batch):
        if b"poison" in batch.data:
            os._exit(9)
        return ProcessorResult()
"""


def test_a_session_that_kills_the_process_gets_no_new_chance_from_each_line_that_is_appended(box, line):
    box.plugin("grows", GROWS)
    box.append(KEY, line(0, "poison"))
    for number in range(3):
        assert box.child(processors='["grows"]', max_attempts=3).ended() == 9
        box.append(KEY, line(number + 1))
    daemon = box.daemon(processors='["grows"]', max_attempts=3)
    box.append(KEY, line(9))
    daemon.wait_quiet()
    assert daemon.stop() == 0
    box.path(KEY).write_bytes(line(0))  # other content is a new chance
    again = box.daemon(processors='["grows"]')
    again.wait("processed", session_file=KEY)
    assert again.stop() == 0


def test_updates_may_name_other_columns_each(tmp_path):
    with open_database(tmp_path / "x.duckdb") as conn:
        declared = Table("t", {"k": "BIGINT", "a": "BIGINT", "b": "VARCHAR"}, key=("k",))
        table = ResultTable(conn, declared)
        at = conn.execute("SELECT now()::TIMESTAMP").fetchall()[0][0]
        with transaction(conn):
            table.append(conn, [table.rows([(1, 0, "start"), (2, 0, "start")], KEY, "alice", 1, at)], 1)
        news = [{"k": 1, "a": 5}, {"k": 1, "b": "x"}, {"k": 2, "b": "x"}, {"k": 2, "a": 7, "b": "y"}]
        with transaction(conn):
            table.update(conn, table.updates(news, KEY), 1)
        assert conn.execute("SELECT k, a, b FROM t ORDER BY k").fetchall() == [(1, 5, "x"), (2, 7, "y")]


def test_a_scan_says_by_its_exit_code_that_a_wanted_processor_could_not_run(box, line):
    box.append(KEY, line(0))
    box.plugin("broken", "import there_is_no_such_module")
    assert box.scan(processors="[]").returncode == 1
    assert box.scan(processors='["usage"]').returncode == 0
    missing = box.scan("-p", "usage", "-p", "nosuch")
    assert missing.returncode == 1
    assert "there are: usage" in missing.stderr


def test_a_database_that_is_not_there_is_not_made_by_a_command_that_changes_one(box):
    for command in (["requeue"], ["reprocess", "usage"]):
        result = box.sessiond(*command, "--db", box.folder / "nowhere.duckdb")
        assert result.returncode == 2
        assert "there is no database" in result.stderr
    assert not (box.folder / "nowhere.duckdb").exists()


@pytest.mark.parametrize("what", ["folder", "transcript"])
def test_what_is_plainly_no_database_is_not_called_a_damaged_one(box, line, what):
    box.append(KEY, line(0))
    path = box.root if what == "folder" else box.path(KEY)
    result = box.scan(db=path)
    assert result.returncode == 2
    assert "damaged" not in result.stderr
    assert box.path(KEY).read_bytes() == line(0)


class Escapes:
    name = "escapes"

    def __init__(self, query):
        self.query = query

    def process_session(self, session_path, username, session_key, conn):
        conn.execute("CREATE TABLE IF NOT EXISTS t (i INTEGER)")
        conn.execute("INSERT INTO t VALUES (1)")
        conn.from_query("COMMIT") if self.query == "from_query" else conn.table("t").query("x", "COMMIT")
        return ProcessorResult(1)


@pytest.mark.parametrize("query", ["from_query", "relation"])
def test_a_processor_that_ends_the_transaction_fails(tmp_path, line, query):
    root = tmp_path / "root"
    (root / "alice").mkdir(parents=True)
    (root / KEY).write_bytes(line(0))
    with open_database(tmp_path / "x.duckdb") as conn:
        assert run_processor(conn, Escapes(query), root)["errors"] == 1
        assert conn.execute("SELECT * FROM session_processor_state").fetchall() == []


def test_more_memory_than_there_is_fails_its_own_run_only(box, line, until):
    class Amplifies(Numbers):
        def process(self, batch):
            text = uuid.uuid4().hex * 3_000_000 if b"huge" in batch.data else ""
            return ProcessorResult(rows={"numbers": [(1, text)]})

    live = box.live(Amplifies, memory_limit="100MB", max_attempts=2)
    box.append(KEY, line(0, "huge"))
    failed = live.wait("quarantined", session_file=KEY)
    assert "memory_limit" in failed["error"]
    box.append("bob/b.jsonl", line(1))
    until(lambda: live.query("SELECT count(*) FROM numbers"), [(1,)])
    assert live.of("store_blocked") == []
