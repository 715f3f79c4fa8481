"""The commands and the Python client: the same answers whether a daemon runs or not."""

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from daemon.client import connect
from daemon.errors import LimitError, QueryError, StoreError, UnavailableError, UnknownNameError
from daemon.store import open_database


@pytest.fixture(params=["beside a daemon", "without one"])
def asked(request, box, line):
    """A box with two sessions of three lines, and whether a daemon runs on it."""
    box.append("ada/a.jsonl", line(0), line(1), line(2))
    box.append("bob/b.jsonl", line(3), line(4), b"broken\n", line(5))
    box.running = request.param == "beside a daemon"
    if box.running:
        box.child_process = box.daemon()
        box.child_process.wait_quiet()
    else:
        assert box.scan().returncode == 0
    return box


def answer(box, *arguments, code=0, **settings):
    done = box.sessiond(*arguments, "--db", box.db, **settings)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_status_tells_what_was_done(asked):
    told = json.loads(answer(asked, "status", "--json"))
    assert told["running"] is asked.running
    assert told["sessions"] == 2
    (lane,) = told["lanes"]
    assert (lane["processor"], lane["lines"], lane["malformed_lines"], lane["quarantined"]) == ("usage", 6, 1, 0)
    header, row = answer(asked, "status").splitlines()
    assert dict(zip(header.split("\t"), row.split("\t"), strict=True))["processor"] == "usage"


def test_a_query_is_csv_by_default_and_what_is_asked_for_otherwise(asked):
    sql = "SELECT username, count(*) AS calls FROM usage_events GROUP BY ALL ORDER BY ALL"
    assert answer(asked, "query", sql) == '"username","calls"\n"ada",3\n"bob",3\n'
    rows = [{"username": "ada", "calls": 3}, {"username": "bob", "calls": 3}]
    assert json.loads(answer(asked, "query", sql, "--json")) == rows
    assert [json.loads(row) for row in answer(asked, "query", sql, "--format", "ndjson").splitlines()] == rows
    for suffix, read in (("parquet", pq.read_table), ("arrow", lambda path: pa.ipc.open_stream(path).read_all())):
        path = asked.folder / f"out.{suffix}"
        answer(asked, "query", sql, "-o", path)
        assert read(path).to_pylist() == rows
    assert [path.name for path in asked.folder.glob(".out*")] == []


def test_what_is_wrong_with_a_query_is_said_with_its_place(asked):
    assert "LINE 1: SELECT nosuch FROM usage_events" in answer(
        asked, "query", "SELECT nosuch FROM usage_events", code=2
    )
    assert "is not allowed" in answer(asked, "query", "SELECT * FROM read_text('/etc/passwd')", code=2)
    assert "kind INSERT" in answer(asked, "query", "INSERT INTO usage_events DEFAULT VALUES", code=2)


def test_what_a_session_says_does_not_act_on_a_terminal(asked, line):
    evil = "\x1b]0;owned\x07\x9b31m"
    asked.append("eve/e.jsonl", line(9, evil).replace(b'"Bash"', json.dumps(evil).encode()))
    if asked.running:
        asked.child_process.wait_lines("eve/e.jsonl", 1)
    else:
        assert asked.scan().returncode == 0
    for options in ((), ("--format", "csv"), ("--json",), ("--format", "ndjson")):
        shown = asked.on_a_terminal("query", "SELECT tool_name FROM usage_events", *options)
        assert b"]0;owned" in shown
        assert b"\x1b]" not in shown
        assert b"\x07" not in shown
        assert "\x9b31m".encode() not in shown
    failed = asked.on_a_terminal("query", "SELECT tool_name::INTEGER FROM usage_events WHERE username = 'eve'")
    assert b"owned" in failed
    assert b"\x1b]" not in failed


def test_the_table_and_the_status_are_drawn_on_a_terminal(asked):
    assert "lag" in asked.on_a_terminal("status").decode() or not asked.running
    shown = asked.on_a_terminal("query", "SELECT username FROM usage_events LIMIT 1").decode()
    assert "│ ada      │" in shown
    wide = asked.on_a_terminal("query", "FROM usage_messages LIMIT 0").decode()
    assert "Traceback" not in wide


