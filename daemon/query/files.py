"""Results as files and on a terminal. What a session says may act on a terminal, so it is shown as text only."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from daemon.errors import StoreError, printable
from daemon.query.formats import ARROW, CSV, JSON, NDJSON, encode, values_of

MOST_SHOWN = 1_000
FEW = 3
"""Columns that are shown side by side even if their text has to be wrapped."""

SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".ndjson": "ndjson", ".arrow": "arrow"}
FORMATS = ("table", *SUFFIXES.values())
_TYPES = {"csv": CSV, "json": JSON, "ndjson": NDJSON, "arrow": ARROW}


def write_file(table: pa.Table, path: Path, name: str) -> None:
    """Write a result to a file, which is there once it is complete.

    Raises:
        StoreError: it cannot be written.

    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with fresh.open("wb") as file:
                _write(table, file, name)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot write {printable(path)}: {error.strerror}", "choose another file with -o"
        ) from error


def show_table(table: pa.Table, name: str) -> None:
    """Write a result to standard output."""
    if name == "table":
        _show_grid(table)
    elif sys.stdout.isatty() and name in {"csv", "json", "ndjson"}:
        for piece in encode(table, _TYPES[name]):
            print("\n".join(printable(line) for line in piece.decode().split("\n")), end="")  # noqa: T201
    else:
        sys.stdout.flush()
        _write(table, sys.stdout.buffer, name)
        sys.stdout.buffer.flush()


def _write(table: pa.Table, file: IO[bytes], name: str) -> None:
    if name == "parquet":
        pq.write_table(table, file)
        return
    for piece in encode(table, _TYPES[name]):
        file.write(piece)


def _show_grid(table: pa.Table) -> None:
    names = [printable(name) for name in table.column_names]
    columns = [values_of(column) for column in table.slice(0, MOST_SHOWN).columns]
    rows = [["" if value is None else printable(value) for value in row] for row in zip(*columns, strict=True)]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    if sum(widths) + 3 * len(widths) + 1 > shutil.get_terminal_size().columns and len(names) > FEW:
        _show_records(names, rows)
    else:
        _show_rows(table.schema, rows)
    if table.num_rows > MOST_SHOWN:
        print(f"the first {MOST_SHOWN:,} of {table.num_rows:,} rows", file=sys.stderr)  # noqa: T201


def _show_records(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One line per value, where a row does not fit into one."""
    width = max(map(len, names))
    for number, row in enumerate(rows, 1):
        print(f"── {number} ──")  # noqa: T201
        for name, value in zip(names, row, strict=True):
            print(f"{name:<{width}}  {value}")  # noqa: T201


def _show_rows(schema: pa.Schema, rows: Sequence[Sequence[str]]) -> None:
    grid = Grid()
    for field in schema:
        number = (
            pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
        )
        grid.add_column(printable(field.name), justify="right" if number else "left")
    for row in rows:
        grid.add_row(*map(Text, row))
    Console().print(grid)
