"""Processors that misbehave, are slow, or are of another form: what it costs them, and that it costs nobody else."""

import itertools
import os
import threading
import time

import pytest

from processors import PauseError, ProcessorResult, Table

STATE = "SELECT processor_name, session_file FROM session_positions ORDER BY ALL"


class Numbers:
    """One row per line: its number within the session."""

    name = "numbers"
    version = 1
    tables = (Table("numbers", {"number": "BIGINT"}),)

    def __init__(self, trouble=lambda batch: None):
        self.trouble = trouble
        self.runs = []

    def process(self, batch):
        self.runs.append((batch.session_key, time.monotonic()))
        self.trouble(batch)
        first = batch.carry or 0
        rows = [(first + number,) for number in range(len(batch.lines))]
        return ProcessorResult(len(rows), {"numbers": rows}, carry=first + len(rows))


class Whole:
    """The whole-session form: one row per session, made anew by itself."""

    name = "whole"

    def __init__(self, after=lambda key: None):
        self.after = after

    def process_session(self, session_path, username, session_key, conn):
        conn.execute("CREATE TABLE IF NOT EXISTS whole (key VARCHAR, username VARCHAR, lines INTEGER)")
        conn.execute("DELETE FROM whole WHERE key = ?", [session_key])
        lines = len(session_path.read_bytes().splitlines())
        conn.execute("INSERT INTO whole VALUES (?, ?, ?)", [session_key, username, lines])
        return self.after(session_key) or ProcessorResult(lines)


def numbers(live, key="alice/a.jsonl"):
    return sorted(number for (number,) in live.query("SELECT number FROM numbers WHERE session_file = ?", key))


def whole(live):
    made = live.query("SELECT 1 FROM duckdb_tables() WHERE table_name = 'whole'")
    return live.query("SELECT * FROM whole") if made else []


def fail_on(text, error=ValueError):
    def trouble(batch):
        if text in batch.data:
            raise error

    return trouble


@pytest.mark.parametrize("error", [ValueError, SystemExit, MemoryError, RecursionError, StopIteration])
def test_one_that_raises_is_retried_then_quarantined_and_nobody_else_suffers(box, line, until, error):
    processor = Numbers(fail_on(b"poison", error))
    live = box.live(processor, Other, max_attempts=3)
    box.append("alice/a.jsonl", line(1, "poison"))
    box.append("bob/b.jsonl", line(2))
    quarantined = live.wait("quarantined", processor="numbers", session_file="alice/a.jsonl")
    assert quarantined["attempts"] == 3
    assert [entry["attempt"] for entry in live.of("run_failed")] == [1, 2]
    until(lambda: numbers(live, "bob/b.jsonl"), [0])
    until(lambda: live.query("SELECT count(*) FROM other"), [(2,)])
    assert numbers(live) == []
    assert ("numbers", "alice/a.jsonl") not in live.query(STATE)
    assert not any("poison" in str(entry) for entry in live.entries)


class Other(Numbers):
    name = "other"
    tables = (Table("other", {"number": "BIGINT"}),)

    def process(self, batch):
        return ProcessorResult(rows={"other": [(1,)]})


def test_retries_come_later_and_later(box, line):
    processor = Numbers(fail_on(b"poison"))
    box.append("alice/a.jsonl", line(1, "poison"))
    live = box.live(processor, max_attempts=4, backoff_seconds=0.1, backoff_max_seconds=10)
    live.wait("quarantined")
    times = [at for _, at in processor.runs]
    assert len(times) == 4
    for number, (before, after) in enumerate(itertools.pairwise(times)):
        assert after - before >= 0.8 * 0.1 * 2**number


def test_touching_a_file_does_not_use_up_its_attempts(box, line, until):
    processor = Numbers(fail_on(b"poison"))
    box.append("alice/a.jsonl", line(1, "poison"))
    live = box.live(processor, max_attempts=5, backoff_seconds=60, backoff_max_seconds=60)
    live.wait("run_failed")
    for number in range(5):
        os.utime(box.path("alice/a.jsonl"), (number, number))
        box.append("bob/b.jsonl", line(number))
        until(lambda number=number: numbers(live, "bob/b.jsonl"), list(range(number + 1)))
    assert len([key for key, _ in processor.runs if key == "alice/a.jsonl"]) == 1


def test_one_that_recovers_has_its_rows_and_its_failures_are_forgotten(box, line, until):
    failures = [ValueError, KeyError]

    def twice(_batch):
        if failures:
            raise failures.pop()

    live = box.live(Numbers(twice))
    box.append("alice/a.jsonl", line(1))
    until(lambda: numbers(live), [0])
    live.wait_idle()
    assert live.query("SELECT count(*) FROM session_failures") == [(0,)]


