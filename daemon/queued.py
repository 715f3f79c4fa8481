"""What waits to be written."""

from collections.abc import Callable
from dataclasses import dataclass

import duckdb

from daemon.commit import Commit
from daemon.failures import Failure

LEAST_BYTES = 1 << 16
"""A run counts as at least so much: the bound is one on their number, too."""

CELL_BYTES = 32
"""About what a value of a row takes, most of them being numbers, shared, or nothing at all."""

Done = Callable[[BaseException | None], None]


@dataclass(frozen=True, slots=True)
class FailureNote:
    """A failed run, to be remembered over a restart; ``failure`` is None if it is to be forgotten."""

    processor: str
    session_key: str
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Order:
    """Something else to be written, in a transaction of its own."""

    work: Callable[[duckdb.DuckDBPyConnection], object]


@dataclass(frozen=True, slots=True)
class Queued:
    """``done`` is called in the writer's thread: with None once it is durable, or with the error it caused."""

    item: Commit | FailureNote | Order
    done: Done

    @property
    def bytes(self) -> int:
        """What it counts as in the queue: what was read, or the rows made of it, which may take much more."""
        if not isinstance(self.item, Commit):
            return LEAST_BYTES
        return max(LEAST_BYTES, self.item.bytes, CELL_BYTES * self.item.cells)
