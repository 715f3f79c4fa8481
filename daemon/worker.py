"""The threads of a lane: each takes a session, runs the processor on what is new, and hands over the outcome.

A thread *lane-<processor>-<n>* owns a database connection (to read cursors; whole-session processors write
through it) and a slot for its note of the run in flight. It waits on the lane's condition and ends when the
lane is closed. A thread that dies is replaced by :meth:`Workers.tick`. A run over its budget is abandoned: a
thread cannot be killed, so another one takes its place and whatever it still returns is dropped.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb

from daemon.cursor import utc_now
from daemon.errors import StoreError, printable
from daemon.events import Events
from daemon.inflight import Notes, Slot
from daemon.lane import Lane
from daemon.look import Look
from daemon.outcome import NO_OUTCOME, About, Outcomes
from daemon.pending import Taken
from daemon.run import Job, begin_of, content_of, look_whole, run_incremental, run_whole, taken_over, touched
from daemon.tables import ResultTable

LONG_SECONDS = 1.0
"""A run of backlog usually takes a fraction of this."""

MAX_ABANDONED = 4
"""Threads that may hang in a processor before it is not run any more until the daemon restarts."""


class _AbandonedError(Exception):
    """The run does not count any more."""


class _DiscardedError(Exception):
    """The run is to be done again, because an order has come meanwhile."""


@dataclass(slots=True, eq=False)
class _Worker:
    """One thread, with its slot and connection; everything else is guarded by the lane's condition."""

    slot: Slot
    conn: duckdb.DuckDBPyConnection
    thread: threading.Thread | None = None
    taken: Taken | None = None
    about: About | None = None
    began: float = 0.0
    stale: bool = False


