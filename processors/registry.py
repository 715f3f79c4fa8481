"""Which processors there are: found through entry points, checked once, described in one shape."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from processors.contract import LONGEST, IncrementalProcessor, Isolation, SessionProcessor, Table, View
from processors.overall import Order, OverallTable, Removal, Step

GROUP = "sessiond.processors"
INTEGERS = frozenset({"BIGINT", "INTEGER", "UBIGINT", "UINTEGER"})
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Registered:
    """A processor with its attributes checked and the defaults filled in.

    Attributes:
        source: where it is from: ``distribution version: module:attribute``.
        place: where another process finds it: ``module:attribute``; empty if it does not.
        options: what it was created with.

    """

    processor: Any
    name: str
    version: int
    cadence_seconds: float
    idle_seconds: float
    tables: tuple[Table, ...]
    views: tuple[View, ...]
    records: tuple[OverallTable, ...]
    steps: tuple[Step, ...]
    orders: tuple[Order, ...]
    removals: tuple[Removal, ...]
    decode_carry: Callable[[bytes], Any]
    budget_seconds: float
    incremental: bool
    isolation: Isolation
    source: str
    place: str
    options: Mapping[str, Any]

    @property
    def overall(self) -> tuple[OverallTable, ...]:
        """Its tables over all sessions."""
        return (*self.records, *(table for step in self.steps for table in step.writes))


class ProcessorError(Exception):
    """A processor that cannot be used; the message says which, why, and what its author can do."""


def register(
    processor: object,
    source: str = "given directly",
    options: Mapping[str, Any] | None = None,
    *,
    isolation: Isolation | None = None,
    place: str = "",
) -> Registered:
    """Check a processor object (or a class) and describe it.

    Args:
        processor: if it is a class, it is created: with its ``options_type`` made of ``options``, if it has one.
        source: where it is from.
        options: for it, from the settings.
        isolation: how it is to run, whatever it says itself.
        place: where another process finds it: ``module:attribute``; that of the class, if none is given.

    Raises:
        ProcessorError: it fits neither form of the contract, or does not take these options, or cannot run so.

    """
    if isinstance(processor, type):
        place = place or _place(processor)
        processor = _created(processor, source, options or {})
    elif options:
        raise ProcessorError(f"{source}: is no class, and takes no options")
    # A whole-session processor may have a helper called process.
    incremental = not callable(getattr(processor, "process_session", None))
    if incremental and not callable(getattr(processor, "process", None)):
        raise ProcessorError(f"{source}: has neither a method process(batch) nor process_session(…)")
    declared = _Attributes(processor, source, incremental=incremental)
    name = declared.one("name", (str,), None)
    if not _NAME.fullmatch(name):
        raise ProcessorError(f"{source}: name {name!r} has to be a lower-case identifier")
    tables, views = declared.several("tables", Table), declared.several("views", View)
    records, removals = declared.several("records", OverallTable), declared.several("removals", Removal)
    _check_kept(source, tables, views, removals)
    for removal in removals:
        if removal.table not in {table.name for table in (*tables, *records)}:
            raise ProcessorError(f"{source}: rows are removed from {removal.table!r}, which is none of its tables")
    version = declared.one("version", (int,), 1)
    if not 0 < version < 2**31:
        raise ProcessorError(f"{source}: version is {version}; it has to be from 1 to 2,147,483,647")
    isolation = isolation or declared.one("isolation", (str,), "thread")
    if isolation == "process":
        _check_isolated(source, incremental=incremental, place=place)
    elif isolation != "thread":
        raise ProcessorError(f"{source}: isolation is {isolation!r}; it has to be 'thread' or 'process'")
    return Registered(
        processor=processor,
        name=name,
        version=version,
        cadence_seconds=60.0 * declared.duration("cadence_minutes", 0),
        idle_seconds=60.0 * declared.duration("idle_minutes", LONGEST),
        tables=tables,
        views=views,
        records=records,
        steps=declared.several("steps", Step),
        orders=declared.several("orders", Order),
        removals=removals,
        # Made once, in this thread: see processors.contract on decoders that are made by two.
        decode_carry=msgspec.msgpack.Decoder(getattr(processor, "carry_type", Any)).decode,
        budget_seconds=declared.duration("budget_seconds", 300),
        incremental=incremental,
        isolation=isolation,
        source=source,
        place=place,
        options=dict(options or {}),
    )


class _Attributes:
    """What a processor says of itself, checked; where it says nothing, what its form does."""

    def __init__(self, processor: object, source: str, *, incremental: bool) -> None:
        self._processor = processor
        self._form: Any = IncrementalProcessor if incremental else SessionProcessor
        self._source = source
        self._incremental = incremental

    def one(self, name: str, kind: tuple[type, ...], default: Any) -> Any:
        value = getattr(self._processor, name, getattr(self._form, name, default))
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ProcessorError(f"{self._source}: attribute {name} is {value!r}; it has to be {kind[0].__name__}")
        return value

    def several(self, name: str, kind: type) -> tuple[Any, ...]:
        """Of an incremental processor: the other form declares nothing of this kind."""
        values = tuple(self.one(name, (Sequence,), ())) if self._incremental else ()
        if wrong := [value for value in values if not isinstance(value, kind)]:
            raise ProcessorError(
                f"{self._source}: {name} holds {wrong[0]!r}; it has to be processors.{kind.__name__}"
            )
        return values

    def duration(self, name: str, default: float) -> float:
        value = self.one(name, (int, float), default)
        if not value <= LONGEST:  # nor is it, if it is no number
            raise ProcessorError(f"{self._source}: {name} is {value}; it has to be at most {LONGEST:,}")
        return max(0.0, float(value))


def _place(kind: type) -> str:
    return "" if "<locals>" in kind.__qualname__ else f"{kind.__module__}:{kind.__qualname__}"


def _check_isolated(source: str, *, incremental: bool, place: str) -> None:
    if not incremental:
        raise ProcessorError(
            f"{source}: process_session() writes through the daemon's connection, and no other process can have the "
            "database open: isolation has to be 'thread'; an incremental processor can have 'process'"
        )
    if not place:
        raise ProcessorError(
            f"{source}: isolation is 'process', and another process cannot find it: register it as an entry point"
        )


def _created(kind: type, source: str, options: Mapping[str, Any]) -> object:
    options_type = getattr(kind, "options_type", None)
    if options_type is None and options:
        raise ProcessorError(f"{source}: takes no options")
    try:
        given = () if options_type is None else (msgspec.convert(options, options_type),)
    except msgspec.ValidationError as error:
        raise ProcessorError(f"{source}: its options: {error}") from error
    try:
        return kind(*given)
    except Exception as error:
        raise ProcessorError(f"{source}: cannot be created: {type(error).__name__}") from error


def _check_kept(source: str, tables: Sequence[Table], views: Sequence[View], removals: Sequence[Removal]) -> None:
    for view in views:
        if view.table and (reason := _not_kept(view, tables)):
            raise ProcessorError(f"{source}: view {view.name!r} is kept, and {reason}")
        if view.table in {removal.table for removal in removals}:
            raise ProcessorError(f"{source}: view {view.name!r} is kept, and rows are removed from {view.table!r}")


def _not_kept(view: View, tables: Sequence[Table]) -> str:
    """Why the rows of a view cannot be kept, or an empty text."""
    table = next((table for table in tables if table.name == view.table), None)
    if table is None or table.kind != "append":
        return f"{view.table!r} is no append table of this processor"
    if table.columns.get(view.key, "").upper() not in INTEGERS:
        return f"{view.key!r} is no integer column of {view.table!r}"
    if table.key and view.key not in table.key:
        return f"{view.key!r} is not in the key by which rows of {view.table!r} are updated"
    return ""


def load(
    only: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    isolation: Mapping[str, Isolation] | None = None,
) -> tuple[list[Registered], list[ProcessorError]]:
    """All registered processors by name, and what is wrong with those that cannot be used.

    Args:
        only: if not empty, the names of the processors that are wanted.
        options: for processors, by their names.
        isolation: how processors are to run, by their names, whatever they say themselves.

    """
    options, isolation = options or {}, isolation or {}
    found: dict[str, Registered] = {}
    names: set[str] = set()
    owners: dict[str, str] = {}
    errors: list[ProcessorError] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            candidate = register(
                _load(entry),
                _source(entry),
                options.get(entry.name),
                isolation=isolation.get(entry.name),
                place=entry.value,
            )
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
    errors.extend(
        ProcessorError(f"{what} given for {name!r}, and no processor is called so")
        for what, given in (("options are", options), ("isolation is", isolation))
        for name in given.keys() - names
        if not only or name in only
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
    return [entry.name for entries in (spec.tables, spec.views, spec.overall) for entry in entries]


def _load(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except Exception as error:  # whatever a plug-in's import raises is the plug-in's fault, and shown
        raise ProcessorError(f"{_source(entry)}: cannot be imported: {type(error).__name__}: {error}") from error


def _source(entry: EntryPoint) -> str:
    dist = entry.dist
    return f"{dist.name} {dist.version}: {entry.value}" if dist else entry.value
