"""What an incremental processor is given: the new lines of one session."""

import re
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from processors.turns import NOT_DECODED, LineDecoder, Turn, load_object

T = TypeVar("T", bound=msgspec.Struct)

_BLANK_LINES = re.compile(rb"\n+")

_decoders: dict[type, LineDecoder[Any]] = {}
_building = threading.Lock()


def _decoder(model: type[T]) -> LineDecoder[T]:
    """The one decoder of a model.

    msgspec puts what it learns of a struct on the struct while it is still learning it: a second thread that
    makes a decoder meanwhile gets an unfinished one, and crashes the process. So only one thread makes them.
    """
    decoder = _decoders.get(model)
    if decoder is None:
        with _building:
            decoder = _decoders.get(model) or LineDecoder(model)
            _decoders[model] = decoder
    return decoder


class Batch:
    """The new complete lines of one session, decoded as they are asked for.

    Attributes:
        session_key: the file's path below the root, ``alice/abc.jsonl``.
        username: the first folder of the key.
        data: the lines as they stand in the file, malformed ones included, each with its newline.
        is_first: whether these are the session's first lines (the carry is None then).
        carry: what the run before returned, as plain values or as the processor's ``carry_type``.
        skipped_lines: lines among these that were longer than the limit and are not in ``data``.

    """

    __slots__ = ("_counts", "_utf8", "carry", "data", "is_first", "session_key", "skipped_lines", "username")

    def __init__(
        self,
        session_key: str,
        data: bytes,
        *,
        is_first: bool,
        carry: Any = None,
        skipped_lines: int = 0,
        utf8: bool = False,
    ) -> None:
        """``utf8``: it is known that every line is UTF-8, so that lines need not be checked one by one."""
        self.session_key = session_key
        self.username = session_key.partition("/")[0]
        self.data = data
        self.is_first = is_first
        self.carry = carry
        self.skipped_lines = skipped_lines
        self._utf8 = utf8
        self._counts: tuple[int, int] | None = None

    @property
    def lines(self) -> list[bytes]:
        """The lines without their newlines, malformed ones included."""
        return self.data.split(b"\n")[:-1]

    def turns(self, model: type[T] = Turn) -> Iterator[T]:  # type: ignore[assignment]  # a default for T
        """The well-formed lines, in order, decoded to ``model``: a msgspec struct with what you need."""
        decoder = _decoder(model)
        if self._utf8 or is_utf8(self.data):
            return self._walk(decoder)
        return self._counted(decoder(line) if is_utf8(line) else None for line in self.lines)

    def objects(self) -> Iterator[dict[str, Any]]:
        """The well-formed lines, in order, as dicts; slower than :meth:`turns`."""
        return self._counted(map(load_object, self.lines))

    @property
    def well_formed_lines(self) -> int:
        """How many lines of the batch are objects."""
        return self._count()[0]

    @property
    def malformed_lines(self) -> int:
        """How many lines of the batch are blank, malformed, no objects, or longer than the limit."""
        return self._count()[1]

    def _count(self) -> tuple[int, int]:
        if self._counts is None:
            for _ in self.turns(_Nothing):
                pass
        assert self._counts is not None
        return self._counts

    def _walk(self, decoder: LineDecoder[T]) -> Iterator[T]:
        """The hot loop of a cold start: no line is cut out of ``data``, and no call is made but to decode.

        Nor is a line looked at for what type it is of, to decode those that matter to nobody to less: a search in the
        first bytes costs a tenth of all decoding, and one look at the place where the last line of that type had it
        costs just what it saves, with two thirds of all lines of that type (measured on recorded sessions: 1.00).
        """
        data, view = self.data, memoryview(self.data)
        find, decode = data.find, decoder.decode
        start, lines, malformed = 0, 0, 0
        while (end := find(b"\n", start)) >= 0:
            lines += 1
            try:
                turn = decode(view[start:end])
            except NOT_DECODED:
                if end == start:  # a blank line; with however many follow it
                    blank = _BLANK_LINES.match(data, start).end() - start  # type: ignore[union-attr]
                    lines, malformed, start = lines + blank - 1, malformed + blank, start + blank
                    continue
                liberally = decoder.slowly(data[start:end])
                start = end + 1
                if liberally is None:
                    malformed += 1
                    continue
                turn = liberally
            else:
                start = end + 1
            yield turn
        self._counts = lines - malformed, malformed + self.skipped_lines

    def _counted(self, decoded: Iterator[Any]) -> Iterator[Any]:
        well_formed, malformed = 0, self.skipped_lines
        for value in decoded:
            if value is None:
                malformed += 1
            else:
                well_formed += 1
                yield value
        self._counts = well_formed, malformed


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
