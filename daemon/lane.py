"""A lane: one processor, what it still has to do, and how its runs end.

All state is guarded by one condition, which is never held while a file is read, a processor runs or a commit is
queued. The lane's workers (see :mod:`daemon.worker`) wait on it; the writer calls :meth:`Lane.committed`.
"""

import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import duckdb

from daemon import positions
from daemon.commit import Commit
from daemon.config import Settings
from daemon.cursor import Signature, utc_now
from daemon.cursor_cache import CursorCache
from daemon.errors import (
    SessionBusyError,
    SessionGoneError,
    SessionRefusedError,
    StoreError,
    describe,
    printable,
)
from daemon.events import Events
from daemon.failures import Failure, Failures
from daemon.look import Look
from daemon.moves import Moves
from daemon.pending import Pending, Taken
from daemon.run import Job, content_of
from daemon.transcript import Transcripts
from daemon.writer import FailureNote, Writer
from processors.registry import Registered

MOST_RUNNING = 160
"""Backlog waits while so many runs are under way or waiting for the writer: workers stay free for live changes."""

BUSY_SECONDS = 0.2  # wait for a run on the same file under its other name
REREAD_SECONDS = 10.0
"""Wait after a file could not be read for a reason that may pass."""


@dataclass(frozen=True, slots=True)
class About:
    """What a run is about, once the file was looked at."""

    content: str
    signature: Signature


