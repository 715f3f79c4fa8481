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


@pytest.mark.parametrize("backlog", [False, True])
def test_a_lane_is_not_idle_before_those_that_were_paused_had_their_turn(tmp_path, backlog):
    now = [100.0]
    lane = Lane(register(Nothing()), Transcripts(tmp_path), Settings(debounce_ms=0), lambda: now[0])
    events = Events()
    outcomes = Outcomes(lane, None, events, Refusals(events), Settings())
    keys = ["alice/a.jsonl", "bob/b.jsonl"]
    if backlog:
        lane.behind(keys)
    else:
        lane.changed(keys)
    now[0] += 1
    with lane.wake:
        paused, other = (lane.take(backlog=True) for _ in keys)
    error = ProcessorFailedError()
    error.__cause__ = PauseError("not yet", 1)
    outcomes.none(paused, None, error)
    lane.goes_on()
    lane.done(other.key, None)
    assert not lane.idle()
    assert not lane.drained()
    with lane.wake:
        again = lane.take(backlog=True)
    assert (again.key, again.since) == (paused.key, paused.since)
    lane.done(again.key, None)
    assert lane.idle()
    assert lane.drained()
