"""How runs of a lane end: each has one outcome, which is written, told, and decides when the session is run again.

Called by the lane's workers, by the writer once it has committed, and by whoever gives a run up.
"""

import math
import random
from contextlib import suppress
from dataclasses import dataclass, replace

import duckdb

from daemon.commit import Commit
from daemon.config import Settings
from daemon.cursor import Signature
from daemon.errors import (
    NotStartedError,
    OverBudgetError,
    SessionBusyError,
    SessionError,
    SessionGoneError,
    SessionRefusedError,
    StoreError,
    describe,
    printable,
)
from daemon.events import Events
from daemon.lane import Lane
from daemon.look import Look
from daemon.pending import Taken
from daemon.positions import ADOPTED
from daemon.processing import ProcessorFailedError, cause_of
from daemon.queued import FailureNote
from daemon.refusals import Refusals
from daemon.run import content_of
from daemon.store import cannot_write, is_conflict, is_damaged, out_of_memory
from daemon.writer import Writer
from processors.contract import PauseError

BUSY_SECONDS = 0.2
"""Wait for whoever is busy with the same file under its other name, or with the same rows."""

REREAD_SECONDS = 10.0
"""Wait after a file could not be read for a reason that may pass."""

AGAIN_SECONDS = 10.0
"""Wait after a processor could not be run at all."""

CHECKED_PER_SECOND = 100 << 20
"""Bytes: a session of gigabytes has to be quiet for longer until it is checked as a whole, or one that grows every
few seconds would be read again and again."""

NO_OUTCOME = (SessionBusyError, SessionError, NotStartedError, ProcessorFailedError, duckdb.Error)
"""What ends a run without anything to commit; see :meth:`Outcomes.none`."""


@dataclass(frozen=True, slots=True)
class About:
    """What a run is about, once the file was looked at.

    A failure counts against ``content``, the death of the process against ``begin``.
    """

    content: str
    signature: Signature
    begin: str = ""


