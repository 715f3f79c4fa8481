"""A line of a transcript as an object: one definition of "well-formed" for everyone who decodes.

A line is well-formed if it is UTF-8 and one JSON object in the sense of :func:`json.loads`. msgspec decodes
the ordinary line quickly; where it is stricter than that (lone surrogates, ``NaN``, a field of another type
than the model's), the line takes a slower, more liberal path instead of being lost.
"""

import codecs
import errno
import json
import os
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar, get_args, get_origin

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_decode_any = msgspec.json.Decoder().decode
NOT_DECODED = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding raises: RecursionError where nesting is deeper than the interpreter's limit allows."""

_SPACE = b" \t\r\n"  # as JSON has it

LONGEST_LINE = 64 << 20
"""What is longer is no line of a transcript; the daemon's own limit is the same, if its settings say nothing else."""


class ToolInput(msgspec.Struct, gc=False):
    """The few arguments of a tool call that say what was called."""

    skill: str | None = None
    name: str | None = None
    subagent_type: str | None = None


class Block(msgspec.Struct, gc=False):
    """One block of ``message.content``: text, tool call or tool result."""

    type: str | None = None
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: ToolInput | None = None
    tool_use_id: str | None = None
    is_error: bool | None = None


class CacheCreation(msgspec.Struct, gc=False):
    """Tokens written to the cache, by how long they are kept."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class ServerToolUse(msgspec.Struct, gc=False):
    """What the service itself did for a response."""

    web_search_requests: int | None = None


class Usage(msgspec.Struct, gc=False):
    """Token counts of a response, as of this line (a later line of the same response may say more)."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerToolUse | None = None
    service_tier: str | None = None
    speed: str | None = None


class Message(msgspec.Struct, gc=False):
    """What was said: by a person, a tool or the assistant."""

    role: str | None = None
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None
    content: str | list[Block] | None = None


class Turn(msgspec.Struct, rename="camel", gc=False):
    """The parts of a line that the built-in processors use. Whatever else a line holds is skipped unread."""

    type: str | None = None
    uuid: str | None = None
    parent_uuid: str | None = None
    session_id: str | None = None
    timestamp: datetime | None = None
    cwd: str | None = None
    git_branch: str | None = None
    version: str | None = None
    request_id: str | None = None
    is_sidechain: bool | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    is_visible_in_transcript_only: bool | None = None
    is_api_error_message: bool | None = None
    summary: str | None = None
    message: Message | None = None
    role: str | None = None  # the flat shape, without ``message``
    content: str | list[Block] | None = None


class LineDecoder(Generic[T]):
    """Decodes lines to ``model``; a field that a line holds in another type takes its default."""

    def __init__(self, model: type[T]) -> None:
        self._model = model
        self.decode = msgspec.json.Decoder(model).decode

    def __call__(self, line: bytes) -> T | None:
        """The line as an object, or None if it is malformed.

        ``line`` has to be UTF-8: what the model skips is checked for syntax only.
        """
        try:
            return self.decode(line)
        except NOT_DECODED:
            return self.slowly(line)

    def slowly(self, line: bytes) -> T | None:
        """The same, for a line that msgspec would not take."""
        fields = load_object(line)
        return None if fields is None else liberal(self._model, fields)


def load_object(line: bytes) -> dict[str, Any] | None:
    """The line as a dict, or None if it is malformed: blank, no UTF-8, no JSON, or no object.

    Lone surrogates, which no database can store, are replaced by U+FFFD.
    """
    if not line.removeprefix(codecs.BOM_UTF8).lstrip(_SPACE).startswith(b"{"):
        return None  # by far the quickest way to say so, for whoever writes millions of such lines
    try:
        value = _decode_any(line)
    except NOT_DECODED:
        try:
            value = _without_surrogates(json.loads(line.decode("utf-8-sig"), parse_int=_parse_int))
        except NOT_DECODED:
            return None
    return value if isinstance(value, dict) else None


def _parse_int(digits: str) -> int | float:
    # Python refuses to read an integer of more than 4,300 digits; nothing is lost if it becomes infinite.
    return int(digits) if len(digits) < 4300 else float(digits)  # noqa: PLR2004


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def liberal(model: type[T], fields: dict[str, Any]) -> T:
    """An instance of ``model`` from ``fields``; what does not fit a field's type is left out."""
    values = {}
    for field in msgspec.structs.fields(model):
        if field.encode_name in fields:
            fits, value = _fit(field.type, fields[field.encode_name])
            if fits:
                values[field.name] = value
    return model(**values)


def _fit(kind: Any, value: Any) -> tuple[bool, Any]:
    for option in get_args(kind) or (kind,):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            if isinstance(value, dict):
                return True, liberal(option, value)
        elif get_origin(option) is list:
            if isinstance(value, list):
                fitted = [_fit(get_args(option)[0], item) for item in value]
                return True, [item for fits, item in fitted if fits]
        elif option is datetime and isinstance(value, str):
            try:
                return True, datetime.fromisoformat(value)
            except ValueError:
                continue
        elif type(value) is option:
            return True, value
        elif option is int and type(value) is float and value.is_integer():
            return True, int(value)
    return False, None


def parse_jsonl(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """All objects of a JSONL file, in order.

    Only a newline ends a line. Blank and malformed lines, lines over 64 MiB and lines that are no objects are
    skipped; a last line without a newline counts if it is a whole object. What is appended meanwhile is left for the
    next time.

    Raises:
        OSError: the file cannot be read, or is a symbolic link or no regular file.

    """
    return [value for line in _lines(Path(path)) if (value := load_object(line)) is not None]


def _lines(path: Path) -> Iterator[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with os.fdopen(fd, "rb") as file:
        while file.tell() < status.st_size and (line := file.readline(LONGEST_LINE + 1)):
            if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                _skip_line(file, status.st_size)
            else:
                yield line


def _skip_line(file: BinaryIO, size: int) -> None:
    """Go to the next line, over holes without reading them."""
    while (at := file.tell()) < size:
        if (data := _data_from(file.fileno(), at, size)) > at:
            file.seek(data)
        elif file.readline(1 << 20).endswith(b"\n"):
            return


def _data_from(fd: int, at: int, size: int) -> int:
    """Where data begins, from ``at`` on. The descriptor stays where it is, as its file knows."""
    here = os.lseek(fd, 0, os.SEEK_CUR)
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError as error:
        return size if error.errno == errno.ENXIO else at  # no data follows; or the file system does not say
    finally:
        os.lseek(fd, here, os.SEEK_SET)
