"""What one processor still has to look at, and when. Pure: the clock is an argument, nothing is locked.

At most one entry per session waits and at most one run per session is under way; a change during a run makes
the session wait once more. Live changes go before backlog, however much of it there is.
"""

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class _Waiting:
    """One session's entry. ``first_change`` is None if nothing changed: a retry, a recheck, or the rest of a file."""

    due: float
    first_change: float | None
    unfinished: bool = False
    recheck: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """A session whose run begins.

    Attributes:
        since: when the oldest change that the run covers was noticed.
        backlog: whether nobody waits for it.
        number: of the run, which no other run of this lane has.
        run: names the run in what is told of it; the lane's to give.

    """

    key: str
    since: float | None
    backlog: bool = False
    number: int = 0
    run: str = ""


class _Line:
    """Keys that wait in line, each once; any of them may leave it. A million of them take no time to speak of.

    A dict is no line: to find its first entry, it walks past the places of all that have left.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._order: deque[str] = deque()  # may hold keys that have left: _keys decides

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def add(self, key: str) -> None:
        """The key waits, if it does not already."""
        if key not in self._keys:
            self._keys.add(key)
            self._order.append(key)
            if len(self._order) > 64 + 2 * len(self._keys):  # those that left and came back stand in it twice
                self._order = deque(key for key in dict.fromkeys(self._order) if key in self._keys)

    def leave(self, key: str) -> None:
        """The key waits no more, if it did."""
        self._keys.discard(key)

    def take(self) -> str:
        """The key that has waited for longest, which leaves; there has to be one."""
        while (key := self._order.popleft()) not in self._keys:
            pass
        self._keys.remove(key)
        if not self._keys:
            self._keys, self._order = set(), deque()  # what a million have taken is given back
        return key


class Pending:
    """Debounce, coalescing and cadence of one lane. Times are seconds of one monotonic clock.

    Args:
        debounce: quiet time to wait for after a change.
        max_delay: the longest that the debounce may put off a change.
        cadence: least time between the beginnings of two runs on one session.
        idle: a session that has not changed for so long is run although its cadence is not over.
        most_running: no backlog is taken while so many runs are under way, their commits included.

    """

    def __init__(
        self,
        debounce: float,
        max_delay: float,
        cadence: float = 0.0,
        *,
        idle: float = math.inf,
        most_running: float = math.inf,
    ) -> None:
        self._debounce = debounce
        self._max_delay = max_delay
        self._cadence = cadence
        self._idle = idle
        self._most_running = most_running
        self._waiting: dict[str, _Waiting] = {}
        self._heap: list[tuple[float, str]] = []  # may hold entries that are out of date: _waiting decides
        self._backlog = _Line()
        self._running: dict[str, Taken] = {}  # the oldest first
        self._runs = 0  # that have begun
        self._again: dict[str, tuple[float, float]] = {}  # changed while running: when first, when last
        self._owed: dict[str, float] = {}  # a run came to nothing, or is to go on: the oldest change it was for
        self._last_run: OrderedDict[str, float] = OrderedDict()  # younger than the cadence, oldest first

    def changed(self, key: str, now: float) -> None:
        """A session changed just now."""
        if key in self._running:
            self._again[key] = (self._again.get(key, (now, now))[0], now)
            return
        self._backlog.leave(key)
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.first_change is not None and waiting.due <= now:
            return  # only no worker was free yet: nothing puts it off any more
        first = now if waiting is None or waiting.first_change is None else waiting.first_change
        if waiting is not None and waiting.unfinished:
            waiting.first_change = first
            return
        self._wait(key, self._debounced(first, now), first, now, now)

    def behind(self, key: str, now: float) -> None:
        """A session has not been processed as it is; it is not known to be changing now."""
        if key in self._running:
            self._again.setdefault(key, (now, now))
        elif not self.is_pending(key):
            if self._cadence_ends(key) > now:
                self._wait(key, now, now, now, now)
            else:
                self._waiting.pop(key, None)
                self._backlog.add(key)

    def go_on(self, key: str, now: float) -> None:
        """The run that just ended had more to read: the next one is due, whatever debounce and cadence say."""
        first = self._waiting[key].first_change if key in self._waiting else None
        self._waiting[key] = _Waiting(now, first, unfinished=True)
        heapq.heappush(self._heap, (now, key))

    def later(self, key: str, at: float, *, unfinished: bool = False, recheck: bool = False) -> None:
        """Look at a session that is not running again at a given time, unless a change makes it earlier.

        It is ``unfinished`` if it did not have its turn now. A ``recheck`` is for a session of which all is known to
        be done.
        """
        if key not in self._waiting and key not in self._backlog:
            self._waiting[key] = _Waiting(at, None, unfinished, recheck)
            heapq.heappush(self._heap, (at, key))

    def ran(self, key: str, at: float) -> None:
        """A run of this session began at a time in the past, before a restart; call oldest first."""
        if self._cadence > 0:
            self._last_run[key] = at

    def hurry(self, key: str, now: float) -> None:
        """Run a session as soon as its turn comes, whatever its cadence and its retries."""
        self._last_run.pop(key, None)
        waiting = self._waiting.get(key)
        if key in self._running:
            self._again.setdefault(key, (now, now))
        elif waiting is not None and not waiting.recheck:
            waiting.due = now
            heapq.heappush(self._heap, (now, key))
        else:
            self._waiting.pop(key, None)
            self._backlog.add(key)

    def take(self, now: float, *, backlog: bool = True) -> Taken | None:
        """The next session whose run is due, which is running from now on; of the ``backlog`` only if asked to."""
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            waiting = self._waiting.get(key)
            if waiting is not None and waiting.due == due:
                del self._waiting[key]
                if waiting.first_change is not None and not waiting.unfinished:
                    self._stamp(key, now)  # neither a retry nor a recheck puts off the next change
                return self._run(key, waiting.first_change)
        if backlog and self._backlog and len(self._running) < self._most_running:
            key = self._backlog.take()
            self._stamp(key, now)
            return self._run(key, None, backlog=True)
        return None

    def done(self, key: str, now: float, *, covered: bool = True) -> None:
        """The run of a session ended; if it changed meanwhile, it waits again.

        Not ``covered``: a later run has to commit what this one was for.
        """
        taken = self._running.pop(key)
        if not covered and taken.since is not None:
            self._owed[key] = taken.since
        if key in self._again:
            first, last = self._again.pop(key)
            self._wait(key, self._debounced(first, last), first, last, now)

    def next_due(self, now: float, *, backlog: bool = True) -> float | None:
        """Seconds until :meth:`take` has something, or None if nothing waits."""
        if backlog and self._backlog and len(self._running) < self._most_running:
            return 0.0
        while self._heap:
            due, key = self._heap[0]
            waiting = self._waiting.get(key)
            if waiting is not None and waiting.due == due:
                return max(0.0, due - now)
            heapq.heappop(self._heap)
        return None

    def is_pending(self, key: str) -> bool:
        """Whether a run of this session is under way or to come, other than a recheck."""
        return key in self._running or self.will_run(key)

    def will_run(self, key: str) -> bool:
        """Whether a run of this session is to come, other than a recheck: it sees whatever is there by now."""
        waiting = self._waiting.get(key)
        return key in self._again or key in self._backlog or (waiting is not None and not waiting.recheck)

    def running(self) -> Iterable[str]:
        """The sessions whose runs are under way."""
        return self._running.keys()

    def begun(self) -> int:
        """The number of the last run that has begun."""
        return self._runs

    def mark(self, now: float) -> int | None:
        """Changes when the oldest run ends, or where there is none, when one begins; None if none is due either."""
        oldest = next(iter(self._running.values()), None)
        if oldest is not None:
            return oldest.number
        return -self._runs if self.next_due(now) == 0.0 else None

    def states(self) -> dict[str, str]:
        """What each session does that is not at rest: ``running``, ``changed``, ``backlog`` or ``waiting``."""
        states = {key: "waiting" for key, entry in self._waiting.items() if not entry.recheck}
        states |= {key: "changed" for key, entry in self._waiting.items() if entry.first_change is not None}
        return states | dict.fromkeys(self._backlog, "backlog") | dict.fromkeys(self._running, "running")

    def waiting(self) -> int:
        """How many sessions wait that are not backlog; each takes some hundred bytes."""
        return len(self._waiting)

    def backlog(self) -> Iterable[str]:
        """The sessions that wait and that nobody waits for, in no order."""
        return self._backlog

    def is_running(self, key: str) -> bool:
        """Whether a run of this session is under way."""
        return key in self._running

    def oldest_change(self) -> float | None:
        """When the oldest change was noticed that no run has committed yet."""
        waiting = (entry.first_change for entry in self._waiting.values())
        running = (taken.since for taken in self._running.values())
        again = (first for first, _ in self._again.values())
        times = [time for time in (*waiting, *running, *again, *self._owed.values()) if time is not None]
        return min(times, default=None)

    def counts(self, now: float) -> dict[str, int]:
        """How many sessions are ``live`` (changed), ``backlog``, ``running``, ``delayed`` (changed, by cadence)."""
        changed = [entry.due for entry in self._waiting.values() if entry.first_change is not None]
        delayed = sum(1 for due in changed if due > now + self._max_delay)
        return {
            "live": len(changed) - delayed,
            "backlog": len(self._backlog),
            "running": len(self._running),
            "delayed": delayed,
        }

    def idle(self) -> bool:
        """Whether nothing runs, nothing changed and nothing is behind; rechecks may still be to come."""
        changed = any(entry.first_change is not None or entry.unfinished for entry in self._waiting.values())
        return not (self._running or self._backlog or changed)

    def _debounced(self, first_change: float, last_change: float) -> float:
        return min(last_change + self._debounce, first_change + self._max_delay)

    def _wait(self, key: str, due: float, first_change: float, last_change: float, now: float) -> None:
        due = max(due, min(self._cadence_ends(key), last_change + self._idle), now)
        self._waiting[key] = _Waiting(due, first_change)
        heapq.heappush(self._heap, (due, key))
        if len(self._heap) > 64 + 4 * len(self._waiting):  # mostly out of date
            self._heap = [(entry.due, key) for key, entry in self._waiting.items()]
            heapq.heapify(self._heap)

    def _run(self, key: str, since: float | None, *, backlog: bool = False) -> Taken:
        owed = self._owed.pop(key, None)
        if owed is not None:
            since = owed if since is None else min(owed, since)
        self._runs += 1
        taken = Taken(key, since, backlog, self._runs)
        self._running[key] = taken
        return taken

    def _stamp(self, key: str, now: float) -> None:
        if self._cadence > 0:
            self._last_run[key] = now
            self._last_run.move_to_end(key)
            while self._last_run and next(iter(self._last_run.values())) <= now - self._cadence:
                self._last_run.popitem(last=False)

    def _cadence_ends(self, key: str) -> float:
        return self._last_run.get(key, -math.inf) + self._cadence