def test_run_processor_reprocess_and_requeue_work_and_are_recorded(asked, line):
    key = "ada/new.jsonl"
    asked.append(key, line(7))
    if asked.running:
        asked.child_process.wait_lines(key, 1)
    counts = json.loads(answer(asked, "run-processor", "usage", "--root", asked.root, "--json"))
    assert (counts["processor"], counts["processed"], counts["errors"]) == ("usage", 0 if asked.running else 1, 0)
    done = json.loads(answer(asked, "reprocess", "usage", "--user", "bob", "--json"))
    assert done == [{"processor": "usage", "session_file": "bob/b.jsonl"}]
    assert json.loads(answer(asked, "requeue", "--json")) == []
    assert "there are: usage" in answer(asked, "run-processor", "nosuch", code=2)
    assert "session of nobody" in answer(asked, "reprocess", "usage", "--user", "nobody", code=2)
    rows = json.loads(
        answer(asked, "query", "SELECT action, outcome, uid FROM audit_log ORDER BY asked_at", "--json")
    )
    mine = os.geteuid()
    assert [(row["action"], row["outcome"], row["uid"]) for row in rows] == [
        ("run", "done", mine),
        ("reprocess", "done", mine),
        ("requeue", "done", mine),
        *([("run", "failed", mine)] if asked.running else []),
        ("reprocess", "failed", mine),
    ]


def test_quarantine_is_listed_and_given_a_new_chance(box, line, until):
    box.plugin(
        "picky", "from processors import *\nclass P:\n  name='picky'\n  def process(self, b): raise ValueError"
    )
    box.append("ada/a.jsonl", line(0))
    child = box.daemon(processors='["picky"]', max_attempts=1)
    child.wait("quarantined")
    for stop in (False, True):
        if stop:
            child.stop()
        (told,) = json.loads(answer(box, "quarantine", "--json"))
        assert (told["processor"], told["session_file"], told["attempts"]) == ("picky", "ada/a.jsonl", 1)
        assert "ValueError" in told["error"]
    (done,) = json.loads(answer(box, "requeue", "picky", "--json"))
    assert done == {"processor": "picky", "session_file": "ada/a.jsonl"}
    assert json.loads(answer(box, "quarantine", "--json")) == []


def test_export_writes_a_folder_per_table_and_day_and_replaces_it_whole(asked):
    folder = asked.folder / "out"
    for _ in range(2):
        written = json.loads(answer(asked, "export", folder, "--json"))
        assert written == {
            "usage_events": 6,
            "usage_messages": 0,
            "usage_prompt_lines": 0,
            "usage_session_summary": 2,
        }
        assert sorted(path.name for path in folder.iterdir()) == sorted(written)
    events = ds.dataset(folder / "usage_events", partitioning="hive").to_table()
    assert sorted(events["event_uuid"].to_pylist()) == [f"u{number}" for number in range(6)]
    assert [path.name for path in (folder / "usage_events").iterdir()] == ["day=2026-01-01"]
    asked_of_duckdb = duckdb.sql(f"SELECT count(*) FROM '{folder}/usage_events/*/*.parquet'").fetchall()
    assert asked_of_duckdb == [(6,)]
    assert list(json.loads(answer(asked, "export", folder, "-t", "audit_log", "--json"))) == ["audit_log"]
    assert "there is no table nosuch" in answer(asked, "export", folder, "-t", "nosuch", code=2)
    (asked.folder / "file").write_text("")
    assert "cannot export to" in answer(asked, "export", asked.folder / "file" / "x", code=2)


ODD_TABLES = """
    CREATE TABLE everything AS FROM test_all_types();
    CREATE TABLE "a/b" AS SELECT 1 AS x;
    CREATE TABLE "../up" AS SELECT 2 AS x;
    CREATE TABLE ".hidden" AS SELECT 3 AS x;
    CREATE TABLE "it""s" AS SELECT 4 AS "a ""col";
    CREATE TABLE own_day AS SELECT 'Monday' AS "Day", TIMESTAMP '2026-01-02 03:04:05' AS occurred_at;
    CREATE TABLE dated AS SELECT DATE '2026-01-03' AS "Day", 5 AS x;
    CREATE TABLE endless AS FROM (VALUES ('infinity'::TIMESTAMP, 1), ('-infinity', 2), (NULL, 3),
        (TIMESTAMP '2026-01-04', 4)) AS rows(occurred_at, x);
    CREATE TABLE zoned AS SELECT TIMESTAMPTZ '2026-01-05 23:30:00-02:00' AS started_at, INTERVAL 3 DAYS AS took;
"""


