"""Room for a checkpoint: after one that failed, as on a full disk, DuckDB cannot go on, and the process has to end.

A commit that finds the disk full is another matter: it fails alone, and is made again when there is space. So while
there is little space, no checkpoint is begun, and the log of commits grows until that is full, too.
"""

import os
from pathlib import Path

import duckdb

from daemon.shadow import path_of

THRESHOLD = "256MB"
"""Of the log. Each checkpoint stops commits for a moment; at DuckDB's 16 MB a cold start would make dozens."""

NEVER = "1000TB"
MARGIN = 32 << 20
"""Beyond what is in the log: a checkpoint writes whole blocks anew, of which little may have changed."""


def threshold(db: Path) -> str:
    """How large the log of a database may become before a checkpoint is made, as things are."""
    try:
        disk = os.statvfs(db.parent)
    except OSError:
        return THRESHOLD  # whatever is wrong there, opening the database tells
    try:
        logged = Path(f"{db}.wal").stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        logged = 0  # a checkpoint removes it
    needed = MARGIN + logged
    return THRESHOLD if disk.f_bavail * disk.f_frsize >= needed else NEVER


class Room:
    """Puts checkpoints off while there is no room for one. Used by one thread, on its connection."""

    def __init__(self, conn: duckdb.DuckDBPyConnection) -> None:
        self._conn = conn
        self._db = path_of(conn)
        self._now = ""

    def look(self) -> None:
        """See how things are; outside a transaction, and before each: a disk can be filled at any moment."""
        if self._db is None:
            return
        if (wanted := threshold(self._db)) != self._now:
            self._conn.execute(f"SET GLOBAL checkpoint_threshold = '{wanted}'")
            self._now = wanted
