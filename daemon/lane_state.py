"""What a lane knows, and what it shows of that.

All of it is guarded by one condition, which is never held while a file is read, a processor runs or a commit is
queued.
"""

import math
import threading
from collections.abc import Callable

from daemon.config import Settings
from daemon.failures import Failure, Failures
from daemon.moves import Moves
from daemon.pause import Pause
from daemon.pending import Pending
from daemon.round import Round
from daemon.sessions import Sessions
from daemon.transcript import Transcripts
from processors.registry import Registered

MOST_RUNNING = 160
"""Backlog waits while so many runs are under way or waiting for the writer: workers stay free for live changes."""

MOST_WAITING = 100_000
"""What changes while so many wait is not noted: names can be made more quickly than looked at. Once there is room, a
scan finds what is there of them."""

NEARLY = 0.95


class LaneState:
    """One processor's sessions, as far as they can be looked at from any thread."""

    def __init__(
        self, spec: Registered, transcripts: Transcripts, settings: Settings, clock: Callable[[], float]
    ) -> None:
        self.spec = spec
        self.transcripts = transcripts
        self.clock = clock
        lock = threading.RLock()
        self.wake = threading.Condition(lock)  # the workers wait on it
        # Whoever gave an order waits on this one, or would take the workers' wake-ups away. It has the same lock.
        self.run_ended = threading.Condition(lock)
        self.closed = False  # guarded by wake, like all that follows
        self._pending = Pending(
            settings.debounce_ms / 1000,
            settings.max_delay_ms / 1000,
            spec.cadence_seconds,
            idle=spec.idle_seconds,
            most_running=MOST_RUNNING,
        )
        self._sessions = Sessions()
        self._failures = Failures(spec.name, settings)
        self._moves = Moves()
        self._pause = Pause()
        self._held = 0  # orders under way: no run may begin
        self._writing: set[str] = set()  # running, and already handed over to be written
        self._discarded: set[str] = set()  # running, and not to be handed over: an order has come before
        self._round: Round | None = None

    def idle(self) -> bool:
        """Whether everything that is known to have changed is committed or in quarantine."""
        with self.wake:
            failing = any(not failure.quarantined for failure in self._failures.known.values())
            return self._pending.idle() and not failing and not self._pause.reason

    def drained(self) -> bool:
        """Whether everything that was behind had its turn, as far as it can; what failed may wait for another."""
        with self.wake:
            return self._pending.idle() or bool(self._pause.reason and not any(self._pending.running()))

    def waits_for(self) -> str:
        """What the processor cannot run without, and is not to be had now; empty: nothing."""
        with self.wake:
            return self._pause.reason

    def failures(self) -> list[Failure]:
        """The sessions that failed, in quarantine or not."""
        with self.wake:
            return list(self._failures.known.values())

    def retries(self) -> dict[str, float]:
        """Seconds until each session that failed, and is not in quarantine, is tried again, at the earliest."""
        with self.wake:
            return self._failures.waits(self.clock())

    def counts(self) -> dict[str, int]:
        """Sessions by what they wait for: see :meth:`Pending.counts`; and ``retrying``, ``quarantined``."""
        with self.wake:
            failing = [failure.quarantined for failure in self._failures.known.values()]
            counts = self._pending.counts(self.clock())
            return counts | {"retrying": failing.count(False), "quarantined": failing.count(True)}

    def lag(self) -> float:
        """Seconds since the oldest change that is not committed; 0 if there is none."""
        with self.wake:
            oldest = self._pending.oldest_change()
            return 0.0 if oldest is None else self.clock() - oldest

    def sessions(self) -> int:
        """How many sessions this processor has seen."""
        return len(self._sessions)

    def has_room(self) -> bool:
        """Whether what changes is noted."""
        with self.wake:
            return self._pending.waiting() < MOST_WAITING

    def states(self) -> dict[str, str]:
        """What each session does that is not at rest, see :meth:`Pending.states`."""
        with self.wake:
            return self._pending.states()

    def shares(self) -> dict[str, int]:
        """How many sessions were processed to ``100`` per cent of their bytes, ``95-99``, or ``less``."""
        with self.wake:
            behind = self._sessions.partial | {
                key: self._share(key, failure) for key, failure in self._failures.known.items()
            }
            nearly = sum(1 for share in behind.values() if share >= NEARLY)
            waiting = self._pending.backlog()
            new = sum(not self._sessions.was_run(key) and key not in behind for key in waiting)
            every = len(self._sessions) + sum(not self._sessions.was_run(key) for key in behind)
            return {"100": every - len(behind), "95-99": nearly, "less": len(behind) - nearly + new}

    def _share(self, key: str, failure: Failure) -> float:
        """How much of a session whose run failed was processed, as far as that is at hand."""
        cursor = self._sessions.cursor(key)
        size = failure.signature.size if failure.signature is not None else 0
        return cursor.offset / size if cursor is not None and 0 < cursor.offset < size else 0.0

    def mark(self) -> int | None:
        """Changes as long as the lane gets on, see :meth:`Pending.mark`; None while it is not to."""
        with self.wake:
            return None if self._stands() else self._pending.mark(self.clock())

    def _stands(self) -> float:
        """Seconds for which no run may begin; infinite if it is not known how many. Call with ``wake`` held."""
        running = any(self._pending.running())
        return math.inf if self._held else self._pause.left(self.clock(), running=running)
