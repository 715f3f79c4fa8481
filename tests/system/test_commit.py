"""What is in the database when something goes wrong around it."""

import os
import resource
import threading

import pytest

from processors import ProcessorResult, Table


class Numbers:
    """One row per line; fails on the word poison as long as nothing follows it."""

    name = "numbers"
    tables = (Table("numbers", {"length": "BIGINT"}),)

    def process(self, batch):
        if b"poison" in batch.lines[-1]:
            raise ValueError
        return ProcessorResult(rows={"numbers": [(len(each),) for each in batch.lines]})


def test_what_was_said_to_be_processed_survives_a_kill(box, line):
    for number in range(5):
        daemon = box.daemon(debounce_ms=0)
        box.append("alice/a.jsonl", line(number))
        daemon.wait("processed", session_file="alice/a.jsonl", lines=1)
        daemon.kill()
        assert box.query("SELECT count(*) FROM usage_events") == [(number + 1,)]


def test_rows_and_position_agree_whenever_the_daemon_is_killed(box, line):
    number, moment = 0, threading.Event()
    for attempt in range(6):
        daemon = box.daemon(debounce_ms=0, max_attempts=100)
        for _ in range(200):
            box.append(f"alice/{number % 7}.jsonl", line(number))
            number += 1
        daemon.wait("committed")
        moment.wait(attempt / 100)  # the moment of the kill is meant to be any
        daemon.kill()
        torn = """
            SELECT session_file, lines, found FROM session_positions FULL JOIN
                (SELECT session_file, count(*) AS found FROM usage_events GROUP BY ALL) USING (session_file)
            WHERE lines IS DISTINCT FROM found"""
        assert box.query(torn) == []
        assert box.query("SELECT count(*) - count(DISTINCT event_uuid) FROM usage_events") == [(0,)]


def test_a_database_that_cannot_grow_is_said_and_goes_on_once_it_can(box, line):
    daemon = box.daemon(debounce_ms=0)
    box.append("alice/a.jsonl", line(0))
    daemon.wait_lines("alice/a.jsonl", 1)
    full = sum(path.stat().st_size for path in box.db.parent.glob("sessiond.duckdb*") if path.is_file())
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (full // 2, resource.RLIM_INFINITY))
    for number in range(1, 1000):
        box.append(f"bob/{number % 10}.jsonl", line(number, "x" * 1000))
    daemon.wait("store_blocked")
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    daemon.wait("store_resumed")
    daemon.wait_quiet()
    assert daemon.stop() == 0
    found = box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events")
    assert found == [(1000, 1000)]


def test_a_stop_while_the_database_cannot_grow_ends_and_loses_nothing(box, line):
    daemon = box.daemon(debounce_ms=0, stop_seconds=1)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    for number in range(100):
        box.append(f"bob/{number % 10}.jsonl", line(number, "x" * 1000))
    daemon.wait("store_blocked")
    assert daemon.stop() in {0, 1}
    again = box.daemon()
    again.wait_quiet()
    assert again.stop() == 0
    assert box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events") == [(100, 100)]


def test_the_state_table_is_what_other_tools_expect(box, line):
    box.append("alice/a.jsonl", line(0), line(1))
    assert box.scan().returncode == 0
    columns = box.query("SELECT column_name FROM duckdb_columns() WHERE table_name = 'session_processor_state'")
    names = "processor_name session_file username processed_at items_extracted file_hash"
    assert [name for (name,) in columns] == names.split()
    rows = box.query("SELECT processor_name, session_file, username, items_extracted FROM session_processor_state")
    assert rows == [("usage", "alice/a.jsonl", "alice", 2)]


def test_a_failure_that_is_healed_at_once_is_forgotten_for_good(box, line, until):
    live = box.live(Numbers, max_attempts=1, debounce_ms=0)
    for number in range(10):
        box.append(f"alice/{number}.jsonl", line(number, "poison"))
        live.wait("quarantined", session_file=f"alice/{number}.jsonl")
        box.append(f"alice/{number}.jsonl", line(number))
        live.wait("processed", session_file=f"alice/{number}.jsonl")
    live.wait_idle()
    live.stop()
    assert box.query("SELECT session_file FROM session_failures") == []
    again = box.live(Numbers)
    assert [lane.failures() for lane in again.engine.lanes] == [[]]


def _cut(content):
    return content[: len(content) // 5]


def _head(content):
    return os.urandom(8192) + content[8192:]


def _empty(_content):
    return b"\n"


@pytest.mark.parametrize("damage", [_cut, _head, _empty])
def test_a_damaged_database_is_one_line_that_says_what_to_do(box, line, damage):
    box.append("alice/a.jsonl", *map(line, range(2000)))
    assert box.scan().returncode == 0
    box.db.write_bytes(damage(box.db.read_bytes()))
    result = box.scan()
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("sessiond: ")
    assert result.stderr.count("\n") == 1
    assert str(box.db) in result.stderr
    assert "sessiond rebuild" in result.stderr


def test_a_database_in_an_impossible_place_is_one_line(box):
    (box.folder / "file").touch()
    for place in (box.folder, box.folder / "file" / "x.duckdb", "/proc/x.duckdb"):
        result = box.scan(db=place)
        assert result.returncode == 2
        assert result.stderr.startswith("sessiond: ")
        assert result.stderr.count("\n") == 1


def test_a_stop_leaves_to_the_next_start_what_there_is_no_time_to_fold(box, line, monkeypatch):
    live = box.live(Numbers, debounce_ms=0)
    slices = []

    def one_entry(conn, tables, upto=None):
        slices.append(upto)
        return 1  # there is always more

    monkeypatch.setattr("daemon.folding.fold_slice", one_entry)
    monkeypatch.setattr("daemon.engine.WRITE_SECONDS", 0.5)
    box.append("alice/a.jsonl", line(1))
    live.wait("processed", session_file="alice/a.jsonl")
    assert live.stop() == 0
    assert live.of("stopped", clean=True)
    assert slices
    assert box.query("SELECT count(*) FROM numbers") == [(1,)]
