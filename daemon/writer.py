"""The single writer: groups what lanes hand over, commits it, and folds the logs.

The thread *writer* owns the write connection. It is woken by its two queues: urgent runs go before backlog. Both
are bounded, so that lanes wait for it instead of memory filling up. It stops once they are empty and
:meth:`Writer.close` was called.
If the database cannot be written (disk full), it keeps what it has and tries again; if the database is
invalidated or the thread dies, ``failure`` is set and the service stops, to be started anew.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import duckdb

from daemon.commit import Commit, apply
from daemon.errors import StoreError, UnavailableError
from daemon.events import Events
from daemon.failures import forget, remember
from daemon.folding import IDLE_SECONDS, Folding
from daemon.persistence import Persistence, final, shown
from daemon.positions import CARRY_BYTES
from daemon.queued import Done, FailureNote, Order, Queued
from daemon.room import Room
from daemon.store import transaction
from daemon.tables import ResultTable

MOST_BYTES = 128 << 20
"""Of sessions read by the runs that wait to be written, or of rows made of them. Whoever hands over more waits, so
that memory does not fill up. Backlog's share is bounded by number already (see daemon.lane)."""

GROUP_RUNS, GROUP_ROWS = 64, 4_000
"""A group of backlog is closed at so many: a commit costs much and a row little. Lanes have more runs than that under
way (see daemon.lane), so that the next group fills while one is written."""

BUSY_RUNS, BUSY_ROWS = 32, 600
"""The same while live changes arrive: about 15 ms of writing, which one of them may have to wait for."""

CARRIES_COUNT = 4
"""Times what they count as in a fold: some 25 MB of them are folded, however few entries there are."""

BUSY_SECONDS = 1.0  # so long after an urgent run
LINGER_SECONDS = 0.1  # backlog waits so long for more of it

T = TypeVar("T")


