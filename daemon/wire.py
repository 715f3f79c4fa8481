"""What the daemon and a processor's own process say to each other, over one socket, in turn.

The daemon begins with a :class:`Setup`, which is answered with :class:`Started` or :class:`NotStarted`; after that,
each :class:`Task` is answered with :class:`Done` or :class:`Failed`. A message is its length in eight bytes, and
MessagePack. Nothing in it is ever executed: what comes from a process that a processor may have damaged is only data,
and is checked.
"""

import socket
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
import pyarrow as pa

from daemon.shapes import Part, Shape
from processors.registry import Registered

MOST_BYTES = 2 << 30
"""Of one message: twice the longest line and the largest chunk that can be set (see :mod:`daemon.config`). What a
processor gives for a chunk of lines is about as much as the chunk."""

_LENGTH_BYTES = 8
_PIECE_BYTES = 1 << 20


class WireError(Exception):
    """The other side has said something that is no message, or nothing more will come."""


class Setup(msgspec.Struct, frozen=True):
    """Which processor to be: where it is, its options, its tables as Arrow schemas, and what it must be like."""

    name: str
    place: str
    options: dict[str, Any]
    schemas: dict[str, bytes]
    identity: str
    memory: int


class Started(msgspec.Struct, tag=True, frozen=True):
    """It is loaded, and waits for the first task."""


class NotStarted(msgspec.Struct, tag=True, frozen=True):
    """It cannot be loaded; ``error`` is safe to show."""

    error: str


class Task(msgspec.Struct, frozen=True):
    """Lines of a session; see :class:`daemon.processing.Lines`."""

    key: str
    data: bytes
    is_first: bool
    carry: bytes | None
    skipped: int
    utf8: bool


Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


class Sheet(msgspec.Struct, frozen=True):
    """Rows of one table with the same columns, as an Arrow stream; and how many, as there may be no columns."""

    length: Count
    data: memoryview


class Done(msgspec.Struct, tag=True, frozen=True):
    """What came of it; see :class:`daemon.processing.Given`."""

    items: Count
    rows: dict[str, Sheet]
    updates: dict[str, list[Sheet]]
    replaces: bool
    carry: bytes | None
    lines: Count
    malformed: Count
    ratios: dict[str, tuple[int, int]]


class Failed(msgspec.Struct, tag=True, frozen=True):
    """The processor failed. ``error`` is safe to show; ``worn``: the process is better replaced.

    ``pause``: no session is to blame, see :class:`processors.PauseError`; for how many seconds.
    """

    error: str
    worn: bool = False
    pause: float | None = None


def identity_of(spec: Registered) -> str:
    """What has to be the same on both sides: an upgrade while the daemon runs may bring another processor."""
    tables = [(table.name, list(table.columns.items()), table.kind, table.key) for table in spec.tables]
    return repr((version("sessiond"), spec.name, spec.version, tables))


def send(connection: socket.socket, message: msgspec.Struct) -> None:
    """Send a message; the connection's time-out is that of the whole of it.

    Raises:
        OSError: the other side is not there, or does not read.

    """
    data = msgspec.msgpack.encode(message)
    connection.sendall(len(data).to_bytes(_LENGTH_BYTES))
    connection.sendall(data)


def receive(read: Callable[[memoryview], int], kind: Any) -> Any:
    """The next message.

    Args:
        read: fills a part of a buffer, and returns how much of it; 0: nothing more will come.
        kind: of which type it has to be.

    Raises:
        WireError: it is none, or there is none.

    """
    length = int.from_bytes(_exactly(read, _LENGTH_BYTES))
    if length > MOST_BYTES:
        raise WireError(f"a message of {length:,} bytes")
    try:
        return msgspec.msgpack.decode(_exactly(read, length), type=kind)
    except msgspec.DecodeError as error:
        raise WireError("no message") from error


def _exactly(read: Callable[[memoryview], int], length: int) -> bytearray:
    data = bytearray(min(length, _PIECE_BYTES))  # it grows with what comes, not with what is announced
    done = 0
    while done < length:
        if done == len(data):
            data.extend(bytes(min(length - done, max(done, _PIECE_BYTES))))
        with memoryview(data) as view, view[done:] as rest:
            count = read(rest)
        if not count:
            raise WireError("the end")
        done += count
    return data


def sheet_of(shape: Shape, part: Part) -> Sheet:
    """Rows as they go over the wire.

    Raises:
        ContractError: a value does not fit its column.

    """
    rows = shape.arrow([Part(part.columns, {}, part.length)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return Sheet(part.length, memoryview(sink.getvalue()))


def part_from(shape: Shape, sheet: Sheet, shared: Mapping[str, object]) -> Part:
    """Rows as they came over the wire; ``shared``: what is the same in all of them.

    Raises:
        WireError: they are none of this table.

    """
    try:
        rows = pa.ipc.open_stream(pa.py_buffer(sheet.data)).read_all()
        rows.validate(full=True)
        fits = all(shape.type_of(field.name) == field.type for field in rows.schema)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise WireError("no rows") from error
    names = set(rows.column_names)
    fits &= names <= set(shape.declared.columns) and len(names) == rows.num_columns
    if not fits or (names and rows.num_rows != sheet.length):
        raise WireError("rows of another table")
    return Part(dict(zip(rows.column_names, rows.columns, strict=True)), shared, sheet.length)