def test_tables_of_any_name_and_type_are_exported(box):
    with open_database(box.db) as conn:
        conn.execute(ODD_TABLES)
    folder = box.folder / "out"
    written = json.loads(answer(box, "export", folder, "--json"))
    names = {
        "everything": "everything",
        "a/b": "a%2Fb",
        "../up": "%2E%2E%2Fup",
        ".hidden": "%2Ehidden",
        'it"s': "it%22s",
        "own_day": "own_day",
        "dated": "dated",
        "endless": "endless",
        "zoned": "zoned",
    }
    assert set(written) == names.keys()
    assert {path.name for path in folder.iterdir()} == set(names.values())

    def rows(table):
        return ds.dataset(folder / names[table], partitioning="hive").to_table()

    assert (rows("../up")["x"].to_pylist(), rows('it"s')['a "col'].to_pylist()) == ([2], [4])
    assert rows("own_day").to_pylist()[0] | {"occurred_at": 0} == {
        "Day": "Monday",
        "occurred_at": 0,
        "day_1": "2026-01-02",
    }
    assert [path.name for path in (folder / "dated").iterdir()] == ["Day=2026-01-03"]
    endless = {row["x"]: row["day"] for row in rows("endless").drop_columns(["occurred_at"]).to_pylist()}
    assert endless == {1: None, 2: None, 3: None, 4: "2026-01-04"}
    assert rows("zoned").select(["took", "day"]).to_pylist() == [{"took": "3 days", "day": "2026-01-06"}]
    everything = duckdb.sql(f'SELECT bigint, "interval", "union" FROM \'{folder}/everything/*.parquet\'').fetchall()
    assert len(everything) == 3
    assert {row[2] for row in everything} == {"Frank", "5", None}


def test_an_export_replaces_folders_only_and_all_or_none(box):
    with open_database(box.db) as conn:
        conn.execute("CREATE TABLE one AS SELECT 1 AS x; CREATE TABLE two AS SELECT 2 AS x")
    folder = box.folder / "out"
    answer(box, "export", folder)
    before = (folder / "one").stat().st_ino
    (folder / ".sessiond-export" / "one").mkdir(parents=True)  # as a killed export leaves it
    shutil.move(folder / "two", box.folder / "elsewhere")
    (folder / "two").symlink_to(box.folder / "elsewhere")
    assert "two is no folder" in answer(box, "export", folder, code=2)
    assert (folder / "one").stat().st_ino == before
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]
    (folder / "two").unlink()
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert "another export writes to" in answer(box, "export", folder, code=2)
    os.close(lock)
    answer(box, "export", folder)
    assert (folder / "one").stat().st_ino != before
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]


def test_where_folders_cannot_be_exchanged_they_are_replaced_one_after_the_other(box, monkeypatch):
    monkeypatch.setattr("daemon.export._RENAME_EXCHANGE", 1 << 20)  # the kernel knows no such flag: EINVAL
    with open_database(box.db) as conn:
        conn.execute("CREATE TABLE one AS SELECT 1 AS x")
    folder = box.folder / "out"
    for _ in range(2):
        connect(db=box.db).export(folder)
    assert [path.name for path in folder.iterdir()] == ["one"]
    assert pq.read_table(folder / "one").to_pylist() == [{"x": 1}]


TIMES = (
    "SELECT 'infinity'::TIMESTAMP AS a, ['-infinity'::DATE] AS b, TIMESTAMP_NS '2026-01-02 03:04:05.123456789' AS c"
)


def test_times_that_python_cannot_hold_are_told_as_text(asked):
    wanted = {"a": "infinity", "b": ["-infinity"], "c": "2026-01-02 03:04:05.123456789"}
    assert json.loads(answer(asked, "query", TIMES, "--json")) == [wanted]
    assert json.loads(answer(asked, "query", TIMES, "--format", "ndjson")) == wanted
    assert answer(asked, "query", TIMES).splitlines()[1].startswith('"infinity",')
    assert b"infinity" in asked.on_a_terminal("query", TIMES)


def test_the_daemon_is_found_under_any_name_of_its_database(asked, line):
    other = asked.folder / "other.duckdb"
    other.symlink_to(asked.db)
    for path in (other, asked.db):
        client = connect(db=path)
        assert client.running is asked.running
        assert client.query("SELECT count(*) AS n FROM usage_events")["n"].to_pylist() == [6]


def test_commands_wait_for_one_another(box, line):
    box.append("ada/a.jsonl", line(0))
    assert box.scan().returncode == 0
    code = f"import duckdb, time\nc = duckdb.connect({str(box.db)!r})\nprint('open', flush=True)\ntime.sleep(1)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"open\n"
        assert connect(db=box.db).query("SELECT count(*) AS n FROM usage_events")["n"].to_pylist() == [1]
        assert other.wait() == 0