def test_new_content_is_a_new_chance_and_loses_no_line(box, line, until):
    processor = Numbers(lambda batch: fail_on(b"poison")(batch) if b"antidote" not in batch.data else None)
    live = box.live(processor, max_attempts=2)
    box.append("alice/a.jsonl", line(1))
    until(lambda: numbers(live), [0])
    box.append("alice/a.jsonl", line(2, "poison"))
    live.wait("quarantined")
    assert numbers(live) == [0]
    box.append("alice/a.jsonl", line(3, "antidote"))
    until(lambda: numbers(live), [0, 1, 2])
    live.wait_idle()
    assert live.query("SELECT count(*) FROM session_failures") == [(0,)]


def test_quarantine_outlives_a_restart_and_requeue_ends_it(box, line, until):
    box.append("alice/a.jsonl", line(1, "poison"))
    live = box.live(Numbers(fail_on(b"poison")), max_attempts=2)
    live.wait("quarantined")
    live.stop()
    processor = Numbers()
    live = box.live(processor, max_attempts=2)
    live.wait_idle()
    assert processor.runs == []
    live.stop()
    requeued = box.sessiond("requeue", "--db", box.db)
    assert requeued.returncode == 0
    assert "alice/a.jsonl" in requeued.stdout
    live = box.live(processor)
    until(lambda: numbers(live), [0])


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([("no number",)], "number"),
        ([(1, 2)], "as many values"),
        ([{"nubmer": 1}], "nubmer"),
        ([(2**70,)], "number"),
        ({"number": ["x"]}, "number"),
        (5, "rows"),
    ],
)
def test_rows_that_do_not_fit_fail_that_run_only_and_name_the_column(box, line, until, rows, named):
    class Misfit(Numbers):
        def process(self, batch):
            bad = b"misfit" in batch.data
            return ProcessorResult(rows={"numbers": rows}) if bad else super().process(batch)

    box.append("alice/a.jsonl", line(1, "misfit"))
    for number in range(20):
        box.append(f"bob/{number}.jsonl", line(number))
    live = box.live(Misfit(), max_attempts=1)
    failed = live.wait("quarantined", session_file="alice/a.jsonl")
    assert named in failed["error"]
    assert "no number" not in failed["error"]
    until(lambda: live.query("SELECT count(*) FROM numbers"), [(20,)])


@pytest.mark.parametrize("result", [None, 5, ProcessorResult(rows={"elsewhere": [(1,)]}), ProcessorResult(-1)])
def test_a_result_against_the_contract_fails_the_run(box, line, result):
    class Wrong(Numbers):
        def process(self, batch):
            return result

    box.append("alice/a.jsonl", line(1))
    live = box.live(Wrong(), max_attempts=1)
    live.wait("quarantined")
    assert live.stop() == 0


def test_one_that_hangs_is_abandoned_and_its_late_result_is_dropped(box, line, until):
    go, hang = threading.Event(), [True]

    def trouble(batch):
        if b"hang" in batch.data and hang:
            hang.clear()
            go.wait(60)

    processor = Numbers(trouble)
    processor.budget_seconds = 0.3
    live = box.live(processor, workers=1)
    try:
        box.append("alice/a.jsonl", line(1, "hang"))
        live.wait("abandoned", session_file="alice/a.jsonl")
        box.append("bob/b.jsonl", line(2))
        until(lambda: numbers(live, "bob/b.jsonl"), [0])
        until(lambda: numbers(live), [0])  # the second attempt does not hang
    finally:
        go.set()
    box.append("alice/a.jsonl", line(3))
    until(lambda: numbers(live), [0, 1])
    live.wait_idle()
    assert live.stop() == 0


def test_one_that_always_hangs_does_not_keep_the_daemon_from_stopping(box, line, until):
    go = threading.Event()
    processor = Numbers(lambda _batch: go.wait(60))
    processor.budget_seconds = 0.2
    live = box.live(processor, Other, workers=1, stop_seconds=0.5)
    try:
        for number in range(8):
            box.append(f"alice/{number}.jsonl", line(number))
        live.wait("lane_paused", processor="numbers")
        until(lambda: live.query("SELECT count(*) FROM other"), [(8,)])
        assert live.stop() == 0
    finally:
        go.set()


def test_a_slow_processor_holds_up_nobody_else(box, line, until):
    go = threading.Event()
    live = box.live(Numbers(lambda _batch: go.wait(60)), Other)
    try:
        for number in range(20):
            box.append(f"alice/{number}.jsonl", line(number))
        until(lambda: live.query("SELECT count(*) FROM other"), [(20,)])
        assert live.query("SELECT count(*) FROM numbers") == [(0,)]
    finally:
        go.set()
    until(lambda: live.query("SELECT count(*) FROM numbers"), [(20,)])


