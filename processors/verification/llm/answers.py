"""Answers that were paid for, and the tokens of the day: one SQLite file, for all threads and processes.

What is asked again after a crash, a rewrite or a retry is answered from here. Before a request, the most that it
can cost is held back from the day's tokens; after it, what it did cost is taken instead. So the limit holds whoever
asks at the same time, and a process that dies in between leaves what it held back spent: it may have been.

Where the file cannot be used, nothing is asked: what cannot be kept would be paid for again and again, and nobody
would know how much was spent. Nothing is lost by that, as the sessions wait.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from processors.contract import PauseError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS answers_at ON answers (at);
CREATE TABLE IF NOT EXISTS days (day TEXT PRIMARY KEY, tokens INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS held (id INTEGER PRIMARY KEY AUTOINCREMENT, day TEXT NOT NULL, tokens INTEGER NOT NULL,
    at REAL NOT NULL);
"""
DAY = 86_400
_UNDER_WAY = 900.0  # seconds after which what is held back is taken for that of a process that died
_SOON = 30.0
_LATER = 600.0
_PRUNE_EVERY = 200  # answers
_KEEP_DAYS = 60  # of the tokens, to look at


class Answers:
    """The file.

    Args:
        path: of the file; its folder is made if it is not there, readable by nobody else.
        daily_tokens: of all processes, from midnight to midnight in UTC.
        most_bytes: the greatest size, before the oldest answers go.
        most_days: how long an answer is kept.
        clock: seconds since 1970.
        patience: seconds to wait for another process's lock.

    """

    def __init__(
        self,
        path: Path,
        *,
        daily_tokens: int,
        most_bytes: int = 256 << 20,
        most_days: int = 90,
        clock: Callable[[], float] = time.time,
        patience: float = 10.0,
    ) -> None:
        self._path = path
        self._daily_tokens = daily_tokens
        self._most_bytes = most_bytes
        self._most_age = most_days * DAY
        self._clock = clock
        self._patience = patience
        self._lock = threading.Lock()
        self._conn: sqlite3.Connection | None = None
        self._stored = 0

    def get(self, key: str) -> str | None:
        """The answer to a request, if it is known and not too old.

        Raises:
            PauseError: the file cannot be used.

        """
        with self._transaction("DEFERRED") as conn:
            oldest = self._clock() - self._most_age
            found = conn.execute("SELECT answer FROM answers WHERE key = ? AND at >= ?", (key, oldest)).fetchone()
        return None if found is None else str(found[0])

    def hold(self, tokens: int) -> int:
        """Hold back the most that a request can cost.

        Returns:
            What to call :meth:`settle` with, once that is known.

        Raises:
            PauseError: there are not so many left today, or the file cannot be used.

        """
        with self._transaction("IMMEDIATE") as conn:
            now = self._clock()
            day = _day(now)
            spent = conn.execute("SELECT tokens FROM days WHERE day = ?", (day,)).fetchone()
            held, latest = conn.execute(
                "SELECT coalesce(sum(tokens), 0), coalesce(max(at), 0) FROM held WHERE day = ?", (day,)
            ).fetchone()
            used = spent[0] if spent else 0
            if used + held + tokens > self._daily_tokens:
                # What others hold back is more than they will need.
                soon = used + tokens <= self._daily_tokens and latest > now - _UNDER_WAY
                self._used_up(used, tokens, now, soon=soon)
            cursor = conn.execute("INSERT INTO held (day, tokens, at) VALUES (?, ?, ?)", (day, tokens, now))
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def settle(self, hold: int, tokens: int | None, key: str = "", answer: str = "") -> None:
        """Take what a request did cost, and keep its answer.

        Args:
            hold: of :meth:`hold`.
            tokens: that it did cost; None: that is not known, and what was held back is taken.
            key: of the request, if there is an answer to keep.
            answer: to keep.

        Raises:
            PauseError: the file cannot be used; what was held back stays so.

        """
        with self._transaction("IMMEDIATE") as conn:
            conn.execute(
                "INSERT INTO days SELECT day, coalesce(?, tokens) FROM held WHERE id = ?"
                " ON CONFLICT (day) DO UPDATE SET tokens = tokens + excluded.tokens",
                (tokens, hold),
            )
            conn.execute("DELETE FROM held WHERE id = ?", (hold,))
            if key:
                conn.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, answer, self._clock()))
                self._stored += 1
        if key and self._stored % _PRUNE_EVERY == 0:
            self.prune()

    def spent(self) -> int:
        """The tokens of this day, with what is held back."""
        with self._transaction("DEFERRED") as conn:
            found = conn.execute(
                "SELECT coalesce(sum(tokens), 0)"
                " FROM (SELECT day, tokens FROM days UNION ALL SELECT day, tokens FROM held) WHERE day = ?",
                (_day(self._clock()),),
            ).fetchone()
        return int(found[0])

    def prune(self) -> None:
        """Delete answers that are too old, and the oldest while there are too many.

        Raises:
            PauseError: the file cannot be used.

        """
        with self._transaction("IMMEDIATE") as conn:
            now = self._clock()
            conn.execute("DELETE FROM answers WHERE at < ?", (now - self._most_age,))
            for table in ("days", "held"):
                conn.execute(f"DELETE FROM {table} WHERE day < ?", (_day(now - _KEEP_DAYS * DAY),))
            while _used_bytes(conn) > self._most_bytes and (
                conn.execute(
                    "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY at"
                    " LIMIT (SELECT 1 + count(*) / 10 FROM answers))"
                ).rowcount
            ):
                pass
        with self._usable(), self._lock:
            conn.executescript("PRAGMA incremental_vacuum")  # execute() would free one page only

    def close(self) -> None:
        """Close the file; it is opened again when it is used again."""
        with self._lock:
            if self._conn is not None:
                self._conn.close()
                self._conn = None

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        with self._usable(), self._lock:
            conn = self._conn or self._opened()
            self._conn = conn
            conn.execute(f"BEGIN {kind}")
            try:
                yield conn
                conn.execute("COMMIT")
            except BaseException:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                raise

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        conn = sqlite3.connect(
            self._path, timeout=self._patience, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        try:
            conn.execute("PRAGMA auto_vacuum = INCREMENTAL")
            conn.execute("PRAGMA journal_mode = WAL")
            conn.execute("PRAGMA synchronous = FULL")
            # Those who open it at the same time would not wait for each other within executescript.
            conn.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                conn.execute(statement)
            conn.execute("COMMIT")
        except BaseException:
            conn.close()
            raise
        return conn

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                reason, seconds = "another process has it locked", _SOON
            else:
                reason, seconds = (
                    f"it cannot be written ({name or 'unknown'}): look at its permissions and space",
                    _LATER,
                )
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "") or "unknown"
            reason, seconds = (
                f"it is damaged, or no file of this kind ({name}): move it away, a new one is made",
                _LATER,
            )
        except OSError as error:
            reason, seconds = f"it cannot be opened ({error.strerror}): look at its permissions and space", _LATER
        else:
            return
        if seconds != _SOON:
            self._forget()
        raise PauseError(f"the file of the language model's answers, {self._path}: {reason}", seconds)

    def _forget(self) -> None:
        """The file may be another one when it can be used again."""
        try:
            self.close()
        except sqlite3.Error:
            self._conn = None

    def _used_up(self, used: int, tokens: int, now: float, *, soon: bool) -> NoReturn:
        if soon:
            raise PauseError("the rest of daily_tokens is held back for requests that are under way", _SOON)
        if tokens > self._daily_tokens:
            said = f"daily_tokens, {self._daily_tokens:,}, is less than one request may need, {tokens:,}"
        else:
            said = f"{used:,} of daily_tokens, {self._daily_tokens:,}, are used: it goes on after midnight, UTC"
        raise PauseError(said, DAY - now % DAY + 1)


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def _used_bytes(conn: sqlite3.Connection) -> int:
    count, free, size = (conn.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS)
    return int((count - free) * size)


_PRAGMAS = ("page_count", "freelist_count", "page_size")
