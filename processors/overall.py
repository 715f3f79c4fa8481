"""What a processor may have over all sessions: tables that follow from all rows, and what people have decided.

Such tables have the columns that are declared and no others: their rows belong to no session.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from processors.contract import PauseError, check_identifiers

Stopped = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class OverallTable:
    """A table over all sessions.

    Among a processor's ``records``, it holds what people decide: rows come from orders to the daemon, no run and no
    reprocessing changes them, and a rebuild keeps them. Among what a step ``writes``, it is made to have just the rows that the step gives.

    Attributes:
        name: lower-case identifier, unique over all processors.
        columns: name → DuckDB type, in order.

    Raises:
        ValueError: a name is no plain identifier.

    """

    name: str
    columns: Mapping[str, str]

    def __post_init__(self) -> None:
        check_identifiers(self.name, self.columns)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step gives.

    Attributes:
        rows: all rows of each table that it writes, as tuples in the order of the columns.
        pause: why that is not all yet; it is called again after its seconds.

    """

    rows: Mapping[str, Sequence[tuple[Any, ...]]] = field(default_factory=dict)
    pause: PauseError | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Tables that follow from the rows of all sessions, worked out in the background after these have changed.

    A processor's steps go in their order; each sees what those before it have written.

    Attributes:
        name: as people are told of it.
        reads: SELECT statements by name, over the processor's tables and views.
        writes: what follows from them.
        work: given what was read, by name, and a function that says whether it is to end early (then it raises
            whatever it likes). It may keep what it has worked out before, as long as the rows are the same without.
            An exception means that nothing is written and it is tried again later.

    """

    name: str
    reads: Mapping[str, str]
    writes: Sequence[OverallTable]
    work: Callable[[Mapping[str, pa.Table], Stopped], StepResult]


class OrderError(Exception):
    """An order cannot be carried out: ``what`` and ``hint`` are shown to who gave it. Nothing of it is kept."""

    def __init__(self, what: str, hint: str = "", *, unknown: bool = False) -> None:
        """``unknown``: it names something that is not there."""
        super().__init__(what)
        self.hint = hint
        self.unknown = unknown


@dataclass(frozen=True, slots=True)
class Order:
    """Something that a person has a processor do, which changes its records; each is written down in ``audit_log``.

    Attributes:
        name: lower-case identifier.
        fields: what may be given, all of it text.
        work: given a connection inside a transaction, the fields, the person's name on the host and the time (UTC,
            without a zone); returns what came of it, as values that JSON has. Raises OrderError.
        steps: those of the processor that are taken after it.

    """

    name: str
    fields: Sequence[str]
    work: Callable[[duckdb.DuckDBPyConnection, Mapping[str, str], str, datetime], Mapping[str, Any]]
    steps: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """Rows that the settings say must not be there (any more). They are looked for at each start.

    Attributes:
        table: one of the processor's own, without kept views, or one of its records.
        where: an SQL condition on its rows.
        columns: what is to be set to NULL in them; empty: they are deleted.

    """

    table: str
    where: str
    columns: Sequence[str] = ()
