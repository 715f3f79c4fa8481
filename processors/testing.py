"""For authors of processors: check that a fold is one, without a daemon or a database."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from processors.batch import Batch
from processors.contract import Rows, Table
from processors.registry import Registered, register


def as_rows(rows: Rows, table: Table) -> list[dict[str, Any]]:
    """Rows of any shape as a list of dicts."""
    if isinstance(rows, Mapping):
        return [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    return [dict(zip(table.columns, row, strict=True)) if isinstance(row, tuple) else dict(row) for row in rows]


def fold(
    processor: object, batches: Iterable[Sequence[bytes]], session_key: str = "alice/session.jsonl"
) -> dict[str, list[dict[str, Any]]]:
    """The rows that a session has in each table after the processor was run on each batch in turn.

    Between two runs the carry takes the way through its encoded form that a restart would give it.
    """
    spec = register(processor, isolation="thread")
    tables: dict[str, list[dict[str, Any]]] = {table.name: [] for table in spec.tables}
    carry: Any = None
    first = True
    for lines in batches:
        if not lines:
            continue  # the engine runs a processor only where there is at least one line
        data = b"".join(line + b"\n" for line in lines)
        result = spec.processor.process(Batch(session_key, data, is_first=first, carry=carry))
        for table in spec.tables:
            if result.replaces:
                tables[table.name] = []
            _apply_updates(tables[table.name], table.key, as_rows(result.updates.get(table.name, ()), table))
            new = as_rows(result.rows.get(table.name, ()), table)
            if table.kind == "append":
                tables[table.name] += new
            elif new:
                tables[table.name] = new[-1:]
        carry, first = _stored(result.carry, spec), False
    return tables


def check_fold(processor: object, lines: Sequence[bytes], cuts: Iterable[int]) -> None:
    """Fail unless cutting ``lines`` at ``cuts`` gives the same rows as processing them at once.

    Raises:
        AssertionError: naming the first table that differs and what is in it.

    """
    edges = [0, *sorted(min(max(cut, 0), len(lines)) for cut in cuts), len(lines)]
    parts = [lines[start:end] for start, end in itertools.pairwise(edges)]
    whole, folded = fold(processor, [lines]), fold(processor, parts)
    for name, rows in whole.items():
        assert folded[name] == rows, f"table {name}: at once {rows!r}, in {len(parts)} parts {folded[name]!r}"


def _apply_updates(rows: list[dict[str, Any]], key: tuple[str, ...], updates: list[dict[str, Any]]) -> None:
    for update in updates:
        for row in rows:
            if all(row[column] == update[column] for column in key):
                row.update(update)


def _stored(carry: Any, spec: Registered) -> Any:
    encoded = msgspec.msgpack.encode(carry)
    return None if carry is None else spec.decode_carry(encoded)
