"""What a worker does with a session that it has taken: a look, a run of the processor, and the hand-over."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb

from daemon.cursor import utc_now
from daemon.errors import printable
from daemon.events import Events
from daemon.inflight import Notes, Slot
from daemon.isolated import Host
from daemon.lane import Lane
from daemon.look import Look
from daemon.outcome import NO_OUTCOME, About, Outcomes
from daemon.pending import Taken
from daemon.run import Job, begin_of, content_of, look_whole, run_incremental, run_whole, taken_over, touched


class AbandonedError(Exception):
    """The run does not count any more."""


class DiscardedError(Exception):
    """The run is to be done again, because an order has come meanwhile."""


@dataclass(slots=True, eq=False)
class Worker:
    """One thread, with its slot and connection; everything else is guarded by the lane's condition."""

    slot: Slot
    host: Host
    conn: duckdb.DuckDBPyConnection
    thread: threading.Thread | None = None
    taken: Taken | None = None
    about: About | None = None
    began: float = 0.0
    stale: bool = False
    hangs: bool = False

    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self.thread is not None and self.thread.is_alive()


class Attempts:
    """The attempts of one lane's workers, each made in its worker's thread."""

    def __init__(self, lane: Lane, outcomes: Outcomes, events: Events, notes: Notes) -> None:
        self._lane = lane
        self._spec = lane.spec
        self._outcomes = outcomes
        self._events = events
        self._notes = notes
        self._told_odd = False  # the one worker's own

    def _release(self, worker: Worker) -> None:
        """The run has its outcome: from here on it cannot be abandoned."""
        with self._lane.wake:
            if worker.stale:
                raise AbandonedError
            if worker.taken is None:
                return  # it was handed over, and failed after that
            counts = self._lane.hand_over(worker.taken.key)
            worker.taken = None
        if not counts:
            raise DiscardedError

    def make(self, worker: Worker, taken: Taken, conn: duckdb.DuckDBPyConnection) -> None:
        """Run the processor on a session that the worker has taken.

        Raises:
            AbandonedError: the run was given up.
            StoreError: the writer has stopped.

        """
        try:
            try:
                job = self._lane.job(taken.key, conn)
                if self._spec.incremental:
                    self._run_incremental(worker, taken, job, conn)
                else:
                    self._run_whole(worker, taken, job, conn)
            except NO_OUTCOME as error:
                self._release(worker)
                self._outcomes.none(taken, worker.about, error)
        except DiscardedError:
            self._lane.done(taken.key, None, busy=self._lane.clock())

    def _run_incremental(self, worker: Worker, taken: Taken, job: Job, conn: duckdb.DuckDBPyConnection) -> None:
        look = self._lane.transcripts.look(taken.key, job.valid(self._spec.version))
        job = self._lane.moved(job, look.signature, conn)
        if self._needs_run(worker, taken, job, look):
            with self._lane.wake:
                worker.began = math.inf  # nor is a start
            worker.host.start()
            with self._in_flight(worker, taken):
                commit = run_incremental(self._spec, worker.host.process, job, look, utc_now())
            self._release(worker)
            self._tell(taken, job, look)
            self._outcomes.submit(taken, look, commit)

    def _run_whole(self, worker: Worker, taken: Taken, job: Job, conn: duckdb.DuckDBPyConnection) -> None:
        look, cursor = look_whole(self._lane.transcripts, self._spec, taken.key, job.valid(self._spec.version))
        job = self._lane.moved(job, look.signature, conn)
        if not self._needs_run(worker, taken, job, look):
            return
        if unchanged := touched(self._spec, job, cursor, utc_now()):
            self._release(worker)
            self._tell(taken, job, look)
            self._outcomes.submit(taken, look, unchanged)
            return
        with self._in_flight(worker, taken):
            commit = run_whole(
                self._spec,
                conn,
                self._lane.transcripts.root,
                job,
                cursor,
                utc_now(),
                heals=self._lane.failure(taken.key) is not None,
                claim=lambda: self._release(worker),
                odd_result=self._odd_result,
            )
        self._tell(taken, job, look)
        self._outcomes.own_commit(taken, look, commit)

    def _odd_result(self, kind: str) -> None:
        if not self._told_odd:
            self._told_odd = True
            self._events.odd_result(self._spec.name, kind)

    def _needs_run(self, worker: Worker, taken: Taken, job: Job, look: Look) -> bool:
        """Whether the processor has to see this; otherwise the run is ended here."""
        about = About(content_of(self._spec, look), look.signature, begin_of(self._spec, job, look))
        with self._lane.wake:
            worker.about = about
        if not look.changed and not job.moved_from:
            self._release(worker)
            self._outcomes.unchanged(taken, look)
            return False
        retry_at = self._lane.retry_at(taken.key, (about.content, about.begin))
        if retry_at is not None and retry_at > self._lane.clock():
            self._release(worker)
            self._outcomes.refrain(taken, look, retry_at)
            return False
        if look.recheck or not (commit := taken_over(self._spec, self._lane.transcripts, job, look, utc_now())):
            return True
        self._release(worker)
        self._tell(taken, job, look)
        self._outcomes.submit(taken, replace(look, more=False), commit)
        return False

    @contextmanager
    def _in_flight(self, worker: Worker, taken: Taken) -> Iterator[None]:
        """Notes the run; one that may have killed the process before, when nothing else was known, goes alone."""
        assert worker.about is not None
        failure = self._lane.failure(taken.key)
        suspect = failure is not None and failure.signature is None
        with self._lane.wake:
            worker.began = math.inf  # waiting for others is not part of the budget
        note = self._notes.of(self._spec.name, taken.key, worker.about.begin, taken.run)
        with worker.slot.run(note, alone=suspect):
            with self._lane.wake:
                worker.began = self._lane.clock()
            yield

    def _tell(self, taken: Taken, job: Job, look: Look) -> None:
        if look.rewrite:
            self._events.rewritten(self._spec.name, printable(job.key), run=taken.run)
        for old in job.moved_from:
            self._events.moved(self._spec.name, printable(job.key), printable(old), run=taken.run)
