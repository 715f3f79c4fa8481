"""Which processors there are: found through entry points, checked once, described in one shape."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from processors.contract import IncrementalProcessor, SessionProcessor, Table, View

GROUP = "sessiond.processors"
LONGEST = 1_000_000
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Registered:
    """A processor with its attributes checked and the defaults filled in.

    ``source`` says where it is from: ``distribution version: module:attribute``.
    """

    processor: Any
    name: str
    version: int
    cadence_seconds: float
    tables: tuple[Table, ...]
    views: tuple[View, ...]
    decode_carry: Callable[[bytes], Any]
    budget_seconds: float
    incremental: bool
    source: str


class ProcessorError(Exception):
    """A processor that cannot be used; the message says which, why, and what its author can do."""


def register(processor: object, source: str = "given directly") -> Registered:
    """Check a processor object (or a class without arguments) and describe it.

    Raises:
        ProcessorError: it fits neither form of the contract.

    """
    if isinstance(processor, type):
        try:
            processor = processor()
        except Exception as error:
            raise ProcessorError(f"{source}: cannot be created: {type(error).__name__}") from error
    # A whole-session processor may have a helper called process.
    incremental = not callable(getattr(processor, "process_session", None))
    if incremental and not callable(getattr(processor, "process", None)):
        raise ProcessorError(f"{source}: has neither a method process(batch) nor process_session(…)")
    form: Any = IncrementalProcessor if incremental else SessionProcessor

    def attribute(name: str, kind: tuple[type, ...], default: Any) -> Any:
        value = getattr(processor, name, getattr(form, name, default))
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ProcessorError(f"{source}: attribute {name} is {value!r}; it has to be {kind[0].__name__}")
        return value

    name = attribute("name", (str,), None)
    if not _NAME.fullmatch(name):
        raise ProcessorError(f"{source}: name {name!r} has to be a lower-case identifier")
    tables = tuple(attribute("tables", (Sequence,), ())) if incremental else ()
    if wrong := [table for table in tables if not isinstance(table, Table)]:
        raise ProcessorError(f"{source}: tables holds {wrong[0]!r}; it has to be processors.Table")
    views = tuple(attribute("views", (Sequence,), ())) if incremental else ()
    if wrong_views := [view for view in views if not isinstance(view, View)]:
        raise ProcessorError(f"{source}: views holds {wrong_views[0]!r}; it has to be processors.View")

    version = attribute("version", (int,), 1)
    if not 0 < version < 2**31:
        raise ProcessorError(f"{source}: version is {version}; it has to be from 1 to 2,147,483,647")
    return Registered(
        processor=processor,
        name=name,
        version=version,
        cadence_seconds=60.0 * _duration(source, "cadence_minutes", attribute("cadence_minutes", (int, float), 0)),
        tables=tables,
        views=views,
        # Made once, in this thread: see processors.contract on decoders that are made by two.
        decode_carry=msgspec.msgpack.Decoder(getattr(processor, "carry_type", Any)).decode,
        budget_seconds=_duration(source, "budget_seconds", attribute("budget_seconds", (int, float), 300)),
        incremental=incremental,
        source=source,
    )


def _duration(source: str, name: str, value: float) -> float:
    if not value <= LONGEST:  # nor is it, if it is no number
        raise ProcessorError(f"{source}: {name} is {value}; it has to be at most {LONGEST:,}")
    return max(0.0, float(value))


def load(only: Sequence[str] = ()) -> tuple[list[Registered], list[ProcessorError]]:
    """All registered processors by name, and what is wrong with those that cannot be used.

    Args:
        only: if not empty, the names of the processors that are wanted.

    """
    found: dict[str, Registered] = {}
    names: set[str] = set()
    owners: dict[str, str] = {}
    errors: list[ProcessorError] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            candidate = register(_load(entry), _source(entry))
            _check_unique(candidate, found, owners)
        except ProcessorError as error:
            if not only or entry.name in only:
                names.add(entry.name)
                errors.append(error)
            continue
        names.add(candidate.name)
        if not only or candidate.name in only:
            found[candidate.name] = candidate
            owners.update(dict.fromkeys(_names(candidate), candidate.name))
    errors.extend(
        ProcessorError(f"no processor is called {name!r}; there are: {', '.join(sorted(names)) or 'none'}")
        for name in only
        if name not in names
    )
    return list(found.values()), errors


def _check_unique(candidate: Registered, found: dict[str, Registered], owners: dict[str, str]) -> None:
    if candidate.name in found:
        raise ProcessorError(
            f"{candidate.source}: the name {candidate.name!r} is taken by {found[candidate.name].source}"
        )
    for name in _names(candidate):
        if name in owners:
            raise ProcessorError(f"{candidate.source}: table {name!r} belongs to {owners[name]!r}")


def _names(spec: Registered) -> list[str]:
    return [*(table.name for table in spec.tables), *(view.name for view in spec.views)]


def _load(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except Exception as error:  # whatever a plug-in's import raises is the plug-in's fault, and shown
        raise ProcessorError(f"{_source(entry)}: cannot be imported: {type(error).__name__}: {error}") from error


def _source(entry: EntryPoint) -> str:
    dist = entry.dist
    return f"{dist.name} {dist.version}: {entry.value}" if dist else entry.value
