"""How many requests a minute may have, whatever the clock does in between."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.contract import PauseError
from processors.verification.llm.limits import MINUTE, PATIENCE, Backoff, Rate


class Time:
    def __init__(self):
        self.now = 1000.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@given(st.integers(1, 5), st.lists(st.floats(0, 70), max_size=60))
def test_no_minute_has_more(per_minute, gaps):
    time = Time()
    rate = Rate(per_minute, time.clock, time.sleep)
    taken = []
    for gap in gaps:
        time.now += gap
        before = time.now
        try:
            rate.wait()
        except PauseError as pause:
            least, waits, most = PATIENCE, pause.seconds, MINUTE
        else:
            least, waits, most = 0, time.now - before, PATIENCE
            taken.append(time.now)
        assert least - 1e-6 <= waits <= most + 1e-6
    for first, last in zip(taken, taken[per_minute:], strict=False):
        assert last - first >= MINUTE - 1e-6


def test_a_pause_is_as_long_as_it_has_to_be():
    time = Time()
    rate = Rate(2, time.clock, time.sleep)
    rate.wait()
    time.now += 10
    rate.wait()
    with pytest.raises(PauseError) as raised:
        rate.wait()
    assert raised.value.seconds == 50
    time.now += raised.value.seconds
    rate.wait()


@given(st.lists(st.floats(0, 2000), max_size=40))
def test_pauses_are_within_their_bounds_and_never_shrink_without_an_answer(gaps):
    time = Time()
    backoff = Backoff(time.clock)
    pauses = deque([0.0], maxlen=1)
    for gap in gaps:
        time.now += gap
        pause = backoff.failed()
        assert max(30, pauses[0]) <= pause <= 600
        pauses.append(pause)
    backoff.succeeded()
    assert backoff.failed() == 30
