"""Why a database cannot be opened, and what helps: DuckDB's errors as errors that a person reads."""

import re
from pathlib import Path

import duckdb

from daemon.errors import StoreError, StoreLockedError, printable

_CAUSES = {
    "No space left": "free space on its disk; the database is as it was",
    "quota exceeded": "the quota of its user is used up; the database is as it was",
    "Read-only file system": "mount it for writing; the database is as it was",
    "Permission denied": "it, its .wal, .blocks and .inflight have to belong to whoever runs sessiond (chown -R)",
    "Input/output error": "its disk fails, see dmesg; copy it to a sound one, and run sessiond rebuild",
    "Too many open files": "raise the limit of open files; the database is as it was",
}
"""Why a database cannot be opened although nothing is wrong with it, and what helps."""

NO_DATABASE = "choose another file with --db; if it was one, sessiond rebuild sets it aside and makes a new one"
REBUILD = "it seems to be damaged; sessiond rebuild sets it aside and makes a new one"


def passing(error: BaseException) -> str | None:
    """What helps, where nothing is wrong with the database itself; None: it may be damaged."""
    return next((hint for cause, hint in _CAUSES.items() if cause in str(error)), None)


def explained(error: duckdb.Error, path: Path) -> StoreError:
    """An error on opening the database, as one that says what to do."""
    text, shown = str(error), printable(path)
    if held := re.search(r"held in (.+?)? ?\(PID (\d+)\)", text):
        return StoreLockedError(
            f"the database {shown} is in use by process {held[2]} ({printable(held[1] or 'unknown program')})",
            "stop that process, or choose another file with --db",
        )
    if "lock on file" in text:
        return StoreLockedError(f"the database {shown} is in use by another process", "stop that process")
    if "not a valid DuckDB" in text:
        return StoreError(f"{shown} is not a DuckDB database", NO_DATABASE)
    if "version number" in text:
        return StoreError(f"{shown} was written by another version of DuckDB", "upgrade the package duckdb")
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(f"the database {shown} needs more memory than it may use", "raise the setting memory_limit")
    first_line = printable(text.partition("\n")[0])
    return StoreError(f"cannot open the database {shown}: {first_line}", passing(error) or REBUILD)
