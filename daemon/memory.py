"""Memory that nobody needs is given back: the database, and the allocators below it, keep what they once had.

With a million sessions, that is as much as all that the daemon itself has to know of them.
"""

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress

import duckdb
import pyarrow as pa

KEPT_BYTES = 128_000_000
"""What the database keeps of its blocks: more than any commit needs, as others may write meanwhile."""

QUIET_SECONDS = 20.0
EVERY_SECONDS = 600.0
"""How often it is done where it is never quiet."""


def give_back(conn: duckdb.DuckDBPyConnection, limit: int) -> None:
    """Have the database and the allocators let go of what nobody uses; takes some 50 ms.

    Args:
        conn: any.
        limit: what the database may use, in bytes, as it is set.

    """
    if limit > KEPT_BYTES:
        try:
            with suppress(duckdb.Error):  # so much is in use just now
                conn.execute(f"SET GLOBAL memory_limit = '{KEPT_BYTES}B'")
        finally:
            conn.execute(f"SET GLOBAL memory_limit = '{limit}B'")
    pa.default_memory_pool().release_unused()
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # of glibc alone
        trim(0)


class Leisure:
    """Gives memory back when there is nothing else to do. Used by the main loop.

    Args:
        work: gives it back.
        done: changes with all that may take memory.
        busy: whether this is no time for it.
        clock: seconds, never going back.

    """

    def __init__(
        self,
        work: Callable[[], None],
        done: Callable[[], object],
        busy: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._done = done
        self._busy = busy
        self._clock = clock
        self._seen: object = None
        self._changed_at = self._worked_at = clock()
        self._due = True

    def tick(self) -> None:
        """Do so if it is time; call this about every second."""
        now, done = self._clock(), self._done()
        if done != self._seen:
            self._seen, self._changed_at, self._due = done, now, True
        quiet, long = now - self._changed_at > QUIET_SECONDS, now - self._worked_at > EVERY_SECONDS
        if self._due and (quiet or long) and not self._busy():
            self._due, self._worked_at = False, now
            self._work()
