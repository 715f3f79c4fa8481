"""The single writer: groups what lanes hand over, commits it, and folds the logs.

The thread *writer* owns the write connection. It is woken by its queue, which is bounded, so that lanes wait
for it instead of memory filling up. It stops once the queue is empty and :meth:`Writer.close` was called.
If the database cannot be written (disk full), it keeps what it has and tries again; if the database is
invalidated or the thread dies, ``failure`` is set and the service stops, to be started anew.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from daemon.commit import Commit, apply, fold_all
from daemon.errors import ContractError, StoreError, describe, printable
from daemon.events import Events
from daemon.failures import Failure, forget, remember
from daemon.store import transaction
from daemon.tables import ResultTable

QUEUE_RUNS = 64
GROUP_RUNS = 256
LINGER_SECONDS = 0.1
GROUP_ROWS = 4_000
"""A group is closed at this many rows: about 30 ms of writing, so that an append does not wait long."""

FOLD_ENTRIES = 20_000
FOLD_IDLE_SECONDS = 1.0
FOLD_AGE_SECONDS = 60.0
RETRY_SECONDS = (0.5, 30.0)  # first and longest wait while the database cannot be written

Done = Callable[[BaseException | None], None]


@dataclass(frozen=True, slots=True)
class FailureNote:
    """A failed run, to be remembered over a restart; ``failure`` is None if it is to be forgotten."""

    processor: str
    session_key: str
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class _Queued:
    """``done`` is called in the writer's thread: with None once it is durable, or with the error it caused.

    ``urgent``: somebody waits for it; else it is backlog.
    """

    item: Commit | FailureNote
    done: Done
    urgent: bool


class Writer:
    """The writer thread and its queue. ``submit`` may be called from any thread."""

    def __init__(
        self,
        conn: duckdb.DuckDBPyConnection,
        tables: Mapping[str, Mapping[str, ResultTable]],
        events: Events,
        *,
        fold_entries: int = FOLD_ENTRIES,
    ) -> None:
        self._conn = conn
        self._tables = tables
        self._events = events
        self._fold_entries = fold_entries
        self._queue: queue.Queue[_Queued | None] = queue.Queue(QUEUE_RUNS)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._closing = threading.Event()  # set once; also ends the waits of a blocked writer
        self._unfolded = 0  # writer thread only, like the next two
        self._folded_at = time.monotonic()
        self._blocked_since: float | None = None
        self.failure: BaseException | None = None
        self.busy_since: float | None = None
        """When the writer began what it is doing, for the supervisor; None while it waits for work."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(self, item: Commit | FailureNote, done: Done = lambda _error: None, *, urgent: bool = False) -> None:
        """Queue an item, waiting while the queue is full; backlog, if not ``urgent``, may wait for company.

        Raises:
            StoreError: the writer is dead.

        """
        while True:
            if self.failure is not None:
                raise StoreError("the writer has stopped", "see the log")
            try:
                self._queue.put(_Queued(item, done, urgent), timeout=0.5)
            except queue.Full:
                continue
            return

    def log_has_grown(self) -> None:
        """A lane has added an entry to the log through its own connection: fold it sometime."""
        self._queue.put(None)

    def close(self, timeout: float) -> bool:
        """Write what is queued, fold, and end. Returns whether that was done within ``timeout`` seconds."""
        self._closing.set()
        deadline = time.monotonic() + timeout
        while self._thread.is_alive() and time.monotonic() < deadline:
            try:
                self._queue.put(None, timeout=0.1)
            except queue.Full:
                continue
            break
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive() and self.failure is None

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while True:
                items = self._gather()
                self.busy_since = time.monotonic()
                self._write(items)
                self._maybe_fold(idle=not items)
                self.busy_since = None
                if self._closing.is_set() and self._queue.empty():
                    self._fold()
                    return
        except BaseException as error:  # noqa: BLE001  # whatever it is, the service has to learn of it
            self.failure = error
            self._events.part_failed("writer", self._shown(error))

    def _gather(self) -> list[_Queued]:
        """What is queued; backlog waits a moment for more of it, as a commit costs much and a row little."""
        queued: list[_Queued] = []
        size = 0
        wait = FOLD_IDLE_SECONDS if self._unfolded else None
        until = 0.0
        try:
            while len(queued) < GROUP_RUNS and size < GROUP_ROWS:
                entry = self._queue.get(timeout=wait) if wait is None or wait > 0 else self._queue.get_nowait()
                if entry is None:
                    self._unfolded += 1
                    wait = 0.0
                    continue
                until = until or time.monotonic() + LINGER_SECONDS
                wait = 0.0 if entry.urgent or wait == 0.0 else max(0.0, until - time.monotonic())
                queued.append(entry)
                size += entry.item.size if isinstance(entry.item, Commit) else 0
        except queue.Empty:
            pass
        return queued

    def _write(self, queued: Sequence[_Queued]) -> None:
        if commits := [(entry.item, entry.done) for entry in queued if isinstance(entry.item, Commit)]:
            self._commit(commits)
        if notes := [entry.item for entry in queued if isinstance(entry.item, FailureNote)]:
            self._retried(lambda: self._remember(notes))

    def _remember(self, notes: Sequence[FailureNote]) -> None:
        with transaction(self._conn):
            for note in notes:
                forget(self._conn, note.processor, [note.session_key])
            remember(self._conn, [note.failure for note in notes if note.failure is not None])

    def _commit(self, group: Sequence[tuple[Commit, Done]]) -> None:
        started = time.monotonic()
        commits = [commit for commit, _ in group]
        try:
            self._retried(lambda: apply(self._conn, self._tables, commits))
        except (ContractError, duckdb.Error) as error:
            if len(group) == 1:
                group[0][1](error)
                return
            for pair in group:  # one of them is to blame; the others must not suffer for it
                self._commit([pair])
            return
        self._unfolded += len(commits)
        rows = sum(commit.size for commit in commits)
        self._events.committed(len(commits), rows, time.monotonic() - started)
        for _, done in group:
            done(None)

    def _retried(self, work: Callable[[], object]) -> None:
        """Do it, and while the database cannot be written, wait and try again."""
        wait, longest = RETRY_SECONDS
        while True:
            self.busy_since = time.monotonic()  # waiting for space is progress of a kind: a restart would not help
            try:
                work()
            except (duckdb.FatalException, duckdb.InternalException) as error:
                raise StoreError(
                    f"the database became unusable: {self._shown(error)}",
                    "the daemon stops and has to be started again; what is committed is safe",
                ) from error
            except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
                if self._blocked_since is None:
                    self._blocked_since = time.monotonic()
                    self._events.store_blocked(self._shown(error))
                if self._closing.wait(wait):
                    raise
                wait = min(wait * 2, longest)
            else:
                if self._blocked_since is not None:
                    self._events.store_resumed(time.monotonic() - self._blocked_since)
                    self._blocked_since = None
                return

    def _maybe_fold(self, *, idle: bool) -> None:
        if not self._unfolded:
            self._folded_at = time.monotonic()
        elif idle or self._unfolded >= self._fold_entries or time.monotonic() - self._folded_at > FOLD_AGE_SECONDS:
            self._fold()

    def _fold(self) -> None:
        started = time.monotonic()
        try:
            entries = fold_all(self._conn, self._tables)
        except duckdb.TransactionException:
            return  # a processor with a connection of its own was quicker; nothing depends on when it happens
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            if self._blocked_since is None:
                self._events.store_blocked(self._shown(error))
            return
        finally:
            self._folded_at = time.monotonic()
        self._unfolded = 0
        self._events.folded(entries, time.monotonic() - started)

    @staticmethod
    def _shown(error: BaseException) -> str:
        if isinstance(error, duckdb.Error):  # raised by our own statements, which hold no values
            return printable(str(error).partition("\n")[0])
        return describe(error)