def test_run_processor_reads_with_the_limits_of_the_settings(box, line):
    box.append("ada/a.jsonl", line(0), b'{"type": "user", "text": "' + b"x" * 5000 + b'"}\n', line(1))
    open_database(box.db).close()
    counts = json.loads(answer(box, "run-processor", "usage", "--root", box.root, "--json", line_limit_bytes=4096))
    assert (counts["processed"], counts["errors"]) == (1, 0)
    rows = json.loads(answer(box, "query", "SELECT lines, malformed_lines FROM session_positions", "--json"))
    assert rows == [{"lines": 2, "malformed_lines": 1}]


def test_the_client_gives_arrow_tables_and_errors_of_their_kind(asked):
    client = connect(db=asked.db)
    assert client.running is asked.running
    rows = client.query(
        "SELECT session_file, count(*) AS n FROM usage_events WHERE username = ? GROUP BY ALL", ["ada"]
    )
    assert isinstance(rows, pa.Table)
    assert rows.to_pylist() == [{"session_file": "ada/a.jsonl", "n": 3}]
    assert duckdb.sql("SELECT sum(n) FROM rows").fetchall() == [(3,)]
    with pytest.raises(QueryError, match="LINE 1"):
        client.query("SELECT 1 +")
    with pytest.raises(LimitError) as caught:
        client.query("FROM range(100000000)")
    assert caught.value.limit == "query_rows"
    with pytest.raises(UnknownNameError):
        client.run_processor("nosuch")
    listed = {each["session_file"]: each["processors"]["usage"] for each in client.sessions()}
    assert listed["bob/b.jsonl"]["malformed_lines"] == 1
    assert [each["username"] for each in client.sessions(user="bob", state="processed")] == ["bob"]
    assert client.sessions(user="nobody") == []


def test_a_client_that_is_told_which_socket_does_not_take_another(box):
    with pytest.raises(UnavailableError, match="no daemon answers"):
        connect(socket=box.folder / "nosuch.sock", db=box.db)
    done = box.sessiond("status", "--db", box.folder / "nosuch")
    assert (done.returncode, "there is no database" in done.stderr) == (2, True)
    done = box.sessiond("top", "--db", box.db)
    assert (done.returncode, "needs a terminal" in done.stderr) == (2, True)


def test_a_daemon_that_hangs_is_not_waited_for(box, monkeypatch):
    child = box.daemon()
    monkeypatch.setattr("daemon.client.ANSWER_SECONDS", 0.2)
    child.send(signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match=f"in use by process {child.process.pid}"):
            connect(db=box.db).query("SELECT 1")
    finally:
        child.send(signal.SIGCONT)
    assert child.stop() == 0


def test_a_daemon_with_a_very_long_path_is_found(box, line):
    deep = box.folder / ("x" * 100) / ("y" * 100)
    box.db = deep / "sessiond.duckdb"
    box.append("ada/a.jsonl", line(0))
    child = box.daemon()
    child.wait_quiet()
    path = box.db.with_name("sessiond.duckdb.sock")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert connect(db=box.db).running
    assert child.stop() == 0
    assert not path.exists()


def test_fifty_clients_that_ask_without_end_do_not_delay_commits(box, line):
    """Append to committed, the debounce included: its p99 at most doubles."""
    live = box.live(debounce_ms=200, max_delay_ms=1000, query_seconds=2.0)
    sql = (
        "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c WHERE a.range <> b.range + c.range",
        "SELECT count(DISTINCT md5(range::VARCHAR)) FROM range(500000)",
        "SELECT * FROM range(100000)",
        "SELECT username, count(*) FROM usage_events GROUP BY ALL",
    )
    over = threading.Event()
    answered = []

    def ask(number):
        client = connect(db=box.db)
        while not over.is_set():
            try:
                client.query(sql[number % len(sql)])
                answered.append("rows")
            except (LimitError, UnavailableError) as error:
                answered.append(type(error).__name__)

    def p99(first):
        late = []
        for number in range(first, first + 60):
            key = f"ada/{number}.jsonl"
            live.wait_idle()
            began = time.monotonic()
            box.append(key, line(number))
            live.wait_lines(key, 1)
            late.append(time.monotonic() - began)
        return sorted(late)[-2]

    quiet = p99(0)
    clients = [threading.Thread(target=ask, args=(number,)) for number in range(50)]
    for client in clients:
        client.start()
    try:
        asked = p99(1000)
    finally:
        over.set()
        for client in clients:
            client.join()
    assert asked <= 2 * quiet, (asked, quiet)
    assert {"rows", "LimitError"} <= set(answered)
