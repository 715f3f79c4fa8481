"""Bugs that were found, each with its story."""

import asyncio
import json
from dataclasses import replace

import duckdb
import pytest

from daemon import SessionProcessorStateRepository, compute_file_hash, migrate, open_database, run_processor
from daemon.config import Settings
from daemon.events import Events
from daemon.once import scan_once
from daemon.pending import Pending
from daemon.positions import invalidate
from daemon.store import transaction
from processors import ProcessorResult, Table
from processors.registry import register


class Lines:
    name = "lines"
    tables = (Table("line_rows", {"line": "VARCHAR"}),)

    def __init__(self):
        self.runs = 0

    def process(self, batch):
        self.runs += 1
        return ProcessorResult(len(batch.lines), {"line_rows": [(line.decode(),) for line in batch.lines]}, carry=1)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / "alice").mkdir(parents=True)
    return tmp_path / "root"


def write(root, key, count):
    text = "".join(json.dumps({"n": number}) + "\n" for number in range(count))
    (root / key).write_text(text, encoding="utf-8")


def test_a_scan_does_not_end_between_two_chunks_of_a_file(tmp_path, root):
    write(root, "alice/a.jsonl", 3000)
    settings = Settings(root=root, db=tmp_path / "x.duckdb", chunk_bytes=1024)
    outcome = scan_once(settings, [register(Lines())], lambda *_: None, progress=False)
    assert [(row["sessions"], row["lines"]) for row in outcome["processors"]] == [(1, 3000)]


def test_a_scan_does_not_wait_for_a_cadence(tmp_path, root):
    settings = Settings(root=root, db=tmp_path / "x.duckdb")
    spec = replace(register(Lines()), cadence_seconds=3600.0)
    for count in (1, 2):
        write(root, "alice/a.jsonl", count)
        outcome = scan_once(settings, [spec], lambda *_: None, progress=False)
        assert outcome["processors"][0]["sessions"] == 1


def test_the_rest_of_a_file_waits_for_no_cadence():
    pending = Pending(debounce=1, max_delay=5, cadence=600)
    pending.changed("a/1", 0)
    pending.take(1)
    pending.changed("a/1", 2)
    pending.done("a/1", 3)
    pending.go_on("a/1", 3)
    assert not pending.idle()
    assert pending.take(3) is not None


def test_a_session_that_another_tool_processed_can_be_reprocessed(tmp_path, root):
    write(root, "alice/a.jsonl", 2)
    lines = Lines()
    with open_database(tmp_path / "x.duckdb") as conn:
        run_processor(conn, lines, root)
        conn.execute("DELETE FROM session_cursors")  # as if another tool had written the state row
        assert run_processor(conn, lines, root)["scanned"] == 0
        assert lines.runs == 1
        with transaction(conn):
            assert invalidate(conn, "lines", None) == [("lines", "alice/a.jsonl")]
        assert run_processor(conn, lines, root)["processed"] == 1


def test_a_file_renamed_over_a_session_counts_once(tmp_path, root):
    write(root, "alice/a.jsonl", 2)
    write(root, "alice/b.jsonl", 3)
    settings = Settings(root=root, db=tmp_path / "x.duckdb", settle_seconds=3)
    from daemon.engine import Engine  # noqa: PLC0415

    engine = Engine(settings, [register(Lines())], Events())
    engine.start()
    with engine.connect() as conn:
        counted = "SELECT session_file, count(*) FROM line_rows GROUP BY ALL ORDER BY ALL"

        def settle(keys):
            engine.changed(keys)
            while not engine.idle():
                engine.tick()
            return conn.execute(counted).fetchall()

        assert settle(["alice/a.jsonl", "alice/b.jsonl"]) == [("alice/a.jsonl", 2), ("alice/b.jsonl", 3)]
        (root / "alice/b.jsonl").rename(root / "alice/a.jsonl")
        assert settle(["alice/a.jsonl"]) == [("alice/a.jsonl", 3)]
    assert engine.close(5)


@pytest.mark.parametrize("count", [-1, 2**31, 10**20, "many"])
def test_a_count_that_no_column_can_hold_fails_the_run_only(tmp_path, root, count):
    write(root, "alice/a.jsonl", 1)

    class Odd(Lines):
        def process(self, batch):
            return ProcessorResult(count)

    with open_database(tmp_path / "x.duckdb") as conn:
        assert run_processor(conn, Odd(), root)["errors"] == 1


def test_a_processor_that_is_cancelled_fails_its_run_only(tmp_path, root):
    write(root, "alice/a.jsonl", 1)

    class Cancelled(Lines):
        def process(self, batch):
            raise asyncio.CancelledError(batch.lines)

    with open_database(tmp_path / "x.duckdb") as conn:
        counts = run_processor(conn, Cancelled(), root)
    assert counts["errors"] == 1
    assert "{" not in counts["errors_detail"][0]["error"]


def test_a_database_may_be_opened_twice_in_one_process(tmp_path):
    with open_database(tmp_path / "x.duckdb") as first, open_database(tmp_path / "x.duckdb") as second:
        first.execute(
            "INSERT INTO session_processor_state (processor_name, session_file, username) VALUES ('a', 'b', 'c')"
        )
        assert second.execute("SELECT count(*) FROM session_processor_state").fetchall() == [(1,)]


def test_migrating_inside_a_transaction_is_part_of_it():
    conn = duckdb.connect()
    conn.execute("SET TimeZone = 'Asia/Tokyo'")
    conn.begin()
    migrate(conn)
    conn.rollback()
    assert conn.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]
    migrate(conn)
    migrate(conn)
    assert conn.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_what_another_tool_recorded_counts_and_lines_are_not_counted_twice(tmp_path, root):
    write(root, "alice/a.jsonl", 1)
    with open_database(tmp_path / "x.duckdb") as conn:
        run_processor(conn, Lines(), root)
        write(root, "alice/a.jsonl", 2)
        state = SessionProcessorStateRepository(conn)
        state.mark_processed("lines", "alice/a.jsonl", "alice", 1, compute_file_hash(root / "alice/a.jsonl"))
        assert run_processor(conn, Lines(), root)["scanned"] == 0
        write(root, "alice/a.jsonl", 3)
        run_processor(conn, Lines(), root)
        assert conn.execute("SELECT count(*) FROM line_rows").fetchall() == [(3,)]
