"""Writing that does not give up while there is hope: the disk is full, memory is short, or somebody is in the way."""

import threading
import time
from collections.abc import Callable

import duckdb

from daemon.errors import OverMemoryError, StoreError, describe, printable
from daemon.events import Events
from daemon.store import cannot_write, is_conflict, is_damaged, out_of_memory

RETRY_SECONDS = (0.5, 30.0)  # first and longest wait while the database cannot be written
CONFLICT_PAUSE = 0.01
CONFLICT_SECONDS = 10.0  # so long something is tried again while a whole-session processor is in the way
RELIEFS = 3


class Persistence:
    """Used by the writer's thread alone; what it shows may be read by any.

    Args:
        events: told when the database cannot be written, and when it can be again.
        closing: ends the waits.

    """

    def __init__(self, events: Events, closing: threading.Event) -> None:
        self._events = events
        self._closing = closing
        self.relieve: Callable[[], bool] = lambda: False
        """Makes room in the database's memory, where others use it; returns whether it did. Set before it is used."""
        self.busy_since: float | None = None
        """When the writer began what it is doing, for the supervisor; None while it waits for work."""
        self.blocked_since: float | None = None
        """Since when the database cannot be written."""

    def do(self, work: Callable[[], object]) -> None:
        """Do it, and while the database cannot be written or somebody else's commit is in the way, try again.

        Raises:
            StoreError: the database is unusable from now on.
            OverMemoryError: it needs more memory than there may be.
            Exception: whatever else ``work`` raises.

        """
        wait, longest = RETRY_SECONDS
        conflicts_until = time.monotonic() + CONFLICT_SECONDS
        reliefs = RELIEFS
        while True:
            self.busy_since = time.monotonic()  # waiting for space is progress of a kind: a restart would not help
            try:
                work()
            except duckdb.Error as error:
                if unusable := final(error):
                    raise unusable from error
                if out_of_memory(error):
                    reliefs -= 1
                    if reliefs >= 0 and self.relieve():
                        continue
                    raise OverMemoryError("its rows need more memory than memory_limit", "raise it") from None
                if is_conflict(error) and time.monotonic() < conflicts_until:
                    self._closing.wait(CONFLICT_PAUSE)
                    continue
                if not cannot_write(error):
                    raise
                self._blocked(error)
                if self._closing.wait(wait):
                    raise
                wait = min(wait * 2, longest)
            else:
                self._resumed()
                return

    def _blocked(self, error: duckdb.Error) -> None:
        if self.blocked_since is None:
            self.blocked_since = time.monotonic()
            self._events.store_blocked(shown(error))

    def _resumed(self) -> None:
        if self.blocked_since is not None:
            self._events.store_resumed(time.monotonic() - self.blocked_since)
            self.blocked_since = None


def shown(error: BaseException) -> str:
    """What may be said of an error in our own statements, which hold no values."""
    return printable(str(error).partition("\n")[0]) if isinstance(error, duckdb.Error) else describe(error)


def final(error: BaseException) -> StoreError | None:
    """Why nothing can go on with this database after such an error, if that is so."""
    if is_damaged(error):
        return StoreError(
            f"the database is damaged: {shown(error)}",
            "sessiond doctor says where; sessiond rebuild sets it aside and makes a new one",
        )
    if isinstance(error, duckdb.FatalException | duckdb.InternalException):
        return StoreError(
            f"the database became unusable: {shown(error)}",
            "the daemon stops and has to be started again; what is committed is safe",
        )
    return None
