"""What a processor is: the two forms, what they are given and what they return.

A processor is any object with these attributes; inheriting from :class:`IncrementalProcessor` or
:class:`SessionProcessor` is a way to get the defaults. It is registered through the entry-point group
``sessiond.processors`` (see :mod:`processors.registry`).
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import duckdb
import msgspec
import pyarrow as pa

from processors.turns import LineDecoder, Turn, load_object

T = TypeVar("T", bound=msgspec.Struct)

Rows = Sequence[Mapping[str, object]] | Mapping[str, Sequence[object]]
"""Rows of one table: a list of rows, or (quicker) one sequence per column, all of the same length."""

ENGINE_COLUMNS = {
    "session_file": "VARCHAR",
    "username": "VARCHAR",
    "processor_version": "INTEGER",
    "extracted_at": "TIMESTAMP",
}
"""Columns that every result table gets from the engine, with their DuckDB types."""

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")


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
        for name in (self.name, *self.columns):
            if not _IDENTIFIER.fullmatch(name):
                raise ValueError(f"table {self.name!r}: {name!r} is not a plain lower-case identifier")
        if taken := ENGINE_COLUMNS.keys() & self.columns.keys():
            raise ValueError(f"table {self.name!r}: the engine adds {', '.join(sorted(taken))} itself")
        if unknown := set(self.key) - self.columns.keys():
            raise ValueError(f"table {self.name!r}: key column {', '.join(sorted(unknown))} is not declared")
        if self.key and self.kind != "append":
            raise ValueError(f"table {self.name!r}: only an append table has a key")


@dataclass(frozen=True, slots=True)
class ProcessorResult:
    """What one run gives.

    Attributes:
        items_count: how many items this run found, for the counters that people see.
        rows: new rows by table name (incremental form only, like the rest).
        updates: later news about rows that an earlier run gave, by table name: each holds the table's key
            columns and the columns to change. They apply before ``rows`` and only to the same session.
        carry: what the next run of this processor on this session gets as :attr:`Batch.carry`: None,
            or anything that msgspec encodes as MessagePack.

    """

    items_count: int = 0
    rows: Mapping[str, Rows] = field(default_factory=dict)
    updates: Mapping[str, Rows] = field(default_factory=dict)
    carry: Any = None


@functools.cache
def _decoder(model: type[T]) -> LineDecoder[T]:
    return LineDecoder(model)


class Batch:
    """The new complete lines of one session, decoded as they are asked for.

    Attributes:
        session_key: the file's path below the root, ``alice/abc.jsonl``.
        username: the first folder of the key.
        lines: the lines as bytes, without their newline, malformed ones included.
        is_first: whether these are the session's first lines (the carry is None then).
        carry: what the run before returned, as plain values or as the processor's ``carry_type``.
        skipped_lines: lines among these that were longer than the limit and are not in ``lines``.

    """

    __slots__ = (
        "_malformed",
        "_utf8",
        "carry",
        "is_first",
        "lines",
        "session_key",
        "skipped_lines",
        "username",
    )

    def __init__(
        self,
        session_key: str,
        lines: Sequence[bytes],
        *,
        is_first: bool,
        carry: Any = None,
        skipped_lines: int = 0,
        utf8: bool = False,
    ) -> None:
        """``utf8``: it is known that every line is UTF-8, so that lines need not be checked one by one."""
        self.session_key = session_key
        self.username = session_key.partition("/")[0]
        self.lines = lines
        self.is_first = is_first
        self.carry = carry
        self.skipped_lines = skipped_lines
        self._utf8 = utf8
        self._malformed: int | None = None

    def turns(self, model: type[T] = Turn) -> Iterator[T]:  # type: ignore[assignment]  # a default for T
        """The well-formed lines, in order, decoded to ``model``: a msgspec struct with what you need."""
        decode = _decoder(model)
        return self._decoded(decode)

    def objects(self) -> Iterator[dict[str, Any]]:
        """The well-formed lines, in order, as dicts; slower than :meth:`turns`."""
        return self._decoded(load_object)

    @property
    def malformed_lines(self) -> int:
        """How many of the batch's lines are blank, malformed, no objects, or longer than the limit."""
        if self._malformed is None:
            for _ in self.turns(_Nothing):
                pass
        assert self._malformed is not None
        return self._malformed

    def _decoded(self, decode: Any) -> Iterator[Any]:
        malformed = self.skipped_lines
        for line in self.lines:
            value = decode(line) if self._utf8 or is_utf8(line) else None
            if value is None:
                malformed += 1
            else:
                yield value
        self._malformed = malformed


class _Nothing(msgspec.Struct):
    """Decoding to this checks a line and keeps nothing."""


def is_utf8(data: bytes) -> bool:
    """Whether ``data`` is UTF-8; Arrow checks some 20 times quicker than decoding does."""
    if data.isascii():
        return True
    offsets = pa.py_buffer(b"\0" * 8 + len(data).to_bytes(8, "little"))
    try:
        pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


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
        tables: where the rows go.
        carry_type: the type to decode the carry to.
        budget_seconds: a run that takes longer is abandoned and counts as failed.

    """

    name: str
    version: int = 1
    cadence_minutes: float = 0
    tables: Sequence[Table] = ()
    carry_type: Any = Any
    budget_seconds: float = 300

    def process(self, batch: Batch) -> ProcessorResult:
        """Rows for the batch's lines. An exception means that nothing of it is kept and it is retried."""
        ...


@runtime_checkable
class SessionProcessor(Protocol):
    """Reads a whole session at every change and writes through the connection that it is given.

    Attributes:
        name: lower-case identifier, unique.
        cadence_minutes: least time between two runs on one session; 0: at every debounced change.

    """

    name: str
    cadence_minutes: float = 0

    def process_session(
        self, session_path: Path, username: str, session_key: str, conn: duckdb.DuckDBPyConnection
    ) -> ProcessorResult:
        """Process the file as it is now. What it writes through ``conn`` is committed together with the
        record that the session was processed, or not at all: the transaction belongs to the engine.
        """
        ...
