"""A lane that has been paused."""

import pytest

from daemon.config import Settings
from daemon.events import Events
from daemon.lane import Lane
from daemon.outcome import Outcomes
from daemon.processing import ProcessorFailedError
from daemon.refusals import Refusals
from daemon.transcript import Transcripts
from processors import PauseError, ProcessorResult
from processors.registry import register


class Nothing:
    name = "nothing"

    def process(self, _batch):
        return ProcessorResult()


def pause(lane, taken, seconds):
    error, events = ProcessorFailedError(), Events()
    error.__cause__ = PauseError("not yet", seconds)
    Outcomes(lane, None, events, Refusals(events), Settings()).none(taken, None, error)


@pytest.mark.parametrize("backlog", [False, True])
def test_a_lane_is_not_idle_before_those_that_were_paused_had_their_turn(tmp_path, backlog):
    now, keys = [100.0], ["alice/a.jsonl", "bob/b.jsonl"]
    lane = Lane(register(Nothing()), Transcripts(tmp_path), Settings(debounce_ms=0), lambda: now[0])
    if backlog:
        lane.behind(keys)
    else:
        lane.changed(keys)
    now[0] += 1
    with lane.wake:
        paused, other = (lane.take(backlog=True) for _ in keys)
    pause(lane, paused, 1)
    assert lane.goes_on(other.number + 1)
    lane.done(other.key, None)
    assert not lane.idle()
    assert not lane.drained()
    with lane.wake:
        again = lane.take(backlog=True)
    assert (again.key, again.since) == (paused.key, paused.since)
    lane.done(again.key, None)
    assert lane.idle()
    assert lane.drained()


def test_a_run_that_was_under_way_before_does_not_end_a_pause(tmp_path):
    now = [100.0]
    lane = Lane(register(Nothing()), Transcripts(tmp_path), Settings(debounce_ms=0), lambda: now[0])
    lane.behind(["alice/a.jsonl", "bob/b.jsonl", "carol/c.jsonl"])
    with lane.wake:
        paused, before = lane.take(backlog=True), lane.take(backlog=True)
    pause(lane, paused, 60)
    assert not lane.goes_on(before.number)
    lane.done(before.key, None)
    with lane.wake:
        assert lane.take(backlog=True) is None
        assert 59 < lane.next_due(backlog=True) <= 60
        now[0] += 60
        first = lane.take(backlog=True)
        assert lane.take(backlog=True) is None, "one goes first"
    assert lane.goes_on(first.number)
    with lane.wake:
        assert lane.take(backlog=True) is not None
