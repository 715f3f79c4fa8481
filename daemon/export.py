"""All rows of tables as of one moment, and Parquet files of them: one folder per table, by day where it has one."""

import ctypes
import errno
import fcntl
import io
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from daemon.errors import StoreError, UnknownNameError, printable
from daemon.query.formats import unique
from daemon.query.queries import Reader
from daemon.schema import OWN_TABLES

NAME = b"table"
DAYS = ("day", "occurred_at", "started_at")
"""Columns that say on which day something happened, the first that a table has counts."""
FRESH = ".sessiond-export"
"""Where the new folders are until all are complete."""

_TEXT = re.compile(r"INTERVAL|\bUNION\(|\bSTRUCT(?!\()")
"""Types that Parquet does not have, also as parts of others."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # see renameat2(2)

_COLUMNS = """
    SELECT column_name, data_type FROM duckdb_columns()
    WHERE table_name = ? AND NOT internal AND database_name = current_database() ORDER BY column_index"""
_TABLES = """
    SELECT table_name, false AS is_view FROM duckdb_tables() WHERE NOT internal AND database_name = current_database()
    UNION ALL
    SELECT view_name, true FROM duckdb_views() WHERE NOT internal AND database_name = current_database()"""


def exported(reader: Reader, wanted: Sequence[str]) -> list[str]:
    """The tables and views to export: those that are wanted, or all tables of results.

    Raises:
        UnknownNameError: there is none of that name.

    """
    found = {row["table_name"]: row["is_view"] for row in reader.rows(_TABLES)}
    there = found.keys()
    if unknown := [name for name in wanted if name not in there]:
        raise UnknownNameError(
            f"there is no table {printable(unknown[0])}", f"there are: {', '.join(sorted(there - OWN_TABLES))}"
        )
    views = {name for name in there if found[name]}
    # Of a table that is one per session, and of a view that is kept.
    parts = {f"{name}_{part}" for name in views for part in ("settled", "log", "kept", "due")}
    shown = {name for name in views if f"{name}_log" not in there}  # what is only shown of others
    return list(dict.fromkeys(wanted)) or sorted(there - OWN_TABLES - parts - shown)


def stream_tables(reader: Reader, wanted: Sequence[str], emit: Callable[[bytes], None]) -> None:
    """Emit the rows of tables, all as of one moment, as Arrow streams one after the other; each names its table."""
    sink = io.BytesIO()
    for name in exported(reader, wanted):
        schema, batches = reader.stream(_all_of(reader, name))
        with pa.ipc.new_stream(sink, schema.with_metadata({NAME: name.encode()})) as writer:
            for batch in batches:
                writer.write_batch(batch)
                if sink.tell() > 1 << 20:
                    emit(_taken(sink))
        emit(_taken(sink))
    with pa.ipc.new_stream(sink, pa.schema([], {NAME: b""})):  # that was all of it
        pass
    emit(_taken(sink))


def _all_of(reader: Reader, name: str) -> str:
    """A statement for all rows of a table; what Parquet has no type for is text."""
    columns = reader.rows(_COLUMNS, [name])
    chosen = ", ".join(
        f"{quoted}::VARCHAR AS {quoted}" if _TEXT.search(column["data_type"]) else quoted
        for column in columns
        for quoted in [_quoted(column["column_name"])]
    )
    return f"SELECT {chosen} FROM {_quoted(name)}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _taken(sink: io.BytesIO) -> bytes:
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data


def write_parquet(source: IO[bytes], folder: Path, progress: Callable[[str, int], None]) -> dict[str, int]:
    """Write what :func:`stream_tables` emitted: one folder of Parquet files per table.

    Folders that are there already are replaced, each in one step, once all new ones are complete.

    Args:
        source: the streams.
        folder: where; it is made if it is missing.
        progress: told the table, and how many rows of it are written.

    Returns:
        The number of rows by table.

    Raises:
        StoreError: the folder cannot be written, or another export writes there.

    """
    written: dict[str, int] = {}
    fresh = folder / FRESH
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            shutil.rmtree(fresh, ignore_errors=True)  # what a killed one has left
            fresh.mkdir()
            try:
                while name := (stream := pa.ipc.open_stream(source)).schema.metadata[NAME].decode():
                    _check_place(folder / _file_name(name))
                    written[name] = _write(name, stream, fresh / _file_name(name), progress)
                for name in written:
                    _swap(fresh / _file_name(name), folder / _file_name(name))
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None)
        if reason is None:
            cut = isinstance(error, pa.ArrowInvalid)
            reason = "the tables end too early" if cut else str(error).partition("\n")[0]
        raise StoreError(
            f"cannot export to {printable(folder)}: {printable(reason)}", "check the folder and its space"
        ) from error
    return written


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one export at a time writes to a folder."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another export writes to {printable(folder)}", "wait until it has ended") from None
        yield
    finally:
        os.close(lock)


def _file_name(table: str) -> str:
    """The table's name; what cannot be in a file's name, or would hide it, as in an address: ``%2F``."""
    return quote(table, safe=" ").replace(".", "%2E") if table.startswith((".", "_")) else quote(table, safe=" ")


def _check_place(place: Path) -> None:
    """Only a folder is replaced.

    Raises:
        StoreError: something else is there.

    """
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(place.lstat().st_mode):
            raise StoreError(f"{printable(place)} is no folder", "move it away, or export to another folder")


def _write(name: str, stream: pa.RecordBatchReader, folder: Path, progress: Callable[[str, int], None]) -> int:
    schema = stream.schema.remove_metadata()
    column = _day_of(schema)
    day = _new_name(schema) if column is None or not pa.types.is_date32(schema.field(column).type) else column
    derived = column is not None and day != column
    target = schema.append(pa.field(day, pa.date32())) if derived else schema
    rows = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in stream:
            rows += batch.num_rows
            progress(name, rows)
            columns = list(batch.columns)
            if derived:
                columns.append(_days(batch.column(column)))
            yield pa.RecordBatch.from_arrays(columns, schema=target)

    folder.mkdir()
    ds.write_dataset(
        batches(),
        folder,
        format="parquet",
        schema=target,
        partitioning=None if column is None else ds.partitioning(pa.schema([(day, pa.date32())]), flavor="hive"),
        max_partitions=100_000,
        max_open_files=256,
        existing_data_behavior="overwrite_or_ignore",
    )
    if not any(folder.rglob("*.parquet")):
        pq.write_table(schema.empty_table(), folder / "part-0.parquet")
    return rows


def _day_of(schema: pa.Schema) -> str | None:
    """The column that says on which day something happened, if there is one."""
    there = {field.name.casefold(): field for field in schema}
    for wanted in DAYS:
        field = there.get(wanted)
        if field is not None and (
            pa.types.is_date32(field.type) if wanted == "day" else pa.types.is_timestamp(field.type)
        ):
            return str(field.name)
    return None


def _new_name(schema: pa.Schema) -> str:
    """``day``, or if the table has such a column, which holds something else: ``day_1``."""
    return unique([*(name.casefold() for name in schema.names), "day"])[-1]


def _days(times: pa.Array) -> pa.Array:
    """The days of times; those that are infinite have none."""
    number = times.cast(pa.int64())
    finite = pc.less(pc.abs_checked(number), pa.scalar((1 << 63) - 1, pa.int64()))
    return pc.if_else(finite, times, pa.scalar(None, times.type)).cast(pa.date32(), safe=False)


def _swap(fresh: Path, place: Path) -> None:
    """Put a folder in the place of another in one step; the old one is where the new one was."""
    try:
        place.lstat()
    except FileNotFoundError:
        fresh.rename(place)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if not libc.renameat2(_AT_FDCWD, os.fsencode(fresh), _AT_FDCWD, os.fsencode(place), _RENAME_EXCHANGE):
        return
    number = ctypes.get_errno()
    if number not in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
        raise OSError(number, os.strerror(number), str(place))
    old = fresh.with_name(f"{fresh.name}.old")  # a file system that cannot exchange: there is a moment without it
    place.rename(old)
    fresh.rename(place)
