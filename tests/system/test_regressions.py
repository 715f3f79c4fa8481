"""Bugs that were found, each with its story."""

import asyncio
import json
from dataclasses import replace

import duckdb
import pytest

from daemon import SessionProcessorStateRepository, compute_file_hash, migrate, open_database, run_processor
from daemon.config import Settings
from daemon.corrections import invalidate
from daemon.engine import Engine
from daemon.events import Events
from daemon.once import scan_once
from daemon.pending import Pending
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


class Flaky(Lines):
    """Fails once for each of ``failing``, and calls it before."""

    def __init__(self):
        super().__init__()
        self.failing = []

    def process(self, batch):
        if self.failing:
            self.failing.pop()()
            raise ValueError
        return super().process(batch)


class Settled:
    """An engine over a root, and the number of lines under each key once all that changed is processed."""

    def __init__(self, tmp_path, root, processor):
        self.root, self.processor = root, processor
        self.settings = Settings(root=root, db=tmp_path / "x.duckdb", debounce_ms=10, backoff_seconds=0.05)
        self.start()

    def start(self):
        self.engine = Engine(self.settings, [register(self.processor)], Events())
        self.engine.start()
        self.conn = self.engine.connect()

    def stop(self):
        self.conn.close()
        assert self.engine.close(5)

    def rename(self, old, new):
        (self.root / old).rename(self.root / new)

    def after(self, *keys):
        self.engine.changed(keys)
        while not self.engine.idle():
            self.engine.tick()
        positions = self.conn.execute("SELECT session_file FROM session_positions ORDER BY ALL").fetchall()
        counts = self.conn.execute(
            "SELECT session_file, count(*) FROM line_rows GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        assert [key for key, _ in counts] == [key for (key,) in positions]
        return dict(counts)


@pytest.fixture
def settled(tmp_path, root):
    for count, name in enumerate("abc", 1):
        write(root, f"alice/{name}.jsonl", count)
    settled = Settled(tmp_path, root, Flaky())
    yield settled
    settled.stop()


A, B, C, D = (f"alice/{name}.jsonl" for name in "abcd")


def test_a_move_whose_first_run_fails_is_still_one_at_the_second(settled):
    assert settled.after(A, B, C) == {A: 1, B: 2, C: 3}
    settled.rename(A, B)
    settled.processor.failing.append(lambda: None)
    assert settled.after(A, B) == {B: 1, C: 3}


def test_a_file_that_goes_on_while_its_move_fails_takes_its_rows_along(settled):
    assert settled.after(A, B, C) == {A: 1, B: 2, C: 3}
    settled.rename(A, B)
    settled.processor.failing.append(lambda: settled.rename(B, C))
    settled.after(A, B)
    assert settled.after(C) == {B: 2, C: 1}  # what B was is no more, so its rows stay


def test_a_file_renamed_over_a_session_before_anyone_has_looked_at_it_takes_its_rows_along(settled):
    assert settled.after(A, B, C) == {A: 1, B: 2, C: 3}
    settled.stop()
    settled.rename(A, B)
    settled.start()
    assert settled.after(A, B) == {B: 1, C: 3}


def test_a_file_takes_its_rows_along_although_its_old_name_is_in_use(settled):
    assert settled.after(A, B, C) == {A: 1, B: 2, C: 3}
    settled.rename(A, D)
    settled.rename(B, A)
    assert settled.after(D) == {B: 2, C: 3, D: 1}
    settled.rename(A, B)
    assert settled.after(A, B) == {B: 2, C: 3, D: 1}


def test_two_files_that_change_names_want_each_others_rows_and_are_not_done_before_both_are(settled):
    assert settled.after(A, B, C) == {A: 1, B: 2, C: 3}
    for _ in range(5):
        for old, new in ((A, D), (B, A), (D, B)):
            settled.rename(old, new)
        settled.after(A, B)
    assert settled.after(A, B) == {A: 2, B: 1, C: 3}


def test_all_names_that_a_file_had_are_taken_along(settled):
    (settled.root / D).hardlink_to(settled.root / A)
    assert settled.after(A, B, C, D) == {A: 1, B: 2, C: 3, D: 1}
    (settled.root / A).unlink()
    settled.rename(D, B)
    assert settled.after(A, B, D) == {B: 1, C: 3}


def test_a_session_that_has_to_wait_for_another_is_not_idle():
    pending = Pending(debounce=1, max_delay=5)
    pending.behind("a/1", 0)
    assert pending.take(0)
    pending.done("a/1", 1)
    pending.later("a/1", 2, unfinished=True)
    assert not pending.idle()


def test_one_processor_alone_takes_rows_along_when_a_file_is_renamed_over_a_session(tmp_path, root):
    write(root, A, 1)
    write(root, B, 2)
    with open_database(tmp_path / "x.duckdb") as conn:
        run_processor(conn, Lines(), root)
        (root / A).rename(root / B)
        run_processor(conn, Lines(), root)
        assert conn.execute("SELECT session_file, count(*) FROM line_rows GROUP BY ALL").fetchall() == [(B, 1)]