class Writer:
    """The writer thread and its queue. ``submit`` may be called from any thread."""

    def __init__(
        self,
        conn: duckdb.DuckDBPyConnection,
        tables: Mapping[str, Mapping[str, ResultTable]],
        events: Events,
    ) -> None:
        self._conn = conn
        self._tables = tables
        self._events = events
        self._folding = Folding(conn, tables, events)
        self._room = Room(conn)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._closing = threading.Event()  # set once; also ends the waits of a blocked writer
        self.persistence = Persistence(events, self._closing)
        self._fold_until = 0.0  # set before it
        self._wake = threading.Condition()  # guards the next four
        self._urgent: deque[Queued] = deque()
        self._backlog: deque[Queued] = deque()
        self._queued_bytes = 0
        self.waiting = 0  # threads that wait for room
        # The writer's own:
        self._urgent_at = -BUSY_SECONDS
        self._put_off = False  # the last group left backlog waiting
        self.failure: BaseException | None = None
        self.changes: Counter[str] = Counter()
        """How often rows of a processor have changed; may be read by any thread."""
        self.groups = 0
        """How many with runs have been written; may be read by any thread."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(
        self, item: Commit | FailureNote | Order, done: Done = lambda _error: None, *, urgent: bool = False
    ) -> None:
        """Queue an item; backlog, if not ``urgent``, may wait for company. Waits while too much is queued.

        Raises:
            StoreError: the writer is dead.

        """
        queued = Queued(item, done)
        with self._wake:
            mine = threading.current_thread() is self._thread  # which cannot wait for itself
            while 0 < self._queued_bytes > MOST_BYTES - queued.bytes and not (mine or self.failure):
                self.waiting += 1
                self._wake.wait()
                self.waiting -= 1
            if self.failure is not None:
                raise StoreError("the writer has stopped", "see the log")
            (self._urgent if urgent else self._backlog).append(queued)
            self._queued_bytes += queued.bytes
            self._wake.notify_all()

    def offer(self, order: Order) -> bool:
        """Queue what need not be done at all, if there is room for it now; returns whether there was."""
        with self._wake:
            if self.failure is not None or self._queued_bytes > MOST_BYTES // 2:
                return False
            self.submit(order, urgent=True)
            return True

    def check(self) -> None:
        """Raises UnavailableError if the database cannot be written: who gives an order need not wait for that."""
        if self.persistence.blocked_since is not None:
            raise UnavailableError("the database cannot be written now", "is the disk full? see its log")

    def carry_out(self, work: Callable[[duckdb.DuckDBPyConnection], T], timeout: float) -> T:
        """Have something else written, in a transaction of its own; returns what ``work`` does, once it is durable.

        Not for the writer's own thread.

        Raises:
            UnavailableError: it was not begun in time, and will not be; or not ended, and may be later.
            duckdb.Error: it cannot be.

        """
        self.check()
        done: Future[T] = Future()

        def write(conn: duckdb.DuckDBPyConnection) -> None:
            if done.running() or done.set_running_or_notify_cancel():
                answers[:] = [work(conn)]

        def written(error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(answers[0])
            else:
                done.set_exception(error)

        answers: list[T] = []
        self.submit(Order(write), written, urgent=True)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.sound():
            with suppress(TimeoutError):
                return done.result(min(0.5, timeout))
        done.cancel()
        raise UnavailableError("the database cannot be written now", "see sessiond status, and the log")

    def log_has_grown(self) -> None:
        """A lane has added an entry to the log through its own connection: fold it sometime."""
        self._folding.add(1)
        with self._wake:
            self._wake.notify_all()

    def close(self, timeout: float) -> bool:
        """Write what is queued, fold what half the time allows, and end; returns whether that was done in time."""
        self._fold_until = time.monotonic() + timeout / 2
        self._closing.set()
        with self._wake:
            self._wake.notify_all()
        if self._thread.ident is None:
            return True  # it was never started
        self._thread.join(timeout)
        return not self._thread.is_alive() and self.failure is None

    def give_up(self, error: BaseException) -> None:
        """Nothing can be written any more, or nothing read; may be called by any thread."""
        error = final(error) or error
        with self._wake:
            first = self.failure is None
            self.failure = self.failure or error
            self._wake.notify_all()
        if first:
            self._events.part_failed("writer", shown(error))

    def sound(self) -> bool:
        """Whether the thread runs, and can write."""
        return self.failure is None and self._thread.is_alive()

    def _run(self) -> None:
        try:
            while True:
                queued = self._gather()
                self.persistence.busy_since = time.monotonic()
                self._room.look()
                self._write(queued)
                self.groups += any(isinstance(entry.item, Commit) for entry in queued)
                self._folding.step(idle=not queued)
                self.persistence.busy_since = None
                if self._closing.is_set() and not (self._urgent or self._backlog):
                    self._folding.until(self._fold_until)
                    return
        except BaseException as error:  # noqa: BLE001  # whatever it is, the service has to learn of it
            self.give_up(error)

    def _gather(self) -> list[Queued]:
        """The next group: urgent runs first, backlog at least every other time; nothing if it is time to fold."""
        with self._wake:
            while not (self._urgent or self._backlog or self._closing.is_set()):
                if self._folding.under_way:
                    return []
                if not self._wake.wait(IDLE_SECONDS if self._folding.waiting else None) and self._folding.waiting:
                    return []
            now = time.monotonic()
            if self._urgent:
                self._urgent_at = now
            busy = now - self._urgent_at < BUSY_SECONDS
            if not busy and not self._closing.is_set():
                self._wake.wait_for(lambda: self._urgent or len(self._backlog) >= GROUP_RUNS, LINGER_SECONDS)
            runs, rows = (BUSY_RUNS, BUSY_ROWS) if busy else (GROUP_RUNS, GROUP_ROWS)
            group = _take(self._urgent, GROUP_RUNS, GROUP_ROWS)
            self._put_off = bool(group) and not self._put_off
            if not self._put_off:
                group += _take(self._backlog, runs, rows)
            self._queued_bytes -= sum(entry.bytes for entry in group)
            self._wake.notify_all()  # there is room again
            return group

    def _write(self, queued: Sequence[Queued]) -> None:
        if commits := [(entry.item, entry.done) for entry in queued if isinstance(entry.item, Commit)]:
            self._commit(commits)
        if notes := [(entry.item, entry.done) for entry in queued if isinstance(entry.item, FailureNote)]:
            try:
                self.persistence.do(lambda: self._remember([note for note, _ in notes]))
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001  # it is remembered in memory; the next restart may not know
                self._events.note_failed(shown(error))
            for _, done in notes:
                done(None)
        for entry in queued:
            if isinstance(entry.item, Order):
                self._carry_out(entry.item, entry.done)

    def _carry_out(self, order: Order, done: Done) -> None:
        def write() -> None:
            with transaction(self._conn):
                order.work(self._conn)

        try:
            self.persistence.do(write)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  # it is for whoever gave the order
            done(error)
        else:
            done(None)

    def _remember(self, notes: Sequence[FailureNote]) -> None:
        with transaction(self._conn):
            for processor in {note.processor for note in notes}:
                keys = [note.session_key for note in notes if note.processor == processor and note.failure is None]
                forget(self._conn, processor, keys)
            remember(self._conn, [note.failure for note in notes if note.failure is not None])

    def _commit(self, group: Sequence[tuple[Commit, Done]]) -> None:
        started = time.monotonic()
        commits = [commit for commit, _ in group]
        try:
            self.persistence.do(lambda: apply(self._conn, self._tables, commits))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a row may cause, it must not stop the writer
            if len(group) == 1:
                group[0][1](error)
                return
            for pair in group:  # one of them is to blame; the others must not suffer for it
                self._commit([pair])
            return
        rows = sum(commit.size for commit in commits)
        self.changes.update(commit.entry.processor_name for commit in commits if commit.changes_rows)
        carries = sum(len(commit.entry.cursor.carry or b"") // CARRY_BYTES for commit in commits)
        self._folding.add(len(commits) + CARRIES_COUNT * carries, rows)
        self._events.committed(len(commits), rows, time.monotonic() - started)
        for _, done in group:
            done(None)


def _take(queue: deque[Queued], runs: int, rows: int) -> list[Queued]:
    """Entries from the left of the queue, until there are so many runs or rows."""
    group: list[Queued] = []
    size = 0
    while queue and len(group) < runs and size < rows:
        entry = queue.popleft()
        group.append(entry)
        size += entry.item.size if isinstance(entry.item, Commit) else 0
    return group