def test_two_runs_on_one_session_are_a_cadence_apart_and_a_restart_is_no_way_around_it(box, line, until):
    processor = Numbers()
    processor.cadence_minutes = 1.5 / 60
    live = box.live(processor)
    for count in range(1, 4):
        box.append("alice/a.jsonl", line(count))
        box.append("alice/a.jsonl", line(count + 10))
        until(lambda live=live: len(numbers(live)), 2 * count)
        if count == 2:
            live.stop()
            live = box.live(processor)
    times = [at for _, at in processor.runs]
    assert len(times) == 3
    assert all(after - before > 1.4 for before, after in itertools.pairwise(times))


def test_a_new_version_replaces_all_rows_in_the_background(box, line, until):
    class Second(Numbers):
        version = 2

        def process(self, batch):
            return ProcessorResult(rows={"numbers": [(1000,)]})

    for number in range(30):
        box.append(f"alice/{number}.jsonl", line(number))
    live = box.live(Numbers())
    until(lambda: live.query("SELECT count(*) FROM numbers"), [(30,)])
    live.stop()
    live = box.live(Second())
    until(lambda: live.query("SELECT DISTINCT number, processor_version FROM numbers"), [(1000, 2)])
    assert live.query("SELECT count(*), count(DISTINCT session_file) FROM numbers") == [(30, 30)]


def test_the_whole_session_form_sees_each_change(box, line, until):
    live = box.live(Whole(), Other)
    box.append("alice/a.jsonl", line(1))
    until(lambda: whole(live), [("alice/a.jsonl", "alice", 1)])
    box.append("alice/a.jsonl", line(2))
    until(lambda: whole(live), [("alice/a.jsonl", "alice", 2)])
    live.wait_idle()
    assert ("whole", "alice/a.jsonl") in live.query(STATE)


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_the_whole_session_form_that_raises_after_writing_leaves_nothing(box, line, until, error):
    def after(key):
        if key.startswith("alice"):
            raise error

    box.append("alice/a.jsonl", line(1))
    box.append("bob/b.jsonl", line(2))
    live = box.live(Whole(after), max_attempts=2)
    live.wait("quarantined", session_file="alice/a.jsonl")
    until(lambda: whole(live), [("bob/b.jsonl", "bob", 1)])
    assert live.query(STATE) == [("whole", "bob/b.jsonl")]


def test_the_whole_session_form_may_return_nothing_and_is_told_once(box, line):
    live = box.live(Whole(lambda _key: 7))
    box.append("alice/a.jsonl", line(1))
    live.wait("odd_result")
    live.wait("processed", session_file="alice/a.jsonl")
    box.append("alice/b.jsonl", line(1))
    live.wait("processed", session_file="alice/b.jsonl")
    live.wait_idle()
    assert live.query(STATE) == [("whole", "alice/a.jsonl"), ("whole", "alice/b.jsonl")]
    assert len(live.of("odd_result")) == 1


KILLER = """
import os
from processors import PauseError, ProcessorResult, Table

class P:
    name = "killer"
    tables = (Table("killer", {"lines": "BIGINT"}),)

    def process(self, batch):
        if b"poison" in batch.data:
            os._exit(9)
        return ProcessorResult(rows={"killer": [(len(batch.lines),)]})
"""


def test_one_that_kills_the_process_is_quarantined_after_some_restarts(box, line):
    box.plugin("killer", KILLER)
    box.append("alice/a.jsonl", line(1, "poison"))
    for number in range(10):
        box.append(f"bob/{number}.jsonl", line(number))
    settings = {"processors": '["killer", "usage"]', "max_attempts": 3}
    for _ in range(3):
        assert box.child(**settings).ended() == 9
    daemon = box.daemon(**settings)
    assert daemon.of("quarantined", processor="killer", session_file="alice/a.jsonl")
    daemon.wait_quiet()
    assert daemon.stop() == 0
    assert box.query("SELECT count(*), count(DISTINCT session_file) FROM killer") == [(10, 10)]
    assert box.query("SELECT sum(lines) FROM usage_session_summary") == [(11,)]
    failed = box.scan(**settings)
    assert failed.returncode == 1
    assert "alice/a.jsonl" in failed.stderr