class Outcomes:
    """The outcomes of one lane's runs. Holds nothing; may be called by any thread."""

    def __init__(self, lane: Lane, writer: Writer, events: Events, refusals: Refusals, settings: Settings) -> None:
        self._lane = lane
        self._name = lane.spec.name
        self._writer = writer
        self._events = events
        self._refusals = refusals
        self._settle_seconds = settings.settle_seconds

    def submit(self, taken: Taken, look: Look, commit: Commit) -> None:
        """Hand a run over to the writer, who tells :meth:`committed`; may wait for it.

        Raises:
            StoreError: the writer has stopped.

        """
        look = replace(look, data=b"")  # it would be kept in memory until the commit
        commit = replace(commit, heals=self._lane.failure(taken.key) is not None)
        self._writer.submit(
            commit,
            lambda error: self.committed(taken, look, commit, error),
            urgent=taken.since is not None or look.more,
        )

    def own_commit(self, taken: Taken, look: Look, commit: Commit) -> None:
        """A whole-session processor's run, committed through its own connection."""
        self._writer.log_has_grown()
        self.committed(taken, look, commit)

    def committed(self, taken: Taken, look: Look, commit: Commit, error: BaseException | None = None) -> None:
        """The run is durable, or could not be written: through its own fault, unless it is the disk's at a stop."""
        if error is not None:
            self.none(taken, About(content_of(self._lane.spec, look), look.signature), error)
            return
        self._lane.committed(taken.key, commit.entry.cursor, commit.moved_from)
        if commit.ran:
            self._goes_on(taken)
            self._lane.note(taken.key, "processed", items=commit.items)
        elif commit.entry.cursor.fingerprint != ADOPTED and (
            look.offset < look.signature.size or not look.signature.size
        ):
            self._lane.note(taken.key, "skipped")  # no complete line yet
        self._events.processed(
            self._name,
            printable(taken.key),
            run=taken.run,
            complete=not look.more,
            lines=commit.lines,
            malformed=commit.malformed,
            items=commit.items,
            size=look.offset - look.start,
            took=commit.took,
            seconds=0.0 if taken.since is None else self._lane.clock() - taken.since,
        )
        if commit.ratios:
            self._events.measured(self._name, commit.ratios, live=taken.since is not None)
        if look.more:
            self._lane.done(taken.key, None, more=True)
        else:
            self.settled(taken, look)

    def settled(self, taken: Taken, look: Look) -> None:
        """The session is processed as it looks; a file that may change unseen gets one more look later."""
        quiet = max(self._settle_seconds, look.signature.size / CHECKED_PER_SECOND)
        recheck = self._lane.clock() + quiet if look.recheck else None
        self._lane.done(taken.key, look.signature, recheck=recheck)

    def unchanged(self, taken: Taken, look: Look) -> None:
        """All of the session was processed before: what had failed did not, or is not in the file any more."""
        self._forget_failure(taken.key)
        self.settled(taken, look)

    def refrain(self, taken: Taken, look: Look, retry_at: float) -> None:
        """The very content has failed before, and its next attempt is not due yet, or never."""
        failure = self._lane.failure(taken.key)
        self._lane.note(taken.key, "failed", error=failure.error if failure else "")
        if math.isinf(retry_at):
            self._lane.done(taken.key, look.signature)
        else:
            self._lane.done(taken.key, None, again=retry_at)

    def none(self, taken: Taken, about: About | None, error: BaseException) -> None:
        """The run ended with one of :data:`NO_OUTCOME`, or could not be written.

        ``about`` is None if the file was not even looked at.
        """
        cause = cause_of(error)
        if isinstance(error, SessionBusyError) or is_conflict(cause):
            self._events.busy(self._name, printable(taken.key), run=taken.run)
            # Not after the same time for all, or two that want each other's rows would meet again and again.
            wait = random.uniform(0.5, 1.5) * BUSY_SECONDS  # noqa: S311  # spreads retries, guards nothing
            self._lane.done(taken.key, None, busy=self._lane.clock() + wait)
        elif is_damaged(cause):
            # No attempt is counted, and the run does not end: all of it is for the next process to do.
            self._writer.give_up(cause)
        elif isinstance(error, SessionGoneError):
            self._gone(taken.key)
        elif isinstance(error, SessionRefusedError):
            self._refused(taken.key, error.reason)
        elif isinstance(error, SessionError) or (
            isinstance(error, duckdb.Error) and (cannot_write(error) or out_of_memory(error))
        ):
            # Nobody's fault, so no attempt is counted.
            self._lane.note(taken.key, "skipped")
            self._events.look_failed(self._name, printable(taken.key), run=taken.run, error=describe(error))
            self._lane.done(taken.key, None, again=self._lane.clock() + REREAD_SECONDS)
        elif isinstance(error, NotStartedError):
            # Not this session's fault either, and told of the processor as a whole.
            self._lane.note(taken.key, "failed", error=describe(error))
            self._lane.done(taken.key, None, again=self._lane.clock() + AGAIN_SECONDS)
        elif isinstance(cause, PauseError):
            self._pause(taken.key, cause)
        else:
            if isinstance(cause, OverBudgetError):
                self._events.abandoned(self._name, printable(taken.key), run=taken.run, seconds=cause.seconds)
            self._goes_on(taken)
            self.fail(taken, about, describe(cause))

    def _pause(self, key: str, cause: PauseError) -> None:
        """The processor cannot run at all; so it is told of the processor, and no session is to blame."""
        reason = describe(cause)
        if self._lane.pause(reason, cause.seconds):
            self._events.processor_waits(self._name, reason, cause.seconds)
        # It did not have its turn: once the pause is over, nobody may take the lane for idle before it has.
        self._lane.done(key, None, busy=self._lane.clock())

    def _goes_on(self, taken: Taken) -> None:
        if self._lane.goes_on(taken.number):
            self._events.processor_goes_on(self._name)

    def _gone(self, key: str) -> None:
        """There is no such file any more. Its rows stay."""
        self._lane.note(key, "skipped")
        self._lane.transcripts.forget(key)
        if self._lane.gone(key):
            self._note_forgotten(key)

    def _refused(self, key: str, reason: str) -> None:
        """Leave it alone until it looks different, as a change of its mode would make it."""
        self._lane.note(key, "skipped")
        seen = self._lane.transcripts.signature(key)
        if seen is None or self._lane.needs_look(key, seen):
            self._refusals.tell(key, reason)
        self._forget_failure(key)
        self._lane.refused(key, seen)

    def _forget_failure(self, key: str) -> None:
        """Nothing is left to be tried again; what is in quarantine stays there. Before the run ends."""
        if self._lane.forgets(key):
            self._note_forgotten(key)

    def _note_forgotten(self, key: str) -> None:
        with suppress(StoreError):
            self._writer.submit(FailureNote(self._name, key, None), urgent=True)

    def fail(self, taken: Taken, about: About | None, error: str) -> None:
        """Count an attempt."""
        content, signature = (about.content, about.signature) if about else ("", None)
        failure, retry_at = self._lane.failed(taken.key, content, signature, error)
        self._lane.note(taken.key, "failed", error=error)
        shown, attempts = printable(taken.key), failure.attempts
        if failure.quarantined:
            self._events.quarantined(self._name, shown, run=taken.run, attempts=attempts, error=error)
        else:
            wait = retry_at - self._lane.clock()
            self._events.run_failed(self._name, shown, run=taken.run, attempt=attempts, retry_in=wait, error=error)

        def written(_error: BaseException | None) -> None:
            # Only now may the next run begin: if it heals the failure, the note must not come after that.
            if failure.quarantined:
                self._lane.done(taken.key, signature)
            else:
                self._lane.done(taken.key, None, again=retry_at)

        with suppress(StoreError):  # the writer has stopped: the run is tried again after the restart
            urgent = taken.since is not None  # many that fail at once leave the others their turn
            self._writer.submit(FailureNote(self._name, taken.key, failure), written, urgent=urgent)
