"""Memory, reads, descriptors, queues are bounded: small versions of what ``python -m tests.system.bounds`` measures.

Nothing is compared with a time, and with an absolute size only where that is the bound itself.
"""

import select
import socket
import threading
import time
from contextlib import ExitStack

from daemon import positions, writer
from daemon.cursor import Cursor, Place, Signature, utc_now
from daemon.failures import Failure, load_failures, remember
from daemon.pending import Pending
from daemon.store import open_database, transaction
from processors import ProcessorResult, Table
from processors.usage import UsageProcessor
from tests.system.bounds import descriptors
from tests.system.bounds.rig import Daemon


def seconds_to_drain(count):
    """CPU time for a backlog of so many sessions; the least of a few times."""
    times = []
    for _ in range(3):
        pending = Pending(0, 0)
        for number in range(count):
            pending.behind(f"alice/{number}.jsonl", 0.0)
        began = time.process_time()
        while (taken := pending.take(0.0)) is not None:
            pending.done(taken.key, 0.0)
        times.append(time.process_time() - began)
    return min(times)


def test_to_drain_a_backlog_takes_time_in_proportion_to_its_length():
    # If it took the square, it would be 64 times as long.
    assert seconds_to_drain(80_000) < 24 * seconds_to_drain(10_000)


def test_what_changes_while_too_many_wait_is_found_by_a_scan(box, line, until, monkeypatch):
    monkeypatch.setattr("daemon.lane_state.MOST_WAITING", 10)
    live = box.live(scan_seconds=3600)
    (lane,) = live.engine.lanes
    with lane.held(None, "none", 1.0):
        for number in range(10):
            box.append(f"alice/{number}.jsonl", line(number))
        until(lambda: lane.counts()["live"], 10)
        for number in range(10, 200):
            box.append(f"alice/{number}.jsonl", line(number))
        until(lambda: live.service._swamped)
        assert lane.counts()["live"] == 10
    until(lambda: live.query("SELECT count(DISTINCT event_uuid), count(*) FROM usage_events"), [(200, 200)])


class Hangs:
    """A processor that hangs until it may go on."""

    name = "hangs"
    version = 1
    budget_seconds = 0.2

    def __init__(self):
        self.go = threading.Event()

    def process(self, batch):
        self.go.wait(60)
        return ProcessorResult(1)


def test_as_many_workers_as_before_come_back_when_all_of_them_have_hung(box, line, until):
    processor = Hangs()
    live = box.live(processor, workers=3)
    (workers,) = live.engine._workers
    try:
        for number in range(12):
            box.append(f"alice/{number}.jsonl", line(number))
        live.wait("lane_paused")
        until(lambda: not workers._workers)  # those that were left hang, too
    finally:
        processor.go.set()
    until(lambda: len(workers._workers), 3)
    live.wait_idle()


class ManyRows:
    """Makes much of little: a row of many columns for each line."""

    name = "many_rows"
    version = 1
    tables = (Table("many_rows", {f"c{number}": "VARCHAR" for number in range(20)}),)

    def process(self, batch):
        rows = [tuple(f"{number}-{column}" for column in range(20)) for number, _ in enumerate(batch.lines)]
        return ProcessorResult(len(rows), {"many_rows": rows})


def test_rows_wait_for_the_writer_within_a_bound_and_those_who_made_them_wait_too(box, until, monkeypatch):
    monkeypatch.setattr("daemon.writer.MOST_BYTES", 1 << 20)
    go, apply = threading.Event(), writer.apply

    def held_up(*args):
        go.wait(60)
        return apply(*args)

    monkeypatch.setattr("daemon.writer.apply", held_up)
    live = box.live(ManyRows(), workers=4)
    queue = live.engine.writer
    for number in range(32):
        box.append(f"alice/{number}.jsonl", b"{}\n" * 1000)  # 640,000 bytes of rows, of 3,000 bytes read
    until(lambda: queue._queued_bytes)
    until(lambda: queue.waiting == 4)
    assert len(queue._urgent) + len(queue._backlog) <= 2
    assert queue._queued_bytes <= 1 << 20
    go.set()
    until(lambda: live.query("SELECT count(*) FROM many_rows"), [(32_000,)])
    assert not queue._queued_bytes


class Carries:
    """Carries as much as it is told in its name."""

    version = 1

    def __init__(self, size):
        self.name, self.size = "carries", size

    def process(self, batch):
        number = (batch.carry or b"").count(b"\n") + 1
        return ProcessorResult(1, carry=b"\n" * number + b"x" * (self.size - number))


def test_large_carries_are_folded_within_the_memory_of_the_database(tmp_path):
    entries, carry = 30, b"x" * 4_000_000
    with open_database(tmp_path / "db", memory_limit="240MB") as conn:
        for number in range(entries):
            seen = Signature(1, 2, 3, 4, number)
            cursor = Cursor(seen, number, "f", Place.LINE_START, True, 1, carry, 1, 0, 1, "h")
            with transaction(conn):
                positions.append(conn, [positions.Entry("p", "alice/a.jsonl", cursor, utc_now())])
        with transaction(conn):
            assert positions.fold(conn, positions.FOLD_SLICE) >= 1
        assert positions.find(conn, "p", "alice/a.jsonl").offset == entries - 1


def test_a_carry_that_grows_without_end_fails_its_own_session_by_name(box, line):
    live = box.live(Carries(5_000_000))
    box.append("alice/a.jsonl", line(1))
    failed = live.wait("run_failed", session_file="alice/a.jsonl")
    assert failed["error"].startswith("the carry of carries takes 5.0 of at most 4.2 MB")


