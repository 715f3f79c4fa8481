"""Rows of a result table, column by column, from the run that made them to Arrow."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, chain, groupby, repeat
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from daemon.errors import ContractError, printable
from processors.contract import ENGINE_COLUMNS, Rows, Table


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one run and one table.

    Attributes:
        columns: the values of all rows by name, as the processor gave them or as Arrow; all are of the same length.
        shared: what is the same in all rows, by name.
        length: how many rows there are.

    """

    columns: Mapping[str, Any]
    shared: Mapping[str, object]
    length: int

    def __len__(self) -> int:
        return self.length


class Shape:
    """What rows a result table takes, without the database that it is in. May be used by any thread.

    Args:
        declared: by the processor.
        schema: the types of all columns, as DuckDB gives them to Arrow.

    """

    def __init__(self, declared: Table, schema: pa.Schema) -> None:
        self.declared = declared
        self.name = declared.name
        self.schema = schema
        self.types = dict(declared.columns) | ENGINE_COLUMNS
        # Text to Arrow, and more than that to the database: UUID, JSON, ENUM.
        self.texts = [
            name
            for name, kind in self.types.items()
            if kind.upper() not in {"VARCHAR", "TEXT", "STRING"}
            and (pa.types.is_string(schema.field(name).type) or pa.types.is_dictionary(schema.field(name).type))
        ]

    def rows(self, rows: Rows, key: str, username: str, version: int, at: datetime) -> Part:
        """Rows of one session.

        Raises:
            ContractError: their shape is none that is allowed; names the column.

        """
        shared = self.shared(key, username, version, at)
        return part_of(rows, self.declared, shared, last=self.declared.kind == "one_per_session")

    def shared(self, key: str, username: str, version: int, at: datetime) -> dict[str, object]:
        """What the engine adds to rows of one session."""
        return dict(zip(ENGINE_COLUMNS, (key, username, version, at), strict=True))

    def updates(self, rows: Rows, key: str) -> list[Part]:
        """News about rows of one session: the key columns and those to change.

        Raises:
            ContractError: the table has no key, or the rows lack it.

        """
        return news_of(rows, self.declared, {"session_file": key})

    def arrow(self, parts: Sequence[Part]) -> pa.Table:
        """Rows of parts that have the same columns, as Arrow.

        Raises:
            ContractError: a value does not fit its column, which is named.

        """
        given = {name: self._column(name, values_of(parts, name)) for name in parts[0].columns}
        shared = {name: shared_of(parts, name, self.schema.field(name).type) for name in parts[0].shared}
        return pa.table(given | shared)

    def type_of(self, name: str) -> pa.DataType:
        """The type that the values of a column have in :meth:`arrow`."""
        return pa.string() if name in self.texts else self.schema.field(name).type

    def misfit(self, column: str) -> ContractError:
        """A value does not fit. Arrow's message would quote it, and it may come from a transcript."""
        return ContractError(f"table {self.name}: a value of column {column} is no {self.types[column]}")

    def _column(self, name: str, values: Sequence[Any]) -> pa.Array | pa.ChunkedArray:
        if isinstance(values, pa.ChunkedArray):  # from another process, where it was checked
            return values
        kind = self.type_of(name)
        if pa.types.is_integer(kind) and float in set(map(type, values)):  # Arrow would cut it off
            raise self.misfit(name)
        try:
            if name in self.texts:
                values = [None if value is None else str(value) for value in values]
            return pa.array(values, kind)
        except MemoryError:
            raise
        except Exception as error:  # Arrow's own, or whatever the value's __str__ raises
            raise self.misfit(name) from error


def part_of(rows: Rows, table: Table, shared: Mapping[str, object], *, last: bool = False) -> Part:
    """Rows of any shape that a processor may give; just the ``last`` one, if asked.

    Raises:
        ContractError: their shape is none that is allowed; names the column.

    """
    names = tuple(table.columns)
    if isinstance(rows, Mapping):
        _check_names(rows, table)
        lengths = {len(values) for values in rows.values()}
        if len(lengths) > 1:
            raise ContractError(f"table {table.name}: its columns have different lengths")
        length = max(lengths, default=0)
        nothing = (None,) * length
        columns = {name: list(rows.get(name, nothing)) for name in names}
    else:
        tuples = _tuples(rows, table, names)
        length = len(tuples)
        by_column = map(list, zip(*tuples, strict=True)) if tuples else repeat([], len(names))
        columns = dict(zip(names, by_column, strict=True))
    if last and length > 1:
        columns, length = {name: values[-1:] for name, values in columns.items()}, 1
    return Part(columns, shared, length)


def news_of(rows: Rows, table: Table, shared: Mapping[str, object]) -> list[Part]:
    """News about rows: parts with the columns of the table's key and those to change; in the order given.

    Raises:
        ContractError: the table has no key, the rows lack it, or their shape is none that is allowed.

    """
    if not rows:
        return []
    # Rows as dicts may name other columns each.
    groups: Any = (
        [(tuple(rows), rows)] if isinstance(rows, Mapping) else groupby(rows, lambda row: _named(row, table))
    )
    parts = []
    for names, group in groups:
        if not table.key or not set(table.key) <= set(names):
            raise ContractError(f"table {table.name}: updates need the columns of its key", "declare Table(key=…)")
        part = part_of(group if isinstance(group, Mapping) else list(group), table, shared)
        parts.append(Part({name: part.columns[name] for name in names}, shared, part.length))
    return parts


def _named(row: Any, table: Table) -> tuple[str, ...]:
    return tuple(row) if isinstance(row, Mapping) else tuple(table.columns)


def _tuples(rows: Sequence[Any], table: Table, names: tuple[str, ...]) -> Sequence[tuple[object, ...]]:
    if not isinstance(rows, Sequence):
        raise ContractError(f"table {table.name}: rows have to be dicts, tuples, or a dict of columns")
    kinds = set(map(type, rows))
    if kinds <= {tuple}:
        if rows and set(map(len, rows)) != {len(names)}:
            raise ContractError(f"table {table.name}: a row has not as many values as there are columns")
        return rows
    if not all(issubclass(kind, Mapping) for kind in kinds):
        raise ContractError(f"table {table.name}: rows have to be dicts, tuples, or a dict of columns")
    for row in rows:
        _check_names(row, table)
    return [tuple(row.get(name) for name in names) for row in rows]


def _check_names(names: Iterable[str], table: Table) -> None:
    for name in names:
        if name not in table.columns:
            raise ContractError(f"table {table.name}: column {printable(name)} is not declared")


def values_of(parts: Sequence[Part], name: str) -> Any:
    """A column of several parts: a sequence of values, or Arrow's chunks if the parts are Arrow's."""
    first = parts[0].columns[name]
    if isinstance(first, pa.ChunkedArray):
        return pa.chunked_array([chunk for part in parts for chunk in part.columns[name].chunks], first.type)
    if len(parts) == 1:
        return parts[0].columns[name]
    return list(chain.from_iterable(part.columns[name] for part in parts))


def shared_of(parts: Sequence[Part], name: str, kind: pa.DataType) -> pa.Array:
    """The same of what the rows of each part share."""
    ends = pa.array(accumulate(part.length for part in parts), pa.int64())
    values = pa.array([part.shared[name] for part in parts], kind)
    return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, values))