class Workers:
    """The workers of one lane.

    Args:
        lane, outcomes: where runs come from, and where they end.
        events: told what happens to the threads.
        tables: the processor's, by name.
        connect: makes a connection for a thread.
        notes: of the runs in flight.
        count: how many threads; a whole-session processor has one: it writes, and two could be in conflict.

    """

    def __init__(
        self,
        lane: Lane,
        outcomes: Outcomes,
        events: Events,
        tables: Mapping[str, ResultTable],
        connect: Callable[[], duckdb.DuckDBPyConnection],
        notes: Notes,
        count: int,
    ) -> None:
        self._lane = lane
        self._outcomes = outcomes
        self._events = events
        self._spec = lane.spec
        self._tables = tables
        self._connect = connect
        self._notes = notes
        self._count = count if lane.spec.incremental else 1
        self._workers: list[_Worker] = []  # guarded by the lane's condition, like the rest
        self._slots = 0
        self._hanging = 0
        self._told_odd = False  # the one worker's own
        self.processor = lane.spec.name
        self.paused = False

    def start(self) -> None:
        """Start the threads."""
        with self._lane.wake:
            for _ in range(self._count):
                self._add()

    def tick(self) -> None:
        """Abandon runs over their budget and replace dead threads; call this about every second."""
        with self._lane.wake:
            now = self._lane.clock()
            for worker in list(self._workers):
                if worker.thread is not None and not worker.thread.is_alive():
                    self._replace(worker, "its thread died")
                elif worker.taken is not None and now - worker.began > self._spec.budget_seconds:
                    self._hanging += 1
                    key, run = printable(worker.taken.key), worker.taken.run
                    self._events.abandoned(self._spec.name, key, run=run, seconds=now - worker.began)
                    self._replace(worker, "it took longer than its budget")
            self._lane.wake.notify()  # a run may take long by now

    def close(self, timeout: float) -> bool:
        """Take nothing new and wait for what runs. Returns whether all of it ended in time."""
        deadline = time.monotonic() + timeout
        with self._lane.wake:
            self._lane.closed = True
            self._lane.wake.notify_all()
            workers = list(self._workers)
        for worker in workers:
            if worker.thread is not None:
                worker.thread.join(max(0.0, deadline - time.monotonic()))
        with self._lane.wake:
            for worker in workers:
                worker.stale = worker.taken is not None
            return not self._hanging and not any(worker.stale for worker in workers)

    def _add(self) -> None:
        self._slots += 1
        # The connection is made here, before the thread runs: so the first ones are made before any is in use.
        worker = _Worker(self._notes.slot(self._spec.name, self._slots), self._connect())
        name = f"lane-{self._spec.name}-{self._slots}"
        worker.thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
        self._workers.append(worker)
        worker.thread.start()

    def _replace(self, worker: _Worker, reason: str) -> None:
        self._workers.remove(worker)
        worker.stale = True
        worker.slot.give_up()
        if worker.taken is not None:
            # Handing over the failure may have to wait for the writer; the caller may not.
            args = (worker.taken, worker.about, reason)
            threading.Thread(target=self._outcomes.fail, args=args, name="abandon", daemon=True).start()
        if self._hanging >= MAX_ABANDONED:
            self.paused = True
            self._events.lane_paused(self._spec.name, f"{self._hanging} of its runs hang")
        elif not self._lane.closed:
            self._add()

    def _work(self, worker: _Worker) -> None:
        try:
            with worker.conn as conn:
                while (taken := self._take(worker)) is not None:
                    try:
                        self._run(worker, taken, conn)
                    except (_AbandonedError, StoreError):
                        break  # its run was given up; or the writer has stopped, and the service knows
        finally:
            worker.slot.close()
            with self._lane.wake:
                if worker.stale and worker.taken is not None:
                    self._hanging -= 1
                    if self.paused and not self._lane.closed:  # what hung has come back: go on
                        self.paused = False
                        while len(self._workers) < self._count:  # more than one may be missing by now
                            self._add()
                        self._lane.wake.notify_all()

    def _take(self, worker: _Worker) -> Taken | None:
        with self._lane.wake:
            while not (self._lane.closed or worker.stale):
                if self.paused:
                    self._lane.wake.wait()
                    continue
                taken = self._lane.take(backlog=self._takes_backlog())
                if taken is not None:
                    worker.taken, worker.about, worker.began = taken, None, self._lane.clock()
                    if self._lane.next_due(backlog=self._takes_backlog()) == 0.0:
                        self._lane.wake.notify()  # there is work for another worker
                    return taken
                self._lane.wake.wait(self._lane.next_due(backlog=self._takes_backlog()))
            return None

    def _takes_backlog(self) -> bool:
        """Whether one more worker may be on backlog: one is kept free for live changes, if there are several.

        That is also quicker: two threads that decode lines take turns at the interpreter more than they work. Those
        that take long, as they wait for something or hang, do not count.
        """
        began = self._lane.clock() - LONG_SECONDS
        taken = [worker.taken for worker in self._workers if worker.began > began]
        return sum(run is not None and run.backlog for run in taken) < max(1, self._count - 1)

    def _release(self, worker: _Worker) -> None:
        """The run has its outcome: from here on it cannot be abandoned."""
        with self._lane.wake:
            if worker.stale:
                raise _AbandonedError
            if worker.taken is None:
                return  # it was handed over, and failed after that
            counts = self._lane.hand_over(worker.taken.key)
            worker.taken = None
        if not counts:
            raise _DiscardedError

    def _run(self, worker: _Worker, taken: Taken, conn: duckdb.DuckDBPyConnection) -> None:
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
        except _DiscardedError:
            self._lane.done(taken.key, None, busy=self._lane.clock())

    def _run_incremental(self, worker: _Worker, taken: Taken, job: Job, conn: duckdb.DuckDBPyConnection) -> None:
        look = self._lane.transcripts.look(taken.key, job.valid(self._spec.version))
        job = self._lane.moved(job, look.signature, conn)
        if self._needs_run(worker, taken, job, look):
            with self._in_flight(worker, taken):
                commit = run_incremental(self._spec, self._tables, job, look, utc_now())
            self._release(worker)
            self._tell(taken, job, look)
            self._outcomes.submit(taken, look, commit)

    def _run_whole(self, worker: _Worker, taken: Taken, job: Job, conn: duckdb.DuckDBPyConnection) -> None:
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

    def _needs_run(self, worker: _Worker, taken: Taken, job: Job, look: Look) -> bool:
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
    def _in_flight(self, worker: _Worker, taken: Taken) -> Iterator[None]:
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
