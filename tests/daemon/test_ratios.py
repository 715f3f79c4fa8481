"""Ratios: a jump is told once, and what varies from session to session is none."""

import random

import pytest

from daemon.events import Events
from daemon.ratios import RUNS, WINDOW, Ratios


@pytest.fixture
def watch():
    """Feeds runs, each a share of 100; returns the jumps that were told."""
    told = []
    events = Events(lambda _level, event, fields: told.append(fields) if event == "ratio_jumped" else None)
    events.listen(ratios := Ratios(events))

    def feed(*shares, runs=2 * RUNS, live=True):
        for part in shares:
            for _ in range(runs):
                events.measured("usage", {"odd": (part, 100)}, live=live)
        return [(jump["processor"], jump["ratio"], jump["was"], jump["now"]) for jump in told]

    feed.sums = ratios.sums
    return feed


def test_a_jump_is_told_once_and_so_is_the_way_back(watch):
    assert watch(0, 0) == []
    assert watch(30, 30, 30) == [("usage", "odd", 0.0, 0.3)]
    assert watch(0, 0, 0)[1:] == [("usage", "odd", 0.3, 0.0)]


def test_what_was_there_from_the_start_is_no_jump(watch):
    assert watch(90, 90) == []


def test_what_is_old_is_summed_up_and_is_no_jump(watch):
    assert watch(0) == []
    assert watch(80, live=False) == []
    assert watch.sums() == {("usage", "odd"): (2 * RUNS * 80, 4 * RUNS * 100)}


def test_one_run_alone_is_no_window_however_much_it_counts(watch):
    assert watch(0) == []
    assert watch(*[100] * (RUNS - 1), runs=1) == []
    assert watch(100, runs=1) == [("usage", "odd", 0.0, 1.0)]


def test_runs_without_wholes_and_parts_that_are_taken_back_do_no_harm():
    events = Events()
    events.listen(ratios := Ratios(events))
    for _ in range(WINDOW):
        for pair in ((1, 1), (-1, 0), (0, 0)):
            events.measured("usage", {"odd": pair}, live=True)
    assert ratios.sums() == {("usage", "odd"): (0, WINDOW)}


def test_sessions_of_different_kinds_are_no_jump(watch):
    chance = random.Random(1)
    assert watch(*(chance.randrange(35, 66) for _ in range(2_000)), runs=1) == []
