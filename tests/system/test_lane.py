"""Runs of one processor: how many at a time, how often, and what becomes of the threads that do them."""

import threading
from collections import Counter

import pytest

from daemon import worker
from processors import ProcessorResult, Table


class Seen:
    """One row per line: its text. ``during`` is called in each run."""

    name = "seen"
    tables = (Table("seen", {"number": "BIGINT"}),)

    def __init__(self, during=lambda batch: None):
        self.during, self.batches = during, []

    def process(self, batch):
        self.batches.append(list(batch.lines))
        self.during(batch)
        return ProcessorResult(rows={"seen": [(int(turn.uuid[1:]),) for turn in batch.turns()]})


class Second(Seen):
    name = "second"
    tables = (Table("second", {"number": "BIGINT"}),)

    def process(self, batch):
        return ProcessorResult(rows={"second": [(1,) for _ in batch.lines]})


class Third(Second):
    name = "third"
    tables = (Table("third", {"number": "BIGINT"}),)

    def process(self, batch):
        return ProcessorResult(rows={"third": [(1,) for _ in batch.lines]})


def seen(live, key="alice/a.jsonl"):
    return sorted(number for (number,) in live.query("SELECT number FROM seen WHERE session_file = ?", key))


def test_one_session_has_one_run_at_a_time(box, line, until):
    running, most, lock = Counter(), Counter(), threading.Lock()

    def during(batch):
        with lock:
            running[batch.session_key] += 1
            most[batch.session_key] = max(most[batch.session_key], running[batch.session_key])
        for _ in batch.objects():
            pass
        with lock:
            running[batch.session_key] -= 1

    live = box.live(Seen(during), workers=8, debounce_ms=0)
    for number in range(400):
        box.append(f"alice/{number % 3}.jsonl", line(number))
    until(lambda: live.query("SELECT count(*), count(DISTINCT number) FROM seen"), [(400, 400)])
    assert set(most.values()) == {1}


def test_changes_during_a_run_are_one_more_run(box, line, until):
    running, go = threading.Event(), threading.Event()

    def during(_batch):
        running.set()
        go.wait(60)

    box.append("alice/a.jsonl", line(0))
    processor = Seen(during)
    live = box.live(processor, debounce_ms=0)
    try:
        assert running.wait(30)
        for number in range(1, 11):
            box.append("alice/a.jsonl", line(number))
        box.append("bob/b.jsonl", line(11))
        until(lambda: len(processor.batches), 2)  # of the other session: those before it were noticed too
    finally:
        go.set()
    until(lambda: seen(live), list(range(11)))
    assert sorted(map(len, processor.batches)) == [1, 1, 10]


class _Strange(BaseException):
    """What no code is expected to raise."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that is how it dies
@pytest.mark.parametrize("error", [_Strange, KeyboardInterrupt, GeneratorExit])
def test_a_thread_that_dies_is_replaced_and_its_run_counts_as_failed(box, line, until, error):
    def during(batch):
        if b"poison" in batch.data:
            raise error

    box.append("alice/a.jsonl", line(0, "poison"))
    live = box.live(Seen(during), workers=1, max_attempts=2)
    live.wait("quarantined", session_file="alice/a.jsonl")
    box.append("bob/b.jsonl", line(1))
    until(lambda: seen(live, "bob/b.jsonl"), [1])
    assert live.stop() == 0


def test_a_large_session_goes_in_chunks_each_committed_with_its_rows(box, line, until):
    box.append("alice/a.jsonl", *(line(number, "x" * 300) for number in range(2000)))
    processor = Seen()
    live = box.live(processor, chunk_bytes=1 << 14)
    until(lambda: seen(live), list(range(2000)))
    assert len(processor.batches) > 20
    assert max(sum(map(len, batch)) for batch in processor.batches) <= 1 << 14


def test_an_append_elsewhere_does_not_wait_for_a_large_session(box, line, until):
    go, started = threading.Event(), threading.Event()

    def during(batch):
        if batch.username == "alice" and not batch.is_first:
            started.set()
            go.wait(60)

    processor = Seen(during)
    box.append("alice/a.jsonl", *(line(number, "x" * 300) for number in range(500)))
    live = box.live(processor, chunk_bytes=1 << 14, workers=2)
    try:
        assert started.wait(30)
        box.append("bob/b.jsonl", line(1))
        until(lambda: seen(live, "bob/b.jsonl"), [1])
    finally:
        go.set()
    until(lambda: seen(live), list(range(500)))


def test_several_processors_have_a_change_read_once_for_all(box, line, until):
    for number in range(20):
        box.append(f"alice/{number}.jsonl", *(line(each, "x" * 1000) for each in range(20)))
    live = box.live(Seen(), Second(), Third())
    for table in ("seen", "second", "third"):
        until(lambda table=table: live.query(f"SELECT count(*) FROM {table}"), [(400,)])
    live.wait_idle()
    size = sum(path.stat().st_size for path in box.root.rglob("*.jsonl"))
    assert live.engine.transcripts.bytes_read < 2 * size


def test_an_append_to_an_active_session_reads_little_more_than_what_is_new(box, line, until):
    box.append("alice/a.jsonl", *(line(number, "x" * 1000) for number in range(1000)))
    live = box.live(Seen(), settle_seconds=3600)
    until(lambda: len(seen(live)), 1000)
    before = live.engine.transcripts.bytes_read
    new = 0
    for number in range(1000, 1020):
        box.append("alice/a.jsonl", line(number, "x" * 1000))
        new += len(line(number, "x" * 1000))
        until(lambda number=number: len(seen(live)), number + 1)
    assert live.engine.transcripts.bytes_read - before < 1.5 * new


def test_one_worker_is_free_for_changes_while_another_is_on_backlog_and_one_that_takes_long_stops_no_backlog(
    box, line, until, monkeypatch
):
    monkeypatch.setattr(worker, "LONG_SECONDS", 3600)
    go, running = threading.Event(), Counter()

    def during(batch):
        running[batch.username] += 1
        if batch.username == "alice":
            go.wait(60)

    for number in range(3):
        box.append(f"alice/{number}.jsonl", line(number))
    live = box.live(Seen(during), workers=3)
    try:
        until(lambda: running["alice"] >= 2)
        box.append("bob/b.jsonl", line(7))
        until(lambda: seen(live, "bob/b.jsonl"), [7])
        assert running["alice"] == 2
        monkeypatch.setattr(worker, "LONG_SECONDS", 0)
        until(lambda: running["alice"], 3)
    finally:
        go.set()
    until(lambda: live.query("SELECT count(*) FROM seen"), [(4,)])
