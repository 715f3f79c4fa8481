"""All rows of tables as of one moment, and Parquet files of them: one folder per table, by day where it has one."""

import ctypes
import io
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from daemon.errors import StoreError, UnknownNameError, printable
from daemon.query.queries import Reader
from daemon.store import OWN_TABLES

NAME = b"table"
DAYS = ("day", "occurred_at", "started_at")
"""Columns that say on which day something happened, the first that a table has counts."""

_TABLES = """
    SELECT table_name FROM duckdb_tables() WHERE NOT internal AND database_name = current_database()
    UNION ALL
    SELECT view_name FROM duckdb_views() WHERE NOT internal AND database_name = current_database()"""


def exported(reader: Reader, wanted: Sequence[str]) -> list[str]:
    """The tables and views to export: those that are wanted, or all that hold results.

    Raises:
        UnknownNameError: there is none of that name.

    """
    there = {row["table_name"] for row in reader.rows(_TABLES)}
    if unknown := [name for name in wanted if name not in there]:
        raise UnknownNameError(
            f"there is no table {printable(unknown[0])}", f"there are: {', '.join(sorted(there - OWN_TABLES))}"
        )
    parts = {f"{name}_{part}" for name in there for part in ("settled", "log")}  # of a table that is one per session
    return list(dict.fromkeys(wanted)) or sorted(there - OWN_TABLES - parts)


def stream_tables(reader: Reader, wanted: Sequence[str], emit: Callable[[bytes], None]) -> None:
    """Emit the rows of tables, all as of one moment, as Arrow streams one after the other; each names its table."""
    sink = io.BytesIO()
    for name in exported(reader, wanted):
        schema, batches = reader.stream(f'SELECT * FROM "{name}"')
        with pa.ipc.new_stream(sink, schema.with_metadata({NAME: name.encode()})) as writer:
            for batch in batches:
                writer.write_batch(batch)
                if sink.tell() > 1 << 20:
                    emit(_taken(sink))
        emit(_taken(sink))
    with pa.ipc.new_stream(sink, pa.schema([], {NAME: b""})):  # that was all of it
        pass
    emit(_taken(sink))


def _taken(sink: io.BytesIO) -> bytes:
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data


def write_parquet(source: IO[bytes], folder: Path, progress: Callable[[str, int], None]) -> dict[str, int]:
    """Write what :func:`stream_tables` emitted: one folder of Parquet files per table.

    A folder that is there already is replaced in one step, once the new one is complete.

    Args:
        source: the streams.
        folder: where; it is made if it is missing.
        progress: told the table, and how many rows of it are written.

    Returns:
        The number of rows by table.

    Raises:
        StoreError: the folder cannot be written.

    """
    written: dict[str, int] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while name := (stream := pa.ipc.open_stream(source)).schema.metadata[NAME].decode():
            fresh = folder / f".{name}.{os.getpid()}"
            try:
                written[name] = _write(name, stream, fresh, progress)
                _swap(fresh, folder / name)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    except (OSError, pa.ArrowInvalid) as error:
        reason = getattr(error, "strerror", None) or "the tables end too early"
        raise StoreError(
            f"cannot export to {printable(folder)}: {reason}", "check the folder and its space"
        ) from error
    return written


def _write(name: str, stream: pa.RecordBatchReader, folder: Path, progress: Callable[[str, int], None]) -> int:
    schema = stream.schema.remove_metadata()
    column = next((column for column in DAYS if _has_day(schema, column)), None)
    derived = column not in {None, "day"}
    target = schema.append(pa.field("day", pa.date32())) if derived else schema
    rows = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in stream:
            rows += batch.num_rows
            progress(name, rows)
            columns = list(batch.columns)
            if derived:
                columns.append(batch.column(column).cast(pa.date32(), safe=False))
            yield pa.RecordBatch.from_arrays(columns, schema=target)

    folder.mkdir()
    ds.write_dataset(
        batches(),
        folder,
        format="parquet",
        schema=target,
        partitioning=None if column is None else ds.partitioning(pa.schema([("day", pa.date32())]), flavor="hive"),
        max_partitions=100_000,
        max_open_files=256,
        existing_data_behavior="overwrite_or_ignore",
    )
    if not any(folder.rglob("*.parquet")):
        pq.write_table(schema.empty_table(), folder / "part-0.parquet")
    return rows


def _has_day(schema: pa.Schema, column: str) -> bool:
    place = schema.get_field_index(column)
    if place < 0:
        return False
    kind = schema.field(place).type
    return bool(pa.types.is_date32(kind) if column == "day" else pa.types.is_timestamp(kind))


def _swap(fresh: Path, place: Path) -> None:
    """Put a folder in the place of another in one step; the old one is where the new one was."""
    if not place.exists():
        fresh.rename(place)
        return
    exchange = 2  # RENAME_EXCHANGE, see renameat2(2)
    libc = ctypes.CDLL(None, use_errno=True)
    at = -100  # AT_FDCWD
    if libc.renameat2(at, os.fsencode(fresh), at, os.fsencode(place), exchange):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(place))
