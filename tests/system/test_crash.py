"""Runs that end the process, and runs that a stop finds under way: who is blamed, and who is not."""

import json
import threading
from pathlib import Path

import pytest

from daemon import SessionProcessorStateRepository, open_database, run_processor
from daemon.config import Settings
from processors import ProcessorResult, Table

# The poison kills the process as soon as the innocent are under way too, who take their time. Whoever runs alone does
# not wait for the others for ever.
KILLER = """
import os, pathlib, time
from processors import ProcessorResult, Table

HERE = pathlib.Path(__file__).parent

class P:
    name = "killer"
    tables = (Table("killer", {"lines": "BIGINT"}),)

    def process(self, batch):
        poison = b"poison" in batch.data
        begun = HERE / f"begun-{os.getpid()}-{poison and 'poison' or batch.username}"
        begun.touch()
        until = time.monotonic() + 1
        while not (HERE / "crashed").exists() or time.monotonic() < until:
            if poison and all((HERE / f"begun-{os.getpid()}-{name}").exists() for name in ("bob", "carol")):
                break
            time.sleep(0.01)
        if poison:
            (HERE / "crashed").touch()
            os._exit(9)
        return ProcessorResult(rows={"killer": [(len(batch.lines),)]})
"""

HANGS = """
import time
from processors import ProcessorResult

class P:
    name = "hangs"
    tables = ()

    def process(self, batch):
        (__import__("pathlib").Path(__file__).parent / "begun").touch()
        time.sleep(600)
"""


class Numbers:
    """One row per line; fails on the word poison."""

    name = "numbers"
    tables = (Table("numbers", {"length": "BIGINT"}),)
    poison = b"poison"

    def process(self, batch):
        if self.poison in batch.data:
            raise ValueError
        return ProcessorResult(rows={"numbers": [(len(each),) for each in batch.lines]})


def test_only_the_run_that_kills_the_process_is_quarantined(box, line):
    box.plugin("killer", KILLER)
    box.append("alice/a.jsonl", line(1, "poison"))
    box.append("bob/b.jsonl", line(2))
    box.append("carol/c.jsonl", line(3))
    for attempt in range(4):
        daemon = box.child(processors='["killer"]', workers=3, max_attempts=3)
        daemon.wait("ready", seconds=60)
        if attempt < 3:
            assert daemon.ended(60) == 9
    daemon.wait_quiet()
    daemon.stop()
    found = box.query("SELECT session_file, attempts, quarantined FROM session_failures")
    assert found == [("alice/a.jsonl", 3, True)]
    assert box.query("SELECT session_file, lines FROM killer ORDER BY ALL") == [
        ("bob/b.jsonl", 1),
        ("carol/c.jsonl", 1),
    ]


def test_a_run_that_a_stop_gives_up_is_not_blamed_for_the_end_of_the_process(box, line, until):
    box.plugin("hangs", HANGS)
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon(processors='["hangs"]', stop_seconds=0.2)
    until((box.folder / "plugins" / "begun").exists)
    assert daemon.stop() == 0
    again = box.daemon(processors='["hangs"]', stop_seconds=0.2)
    assert again.of("interrupted") == []
    again.stop()


def test_a_file_of_which_only_a_part_is_processed_has_no_state_row(tmp_path, line):
    root = tmp_path / "root"
    (root / "alice").mkdir(parents=True)
    path = root / "alice/a.jsonl"
    path.write_bytes(b"".join([*(line(number, "x" * 300) for number in range(100)), line(100, "poison")]))
    limits = Settings(chunk_bytes=4096)
    processor = Numbers()
    with open_database(tmp_path / "x.duckdb") as conn:
        for _ in range(2):
            counts = run_processor(conn, processor, root, settings=limits)
            assert (counts["scanned"], counts["processed"], counts["errors"]) == (1, 0, 1)
            assert conn.execute("SELECT * FROM session_processor_state").fetchall() == []
            assert SessionProcessorStateRepository(conn).scan_unprocessed_for("numbers", root) == [("alice", path)]
            assert conn.execute("SELECT processor_name, username FROM session_positions").fetchall() == [
                ("numbers", "alice")
            ]
        processor.poison = b"no such thing"
        assert run_processor(conn, processor, root, settings=limits)["processed"] == 1
        assert conn.execute("SELECT count(*) FROM numbers").fetchall() == [(101,)]
        assert len(conn.execute("SELECT * FROM session_processor_state").fetchall()) == 1


