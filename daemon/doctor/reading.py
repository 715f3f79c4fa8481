"""The database as it is read: through the daemon that has it open, or opened without writing anything."""

import os
import stat
import time
from pathlib import Path
from typing import Any, Protocol

import duckdb

from daemon.client import Client
from daemon.doctor.findings import me
from daemon.errors import QueryError, StoreError, StoreLockedError, printable
from daemon.local import LOCKED_SECONDS, POLL_SECONDS
from daemon.store import store_errors

_NO_DOWNLOADS = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}

QUERY_ERRORS = (duckdb.Error, QueryError)
"""What a question to the database fails with, opened or asked."""


class Database(Protocol):
    """What can be read."""

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a query.

        Raises:
            duckdb.Error, QueryError: it failed.
            LimitError: it asks too much of the daemon.

        """
        ...

    def close(self) -> None:
        """Read no more."""
        ...


class Asked:
    """A database that a daemon has open."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """See :meth:`Database.rows`."""
        table = self._client.query(sql, parameters)
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def close(self) -> None:
        """See :meth:`Database.close`."""


class Opened:
    """A database that nobody else has open."""

    def __init__(self, path: Path, memory_limit: str) -> None:
        # What does not fit into memory would be written beside the database.
        self._config: dict[str, Any] = {"memory_limit": memory_limit, "temp_directory": "", **_NO_DOWNLOADS}
        self._path = str(path)
        self._conn = self._connect()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        conn = duckdb.connect(self._path, read_only=True, config=self._config)
        conn.execute("SET TimeZone = 'UTC'")
        conn.execute("SET enable_progress_bar = false")
        return conn

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """See :meth:`Database.rows`."""
        try:
            return self._conn.execute(sql, list(parameters)).fetchall()
        except (duckdb.FatalException, duckdb.InternalException):
            self._conn.close()  # after one of these it answers nothing any more
            self._conn = self._connect()
            raise

    def close(self) -> None:
        """See :meth:`Database.close`."""
        self._conn.close()


def open_to_read(path: Path, memory_limit: str) -> Opened | None:
    """A database file, which is left as it is; None: there is none.

    Raises:
        StoreLockedError: another process has it open, for longer than a command does.
        StoreError: it cannot be read.

    """
    shown = printable(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise StoreError(
            f"{me()} may not read the database {shown}", "run this as root, or as the user of the service"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot read the database {shown}: {error.strerror}", "check --db") from error
    try:
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
    finally:
        os.close(fd)
    if not is_file:
        raise StoreError(f"the database {shown} is no file", "check --db")
    ends = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            with store_errors(path):
                return Opened(path, memory_limit)
        except StoreLockedError:
            if time.monotonic() > ends:
                raise
        time.sleep(POLL_SECONDS)
