"""Progress of parts: who is silent for how long, by the main loop's own rounds."""

import pytest

from daemon import progress
from daemon.progress import Part, Progress


@pytest.fixture
def clock(monkeypatch):
    """Time as the main loop sees it: a list with the present moment in it."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_part_that_shows_the_same_mark_for_too_long_is_slow_and_then_hangs(clock):
    watched = Progress([Part("the writer", lambda: 7, slow=5, hung=10)])
    told = []
    for _ in range(15):
        clock[0] += 1
        watched.tick()
        told.append((len(list(watched.slow())), watched.hung() is not None))
    # The first round only sees the mark.
    assert told == [(0, False)] * 6 + [(1, False)] * 5 + [(1, True)] * 4
    assert watched.hung() == ("the writer", "makes no progress for 14 s")


@pytest.mark.parametrize("marks", [[None] * 99, range(99), [1, None] * 50, [1, 1, 2, 2, 3, 3] * 16])
def test_a_part_that_has_nothing_to_do_or_takes_steps_is_well(clock, marks):
    left = iter(marks)
    watched = Progress([Part("the writer", lambda: next(left), slow=1.5, hung=3)])
    for _ in range(len(marks)):
        clock[0] += 1
        watched.tick()
        assert list(watched.slow()) == []
        assert watched.hung() is None


def test_a_process_that_was_stopped_for_an_hour_has_nothing_to_explain(clock):
    watched = Progress([Part("the writer", lambda: 7, slow=5, hung=10)])
    for seconds in (1, 1, 3600, 1):
        clock[0] += seconds
        watched.tick()
    assert watched.hung() is None


def test_a_part_that_is_dead_is_told_at_once(clock):
    alive = [True]
    watched = Progress([Part("the scanner", lambda: None, slow=5, hung=10, alive=lambda: alive[0])])
    watched.tick()
    assert watched.hung() is None
    alive[0] = False
    assert (watched.hung(), list(watched.slow())) == (("the scanner", "has stopped"), ["the scanner has stopped"])
