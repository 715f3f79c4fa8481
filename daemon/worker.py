"""The threads of a lane: each takes a session, runs the processor on what is new, and hands over the outcome.

A thread *lane-<processor>-<n>* owns a database connection (to read cursors; whole-session processors write
through it), a slot for its note of the run in flight, and the host in which the processor runs: the thread itself,
or a process. It waits on the lane's condition and ends when the lane is closed. A thread that dies is replaced by
:meth:`Workers.tick`. A run over its budget is abandoned: a thread cannot be killed, so another one takes its place
and whatever it still returns is dropped. A process can, and its thread goes on.
"""

import threading
import time
from collections.abc import Callable, Sequence

import duckdb

from daemon.attempt import AbandonedError, Attempts, Worker
from daemon.errors import OVER_BUDGET, NotStartedError, StoreError, printable
from daemon.events import Events
from daemon.inflight import Notes
from daemon.isolated import Host
from daemon.lane import Lane
from daemon.outcome import Outcomes
from daemon.pending import Taken

LONG_SECONDS = 1.0
"""A run of backlog usually takes a fraction of this."""

MAX_ABANDONED = 4
"""Threads that may hang in a processor before it is not run any more until the daemon restarts."""

KILL_SECONDS = 15.0
"""Beyond its budget, until a run is abandoned although its process was to be killed."""

END_SECONDS = 1.0
"""What threads get to end once their processes were killed."""


def _join(workers: Sequence[Worker], deadline: float) -> None:
    for worker in workers:
        if worker.thread is not None:
            worker.thread.join(max(0.0, deadline - time.monotonic()))


class Workers:
    """The workers of one lane.

    Args:
        lane, outcomes: where runs come from, and where they end.
        events: told what happens to the threads.
        host: makes what the processor runs in, for a thread.
        connect: makes a connection for a thread.
        notes: of the runs in flight.
        count: how many threads; a whole-session processor has one: it writes, and two could be in conflict.

    """

    def __init__(
        self,
        lane: Lane,
        outcomes: Outcomes,
        events: Events,
        host: Callable[[], Host],
        connect: Callable[[], duckdb.DuckDBPyConnection],
        notes: Notes,
        count: int,
    ) -> None:
        self._lane = lane
        self._outcomes = outcomes
        self._attempts = Attempts(lane, outcomes, events, notes)
        self._events = events
        self._spec = lane.spec
        self._host = host
        self._grace = KILL_SECONDS if self._spec.isolation == "process" else 0.0
        self._connect = connect
        self._notes = notes
        self._count = count if lane.spec.incremental else 1
        self._workers: list[Worker] = []  # guarded by the lane's condition, like the rest
        self._slots = 0
        self.hanging = 0
        self.trouble = ""
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
                elif worker.taken is not None and now - worker.began > self._spec.budget_seconds + self._grace:
                    self.hanging += 1
                    worker.hangs = True
                    key, run = printable(worker.taken.key), worker.taken.run
                    self._events.abandoned(self._spec.name, key, run=run, seconds=now - worker.began)
                    self._replace(worker, OVER_BUDGET)
            self._lane.wake.notify()  # a run may take long by now

    def close(self, timeout: float) -> bool:
        """Take nothing new and wait for what runs. Returns whether all of it ended in time."""
        deadline = time.monotonic() + timeout
        with self._lane.wake:
            self._lane.closed = True
            self._lane.wake.notify_all()
            workers = list(self._workers)
        _join(workers, deadline)
        with self._lane.wake:
            for worker in workers:
                worker.stale = worker.taken is not None
        if self._spec.isolation == "process":
            for worker in workers:
                worker.host.kill()
            _join(workers, time.monotonic() + END_SECONDS)
        with self._lane.wake:
            return not self.hanging and not any(worker.stale and worker.is_alive() for worker in workers)

    def _add(self) -> None:
        self._slots += 1
        # The connection is made here, before the thread runs: so the first ones are made before any is in use.
        worker = Worker(self._notes.slot(self._spec.name, self._slots), self._host(), self._connect())
        name = f"lane-{self._spec.name}-{self._slots}"
        worker.thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
        self._workers.append(worker)
        worker.thread.start()

    def _replace(self, worker: Worker, reason: str) -> None:
        self._workers.remove(worker)
        worker.stale = True
        worker.slot.give_up()
        worker.host.kill()
        if worker.taken is not None:
            # Handing over the failure may have to wait for the writer; the caller may not.
            args = (worker.taken, worker.about, reason)
            threading.Thread(target=self._outcomes.fail, args=args, name="abandon", daemon=True).start()
        if self.hanging >= MAX_ABANDONED:
            self.paused = True
            self._events.lane_paused(self._spec.name, f"{self.hanging} of its runs hang: restart the daemon")
        elif not self._lane.closed:
            self._add()

    def _work(self, worker: Worker) -> None:
        try:
            with worker.conn as conn:
                while self._ready(worker) and (taken := self._take(worker)) is not None:
                    try:
                        self._attempts.make(worker, taken, conn)
                    except (AbandonedError, StoreError):
                        break  # its run was given up; or the writer has stopped, and the service knows
        finally:
            worker.host.close()
            worker.slot.close()
            with self._lane.wake:
                if worker.hangs:
                    self.hanging -= 1
                    if self.paused and not self._lane.closed:  # what hung has come back: go on
                        self.paused = False
                        while len(self._workers) < self._count:  # more than one may be missing by now
                            self._add()
                        self._lane.wake.notify_all()

    def _ready(self, worker: Worker) -> bool:
        """Whether there may be another run. What the processor runs in is started before it is needed."""
        try:
            worker.host.start()
            trouble = ""
        except NotStartedError as error:
            trouble = str(error)
        with self._lane.wake:
            if self._lane.closed or worker.stale:
                return False
            news, self.trouble = trouble if not self.trouble else "", trouble
        if news:
            self._events.processor_unusable(f"{self._spec.name}: {news}")
        return True

    def _take(self, worker: Worker) -> Taken | None:
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
