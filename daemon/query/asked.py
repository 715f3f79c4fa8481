"""One question, and the thread that ends those that cost too much.

The thread *query-watch* owns nothing but its connection. While questions are being answered it looks at them some
fifty times a second; otherwise it waits for the next one. If it dies, :meth:`Watch.has_died` says so, and no further
question is begun.
"""

import os
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from daemon.config import Settings, bytes_of
from daemon.errors import CancelledError, LimitError, QueryError
from daemon.store import scalar

WATCH_SECONDS = 0.02
STUCK_SECONDS = 10.0
"""After an interruption, a query ends in milliseconds; one that does not is in a part of DuckDB that cannot hear."""

HEADROOM = 4
"""Times what a query may use is what all of them may ask for, between two looks of the watch."""

KEPT_SHARE = 0.8
"""Of the database's memory; a commit that lacks memory ends the queries anyway."""

OWN_BYTES = 256 << 20
"""What the daemon's own work may ask for meanwhile."""

_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")
_TRACKED = """
    SELECT coalesce(sum(memory_usage_bytes), 0), coalesce(sum(memory_usage_bytes) FILTER (tag <> 'BASE_TABLE'), 0)
    FROM duckdb_memory()"""


@dataclass(eq=False)
class Asked:
    """A question and its answer. ``end`` may be called from any thread; the first reason counts."""

    seconds: float | None
    result: Future[Any] = field(default_factory=Future)
    began: float = 0.0
    reason: QueryError | None = None  # why it is to end
    ended: float = 0.0

    def end(self, reason: QueryError | None = None) -> None:
        """Have it end, with the reason that whoever asked is told; without one, nobody waits for it any more."""
        if self.reason is None:
            self.ended = time.monotonic()
            self.reason = reason or CancelledError("the query was cancelled")
        self.result.cancel()  # if it has not begun

    def check(self) -> None:
        """Raises the reason why it is to end, if there is one."""
        if self.reason is not None:
            raise self.reason


class Watch:
    """Ends questions that take too long or too much memory. Its methods may be called from any thread."""

    def __init__(self, conn: duckdb.DuckDBPyConnection, settings: Settings) -> None:
        self._conn = conn
        self._settings = settings
        self._most_own = bytes_of(settings.query_memory)
        self._changed = threading.Condition()  # guards the next four
        self._running: dict[Asked, duckdb.DuckDBPyConnection] = {}  # oldest first
        self._untracked = 0  # memory of the process besides DuckDB's, when the first of these began
        self._rebase = False  # one was ended: what is used now without it is not the others' doing
        self._usual_limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="query-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def has_died(self) -> bool:
        """Whether the thread has ended although it was not told to."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._closed

    @contextmanager
    def over(self, asked: Asked, conn: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Inside, what runs on ``conn`` is answering ``asked``, and is watched."""
        with self._changed:
            asked.began = time.monotonic()
            if not self._running:
                self._untracked = _resident() - scalar(conn, f"SELECT * FROM ({_TRACKED})")
                self._limit_memory()
            self._running[asked] = conn
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                del self._running[asked]
                self._rebase = asked.reason is not None
                if not self._running:
                    _set_limit(self._usual_limit)
                self._changed.notify_all()

    def end_all(self, reason: QueryError, seconds: float) -> bool:
        """End what runs; returns whether there was anything, and it has ended in time."""
        with self._changed:
            running = set(self._running)
            for asked in running:
                asked.end(reason)
            self._changed.notify_all()
            return bool(running) and self._changed.wait_for(lambda: not running & set(self._running), seconds)

    def running(self) -> int:
        """How many questions are being answered."""
        return len(self._running)

    def stuck(self) -> int:
        """How many do not end although they were told to."""
        now = time.monotonic()
        with self._changed:
            return sum(1 for each in self._running if each.reason and now - each.ended > STUCK_SECONDS)

    def close(self, timeout: float) -> None:
        """Watch no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.ident is not None:  # it was started
            self._thread.join(timeout)
        if not self._thread.is_alive():
            self._conn.close()

    def _limit_memory(self) -> None:
        """The process gets only so much more while it answers.

        One call of a function can ask for gigabytes, which nobody would notice before it has them. So it is refused
        them: DuckDB makes an error of the query of that. A commit that is refused is made again without the queries.
        """
        most = bytes_of(self._settings.memory_limit) + HEADROOM * self._most_own + OWN_BYTES
        wanted = _data() + most
        usual = self._usual_limit
        _set_limit(wanted if usual == resource.RLIM_INFINITY else min(wanted, usual))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._running or self._closed)
                if self._closed and not self._running:
                    return
                self._changed.wait(WATCH_SECONDS)
                # Not an export, whose memory is bounded by the pieces that it is made in.
                oldest = next((asked for asked in self._running if asked.seconds is not None), None)
            if oldest is not None and (reason := self._too_much()):
                oldest.end(reason)
            with self._changed:
                for asked, conn in self._running.items():
                    if asked.seconds is not None and time.monotonic() - asked.began > asked.seconds:
                        asked.end(_too_slow(asked.seconds))
                    if asked.reason is not None:
                        # Again and again: it is not heard between two statements.
                        conn.interrupt()

    def _too_much(self) -> LimitError | None:
        """Whether the questions under way use more memory than they may.

        DuckDB bounds what it keeps between the steps of a query, but not the values that functions make, nor lists.
        """
        try:
            tracked, kept = self._conn.execute(_TRACKED).fetchall()[0]
        except duckdb.Error:  # not even for that
            return too_large("the queries under way leave the database no memory", "memory_limit")
        if kept > KEPT_SHARE * bytes_of(self._settings.memory_limit):
            return too_large("the queries under way keep most of the database's memory", "memory_limit")
        untracked = _resident() - tracked
        with self._changed:
            if self._rebase:
                self._rebase, self._untracked = False, max(self._untracked, untracked)
            more = untracked - self._untracked
        if more > HEADROOM * self._most_own:  # part of it may be the daemon's own
            return too_large(f"the query needs much more memory than {self._settings.query_memory}", "query_memory")
        return None


def too_large(what: str, limit: str) -> LimitError:
    """What a question that is too large is answered."""
    return LimitError(what, limit, f"make it smaller: filter, aggregate, LIMIT; or raise the setting {limit}")


def _too_slow(seconds: float) -> LimitError:
    return LimitError(
        f"the query took longer than {seconds:g} s",
        "query_seconds",
        "make it smaller, or raise the setting query_seconds",
    )


def _resident() -> int:
    """Bytes of memory that the process uses."""
    return int(_STATM.read_text(encoding="ascii").split()[1]) * _PAGE


def _data() -> int:
    """Bytes of memory that the process has asked for, as RLIMIT_DATA counts them."""
    return int(_STATM.read_text(encoding="ascii").split()[5]) * _PAGE


def _set_limit(soft: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.getrlimit(resource.RLIMIT_DATA)[1]))
