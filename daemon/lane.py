"""A lane: one processor, and what it still has to do.

Its state, and the condition that guards it, are :mod:`daemon.lane_state`'s. The lane's workers (see
:mod:`daemon.worker`) wait on it; how their runs end is :mod:`daemon.outcome`'s.
"""

import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import duckdb

from daemon import positions
from daemon.cursor import Cursor, Signature, utc_now
from daemon.errors import BusyError, SessionBusyError
from daemon.failures import Failure
from daemon.lane_state import LaneState
from daemon.pending import Taken
from daemon.round import Round
from daemon.run import Job


class Lane(LaneState):
    """One processor's sessions. ``load`` it, then feed it with ``changed`` and ``behind``."""

    # What comes in

    def load(
        self,
        conn: duckdb.DuckDBPyConnection,
        failures: Mapping[str, Failure],
        names: dict[str, str] | None = None,
    ) -> None:
        """Take the state from the database; before the first worker starts. ``names``: as of the other lanes."""
        places = self._sessions.load(conn, self.spec.name, self.spec.version, failures, names)
        self._moves.load(places)
        self._failures.known = dict(failures)
        if self.spec.cadence_seconds:
            now = utc_now()
            for key, age in positions.recent_runs(conn, self.spec.name, now, self.spec.cadence_seconds):
                self._pending.ran(key, self.clock() - age)

    def needs(self, key: str, signature_hash: int) -> bool:
        """Whether a file with this signature is neither processed nor about to be. Takes no lock, only looks up.

        A run that is under way does not count: it may have looked at the file before it was like this.
        """
        return self._sessions.needs(key, signature_hash) and not self._pending.will_run(key)

    def unnoticed(self, key: str, signature_hash: int) -> bool:
        """The same, while none is under way either: nobody has told of the change."""
        return self._sessions.needs(key, signature_hash) and not self._pending.is_pending(key)

    def unprocessed(self, key: str, signature_hash: int) -> bool:
        """Whether a file with this signature is not processed, even if it is about to be."""
        return self._sessions.needs(key, signature_hash)

    def needs_look(self, key: str, seen: Signature) -> bool:
        """Whether a file that looks so is not known to be processed, or refused."""
        return self._sessions.needs(key, hash(seen))

    def changed(self, keys: Iterable[str]) -> bool:
        """These sessions changed just now; returns whether that is noted, for which there has to be room."""
        with self.wake:
            if not self.has_room():
                return False
            now = self.clock()
            for key in keys:
                self._pending.changed(key, now)
            self.wake.notify()
            return True

    def behind(self, keys: Iterable[str]) -> None:
        """These sessions have not been processed as they are: backlog, whose cadence may have to end first."""
        with self.wake:
            now = self.clock()
            for key in keys:
                self._pending.behind(key, now)
            self.wake.notify()

    def begin_round(self, keys: Iterable[str]) -> Round:
        """Run these sessions now, whatever their cadence and retries; there is one round at a time."""
        with self.wake:
            self._round = Round(self.spec.name, keys := list(keys))
            for key in keys:
                self._failures.hurry(key)
                self._pending.hurry(key, self.clock())
            self.wake.notify_all()
            return self._round

    def wait_round(self, seconds: float) -> bool:
        """Wait until the round is over, at most so long; returns whether it is."""
        with self.wake:
            return self.run_ended.wait_for(lambda: self._round is None or not self._round.left(), seconds)

    def end_round(self) -> None:
        """Nobody waits for the round any more; what it has begun goes on."""
        with self.wake:
            self._round = None

    def start_anew(self, keys: Sequence[str]) -> None:
        """What the database said of these sessions has changed: look at each again."""
        with self.wake:
            self._sessions.start_anew(keys)
            for key in keys:
                self._pending.behind(key, self.clock())
            self.wake.notify_all()

    def requeue(self, forgiven: Mapping[str, datetime]) -> None:
        """The failures of these sessions, at these times, are forgotten in the database: look at each again."""
        with self.wake:
            for key, failed_at in forgiven.items():
                self._failures.forgive(key, failed_at)
        self.start_anew(list(forgiven))

    @contextmanager
    def held(self, username: str | None, key: str | None, timeout: float) -> Iterator[list[str]]:
        """Inside, no run of this lane begins, and none is written on the sessions that are given.

        Those of a user, or the one of that name; None: all. What runs on them now is thrown away and done again.

        Raises:
            BusyError: what was handed over to be written is not written in time.

        """
        with self.wake:
            self._held += 1
        try:
            with self.wake:
                mine = set(self._sessions.matching(username, key))
                self._discarded |= mine.intersection(self._pending.running()) - self._writing
                if not self.run_ended.wait_for(lambda: not mine & self._writing, timeout):
                    raise BusyError("the database cannot be written now", "see sessiond status")
            yield sorted(mine)
        finally:
            with self.wake:
                self._held -= 1
                self.wake.notify_all()

    # What a worker asks for

    def take(self, *, backlog: bool) -> Taken | None:
        """The next session that is due; call with ``wake`` held."""
        if self._stands():
            return None
        taken = self._pending.take(self.clock(), backlog=backlog)
        if taken is None:
            return None
        if self._round is not None:
            self._round.began(taken.key)
        return replace(taken, run=secrets.token_hex(8))

    def next_due(self, *, backlog: bool) -> float | None:
        """Seconds until a session is due; call with ``wake`` held."""
        stands, due = self._stands(), self._pending.next_due(self.clock(), backlog=backlog)
        return None if due is None or math.isinf(stands) else max(due, stands)

    def job(self, key: str, conn: duckdb.DuckDBPyConnection) -> Job:
        """What is known about a session that is about to be run.

        Raises:
            SessionBusyError: a run on the same file under its other name has to end first.

        """
        with self.wake:
            known, cursor = self._sessions.was_run(key), self._sessions.cursor(key)
            recorded = self._sessions.recorded.get(key)
            if self._moves.is_taken_over(key):
                raise SessionBusyError(key)
        if known and cursor is None:
            cursor = positions.find(conn, self.spec.name, key)
        found = self.transcripts.signature(key)
        if found is not None:
            with self.wake:
                self._moves.seen(key, found)  # before it is read: it may be moved meanwhile
        return Job(key, cursor, recorded=recorded)

    def moved(self, job: Job, seen: Signature, conn: duckdb.DuckDBPyConnection) -> Job:
        """The job, with all sessions that the file, which looked so, was before; nobody may run these meanwhile.

        Raises:
            SessionBusyError: a run on the same file under its other name has to end first.
            SessionError: the file cannot be read any more.

        """
        with self.wake:
            others = self._moves.seen(job.key, seen)
        return replace(job, moved_from=tuple(old for old in others if self._was(old, job.key, seen, conn)))

    def _was(self, old: str, key: str, seen: Signature, conn: duckdb.DuckDBPyConnection) -> bool:
        there = self.transcripts.signature(old)
        if there is not None and there[:2] == seen[:2]:
            return False  # a second name of the file; or its name again, and then its next run takes over this one's
        with self.wake:
            if self._pending.is_running(old):
                raise SessionBusyError(key)
            self._moves.begin(key, old)
        origin = positions.find(conn, self.spec.name, old)
        if origin is not None and origin.signature[:2] == seen[:2] and self.transcripts.continues(key, origin):
            return True
        with self.wake:
            self._moves.end(key, old)
            self._moves.left(old, seen)
        return False

    def failure(self, key: str) -> Failure | None:
        """What is remembered of failed runs of this session."""
        return self._failures.known.get(key)

    def retry_at(self, key: str, contents: Sequence[str]) -> float | None:
        """When a failure on one of these is tried again, see :meth:`Failures.retry_at`."""
        with self.wake:
            return self._failures.retry_at(key, contents)

    # How runs end

    def hand_over(self, key: str) -> bool:
        """A run has its outcome, which counts from here on; False: it does not. Call with ``wake`` held."""
        if key in self._discarded:
            return False
        self._writing.add(key)
        return True

    def note(self, key: str, outcome: str, items: int = 0, error: str = "") -> None:
        """What a run has come to: ``processed``, ``skipped`` or ``failed``. Before :meth:`done`."""
        with self.wake:
            if self._round is not None:
                self._round.note(key, outcome, items, error)

    def failed(self, key: str, content: str, signature: Signature | None, error: str) -> tuple[Failure, float]:
        """A run failed; returns what is remembered, and when it is tried again. :meth:`done` ends the run."""
        with self.wake:
            return self._failures.add(key, content, signature, error, self.clock())

    def pause(self, reason: str, seconds: float) -> bool:
        """The processor cannot run for so long; returns whether that is news."""
        with self.wake:
            return self._pause.begin(reason, seconds, self.clock(), self._pending.begun())

    def goes_on(self, run: int) -> bool:
        """The run of that number shows that the processor can run; returns whether it could not before."""
        with self.wake:
            went_on = self._pause.end(run)
            if went_on:
                self.wake.notify_all()
            return went_on

    def committed(self, key: str, cursor: Cursor, moved_from: Sequence[str]) -> None:
        """A run is durable. :meth:`done` ends it."""
        with self.wake:
            before = self._sessions.cursor(key)
            self._sessions.committed(key, cursor, moved_from)
            self._failures.drop(key)
            if before is not None and before.signature[:2] != cursor.signature[:2]:
                self._moves.left(key, before.signature)
            for old in moved_from:
                self._failures.drop(old)
                self._moves.left(old, cursor.signature)

    def gone(self, key: str) -> bool:
        """There is no such file any more, and the run ends; returns whether there was a failure to be forgotten."""
        with self.wake:
            self._moves.end(key)
            self._sessions.gone(key)
            self._pending.done(key, self.clock())
            self._ended(key, finished=True)
            return self._failures.drop(key)

    def refused(self, key: str, seen: Signature | None) -> None:
        """The run ends: what is there may not be read, or is no session file."""
        with self.wake:
            if not self._sessions.refused(key) and seen is not None:
                self._moves.left(key, seen)
            self.done(key, seen)

    def forgets(self, key: str) -> bool:
        """Forget that the session failed, unless it is in quarantine; returns whether it had."""
        with self.wake:
            failure = self._failures.known.get(key)
            return failure is not None and not failure.quarantined and self._failures.drop(key)

    def done(
        self,
        key: str,
        current: Signature | None,
        *,
        busy: float | None = None,
        again: float | None = None,
        recheck: float | None = None,
        more: bool = False,
    ) -> None:
        """The run ends.

        Args:
            key: whose.
            current: the session needs no run while it looks so; None: that is not known.
            busy, again, recheck: when to run it again anyway, because it could not be run, or failed, or to be sure.
            more: the file goes on; run it again at once.

        """
        with self.wake:
            self._sessions.looked_at(key, current)
            self._moves.end(key)
            covered = not more and busy is None and again is None
            self._pending.done(key, self.clock(), covered=covered)
            if more:
                self._pending.go_on(key, self.clock())
            elif busy is not None:
                self._pending.later(key, busy, unfinished=True)
            elif again is not None:
                self._pending.later(key, again)
            elif recheck is not None:
                self._pending.later(key, recheck, recheck=True)
            self._ended(key, finished=not more and busy is None)
            self.wake.notify()

    def _ended(self, key: str, *, finished: bool) -> None:
        self._writing.discard(key)
        self._discarded.discard(key)
        if finished and self._round is not None:
            self._round.ended(key)
        self.run_ended.notify_all()
