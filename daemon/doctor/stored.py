"""The check of the database: whether it can be used, is of this version, and can be read from end to end."""

from collections.abc import Iterator

import duckdb

from daemon.doctor.findings import Finding, SkipError, counted, some
from daemon.doctor.patient import Patient
from daemon.doctor.reading import QUERY_ERRORS, Database
from daemon.errors import LimitError, QueryError, SessiondError, StoreLockedError, describe, printable
from daemon.schema import SCHEMA_VERSION
from daemon.store import out_of_memory

_TABLES = """
    SELECT table_schema, table_name FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND table_catalog = current_database() ORDER BY ALL"""


def database(patient: Patient) -> Iterator[Finding]:
    """Whether the database can be used; of what version it is; whether each block of each table can be read."""
    found, shown = patient.opened, printable(patient.db)
    if isinstance(found, SkipError):
        raise found
    if isinstance(found, StoreLockedError):
        says = f"{found.args[0]}, which does not answer as a daemon of these settings"
        yield Finding("database", "error", says, "give its socket with --socket, or stop that process")
    elif isinstance(found, SessiondError):
        yield Finding("database", "error", str(found.args[0]), found.hint)
    elif found is None:
        yield Finding("database", "ok", f"{shown} is not there yet: the first start makes it")
    else:
        fix = (
            "stop the daemon, run sessiond rebuild, and start it again: the database is set aside, and a new one made"
            " from the transcripts and from what it still gives"
        )
        try:
            tables = found.rows(_TABLES)
            yield from _version(found, {name for _, name in tables})
        except LimitError as error:
            raise SkipError(str(error.args[0]), error.hint) from None
        except QUERY_ERRORS as error:
            yield Finding("database", "error", f"{shown} is damaged: {_reason(error)}", fix)
        else:
            yield from _content(patient, found, tables, fix)


def _version(found: Database, tables: set[str]) -> Iterator[Finding]:
    rows = found.rows("SELECT max(version) FROM sessiond_schema") if "sessiond_schema" in tables else []
    version = rows[0][0] if rows else None
    if version is None:
        says = "the database is not of this sessiond yet"
        yield Finding("database", "warning", says, "the next start of the daemon, or sessiond scan, brings it along")
    elif version < SCHEMA_VERSION:
        says = f"the database has schema version {version}, and this sessiond {SCHEMA_VERSION}"
        yield Finding("database", "warning", says, "the next start of the daemon, or sessiond scan, brings it along")
    elif version > SCHEMA_VERSION:
        says = f"the database has schema version {version}, and this sessiond knows {SCHEMA_VERSION} at most"
        yield Finding("database", "error", says, "install the newer sessiond that has written it")


def _content(patient: Patient, found: Database, tables: list[tuple[str, str]], fix: str) -> Iterator[Finding]:
    """Read all of it. An index is not read before it is used, so that damage in one is not found here."""
    damaged: dict[str, str] = {}
    unread: dict[str, str] = {}
    total = 0
    for number, (schema, name) in enumerate(tables, 1):
        table = name if schema == "main" else f"{schema}.{name}"
        patient.tell(f"reading table {number} of {len(tables)}: {printable(table)}")
        try:
            # What only counts is answered from statistics, without a look at the blocks; a hash needs every value.
            ((rows, _),) = found.rows(
                f"SELECT count(*), bit_xor(hash(*COLUMNS(*))) FROM {_quoted(schema)}.{_quoted(name)}"
            )
        except QUERY_ERRORS as error:
            (unread if isinstance(error, LimitError) or out_of_memory(error) else damaged)[table] = _reason(error)
        else:
            total += rows
    if damaged:
        says = f"{counted(len(damaged), 'table')} cannot be read: {some(damaged)}: {next(iter(damaged.values()))}"
        yield Finding("database", "error", says, fix)
    if unread:
        says = f"{counted(len(unread), 'table')} too large to be read now: {some(unread)}"
        yield Finding("database", "skipped", says, "stop the daemon and run this again, or raise memory_limit")
    read = counted(len(tables) - len(damaged) - len(unread), "table")
    yield Finding("database", "ok", f"{read} read from end to end, {counted(total, 'row')}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _reason(error: Exception) -> str:
    """Why something cannot be read. What DuckDB says may quote what is there, so it is not shown."""
    if "checksum" in str(error):
        return "a block does not have the checksum that it was written with"
    if isinstance(error, duckdb.IOException):
        return "the file ends too early, or the disk cannot read it"
    return "the query fails in the daemon" if isinstance(error, QueryError) else describe(error)
