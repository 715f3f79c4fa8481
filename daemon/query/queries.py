"""Runs questions beside the daemon's work, so that they cannot hold it up.

A few threads *query-n* each own a connection. They are woken by a queue of what is asked, run it at the
lowest priority of the scheduler, in a transaction that cannot write, and stop when :meth:`Queries.close` is called.
One that dies is replaced with the next question; one that hangs in a query that does not hear of its end keeps its
place.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from daemon.config import Settings
from daemon.errors import BusyError, CancelledError, QueryError, SessiondError, UnavailableError, describe
from daemon.query.allowed import check
from daemon.query.asked import Asked, Watch, too_large
from daemon.store import out_of_memory

NICE = 19
MOST_WAITING = 200
MOST_REPLACED = 4
"""Threads whose queries do not end, and that others take the place of; the daemon's health tells of them."""

BATCH_ROWS = 8_192
_BEGIN = "BEGIN TRANSACTION READ ONLY"
TEXT_FACTOR = 4
"""As text, a result may be so much larger."""

Connect = Callable[[], duckdb.DuckDBPyConnection]


@dataclass(frozen=True, slots=True)
class Reader:
    """What work that is asked gets: a connection inside a transaction that cannot write."""

    conn: duckdb.DuckDBPyConnection
    asked: Asked
    _results: list[pa.RecordBatchReader] = field(default_factory=list)

    def stream(self, statement: Any, parameters: Sequence[object] = ()) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """The result of a statement: its columns, and its rows piece by piece."""
        values = list(parameters)
        try:
            found = self.conn.sql(statement, params=values).to_arrow_reader(BATCH_ROWS)
        except duckdb.ProgrammingError:
            with suppress(duckdb.TransactionException):  # it may have ended the transaction
                self.conn.execute(statement, values)  # fails the same way, and also says where
            raise
        self._results.append(found)
        return found.schema, self._checked(found)

    def _checked(self, batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.asked.check()
            yield batch

    def close(self) -> None:
        """Give up results that were not read to their end: they would be in the way of what follows."""
        for result in self._results:
            result.close()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """The result of a statement of our own, as dicts."""
        found = self.conn.execute(sql, list(parameters))
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


Work = Callable[[Reader], Any]
Shape = Callable[[pa.Table], Iterable[bytes]]


class Queries:
    """What is asked of one database, a few at a time. ``ask`` and ``submit`` may be called from any thread.

    Args:
        connect: makes a connection for a thread.
        settings: their number, and what they may use.

    """

    def __init__(self, connect: Connect, settings: Settings) -> None:
        self._connect = connect
        self._settings = settings
        self._wake = threading.Condition()  # guards the next three
        self._waiting: deque[tuple[Asked, Work]] = deque()
        self._closed = False
        self._threads: list[threading.Thread] = []
        self.watch = Watch(connect(), settings)
        self.asked = 0
        """How many questions there were; may be read by any thread."""

    def start(self) -> None:
        """Begin to answer."""
        self.watch.start()
        self._fill()

    def ask(self, sql: str, parameters: Sequence[object] = (), shape: Shape | None = None) -> Asked:
        """Have a query answered; its ``result`` is a :class:`pyarrow.Table`, or a list of what ``shape`` makes of it.

        The result raises:
            QueryError: it is no SQL, or not allowed, or it failed.
            LimitError: it takes too long or too much memory, or its result is too large.
            CancelledError: it was ended.

        """
        return self.read(lambda reader: self._answer(reader, sql, parameters, shape))

    def read(self, work: Work) -> Asked:
        """Have something done with a reader, within the time that a query has."""
        return self.submit(work, self._settings.query_seconds)

    def submit(self, work: Work, seconds: float | None) -> Asked:
        """Have something done with a reader, in ``seconds`` at most; its ``result`` is what ``work`` returns.

        Raises:
            BusyError: too many wait already.
            CancelledError: it is closed.
            UnavailableError: nobody would watch over it.

        """
        if self.watch.has_died():
            raise UnavailableError("nobody watches over queries any more", "restart the daemon")
        asked = Asked(seconds)
        with self._wake:
            if self._closed:
                raise CancelledError("the daemon stops")
            if len(self._waiting) >= MOST_WAITING:  # some may be of clients that have gone
                self._waiting = deque(each for each in self._waiting if not each[0].result.done())
            if len(self._waiting) >= MOST_WAITING:
                raise BusyError(f"{MOST_WAITING} queries wait already", "ask again later")
            self._waiting.append((asked, work))
            self.asked += 1
            self._wake.notify()
        self._fill()
        return asked

    def tick(self) -> None:
        """Replace threads whose queries do not end; call this about every second."""
        with suppress(duckdb.Error):  # there is a next time
            self._fill()

    def relieve(self) -> bool:
        """Give back the memory of what runs, for a commit that needs it; returns whether that made a difference."""
        return self.watch.end_all(too_large("the daemon needed the memory for its own work", "memory_limit"), 5.0)

    def close(self, timeout: float) -> bool:
        """End what runs, and wait for it; returns whether all of it has ended."""
        deadline = time.monotonic() + timeout
        with self._wake:
            self._closed = True
            threads, waiting = list(self._threads), list(self._waiting)
            self._waiting.clear()
            self._wake.notify_all()
        for asked, _ in waiting:
            asked.end()
        self.watch.end_all(CancelledError("the daemon stops"), timeout)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.watch.close(max(0.1, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads) and not self.watch.is_alive()

    def _fill(self) -> None:
        with self._wake:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            while len(self._threads) < self._wanted() and not self._closed:
                name = f"query-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._run, args=(self._connect(),), name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _wanted(self) -> int:
        """How many threads there are to be: those that do not end although they were told to are replaced."""
        return self._settings.queries + min(self.watch.stuck(), MOST_REPLACED)

    def _run(self, connection: duckdb.DuckDBPyConnection) -> None:
        with suppress(OSError):  # where that is not allowed, it is as important as the others
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        with connection as conn:
            conn.execute(f"SET operator_memory_limit = '{self._settings.query_memory}'")
            while (waiting := self._next()) is not None:
                asked, work = waiting
                if asked.result.set_running_or_notify_cancel():
                    self._do(Reader(conn, asked), work)

    def _next(self) -> tuple[Asked, Work] | None:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._closed)
            if len(self._threads) > self._wanted() and not self._closed:  # what was stuck has come back
                self._threads.remove(threading.current_thread())
                self._wake.notify()
                return None
            return self._waiting.popleft() if self._waiting else None

    def _do(self, reader: Reader, work: Work) -> None:
        asked = reader.asked
        try:
            # In this order, so that nothing is interrupted any more when the transaction is ended.
            with _reading(reader.conn), self.watch.over(asked, reader.conn):
                asked.check()
                try:
                    answer = work(reader)
                finally:
                    reader.close()
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is for whoever asked
            asked.result.set_exception(self._explained(error, asked))
        else:
            asked.result.set_result(answer)

    def _answer(self, reader: Reader, sql: str, parameters: Sequence[object], shape: Shape | None) -> Any:
        statement = check(sql, reader.conn)
        rows = size = 0
        batches = []
        schema, found = reader.stream(statement, parameters)
        for batch in found:
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows > self._settings.query_rows:
                raise too_large(f"the result has more than {self._settings.query_rows:,} rows", "query_rows")
            if size > self._settings.query_bytes:
                raise too_large(f"the result has more than {self._settings.query_bytes:,} bytes", "query_bytes")
            batches.append(batch)
        table = pa.Table.from_batches(batches, schema)
        return table if shape is None else list(self._bounded(reader, shape(table)))

    def _bounded(self, reader: Reader, pieces: Iterable[bytes]) -> Iterator[bytes]:
        size = 0
        for piece in pieces:
            reader.asked.check()
            size += len(piece)
            if size > TEXT_FACTOR * self._settings.query_bytes:
                raise too_large("the result is too long as text", "query_bytes")
            yield piece

    def _explained(self, error: BaseException, asked: Asked) -> BaseException:
        if asked.reason is not None:
            return asked.reason
        if isinstance(error, OSError | pa.ArrowException):  # DuckDB's, on its way through Arrow
            error = duckdb.Error(str(error))
        if out_of_memory(error):
            return too_large(f"the query needs more memory than {self._settings.query_memory}", "query_memory")
        if isinstance(error, MemoryError):
            return too_large("the query needs more memory than there is", "query_memory")
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            return QueryError("the database failed in this query", "see the log of the daemon")
        if isinstance(error, duckdb.Error):
            return QueryError(str(error))
        return error if isinstance(error, SessiondError) else QueryError(f"the query failed: {describe(error)}")


@contextmanager
def _reading(conn: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """A transaction that sees one state of the database, and cannot write."""
    try:
        conn.execute(_BEGIN)
    except duckdb.Error:  # an interruption has left the last one open
        conn.rollback()
        conn.execute(_BEGIN)
    try:
        yield
    finally:
        for _ in range(2):  # an interruption that came too late for the query may meet the first one
            with suppress(duckdb.Error):  # an error may have ended it already
                conn.rollback()
