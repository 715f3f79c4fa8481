"""Many events of one kind: the first are told, the others are counted, none is forgotten."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.journal import listener
from daemon.repeats import BURST, MOST, WINDOW_SECONDS, Repeats


class Log:
    """What was told, and a clock that stands still."""

    def __init__(self):
        self.now = 0.0
        self.told = []
        self.repeats = Repeats(lambda *told: self.told.append(told), lambda: self.now)

    def happen(self, event, times=1, **fields):
        for number in range(times):
            self.repeats("warning", event, {"number": number, **fields})


def test_what_is_too_much_for_a_minute_is_counted_and_told_when_it_ends():
    log = Log()
    log.happen("run_failed", BURST + 37, processor="usage")
    assert len(log.told) == BURST
    log.now = WINDOW_SECONDS - 0.1
    log.repeats.tick()
    assert len(log.told) == BURST
    log.now = WINDOW_SECONDS
    log.repeats.tick()
    log.repeats.tick()
    assert log.told[BURST:] == [
        (
            "warning",
            "run_failed",
            {"processor": "usage", "repeats": 37, "note": "37 more like this in the last minute"},
        )
    ]
    log.happen("run_failed", 2, processor="usage")
    assert len(log.told) == BURST + 3


def test_other_kinds_are_not_held_back():
    log = Log()
    log.happen("run_failed", BURST * 2, processor="usage")
    log.happen("run_failed", 1, processor="other")
    log.happen("overflowed", 1)
    assert [fields.get("processor") for _, _, fields in log.told[BURST:]] == ["other", None]


def test_each_session_of_many_that_fail_at_once_is_named():
    log = Log()
    for session in range(3 * BURST):
        log.happen("quarantined", processor="usage", session_file=f"carol/{session}.jsonl")
    log.happen("quarantined", BURST + 1, processor="usage", session_file="carol/0.jsonl")
    log.repeats.flush()
    named = {fields["session_file"] for _, _, fields in log.told}
    assert len(named) == 3 * BURST
    (repeats,) = [fields for _, _, fields in log.told if "repeats" in fields]
    assert (repeats["session_file"], repeats["repeats"]) == ("carol/0.jsonl", 2)


def test_of_one_kind_there_are_so_many_and_no_more_whatever_they_are_about():
    log = Log()
    for session in range(MOST + 5):
        log.happen("refused", session_file=f"carol/{session}.jsonl")
    log.repeats.flush()
    assert len(log.told) == MOST + 1
    assert log.told[-1][2] == {"repeats": 5, "note": "5 more like this in the last minute"}


def test_what_was_counted_is_told_at_the_end():
    log = Log()
    log.happen("refused", BURST + 1)
    log.repeats.flush()
    assert log.told[-1] == ("warning", "refused", {"repeats": 1, "note": "1 more like this in the last minute"})
    log.repeats.flush()
    assert len(log.told) == BURST + 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 20))))
def test_each_event_is_told_or_counted_once(steps):
    log = Log()
    for event, later in steps:
        log.now += later
        log.happen(event)
    log.repeats.flush()
    for event in "abc":
        counts = [fields.get("repeats", 1) for _, name, fields in log.told if name == event]
        assert sum(counts) == [name for name, _ in steps].count(event)


@pytest.mark.parametrize(
    ("level", "goes_on", "written"), [("info", True, BURST), ("debug", True, 100), ("info", False, 100)]
)
def test_the_log_of_a_daemon_is_bounded_wherever_it_goes_unless_somebody_looks_on(level, goes_on, written):
    stream = io.StringIO()
    log = listener(level, stream=stream, goes_on=goes_on)
    for _ in range(100):
        log("warning", "run_failed", {"processor": "p", "session_file": "alice/x.jsonl"})
    assert len(stream.getvalue().splitlines()) == written
    log.flush()
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert written + sum(entry.get("repeats", 0) for entry in entries) == 100