def test_a_line_without_end_is_read_about_once_however_many_pieces_it_comes_in(box, line, until):
    settings = {"line_limit_bytes": 1 << 20, "chunk_bytes": 1 << 16, "settle_seconds": 600, "debounce_ms": 0}
    key, path, piece, read = "alice/endless.jsonl", box.path("alice/endless.jsonl"), b"x" * (1 << 16), 0
    seen = "SELECT size FROM session_positions WHERE session_file = ?"
    for _ in range(2):  # it goes on while the daemon is started anew
        live = box.live(**settings)
        for _ in range(32):
            box.append(key, piece)
            size = path.stat().st_size
            until(lambda live=live, size=size: live.query(seen, key) == [(size,)])
        read += live.engine.transcripts.bytes_read
        box.append(key, piece)
        live.stop()
    live = box.live(**settings)
    box.append(key, b"\n", *(line(number) for number in range(5)))
    live.wait_ids(key, range(5))
    assert live.query("SELECT lines, malformed_lines FROM session_positions WHERE session_file = ?", key) == [(5, 1)]
    # What was read before the start is hashed once more, and what came up to the limit was searched twice.
    assert read <= 2.5 * path.stat().st_size


def test_a_session_that_is_four_times_as_large_takes_no_more_memory(tmp_path):
    def peak(lines):
        root = tmp_path / str(lines) / "root"
        (root / "alice").mkdir(parents=True)
        (root / "alice" / "a.jsonl").write_bytes((b'{"type":"user","text":"%s"}\n' % (b"x" * 1000)) * lines)
        with Daemon(root, tmp_path / str(lines) / "state", "summary", chunk_bytes=1 << 20) as daemon:
            daemon.wait(lambda: daemon.lane("summary")["lines"] == lines, "all lines")
            return daemon.memory("VmHWM")

    assert peak(32_000) - peak(8_000) < 10  # MB, of 25 more


def test_nothing_is_left_of_clients_that_hang_runs_that_hang_and_files_that_move(tmp_path):
    figures = descriptors.measure(tmp_path, 1, users=3, clients=9, replaced=False)
    assert figures["after"] == figures["before"], figures
    assert figures["abandoned"] >= 2


def test_clients_that_only_connect_take_so_many_descriptors_and_no_more(box, until, monkeypatch):
    monkeypatch.setattr("daemon.api.server.MOST_SILENT", 30)
    live, opened = box.live(), []
    with ExitStack() as clients:
        for _ in range(200):
            opened.append(clients.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)))
            opened[-1].connect(f"{box.db}.sock")
        until(lambda: len(live.service._server._server.server_state.connections) == 30)
        # Those that were not heard have been told so: nothing is left of them.
        until(lambda: len(select.select(opened, [], [], 0)[0]) == 170)
    until(lambda: not live.service._server._server.server_state.connections)


def test_the_larger_a_session_the_longer_it_has_to_be_quiet_until_it_is_read_again(box, line, until, monkeypatch):
    monkeypatch.setattr("daemon.outcome.CHECKED_PER_SECOND", 1_000)
    live = box.live()
    box.append("alice/a.jsonl", line(1, "x" * 100_000))
    live.wait_ids("alice/a.jsonl", [1])
    (lane,) = live.engine.lanes
    until(lambda: "alice/a.jsonl" in lane._pending._waiting)
    assert lane._pending._waiting["alice/a.jsonl"].due > lane.clock() + 50


def test_nothing_is_known_any_more_of_what_was_refused_and_is_gone(box, until):
    live = box.live()
    (lane,) = live.engine.lanes
    for number in range(20):
        box.path(f"alice/{number}.jsonl").symlink_to("/etc/passwd")
        live.wait("refused", session_file=f"alice/{number}.jsonl")
        until(lambda: not lane.counts()["running"])
        box.path(f"alice/{number}.jsonl").unlink()
        lane.changed([f"alice/{number}.jsonl"])  # as somebody who looks for it would
    until(lambda: not lane._sessions._current)
    assert not lane._sessions.partial
    assert not lane._moves._names
    assert not lane._moves._former


def test_several_processors_have_the_names_of_sessions_in_memory_once(box, line):
    live = box.live(UsageProcessor, Hangless)
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])
    live.wait_lines("alice/a.jsonl", 1, "hangless")
    live.stop()
    first, second = box.live(UsageProcessor, Hangless).engine.lanes
    ((one,), (other,)) = (lane._sessions._current for lane in (first, second))
    assert one is other


class Hangless:
    """Does nothing."""

    name = "hangless"
    version = 1

    def process(self, batch):
        return ProcessorResult()


def test_to_note_many_failures_takes_little_longer_than_to_note_one(conn):
    def seconds(count):
        seen = Signature(1, 2, 3, 4, 5)
        notes = [Failure("p", f"alice/{n}.jsonl", "c", seen, 1, False, "e", utc_now()) for n in range(count)]
        times = []
        for _ in range(5):
            began = time.process_time()
            with transaction(conn):
                remember(conn, notes)
            times.append(time.process_time() - began)
        assert load_failures(conn, "p")[f"alice/{count - 1}.jsonl"] == notes[-1]
        return min(times)

    one = seconds(1)
    assert seconds(64) < 16 * one
    assert len(load_failures(conn, "p")) == 64
