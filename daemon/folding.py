"""When logs are folded and kept views brought up to date: a slice at a time, so that commits do not wait long.

All of it is the writer's thread's, but for :meth:`Folding.add` and :attr:`Folding.waiting`. Nothing but speed depends
on when a fold happens.
"""

import threading
import time
from collections.abc import Mapping

import duckdb

from daemon.commit import fold_slice, fold_views
from daemon.events import Events
from daemon.kept import SLICE
from daemon.persistence import shown
from daemon.positions import ALL, next_sequence
from daemon.store import cannot_write, is_conflict, out_of_memory
from daemon.tables import ResultTable

ENTRIES = 100_000
IDLE_SECONDS = 1.0
AGE_SECONDS = 60.0


class Folding:
    """Folds when there is time for it, when it was put off for long, or when much has come together."""

    def __init__(
        self, conn: duckdb.DuckDBPyConnection, tables: Mapping[str, Mapping[str, ResultTable]], events: Events
    ) -> None:
        """``conn``: the writer's."""
        self._conn = conn
        self._tables = tables
        self._events = events
        self._lock = threading.Lock()  # guards the next
        self._entries = 1  # the last process may have left something
        self._rows = 0  # since kept views were brought up to date
        self._upto: int | None = None  # up to which number, while a fold is under way
        self._has_failed = False
        self._done_at = time.monotonic()

    def add(self, entries: int, rows: int = 0) -> None:
        """So much was written; by any thread."""
        with self._lock:
            self._entries += entries
            self._rows += rows

    @property
    def waiting(self) -> bool:
        """Whether something is to be folded sometime."""
        return self._entries > 0

    @property
    def under_way(self) -> bool:
        """Whether a fold has begun and has more slices."""
        return self._upto is not None

    def step(self, *, idle: bool) -> None:
        """One slice, if it is time for one: whoever comes meanwhile waits for a slice only, not for a fold."""
        if self._upto is None and self._rows >= SLICE:
            # A backlog adds more rows than one fold at its end could bring up to date in a moment.
            self._rows = 0
            self._fold(next_sequence(), views_only=True)
            return
        if not self._entries and self._upto is None:
            self._done_at = time.monotonic()
            return
        old = time.monotonic() - self._done_at > AGE_SECONDS
        if self._upto is None and (idle or old or self._entries >= ENTRIES):
            self._upto = next_sequence()  # what comes meanwhile is for the next fold
            with self._lock:
                self._entries = self._rows = 0
        if self._upto is not None and not self._fold(self._upto):
            self._upto = None
            self._done_at = time.monotonic()

    def until(self, deadline: float) -> None:
        """Fold until all is done or it is that late; what is left is folded at the next start."""
        while time.monotonic() < deadline and self._fold():
            pass

    def _fold(self, upto: int = ALL, *, views_only: bool = False) -> bool:
        """Fold a slice; returns whether more may be left to do now."""
        started = time.monotonic()
        try:
            entries = (fold_views if views_only else fold_slice)(self._conn, self._tables, upto)
        except duckdb.Error as error:
            if not (is_conflict(error) or cannot_write(error) or out_of_memory(error)):
                raise
            if not (is_conflict(error) or self._has_failed):
                self._has_failed = True
                self._events.fold_failed(shown(error))
            self.add(1)
            return False
        self._has_failed = False
        if entries:
            self._events.folded(entries, time.monotonic() - started)
        return entries > 0
