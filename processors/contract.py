"""What a processor is: the two forms, what they are given and what they return.

A processor is any object with these attributes; inheriting from :class:`IncrementalProcessor` or
:class:`SessionProcessor` is a way to get the defaults. It is registered through the entry-point group
``sessiond.processors`` (see :mod:`processors.registry`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import duckdb

from processors.batch import Batch

Rows = Sequence[Mapping[str, object]] | Sequence[tuple[object, ...]] | Mapping[str, Sequence[object]]
"""Rows of one table: dicts; or tuples in the order of the declared columns, which is the quickest; or one
sequence per column, all of the same length."""

Isolation = Literal["thread", "process"]

LONGEST = 1_000_000
"""The longest time that a processor may state, in its own unit."""


class PauseError(Exception):
    """What a processor needs besides the lines is not to be had now; no session is to blame.

    Raised by ``process``: nothing of the run is kept and no attempt is counted. The processor's sessions wait for so
    long, and are then tried again, one at first.

    Args:
        reason: what happened and what the operator can do, in one line, without anything from a transcript.
        seconds: how long to wait.

    Raises:
        TypeError, ValueError: ``seconds`` is no number.

    """

    reason = "it does not say what it waits for"
    seconds = 60.0

    def __init__(self, reason: str, seconds: float = 60.0) -> None:
        super().__init__(reason)
        self.reason = str(reason) or self.reason
        self.seconds = float(seconds)

    def __reduce__(self) -> tuple[type["PauseError"], tuple[str, float]]:
        """As it is handed over from a process of its own."""
        return PauseError, (self.reason, self.seconds)


ENGINE_COLUMNS = {
    "session_file": "VARCHAR",
    "username": "VARCHAR",
    "processor_version": "INTEGER",
    "extracted_at": "TIMESTAMP",
}
"""Columns that every result table gets from the engine, with their DuckDB types."""

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")


def check_identifiers(table: str, columns: Iterable[str]) -> None:
    """Raises ValueError if the name of a table, or of one of its columns, is no plain identifier."""
    for name in (table, *columns):
        if not _IDENTIFIER.fullmatch(name):
            raise ValueError(f"table {table!r}: {name!r} is not a plain lower-case identifier")


@dataclass(frozen=True, slots=True)
class Table:
    """A result table of a processor; the engine creates it and adds :data:`ENGINE_COLUMNS`.

    Attributes:
        name: lower-case identifier, unique over all processors.
        columns: name → DuckDB type, in order.
        kind: ``append``: rows are added. ``one_per_session``: the latest row of a session counts.
        key: columns that name one row within a session, for :attr:`ProcessorResult.updates`. With a
            timestamp or integer among them, an update finds its row at any table size.

    Raises:
        ValueError: a name is no plain identifier or collides with an engine column.

    """

    name: str
    columns: Mapping[str, str]
    kind: Literal["append", "one_per_session"] = "append"
    key: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_identifiers(self.name, self.columns)
        if taken := ENGINE_COLUMNS.keys() & self.columns.keys():
            raise ValueError(f"table {self.name!r}: the engine adds {', '.join(sorted(taken))} itself")
        if self.kind == "one_per_session" and "seq" in self.columns:
            raise ValueError(f"table {self.name!r}: the engine has a column seq in it")
        if unknown := set(self.key) - self.columns.keys():
            raise ValueError(f"table {self.name!r}: key column {', '.join(sorted(unknown))} is not declared")
        if self.key and self.kind != "append":
            raise ValueError(f"table {self.name!r}: only an append table has a key")


@dataclass(frozen=True, slots=True)
class View:
    """A view over a processor's tables; the engine makes it anew at each start.

    It is worked out at each query; or, with ``table`` and ``key``, its rows are kept: then only those are worked out
    anew, in the background, whose part of the table has changed. What it shows is the same at any time.

    Attributes:
        name: lower-case identifier, unique over all processors' tables and views.
        sql: a SELECT statement of DuckDB.
        table: of the processor, of the kind ``append``, that the kept rows are made of, and nothing else.
        key: an integer column of that table and of the view. The view's rows with one value of it must follow from
            the table's rows with that value alone. Rows without a value are in no kept view.

    Raises:
        ValueError: the name is no plain identifier, or there is a table without a key.

    """

    name: str
    sql: str
    table: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.name):
            raise ValueError(f"view {self.name!r} is not a plain lower-case identifier")
        if bool(self.table) != bool(self.key):
            raise ValueError(f"view {self.name!r}: a kept view has a table and a key")


@dataclass(frozen=True, slots=True)
class ProcessorResult:
    """What one run gives.

    Attributes:
        items_count: how many items this run found, for the counters that people see.
        rows: new rows by table name (incremental form only, like the rest).
        updates: later news about rows that an earlier run gave, by table name: each holds the table's key
            columns and the columns to change. They apply before ``rows`` and only to the same session.
        replaces: the rows stand for all that the session had in the processor's tables before, which is deleted.
        carry: what the next run of this processor on this session gets as :attr:`Batch.carry`: None,
            or anything that msgspec encodes as MessagePack.
        ratios: parts of wholes, ``{"unknown_lines": (3, 1000)}``, that this run has seen and that stay about the
            same from day to day. The daemon adds them up, shows them in its metrics, and tells in its log when one
            of them jumps.

    """

    items_count: int = 0
    rows: Mapping[str, Rows] = field(default_factory=dict)
    updates: Mapping[str, Rows] = field(default_factory=dict)
    replaces: bool = False
    carry: Any = None
    ratios: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@runtime_checkable
class IncrementalProcessor(Protocol):
    """A fold over a session's lines: sees each line once and carries what it needs to the next run.

    ``process`` must be pure: no clock, no connection, no I/O but what the processor exists for. Running it
    over the whole file at once must give the same rows as running it append by append
    (:func:`processors.testing.check_fold` tests that).

    Attributes:
        name: lower-case identifier, unique.
        version: raise it when the rows would differ: all sessions are then processed again.
        cadence_minutes: least time between two runs on one session; 0: at every debounced change.
        idle_minutes: a session that has not changed for so long is run although its cadence is not over.
        tables: where the rows go.
        views: what is shown of them besides.
        records, steps, orders, removals: see :mod:`processors.overall`.
        carry_type: the type to decode the carry to.
        options_type: for a class: what it takes of the settings, such as a msgspec struct; ``[options.<name>]`` of
            the configuration file is converted to it, and given to the class as its only argument.
        budget_seconds: a run that takes longer is abandoned and counts as failed.
        isolation: ``thread``: it runs in the daemon. ``process``: in a process of its own, for native code that may
            crash, memory that must have a limit, and runs that have to be killed when they take too long. The results
            are the same; handing over lines and rows costs some time. The operator may say otherwise.

    """

    name: str
    version: int = 1
    cadence_minutes: float = 0
    idle_minutes: float = LONGEST
    tables: Sequence[Table] = ()
    views: Sequence[View] = ()
    records: Sequence[Any] = ()
    steps: Sequence[Any] = ()
    orders: Sequence[Any] = ()
    removals: Sequence[Any] = ()
    carry_type: Any = Any
    options_type: Any = None
    budget_seconds: float = 300
    isolation: Isolation = "thread"

    def process(self, batch: Batch) -> ProcessorResult:
        """Rows for the batch's lines. An exception means that nothing of it is kept and it is retried."""
        ...


@runtime_checkable
class SessionProcessor(Protocol):
    """Reads a whole session at every change and writes through the connection that it is given.

    Attributes:
        name: lower-case identifier, unique.
        cadence_minutes: least time between two runs on one session; 0: at every debounced change.

    It always runs in the daemon: ``conn`` is a connection to a database that one process at a time can have open.

    """

    name: str
    cadence_minutes: float = 0

    def process_session(
        self, session_path: Path, username: str, session_key: str, conn: duckdb.DuckDBPyConnection
    ) -> ProcessorResult:
        """Process the file as it is now.

        What it writes through ``conn`` is committed together with the record that the session was processed,
        or not at all: the transaction belongs to the engine.
        """
        ...
