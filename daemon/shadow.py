"""A copy of what a checkpoint overwrites in place, for a process that is killed in the middle of one.

DuckDB writes what is new to free blocks, and then the header that leads there; so whatever ends a checkpoint leaves
the state before it or the one after. Blocks of metadata alone are shared by the two: what is new goes to free parts
of blocks that the old header leads to, and such a block is written as a whole. A kill in the middle of that write, or
a loss of power, leaves a half of it, and a database that cannot be opened. It took one of about 700 kills during
checkpoints (``python -m tests.system.faults``). So these blocks are copied aside before a checkpoint can begin, and
put back when the database is opened, if its headers are still those that they belong to.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from weakref import WeakKeyDictionary, WeakValueDictionary

import duckdb

from daemon import blocks

AGAIN_SECONDS = 10.0
"""Wait after the copy could not be made, as on a full disk: it is an additional safeguard, and stops nothing."""

COPY_SECONDS = 60.0


def copy_of(db: Path) -> Path:
    """The file that the copy is in."""
    return Path(f"{db}.blocks")


def path_of(conn: duckdb.DuckDBPyConnection) -> Path | None:
    """The file of a connection's database; None: it is in memory."""
    paths = conn.execute("SELECT path FROM duckdb_databases() WHERE database_name = current_database()")
    ((path,),) = paths.fetchall()
    return None if path is None else Path(path)


class _Shadow:
    """Keeps the copy of one database up to date, for all connections to it. May be used by any thread."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._copying = threading.Lock()  # guards the next two
        self._seen = 0  # when the file was changed last, as of the copy
        self._failed_at = -AGAIN_SECONDS

    def look(self, conn: duckdb.DuckDBPyConnection) -> None:
        try:
            changed = self._db.stat().st_mtime_ns
        except OSError:
            return  # whatever is wrong, writing tells
        with self._copying:
            if changed == self._seen or time.monotonic() - self._failed_at < AGAIN_SECONDS:
                return
            if _copy(conn, self._db):
                self._seen = changed
            else:
                self._failed_at = time.monotonic()


_guard = threading.Lock()  # guards the next two
_by_path: WeakValueDictionary[Path, _Shadow] = WeakValueDictionary()
_shadows: WeakKeyDictionary[duckdb.DuckDBPyConnection, _Shadow | None] = WeakKeyDictionary()


def keep(conn: duckdb.DuckDBPyConnection) -> None:
    """Have a copy that is up to date, before a transaction whose commit may be followed by a checkpoint.

    Costs a look at the file, and some 20 ms after a checkpoint.
    """
    with _guard:
        known = conn in _shadows
        shadow = _shadows.get(conn)
    if not known:
        path = path_of(conn)
        with _guard:
            shadow = None if path is None else _by_path.setdefault(path, _Shadow(path))
            _shadows[conn] = shadow
    if shadow is not None:
        shadow.look(conn)


def _copy(conn: duckdb.DuckDBPyConnection, db: Path) -> bool:
    numbers = conn.execute("SELECT block_id FROM pragma_metadata_info()").fetchall()
    program = [sys.executable, "-I", "-S", blocks.__file__, str(db), str(copy_of(db))]
    try:
        return not subprocess.run(  # noqa: S603  # our own program, and numbers
            [*program, *(str(number) for (number,) in numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=COPY_SECONDS,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def restore(db: Path) -> int:
    """Put back what a checkpoint that was ended has left half written; before the database is opened.

    Does nothing where it is open, in this process or another. Returns how many blocks were put back.
    """
    if not copy_of(db).exists() or is_open_here(db):
        return 0
    with suppress(OSError):  # whatever is wrong there, opening the database tells
        fd = os.open(db, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the lock that DuckDB takes
            return blocks.put_back(fd, str(copy_of(db)))
        finally:
            os.close(fd)
    return 0


def is_open_here(db: Path) -> bool:
    """Whether this process has the file open: its lock would be ours, and lost when we close the file."""
    path = os.path.realpath(db)
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}") == path:  # noqa: PTH115
                return True
    return False
