"""Lines of one session, handed to one incremental processor: the same in the daemon's threads and in another process.

Nothing here knows of files, of the database or of threads.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import msgspec

from daemon.errors import ContractError, printable
from daemon.shapes import Part, Shape
from processors.batch import Batch
from processors.contract import ProcessorResult
from processors.registry import Registered

MOST_CARRY_BYTES = 4 << 20
"""Each commit writes one, and the database takes several times as much while it moves them."""


class ProcessorFailedError(Exception):
    """A processor's own code failed, or what it returned cannot be used; the cause is chained."""


def cause_of(error: BaseException) -> BaseException:
    """What made a run fail: the processor's own error, where it is one."""
    return error.__cause__ if isinstance(error, ProcessorFailedError) and error.__cause__ else error


@dataclass(frozen=True, slots=True)
class Lines:
    """What a processor is given.

    Attributes:
        key: of the session.
        data: the new complete lines.
        is_first: they are the session's first ones.
        carry: what the run before has left, encoded.
        skipped: how many lines among these are not in ``data``, as they are too long.
        utf8: it is known that all are UTF-8.

    """

    key: str
    data: bytes
    is_first: bool
    carry: bytes | None = None
    skipped: int = 0
    utf8: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What a processor has given for them, checked and in one shape. ``carry`` is encoded."""

    items: int = 0
    rows: Mapping[str, Part] = field(default_factory=dict)
    updates: Mapping[str, list[Part]] = field(default_factory=dict)
    replaces: bool = False
    carry: bytes | None = None
    lines: int = 0
    malformed: int = 0
    ratios: Mapping[str, tuple[int, int]] = field(default_factory=dict)


Process = Callable[[Lines, datetime], Given]
"""Hands lines to a processor; the time is that of the rows. Raises ProcessorFailedError: nothing may be kept."""


def process(spec: Registered, shapes: Mapping[str, Shape], lines: Lines, at: datetime) -> Given:
    """Call the processor.

    Raises:
        ProcessorFailedError: it raised, or what it returned is against its contract.

    """
    with processor_errors():
        batch = Batch(
            lines.key,
            lines.data,
            is_first=lines.is_first,
            carry=None if lines.carry is None else spec.decode_carry(lines.carry),
            skipped_lines=lines.skipped,
            utf8=lines.utf8,
        )
        result = _checked(spec, spec.processor.process(batch), shapes)
        rows, updates = {}, {}
        for name, shape in shapes.items():
            if new := shape.rows(result.rows.get(name, ()), batch.session_key, batch.username, spec.version, at):
                rows[name] = new
            if news := shape.updates(result.updates.get(name, ()), batch.session_key):
                updates[name] = news
        return Given(
            items=count_of(result),
            rows=rows,
            updates=updates,
            replaces=bool(result.replaces),
            carry=_encoded(spec, result.carry),
            lines=batch.well_formed_lines,
            malformed=batch.malformed_lines,
            ratios=_ratios(result),
        )


@contextmanager
def processor_errors() -> Iterator[None]:
    """Whatever is raised inside is a processor's error."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        # duckdb.FatalException means that the database is gone for everybody: not this processor's matter.
        if isinstance(error, duckdb.FatalException):
            raise
        raise ProcessorFailedError from error


def count_of(result: ProcessorResult) -> int:
    """How many items there are.

    Raises:
        ContractError: that is no such number.

    """
    if not isinstance(result.items_count, int) or not 0 <= result.items_count < 2**31:
        raise ContractError("items_count has to be a number from 0 to 2,147,483,647")
    return int(result.items_count)


def _checked(spec: Registered, result: object, shapes: Mapping[str, Shape]) -> ProcessorResult:
    if not isinstance(result, ProcessorResult):
        raise ContractError(f"process() of {spec.name} returned {type(result).__name__}, not ProcessorResult")
    if unknown := [name for name in (*result.rows, *result.updates) if name not in shapes]:
        raise ContractError(f"{spec.name} returned rows for a table that it does not declare: {unknown[0]!r}")
    count_of(result)
    return result


def _ratios(result: ProcessorResult) -> dict[str, tuple[int, int]]:
    found = {}
    for name, value in result.ratios.items():
        if not (isinstance(name, str) and isinstance(value, tuple) and list(map(type, value)) == [int, int]):
            raise ContractError("ratios have names, and are pairs of whole numbers: a part, and the whole")
        found[printable(name)] = value
    return found


def _encoded(spec: Registered, carry: Any) -> bytes | None:
    if carry is None:
        return None
    try:
        encoded = msgspec.msgpack.encode(carry)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ContractError(f"the carry of {spec.name} cannot be encoded as MessagePack") from error
    if len(encoded) > MOST_CARRY_BYTES:
        size = f"{len(encoded) / 1e6:.1f} of at most {MOST_CARRY_BYTES / 1e6:.1f} MB"
        raise ContractError(f"the carry of {spec.name} takes {size}", "let it keep less of a session")
    return encoded