def test_a_state_row_goes_while_more_than_a_part_of_its_file_is_yet_to_be_processed_again(tmp_path, line):
    root = tmp_path / "root"
    (root / "alice").mkdir(parents=True)
    path = root / "alice/a.jsonl"
    path.write_bytes(line(0))
    limits = Settings(chunk_bytes=4096)
    with open_database(tmp_path / "x.duckdb") as conn:
        processor = Numbers()
        run_processor(conn, processor, root, settings=limits)
        path.write_bytes(b"".join([*(line(number, "x" * 300) for number in range(1, 100)), line(100, "poison")]))
        assert run_processor(conn, processor, root, settings=limits)["errors"] == 1
        assert conn.execute("SELECT * FROM session_processor_state").fetchall() == []
        processor.poison = b"no such thing"
        run_processor(conn, processor, root, settings=limits)
        assert conn.execute("SELECT count(*) FROM numbers").fetchall() == [(100,)]


class Adds:
    """A whole-session processor that counts in a row that it shares with another."""

    def __init__(self, name, during=lambda: None):
        self.name, self.during = name, during

    def process_session(self, session_path, username, session_key, conn):
        conn.execute("UPDATE shared SET sessions = sessions + 1")
        self.during()
        return ProcessorResult(1)


def test_a_conflict_between_processors_is_nobodys_failure(box, line, until):
    with open_database(box.db) as conn:
        conn.execute("CREATE TABLE shared AS SELECT 0 AS sessions")
    go, begun = threading.Event(), threading.Event()

    def during():
        begun.set()
        go.wait(60)

    live = box.live(Adds("first", during), Adds("second", lambda: None), max_attempts=1)
    try:
        box.append("alice/a.jsonl", line(1))
        assert begun.wait(30)
        box.append("bob/b.jsonl", line(1))
        live.wait("busy", processor="second")
    finally:
        go.set()
    until(lambda: live.query("SELECT sessions FROM shared"), [(4,)])
    live.wait_idle()
    assert live.of("run_failed") == live.of("quarantined") == []


def test_a_session_that_failed_and_is_a_link_now_is_not_waited_for(box, line, until):
    box.append("alice/a.jsonl", line(1, "poison"))
    live = box.live(Numbers, backoff_seconds=0.5, backoff_max_seconds=0.5)
    live.wait("run_failed")
    path = box.path("alice/a.jsonl")
    path.unlink()
    path.symlink_to(box.folder / "nowhere")
    live.wait("refused", reason="link")
    live.wait_idle()
    assert live.engine.lanes[0].counts()["retrying"] == 0
    until(lambda: live.query("SELECT count(*) FROM session_failures"), [(0,)])


def _note_of(box, key):
    """What a process leaves that dies during a run of ``numbers``."""
    folder = box.folder / "state" / "sessiond.duckdb.inflight"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    note = {"processor": "numbers", "session_key": key, "content": "1:from:x", "boot": boot, "run": "0"}
    (folder / "numbers.1").write_text(json.dumps(note))


@pytest.mark.parametrize("now", ["gone", "a link", "as it was"])
def test_a_session_in_whose_run_the_process_died_is_not_waited_for_if_nothing_is_left_to_do(box, line, now):
    box.append("alice/a.jsonl", line(1))
    live = box.live(Numbers)
    live.wait_lines("alice/a.jsonl", 1, "numbers")
    live.wait("processed", 2)  # it was quiet, and is settled
    live.stop()
    _note_of(box, "alice/a.jsonl")
    path = box.path("alice/a.jsonl")
    if now != "as it was":
        path.unlink()
    if now == "a link":
        path.symlink_to(box.folder / "nowhere")
    again = box.live(Numbers)
    assert len(again.of("interrupted")) == (now == "as it was")
    again.wait_idle()
    again.stop()
    assert box.query("SELECT count(*) FROM session_failures") == [(0,)]
    assert box.query("SELECT count(*) FROM numbers") == [(1,)]
