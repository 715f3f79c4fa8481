"""Answers in the form that was asked for: Arrow, JSON, NDJSON or CSV."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"

_SLICE = 500
"""Rows turned into text at a time: others wait for the interpreter meanwhile."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


def encode(table: pa.Table, media_type: str) -> Iterator[bytes]:
    """A table, piece by piece, as one of the four media types.

    JSON is an array of objects, NDJSON an object per line; where columns have the same name, the later ones get a
    number. Times are in ISO 8601, as the database holds them: those without a zone are in UTC; infinite ones are
    ``infinity`` and ``-infinity``; blobs are Base64. CSV has a header line, and JSON in nested columns.
    """
    return _ENCODERS[media_type](table)


def _arrow(table: pa.Table) -> Iterator[bytes]:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches():
            writer.write_batch(batch)
            yield _taken(sink)
    yield _taken(sink)


def _readable(table: pa.Table) -> pa.Table:
    """With intervals as ISO 8601 has them: P1M2DT3.5S."""
    for place, field in enumerate(table.schema):
        if pa.types.is_interval(field.type):
            values = table.column(place).to_pylist()
            shown = [None if v is None else f"P{v.months}M{v.days}DT{v.nanoseconds / 1e9:g}S" for v in values]
            table = table.set_column(place, field.name, pa.array(shown, pa.string()))
    return table


def _taken(sink: io.BytesIO) -> bytes:
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data


def _json(table: pa.Table) -> Iterator[bytes]:
    between = b"["
    for rows in _objects(table):
        yield between + b",\n".join(rows)
        between = b",\n"
    yield b"[]\n" if between == b"[" else b"]\n"


def _ndjson(table: pa.Table) -> Iterator[bytes]:
    for rows in _objects(table):
        yield b"\n".join(rows) + b"\n"


def _objects(table: pa.Table) -> Iterator[list[bytes]]:
    names = unique(table.column_names)
    table = _readable(table)
    for start in range(0, table.num_rows, _SLICE):
        columns = [values_of(column) for column in table.slice(start, _SLICE).columns]
        yield [_encode(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column for Python; dates and times that it cannot hold are text."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return [_value(scalar) for scalar in column]


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table by the names of their columns, with values that Python has."""
    columns = [values_of(column) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _value(scalar: pa.Scalar) -> Any:
    if not scalar.is_valid:
        return None
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        if isinstance(scalar, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar):
            return [_value(each) for each in scalar.values]
        if isinstance(scalar, pa.StructScalar):
            return {name: _value(each) for name, each in scalar.items()}
        if isinstance(scalar, pa.UnionScalar):
            return _value(scalar.value)
        return _time(scalar)


def _time(scalar: pa.Scalar) -> str:
    """A date or time in ISO 8601, or how DuckDB shows what has no place in time: its largest and smallest numbers."""
    most = (1 << (scalar.type.bit_width - 1)) - 1
    number = scalar.cast(pa.int32() if pa.types.is_date32(scalar.type) else pa.int64()).as_py()
    if abs(number) == most:
        return "infinity" if number > 0 else "-infinity"
    return str(scalar.cast(pa.string()).as_py())


def unique(names: list[str]) -> list[str]:
    """The names, with a number where one was there before."""
    taken: set[str] = set()
    made = []
    for name in names:
        new, number = name, 0
        while new in taken:
            number += 1
            new = f"{name}_{number}"
        taken.add(new)
        made.append(new)
    return made


def _csv(table: pa.Table) -> Iterator[bytes]:
    plain = pa.table([_plain(column) for column in _readable(table).columns], names=table.column_names)
    sink = io.BytesIO()
    with pyarrow.csv.CSVWriter(sink, plain.schema) as writer:
        for batch in plain.to_batches():
            writer.write_batch(batch)
            yield _taken(sink)
    yield _taken(sink)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column, or what it holds as JSON, if CSV knows no such values."""
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.chunked_array([[_text(value) for value in values_of(column)]], pa.string())
    if pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
        return pa.chunked_array([[None if v is None else str(v) for v in column.to_pylist()]], pa.string())
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        try:
            pc.min_max(column).as_py()
        except (OverflowError, ValueError):
            return pa.chunked_array([[None if v is None else str(v) for v in values_of(column)]], pa.string())
    return column


def _text(value: Any) -> str | None:
    return None if value is None else _encode(value).decode().strip('"')


_ENCODERS: dict[str, Callable[[pa.Table], Iterator[bytes]]] = {ARROW: _arrow, JSON: _json, NDJSON: _ndjson, CSV: _csv}


def chosen(accept: str) -> str | None:
    """The media type that an ``Accept`` header asks for, see RFC 9110, 12.5.1; None if there is none that we have."""
    wanted = []
    for place, part in enumerate(accept.split(",")):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((_quality(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
        if quality > 0:
            wanted.append((-quality, place, name))
    for _, _, name in sorted(wanted):
        if name in {"", "*/*", "application/*"}:
            return JSON
        if name == "text/*":
            return CSV
        if name == "application/vnd.apache.arrow":
            return ARROW
        if name in _ENCODERS:
            return name
    return None


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
