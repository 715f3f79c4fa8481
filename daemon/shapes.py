"""Rows of a result table, column by column, from the run that made them to Arrow."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, groupby, repeat
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from daemon.errors import ContractError, printable
from processors.contract import Rows, Table


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one run and one table.

    Attributes:
        columns: the values of all rows by name; all are of the same length.
        shared: what is the same in all rows, by name.
        length: how many rows there are.

    """

    columns: Mapping[str, Sequence[object]]
    shared: Mapping[str, object]
    length: int

    def __len__(self) -> int:
        return self.length


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


def values_of(parts: Sequence[Part], name: str) -> Sequence[Any]:
    """A column of several parts."""
    if len(parts) == 1:
        return parts[0].columns[name]
    return list(chain.from_iterable(part.columns[name] for part in parts))


def shared_of(parts: Sequence[Part], name: str, kind: pa.DataType) -> pa.Array:
    """The same of what the rows of each part share."""
    ends = pa.array(accumulate(part.length for part in parts), pa.int64())
    values = pa.array([part.shared[name] for part in parts], kind)
    return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, values))
