"""What waits and when it is due, against a model that says the rules one by one."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daemon.pending import Pending

KEYS = st.sampled_from(["a/1", "a/2", "b/1"])


@dataclass
class Session:
    """The model of one session: what happened to it that no run has covered yet."""

    changes: list[int] = field(default_factory=list)
    held: int | None = None  # found behind before its cadence was over
    retry: int | None = None
    recheck: bool = False  # what ``retry`` is for
    behind: bool = False
    running: bool = False
    since: int | None = None  # of the run under way
    owed: int | None = None  # the oldest change of runs that came to nothing
    began: float = -math.inf

    def first(self) -> int | None:
        times = self.changes if self.held is None else [self.held, *self.changes]
        return min(times, default=None)

    def due(self, debounce: int, max_delay: int, cadence: int, idle: float) -> float | None:
        if self.running:
            return None
        if self.changes:
            debounced = min(self.changes[-1] + debounce, self.first() + max_delay)
            return max(debounced, min(self.began + cadence, self.changes[-1] + idle))
        if self.held is not None:
            return max(self.held, min(self.began + cadence, self.held + idle))
        return self.retry


class PendingRules(RuleBasedStateMachine):
    """Whatever happens in whatever order, a session is taken exactly when the rules say."""

    def __init__(self, debounce: int, max_delay: int, cadence: int, idle: float = math.inf):
        super().__init__()
        self.limits = (debounce, max_delay, cadence, idle)
        self.pending = Pending(debounce, max_delay, cadence, idle=idle)
        self.sessions: dict[str, Session] = {}
        self.now = 0

    def session(self, key: str) -> Session:
        return self.sessions.setdefault(key, Session())

    def due(self) -> dict[str, float]:
        times = {key: session.due(*self.limits) for key, session in self.sessions.items()}
        return {key: time for key, time in times.items() if time is not None}

    @rule(key=KEYS)
    def change(self, key):
        session = self.session(key)
        due = session.due(*self.limits)
        if due is None or due > self.now or session.first() is None:  # what is due is not put off any more
            session.changes.append(self.now)
        if not session.running:
            session.behind, session.retry = False, None
        self.pending.changed(key, self.now)

    @rule(key=KEYS)
    def fall_behind(self, key):
        session = self.session(key)
        if session.running:
            if not session.changes:
                session.changes.append(self.now)
        elif not self.is_pending(session):
            session.retry = None
            if session.began + self.limits[2] > self.now:
                session.held = self.now
            else:
                session.behind = True
        self.pending.behind(key, self.now)

    @rule(key=KEYS, wait=st.integers(0, 40), recheck=st.booleans())
    def look_later(self, key, wait, recheck):
        session = self.session(key)
        if session.running:
            return
        if session.due(*self.limits) is None and not session.behind:
            session.retry, session.recheck = self.now + wait, recheck
        self.pending.later(key, self.now + wait, recheck=recheck)

    def is_pending(self, session: Session) -> bool:
        if session.running or session.behind or session.first() is not None:
            return True
        return session.retry is not None and not session.recheck

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        ready = {key for key, time in self.due().items() if time <= self.now}
        behind = {key for key, session in self.sessions.items() if session.behind}
        taken = self.pending.take(self.now)
        if taken is None:
            assert not ready
            assert not behind
            return
        session = self.sessions[taken.key]
        assert not session.running
        assert taken.key in (ready or behind), "live changes go before backlog"
        since = min((time for time in (session.first(), session.owed) if time is not None), default=None)
        assert taken.since == since
        counts = session.behind or session.first() is not None  # a retry or a recheck is no run of its own
        began = self.now if counts else session.began
        self.sessions[taken.key] = Session(running=True, began=began, since=since)

    @precondition(lambda self: any(session.running for session in self.sessions.values()))
    @rule(data=st.data(), covered=st.booleans())
    def finish(self, data, covered):
        running = sorted(key for key, session in self.sessions.items() if session.running)
        key = data.draw(st.sampled_from(running))
        session = self.sessions[key]
        session.running, session.owed, session.since = False, None if covered else session.since, None
        self.pending.done(key, self.now, covered=covered)

    @invariant()
    def it_wakes_up_when_the_next_session_is_due(self):
        due = list(self.due().values())
        due += [self.now for session in self.sessions.values() if session.behind]
        wanted = max(0.0, min(due) - self.now) if due else None
        assert self.pending.next_due(self.now) == wanted

    @invariant()
    def it_says_what_is_pending(self):
        for key, session in self.sessions.items():
            assert self.pending.is_running(key) == session.running
            assert self.pending.is_pending(key) == self.is_pending(session)
        firsts = [session.first() for session in self.sessions.values()]
        firsts += [time for session in self.sessions.values() for time in (session.since, session.owed)]
        assert self.pending.oldest_change() == min((time for time in firsts if time is not None), default=None)

    @invariant()
    def it_counts_what_waits(self):
        counts = self.pending.counts(self.now)
        sessions = self.sessions.values()
        waiting = [session for session in sessions if not session.running and session.first() is not None]
        assert counts["live"] + counts["delayed"] == len(waiting)
        assert counts["backlog"] == sum(session.behind for session in sessions)
        assert counts["running"] == sum(session.running for session in sessions)
        due = self.due()
        changed = [key for key, session in self.sessions.items() if session in waiting and key in due]
        assert counts["delayed"] == sum(due[key] > self.now + self.limits[1] for key in changed)
        idle = not (counts["live"] or counts["delayed"] or counts["backlog"] or counts["running"])
        assert self.pending.idle() == idle

    def teardown(self):
        """Nothing is ever lost: once time has passed, everything that happened gets its run."""
        for key in [key for key, session in self.sessions.items() if session.running]:
            self.sessions[key].running = False
            self.pending.done(key, self.now)
        wanted = {key for key, session in self.sessions.items() if session.behind} | self.due().keys()
        taken = set()
        while (run := self.pending.take(self.now + 10_000)) is not None:
            assert run.key not in taken, "at most one run waits"
            taken.add(run.key)
        assert taken == wanted


class WithoutCadence(PendingRules):
    def __init__(self):
        super().__init__(debounce=4, max_delay=20, cadence=0)


class WithCadence(PendingRules):
    def __init__(self):
        super().__init__(debounce=4, max_delay=10, cadence=50)


class WithIdle(PendingRules):
    def __init__(self):
        super().__init__(debounce=4, max_delay=10, cadence=50, idle=20)


class WithoutDebounce(PendingRules):
    def __init__(self):
        super().__init__(debounce=0, max_delay=0, cadence=0)


TestWithoutCadence = WithoutCadence.TestCase
TestWithCadence = WithCadence.TestCase
TestWithIdle = WithIdle.TestCase
TestWithoutDebounce = WithoutDebounce.TestCase


@pytest.fixture
def pending():
    return Pending(debounce=4, max_delay=20)


def test_a_session_that_never_stops_changing_still_gets_its_run(pending):
    for now in range(20):
        pending.changed("a/1", now)
        assert pending.take(now) is None
    pending.changed("a/1", 20)
    assert pending.take(20).since == 0


def test_a_change_while_running_waits_once_more_however_many_there_are(pending):
    pending.behind("a/1", 0)
    assert pending.take(0).key == "a/1"
    for now in (1, 2, 3):
        pending.changed("a/1", now)
    assert pending.take(100) is None
    pending.done("a/1", 100)
    assert pending.take(100).since == 1
    pending.done("a/1", 100)
    assert pending.take(1000) is None


def test_the_debounce_counts_from_the_last_change_also_for_changes_while_running(pending):
    pending.behind("a/1", 0)
    pending.take(0)
    pending.changed("a/1", 1)
    pending.changed("a/1", 4)
    pending.done("a/1", 4)
    assert pending.next_due(4) == 4


@given(st.integers(1, 3000))
def test_a_live_change_is_taken_before_any_backlog(backlog):
    pending = Pending(debounce=4, max_delay=20)
    for number in range(backlog):
        pending.behind(f"old/{number}", 0)
    pending.changed("a/1", 0)
    assert pending.take(3).key.startswith("old/")
    assert pending.take(4).key == "a/1"


def test_backlog_that_changes_is_debounced_like_any_live_session(pending):
    pending.behind("a/1", 0)
    pending.changed("a/1", 1)
    assert pending.take(4) is None
    assert pending.take(5).since == 1


def test_a_change_makes_a_retry_earlier(pending):
    pending.later("a/1", 300)
    pending.changed("a/1", 1)
    assert pending.take(5).key == "a/1"
    pending.done("a/1", 5)
    assert pending.next_due(5) is None


def test_a_change_is_owed_until_a_run_has_covered_it(pending):
    pending.changed("a/1", 1)
    assert pending.take(5).since == 1
    pending.done("a/1", 6, covered=False)
    pending.later("a/1", 30)
    assert pending.oldest_change() == 1
    pending.changed("a/1", 7)
    assert pending.take(11).since == 1
    pending.done("a/1", 12, covered=False)
    pending.go_on("a/1", 12)
    assert (pending.oldest_change(), pending.take(12).since) == (1, 1)
    pending.done("a/1", 13)
    assert pending.oldest_change() is None


def test_runs_from_before_a_restart_count_for_the_cadence():
    pending = Pending(debounce=4, max_delay=20, cadence=100)
    pending.ran("a/1", -30)
    pending.changed("a/1", 0)
    pending.changed("a/2", 0)
    assert pending.take(4).key == "a/2"
    assert pending.next_due(4) == 66
    assert pending.take(70).key == "a/1"


def test_thousands_of_changes_of_one_session_take_no_more_memory_than_one(pending):
    for now in range(5000):
        pending.changed("a/1", now)
        if (taken := pending.take(now)) is not None:
            pending.done(taken.key, now)
    assert len(pending._heap) < 100


def test_a_recheck_does_not_put_off_the_next_change():
    pending = Pending(debounce=0, max_delay=0, cadence=100)
    pending.changed("a/1", 0)
    pending.take(0)
    pending.done("a/1", 1)
    pending.later("a/1", 5)
    assert pending.take(5) is not None
    pending.done("a/1", 6)
    pending.changed("a/1", 7)
    assert pending.next_due(7) == 93


def test_backlog_waits_while_many_runs_are_under_way_and_changes_do_not():
    pending = Pending(debounce=0, max_delay=0, most_running=2)
    for number in range(4):
        pending.behind(f"a/{number}", 0)
    assert [pending.take(0).key, pending.take(0).key] == ["a/0", "a/1"]
    assert pending.take(0) is None
    assert pending.next_due(0) is None
    pending.changed("b/1", 1)
    assert pending.take(1).key == "b/1"
    pending.done("b/1", 2)
    pending.done("a/0", 2)
    assert pending.take(2).key == "a/2"


def test_a_session_found_behind_does_not_wait_for_its_recheck(pending):
    pending.later("a/1", 300, recheck=True)
    assert not pending.is_pending("a/1")
    pending.behind("a/1", 1)
    assert pending.take(1).key == "a/1"
    pending.done("a/1", 2)
    assert pending.next_due(2) is None


def test_a_change_of_a_session_that_is_due_already_does_not_put_it_off(pending):
    pending.changed("a/1", 0)
    pending.changed("a/1", 4)
    assert pending.next_due(4) == 0
    assert pending.take(4).since == 0


def test_a_session_that_has_become_idle_is_run_before_its_cadence_is_over():
    pending = Pending(debounce=4, max_delay=20, cadence=100, idle=30)
    pending.changed("a/1", 0)
    assert pending.take(4).key == "a/1"
    pending.done("a/1", 5)
    for now in (10, 20, 40):
        pending.changed("a/1", now)
    assert pending.take(69) is None
    assert pending.take(70).since == 10
    pending.done("a/1", 71)
    for now in range(75, 170, 10):
        pending.changed("a/1", now)
    assert pending.take(169) is None
    assert pending.take(170).since == 75, "one that never is idle has its cadence"