class Lane:
    """One processor's sessions. ``load`` it, then feed it with ``changed`` and ``behind``."""

    def __init__(
        self,
        spec: Registered,
        transcripts: Transcripts,
        writer: Writer,
        events: Events,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self.spec = spec
        self.transcripts = transcripts
        self.events = events
        self.settings = settings
        self.clock = clock
        self.wake = threading.Condition()
        self.closed = False  # guarded by wake, like all that follows
        self._writer = writer
        self._pending = Pending(
            settings.debounce_ms / 1000, settings.max_delay_ms / 1000, spec.cadence_seconds, most_running=MOST_RUNNING
        )
        # Hash of the signature under which a session needs no look; 0: it needs one. Absent: never seen.
        self._current: dict[str, int] = {}
        self._foreign: dict[str, str] = {}  # file hash by another tool, where there is no cursor
        self._failures = Failures(spec.name, settings)
        self._moves = Moves()
        self._cursors = CursorCache()

    # What comes in

    def load(self, conn: duckdb.DuckDBPyConnection, failures: Mapping[str, Failure]) -> None:
        """Take the state from the database; before the first worker starts."""
        known = positions.load(conn, self.spec.name, self.spec.version)
        self._current, self._foreign = known.current, known.foreign
        self._failures.known = dict(failures)
        for key, failure in failures.items():
            if failure.quarantined and failure.signature and failure.content.startswith(f"{self.spec.version}:"):
                self._current[key] = hash(failure.signature)
        if self.spec.cadence_seconds:
            now = utc_now()
            for key, age in positions.recent_runs(conn, self.spec.name, now, self.spec.cadence_seconds):
                self._pending.ran(key, self.clock() - age)

    def needs(self, key: str, signature_hash: int) -> bool:
        """Whether a file with this signature is neither processed nor about to be. Takes no lock: two look-ups."""
        return self._current.get(key) != signature_hash and not self._pending.is_pending(key)

    def knows(self, key: str) -> bool:
        """Whether the processor has seen this session before. Takes no lock."""
        return key in self._current or key in self._foreign

    def origin(self, key: str, old: Sequence[str]) -> None:
        """The file ``key`` may be one that went by one of these keys before."""
        with self.wake:
            self._moves.may_have_been(key, old)

    def changed(self, keys: Iterable[str]) -> None:
        """These sessions changed just now."""
        with self.wake:
            now = self.clock()
            for key in keys:
                self._pending.changed(key, now)
            self.wake.notify()

    def behind(self, keys: Iterable[str]) -> None:
        """These sessions have not been processed as they are: backlog, whose cadence may have to end first."""
        with self.wake:
            now = self.clock()
            for key in keys:
                self._pending.behind(key, now)
            self.wake.notify()

    # What a worker asks for

    def take(self) -> Taken | None:
        """The next session that is due; call with ``wake`` held."""
        now = self.clock()
        taken = self._pending.take(now)
        if taken is not None and self._pending.next_due(now) == 0.0:
            self.wake.notify()  # there is work for another worker
        return taken

    def next_due(self) -> float | None:
        """Seconds until a session is due; call with ``wake`` held."""
        return self._pending.next_due(self.clock())

    def job(self, key: str, conn: duckdb.DuckDBPyConnection) -> Job:
        """What is known about a session that is about to be run."""
        with self.wake:
            known, cursor = key in self._current, self._cursors.get(key)
            recorded = self._foreign.get(key)
            if self._moves.is_taken_over(key):
                raise SessionBusyError(key)
        if known and cursor is None:
            cursor = positions.find(conn, self.spec.name, key)
        found = self.transcripts.signature(key)
        # New here, or replaced by a file that may have been a session of another name until now.
        if recorded is None and (cursor is None or (found is not None and found[:2] != cursor.signature[:2])):
            with self.wake:
                candidates = self._moves.candidates(key, found)
            for old in candidates:
                if self._moved(old, key, conn):
                    return Job(key, cursor, moved_from=old)
        return Job(key, cursor, recorded=recorded)

    def seen(self, key: str, signature: Signature) -> None:
        """A session was looked at, and looked so."""
        with self.wake:
            self._moves.seen(key, signature)

    def _moved(self, old: str, key: str, conn: duckdb.DuckDBPyConnection) -> bool:
        """Whether the file ``key`` is the one that was ``old``; then nobody else may run ``old`` meanwhile."""
        if self.transcripts.exists(old):
            return False
        with self.wake:
            if self._pending.is_running(old):
                raise SessionBusyError(key)
            self._moves.begin(key, old)
        origin = positions.find(conn, self.spec.name, old)
        if origin is not None and self.transcripts.continues(key, origin):
            return True
        with self.wake:
            self._moves.end(key)
        return False

    def refrain(self, taken: Taken, look: Look, content: str) -> bool:
        """End the run here if this very content has failed too often, or its next attempt is not due yet."""
        retry_at = self._failures.retry_at(taken.key, content)
        if retry_at is None or retry_at <= self.clock():
            return False
        if math.isinf(retry_at):
            self._finish(taken, look.signature)
        else:
            self._finish(taken, None, again=retry_at)
        return True

    def has_failed(self, key: str) -> bool:
        """Whether a failure of this session is remembered."""
        return key in self._failures.known

    # How runs end

    def submit(self, taken: Taken, look: Look, commit: Commit) -> None:
        """Hand a run's outcome to the writer, who calls :meth:`committed`; may wait for it.

        Raises:
            StoreError: the writer has stopped.

        """
        look = replace(look, data=b"")  # it would be kept in memory until the commit
        self._writer.submit(
            commit,
            lambda error: self.committed(taken, look, commit, error),
            urgent=taken.since is not None or look.more,
        )

    def committed(self, taken: Taken, look: Look, commit: Commit, error: BaseException | None = None) -> None:
        """The run is durable, or could not be written through its own fault."""
        if error is not None:
            self.fail(taken, About(content_of(self.spec, look), look.signature), describe(error))
            return
        key, now = taken.key, self.clock()
        with self.wake:
            self._cursors.put(key, commit.entry.cursor)
            if commit.moved_from is not None:
                self._current.pop(commit.moved_from, None)
                self._failures.drop(commit.moved_from)
                self._cursors.drop(commit.moved_from)
            self._failures.drop(key)
            self._foreign.pop(key, None)
            self._moves.forget(key)
        self.events.processed(
            self.spec.name,
            printable(key),
            complete=not look.more,
            lines=commit.lines,
            malformed=commit.malformed,
            items=commit.items,
            size=look.offset - look.start,
            seconds=0.0 if taken.since is None else now - taken.since,
        )
        if look.more:
            self._finish(taken, None, more=True)
        else:
            self.settled(taken, look)

    def own_commit(self, taken: Taken, look: Look, commit: Commit) -> None:
        """A whole-session processor's run, committed through its own connection."""
        self._writer.log_has_grown()
        self.committed(taken, look, commit)

    def settled(self, taken: Taken, look: Look) -> None:
        """The session is processed as it looks; a file that may change unseen gets one more look later."""
        again = self.clock() + self.settings.settle_seconds if look.recheck else None
        self._finish(taken, look.signature, again=again)

    def gone(self, taken: Taken, _error: SessionGoneError) -> None:
        """There is no such file any more. Its rows stay."""
        self.transcripts.forget(taken.key)
        if self._failures.drop(taken.key):
            with suppress(StoreError):
                self._writer.submit(FailureNote(self.spec.name, taken.key, None), urgent=True)
        with self.wake:
            self._moves.forget(taken.key)
            self._moves.end(taken.key)
            self._pending.done(taken.key, self.clock())

    def refuse(self, taken: Taken, error: SessionRefusedError) -> None:
        """Leave it alone until it looks different, as a change of its mode would make it."""
        seen = self.transcripts.signature(taken.key)
        if seen is None or self._current.get(taken.key) != hash(seen):
            self.events.refused(printable(taken.key), error.reason)
        self._finish(taken, seen)

    def busy(self, taken: Taken) -> None:
        """A run on the same file under another name has to end first."""
        with self.wake:
            self._pending.done(taken.key, self.clock())
            self._pending.later(taken.key, self.clock() + BUSY_SECONDS)

    def unreadable(self, taken: Taken, error: Exception) -> None:
        """File or database could not be read: nobody's fault, so no attempt is counted."""
        self.events.look_failed(self.spec.name, printable(taken.key), error=describe(error))
        self._finish(taken, None, again=self.clock() + REREAD_SECONDS)

    def fail(self, taken: Taken, about: About | None, error: str) -> None:
        """Count an attempt; ``about`` is None if the file could not even be looked at."""
        content, signature = (about.content, about.signature) if about else ("", None)
        with self.wake:
            failure, retry_at = self._failures.add(taken.key, content, signature, error, self.clock())
        shown, attempts = printable(taken.key), failure.attempts
        if failure.quarantined:
            self.events.quarantined(self.spec.name, shown, attempts=attempts, error=error)
        else:
            wait = retry_at - self.clock()
            self.events.run_failed(self.spec.name, shown, attempt=attempts, retry_in=wait, error=error)

        def written(_error: BaseException | None) -> None:
            # Only now may the next run begin: if it heals the failure, the note must not come after that.
            if failure.quarantined:
                self._finish(taken, signature)
            else:
                self._finish(taken, None, again=retry_at)

        with suppress(StoreError):  # the writer has stopped: the run is tried again after the restart
            self._writer.submit(FailureNote(self.spec.name, taken.key, failure), written, urgent=True)

    def _finish(
        self, taken: Taken, current: Signature | None, *, again: float | None = None, more: bool = False
    ) -> None:
        with self.wake:
            if current is not None:
                self._current[taken.key] = hash(current)
            else:
                self._current.setdefault(taken.key, 0)
            self._moves.end(taken.key)
            self._pending.done(taken.key, self.clock())
            if more:
                self._pending.go_on(taken.key, self.clock())
            elif again is not None:
                self._pending.later(taken.key, again)
            self.wake.notify()

    # What is shown

    def idle(self) -> bool:
        """Whether everything that is known to have changed is committed or in quarantine."""
        with self.wake:
            return self._pending.idle() and all(failure.quarantined for failure in self._failures.known.values())

    def drained(self) -> bool:
        """Whether everything that was behind had its turn; what failed may be waiting for another."""
        with self.wake:
            return self._pending.idle()

    def failed(self) -> list[Failure]:
        """The sessions that failed, in quarantine or not."""
        with self.wake:
            return list(self._failures.known.values())

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
        return len(self._current)