def test_what_a_processor_cannot_have_now_costs_no_attempt_and_is_told_once(box, line, until):
    missing = [True]

    def trouble(_batch):
        if missing:
            raise PauseError("the oracle is silent: wake it", 0.1)

    processor = Numbers(trouble)
    live = box.live(processor, Other, max_attempts=2)
    for number in range(8):
        box.append(f"alice/{number}.jsonl", line(number))
    until(lambda: len(processor.runs) >= 12)
    assert live.query("SELECT count(*) FROM session_failures") == [(0,)]
    assert len(live.of("processor_waits")) == 1
    assert live.of("processor_waits")[0]["reason"] == "the oracle is silent: wake it"
    assert live.service._health.reasons() == ["numbers waits: the oracle is silent: wake it"]
    assert not live.engine.idle()
    until(lambda: live.query("SELECT count(*) FROM other"), [(8,)])
    missing.clear()
    until(lambda: live.query("SELECT count(*) FROM numbers"), [(8,)])
    live.wait("processor_goes_on", processor="numbers")
    live.wait_idle()
    assert live.service._health.reasons() == []
    assert not live.of("run_failed")


def test_after_a_pause_one_run_goes_first(box, line, until):
    go = threading.Event()
    missing = [True]

    def trouble(_batch):
        if missing:
            missing.clear()
            raise PauseError("not yet", 0.05)
        go.wait(30)

    processor = Numbers(trouble)
    live = box.live(processor, workers=4)
    try:
        box.append("alice/0.jsonl", line(0))
        live.wait("processor_waits")
        for number in range(1, 8):
            box.append(f"alice/{number}.jsonl", line(number))
        until(lambda: len(processor.runs), 2)
        until(lambda: live.engine.lanes[0].counts()["live"] >= 6)
        assert len(processor.runs) == 2
    finally:
        go.set()
    until(lambda: live.query("SELECT count(*) FROM numbers"), [(8,)])


def test_a_session_that_fails_shows_that_a_pause_is_over(box, line, until):
    missing = [True]

    def trouble(batch):
        if missing:
            missing.clear()
            raise PauseError("not yet", 0.05)
        fail_on(b"poison")(batch)

    live = box.live(Numbers(trouble), max_attempts=2)
    box.append("alice/a.jsonl", line(1, "poison"))
    live.wait("quarantined")
    live.wait("processor_goes_on")
    live.wait_idle()


def test_rows_can_stand_for_all_that_a_session_had_before(box, line, until):
    class Last(Numbers):
        def process(self, batch):
            result = super().process(batch)
            again = b"anew" in batch.data
            return ProcessorResult(1, {"numbers": [(result.carry,)]}, replaces=again, carry=result.carry)

    live = box.live(Last())
    box.append("bob/b.jsonl", line(1))
    box.append("alice/a.jsonl", line(1))
    until(lambda: numbers(live), [1])
    box.append("alice/a.jsonl", line(2))
    until(lambda: numbers(live), [1, 2])
    box.append("alice/a.jsonl", line(3, "anew"))
    until(lambda: numbers(live), [3])
    assert numbers(live, "bob/b.jsonl") == [1]


@pytest.mark.parametrize("seconds", [None, "soon", [1]])
def test_a_pause_of_no_length_is_a_failure_like_others(box, line, until, seconds):
    def trouble(batch):
        if b"poison" in batch.data:
            raise PauseError("come back later", seconds)

    live = box.live(Numbers(trouble), max_attempts=2)
    box.append("alice/a.jsonl", line(1, "poison"))
    box.append("bob/b.jsonl", line(1))
    live.wait("quarantined", session_file="alice/a.jsonl")
    until(lambda: numbers(live, "bob/b.jsonl"), [0])


def test_a_pause_without_a_reason_is_one(box, line):
    def trouble(_batch):
        raise PauseError("", 3600)

    live = box.live(processor := Numbers(trouble))
    box.append("alice/a.jsonl", line(1))
    live.wait("processor_waits")
    assert len(processor.runs) == 1
    assert "numbers waits: " in live.service._health.reasons()[0]


def test_a_scan_says_what_waited_although_it_is_there_by_now(box, line):
    plugin = """
from processors import OverallTable, PauseError, ProcessorResult, Step, StepResult, Table
import threading
again = threading.Event()
runs = []
def work(given, stopped):
    if runs:
        again.wait(30)
    return StepResult()
class P:
    name = "waiting"
    tables = (Table("waiting", {"n": "BIGINT"}),)
    steps = (Step("late", {}, (OverallTable("late", {"n": "BIGINT"}),), work),)
    def process(self, batch):
        runs.append(batch.session_key)
        if len(runs) == 1:
            raise PauseError("not yet", 2)
        again.set()
        return ProcessorResult(rows={"waiting": [(1,)]})
"""
    box.plugin("waiting", plugin)
    for number in range(200):
        box.append(f"alice/{number}.jsonl", line(number))
    done = box.sessiond("scan", box.root, "--db", box.db, processors='["waiting"]')
    assert done.returncode != 0
    assert "not yet" in done.stdout + done.stderr
