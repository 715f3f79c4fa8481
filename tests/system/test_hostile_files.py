"""Files that never end, files of nothing, files with several names: each line counts once, and nobody else waits."""

import os
import threading

import pytest

from processors import ProcessorResult
from processors.usage import UsageProcessor

SUMMARY = "SELECT lines, malformed_lines FROM usage_session_summary WHERE session_file = ?"
TERABYTE = 1 << 40


def test_a_terabyte_of_nothing_delays_nobody_and_what_follows_it_counts(box, line):
    box.append("mallory/x.jsonl", line(1))
    os.truncate(box.path("mallory/x.jsonl"), TERABYTE)
    live = box.live(line_limit_bytes=1 << 20)
    for number in range(5):
        box.append("alice/a.jsonl", line(number))
        live.wait_ids("alice/a.jsonl", range(number + 1))
    box.append("mallory/x.jsonl", b"\n", line(2))
    live.wait_ids("mallory/x.jsonl", [1, 2])
    assert live.query(SUMMARY, "mallory/x.jsonl") == [(2, 1)]
    os.truncate(box.path("mallory/x.jsonl"), 2 * TERABYTE)
    live.wait_idle()
    assert live.stop() == 0
    box.append("mallory/x.jsonl", b"\n", line(3))
    again = box.live(line_limit_bytes=1 << 20)  # has no hasher in memory
    again.wait_ids("mallory/x.jsonl", [1, 2, 3])
    assert again.query(SUMMARY, "mallory/x.jsonl") == [(3, 2)]
    assert again.engine.transcripts.bytes_read < 64 << 20
    assert not again.of("abandoned")


class _Growing:
    """A file that is written to quicker than it can be read."""

    def __init__(self, path, data):
        self._path, self._data, self._stop = path, data, threading.Event()
        path.write_bytes(data)
        self._thread = threading.Thread(target=self._grow)
        self._thread.start()

    def _grow(self):
        with self._path.open("ab") as file:
            while not self._stop.is_set() and file.tell() < 256 << 20:
                file.write(self._data)
                file.flush()

    def is_ahead(self, lines):
        """Whether there is more in it than so many lines."""
        return self._path.read_bytes().count(b"\n") > lines

    def stop(self):
        self._stop.set()
        self._thread.join()


@pytest.fixture
def growing():
    files = []

    def start(path, data):
        files.append(_Growing(path, data))
        return files[-1]

    yield start
    for file in files:
        file.stop()


class _Slow:
    """Takes longer for a chunk than the writer for the next one."""

    name = "slow"
    tables = ()

    def __init__(self):
        self.lines = {}

    def process(self, batch):
        self.lines[batch.username] = self.lines.get(batch.username, 0) + len(batch.lines)
        return ProcessorResult(items_count=0)


def test_a_file_that_grows_for_ever_leaves_turns_to_the_others(box, line, growing, until):
    slow = _Slow()
    live = box.live(slow, workers=1, chunk_bytes=1 << 10)
    file = growing(box.path("mallory/x.jsonl"), b"".join(map(line, range(1000))))
    live.wait("processed", 10, session_file="mallory/x.jsonl")
    for number in range(5):
        box.append("alice/a.jsonl", line(number))
        live.wait_lines("alice/a.jsonl", number + 1, "slow")
    assert file.is_ahead(slow.lines["mallory"]), "it did not grow quickly enough"


def test_a_file_that_grows_for_ever_leaves_turns_to_the_backlog(box, line, growing):
    slow = _Slow()
    for number in range(20):
        box.append(f"zoe/{number}.jsonl", line(number))
    file = growing(box.path("mallory/x.jsonl"), b"".join(map(line, range(1000))))
    live = box.live(slow, workers=1, chunk_bytes=1 << 10)
    for number in range(20):
        live.wait_lines(f"zoe/{number}.jsonl", 1, "slow")
    assert file.is_ahead(slow.lines.get("mallory", 0)), "it did not grow quickly enough"


def test_a_file_with_two_names_counts_under_each_and_is_never_moved_back_and_forth(box, line):
    """A hard link is a file of its own to whoever lists it: each name's rows are those of the file's lines."""
    box.append("alice/a.jsonl", line(1))
    live = box.live(scan_seconds=1)
    live.wait_ids("alice/a.jsonl", [1])
    box.path("bob/b.jsonl").hardlink_to(box.path("alice/a.jsonl"))
    live.wait_ids("bob/b.jsonl", [1])
    for number in range(2, 5):
        box.append("alice/a.jsonl", line(number))
        live.survey.request_scan()
        live.wait_ids("alice/a.jsonl", range(1, number + 1))
        live.wait_ids("bob/b.jsonl", range(1, number + 1))
    live.survey.request_scan()
    live.wait_idle()
    assert not live.of("moved")
    assert not live.of("run_failed")
    box.path("alice/a.jsonl").unlink()  # its rows stay, as those of any session that is deleted
    box.append("bob/b.jsonl", line(5))
    live.wait_ids("bob/b.jsonl", [1, 2, 3, 4, 5])
    live.wait_idle()
    assert live.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_calls") == [(5, 5)]


def test_two_sessions_that_swap_their_names_have_their_lines_under_the_new_ones(box, line):
    live = box.live(UsageProcessor)
    box.append("alice/a.jsonl", line(1), line(2))
    box.append("alice/b.jsonl", line(11))
    one, other, between = box.path("alice/a.jsonl"), box.path("alice/b.jsonl"), box.path("alice/between")
    live.wait_ids("alice/a.jsonl", [1, 2])
    live.wait_ids("alice/b.jsonl", [11])
    for turn in range(1, 4):
        one.rename(between)
        other.rename(one)
        between.rename(other)
        box.append("alice/a.jsonl", line(100 + turn))
        box.append("alice/b.jsonl", line(200 + turn))
        for path in (one, other):
            numbers = [int(each.split(b'"uuid": "u')[1].split(b'"')[0]) for each in path.read_bytes().splitlines()]
            live.wait_ids(str(path.relative_to(box.root)), numbers)
    live.wait_idle()
    assert live.query("SELECT count(*) FROM usage_events") == [(9,)]
