"""The database: opening it, bringing older ones along, transactions, and what DuckDB's errors mean."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import duckdb

from daemon import arrow
from daemon.errors import StoreError, printable
from daemon.explained import NO_DATABASE, explained, passing
from daemon.room import threshold
from daemon.schema import SCHEMA, SCHEMA_VERSION
from daemon.shadow import is_open_here, keep, restore

_NO_DOWNLOADS: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
"""A database that is kept for years must not depend on what was fetched from the network meanwhile."""

TEMPORARY = "2GB"
"""What may lie in ``<database>.tmp`` of queries that do not fit into memory. DuckDB takes nine tenths of what is free
when the database is opened: of the space that the database itself may need, or of none."""


def open_database(
    path: str | os.PathLike[str], *, memory_limit: str = "", threads: int = 0
) -> duckdb.DuckDBPyConnection:
    """A connection to the database file, which is created or migrated as needed.

    Args:
        path: the file; its folder is created if it is missing.
        memory_limit, threads: of DuckDB, in its own notation; empty or 0: its defaults.

    Raises:
        StoreLockedError: another process has it open.
        StoreError: it is no database, is damaged, or is from a newer version (it is left untouched then); or it is
            another user's, and this is root.

    """
    path = Path(path)
    config: dict[str, str | bool | int | float | list[str]] = {
        "checkpoint_threshold": threshold(path),
        "max_temp_directory_size": TEMPORARY,
        **_NO_DOWNLOADS,
    }
    if memory_limit:
        config["memory_limit"] = memory_limit
    if threads:
        config["threads"] = threads
    with store_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists():
            _check_file(path)
            _check_owner(path)
            restore(path)
            # Opening for writing may already change the file, so the version is read without.
            # Where this process has it open already, it cannot be, and migrate() reads the version first anyway.
            with suppress(duckdb.ConnectionException), duckdb.connect(str(path), read_only=True) as reader:
                check_version(reader, str(path))
        elif os.path.exists(f"{path}.wal"):  # noqa: PTH110  # as above
            # DuckDB would delete it, and with it the rows that its database has not got yet.
            raise StoreError(
                f"there is {printable(path)}.wal, but not its database",
                "put the database back in its place, or move the .wal aside",
            )
        elif str(path) != ":memory:":
            _create(path)
        conn = _quiet(duckdb.connect(str(path), config=config))
        try:
            migrate(conn)
        except BaseException:
            conn.close()
            raise
    return conn


def _create(path: Path) -> None:
    """Make an empty database, whole or not at all: DuckDB does not open again what it leaves on a full disk."""
    new = Path(f"{path}.new-{os.getpid()}")
    try:
        duckdb.connect(str(new), config=_NO_DOWNLOADS).close()
        try:
            os.link(new, path)  # not over that of a process that was quicker
        except OSError:
            if not path.exists():  # there are no hard links
                new.rename(path)
    finally:
        new.unlink(missing_ok=True)


def read_database(path: Path, *, memory_limit: str, threads: int) -> duckdb.DuckDBPyConnection:
    """A connection that can only read, and reaches nothing but this file.

    Raises:
        StoreLockedError: another process has it open.
        StoreError: there is none, or it cannot be read.

    """
    if not os.path.exists(path):  # noqa: PTH110  # Path.exists() raises for a folder that one may not look into
        raise StoreError(f"there is no database {printable(path)}", "give the one that is meant with --db")
    with store_errors(path):
        _check_file(path)
        restore(path)
        limits = {"memory_limit": memory_limit, "threads": threads, "max_temp_directory_size": TEMPORARY}
        config: dict[str, Any] = {**limits, **_NO_DOWNLOADS}
        conn = _quiet(duckdb.connect(str(path), read_only=True, config=config))
        try:
            check_version(conn, str(path))
            _check_migrated(conn, path)
            conn.execute("SET TimeZone = 'UTC'")
            conn.execute("SET enable_external_access = false")
        except BaseException:
            conn.close()
            raise
    return conn


def sibling(conn: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A further connection to the same database, for another thread."""
    return _quiet(conn.cursor())


def _quiet(conn: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    conn.execute("SET enable_progress_bar = false")  # it would be drawn on standard output, which is for data
    return conn


def migrate(conn: duckdb.DuckDBPyConnection) -> None:
    """Bring a database to this version's schema; changes nothing where it is there already.

    In one transaction, the caller's if there is one.

    A table ``session_extraction_state`` of an older tool becomes rows of the processor ``verification``.

    Raises:
        StoreError: the database is from a newer version.

    """
    check_version(conn, "the database")
    conn.execute("SET GLOBAL TimeZone = 'UTC'")
    conn.execute("SET TimeZone = 'UTC'")
    # A statement outside a transaction is one of its own, with a number of its own.
    number = "SELECT txid_current()"
    inside = scalar(conn, number) == scalar(conn, number)
    with nullcontext() if inside else transaction(conn):
        conn.execute(SCHEMA)
        if _has_table(conn, "session_extraction_state"):
            conn.execute("""
                INSERT INTO session_processor_state
                SELECT 'verification', session_file, coalesce(username, split_part(session_file, '/', 1)),
                    processed_at, items_extracted, file_hash
                FROM session_extraction_state
                ON CONFLICT DO NOTHING""")
            conn.execute("DROP TABLE session_extraction_state")
        if scalar(conn, "SELECT max(version) FROM sessiond_schema") != SCHEMA_VERSION:
            conn.execute("DELETE FROM sessiond_schema")
            conn.execute("INSERT INTO sessiond_schema VALUES (?)", [SCHEMA_VERSION])


def scalar(conn: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> Any:
    """The first value of the first row, or None. Reads the result to its end, as DuckDB wants it."""
    rows = conn.execute(query, list(parameters)).fetchall()
    return rows[0][0] if rows else None


def out_of_memory(error: BaseException | None) -> bool:
    """Whether a transaction needs more memory than the database may use, found at its commit or before."""
    text = str(error)
    return isinstance(error, duckdb.OutOfMemoryException) or (
        isinstance(error, duckdb.Error) and ("could not allocate" in text or "Out of Memory" in text)
    )


def cannot_write(error: duckdb.Error) -> bool:
    """Whether the database cannot be written for a reason that may pass: disk full, quota."""
    if out_of_memory(error):
        return False
    if isinstance(error, duckdb.IOException):
        return True
    # DuckDB reports a write that failed during a commit as an error of the transaction.
    return isinstance(error, duckdb.TransactionException) and "Could not" in str(error)


def is_damaged(error: BaseException | None) -> bool:
    """Whether something in the file is not as it was written: whoever reads it fails, whatever it is for."""
    return isinstance(error, duckdb.Error) and "Corrupt database file" in str(error)


def is_conflict(error: BaseException | None) -> bool:
    """Whether another connection was quicker to change the same rows: the transaction is to be tried again."""
    if not isinstance(error, duckdb.TransactionException) or cannot_write(error) or out_of_memory(error):
        return False
    return "onflict" in str(error) or "Failed to commit" in str(error)


@contextmanager
def transaction(conn: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Everything inside is committed, or nothing. Transactions do not nest."""
    keep(conn)
    conn.begin()
    try:
        yield
        conn.commit()
    except BaseException:
        with suppress(duckdb.Error):  # a failed commit has ended the transaction already
            conn.rollback()
        arrow.forget(conn)
        raise


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """DuckDB's errors on opening a file, as errors that say what to do."""
    try:
        yield
    except duckdb.Error as error:
        raise explained(error, path) from error
    except OSError as error:
        hint = passing(error) or "choose another file with --db"
        raise StoreError(f"cannot use the database {printable(path)}: {error.strerror}", hint) from error


def _check_file(path: Path) -> None:
    """Refuse what is plainly no database, before anybody is told to set it aside as a damaged one."""
    shown = printable(path)
    if path.is_dir():
        raise StoreError(f"the database {shown} is a folder", "choose a file with --db")
    if is_open_here(path):
        return  # it is one; and to close it would give DuckDB's lock on it away, see daemon.shadow
    with path.open("rb") as file:
        if file.read(12)[8:] != b"DUCK":
            raise StoreError(f"{shown} is not a DuckDB database", NO_DATABASE)


def _check_owner(path: Path) -> None:
    """Root would leave files behind that the user who owns the database could not open any more."""
    owner = path.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise StoreError(f"{printable(path)} belongs to {name}", f"do this as that user: sudo -u '{name}' …")


def check_version(conn: duckdb.DuckDBPyConnection, name: str) -> None:
    """Raises StoreError if the database, called ``name``, is from a newer version."""
    if not _has_table(conn, "sessiond_schema"):
        return
    found = scalar(conn, "SELECT max(version) FROM sessiond_schema")
    if found is not None and found > SCHEMA_VERSION:
        raise StoreError(
            f"{printable(name)} has schema version {found}; this sessiond knows {SCHEMA_VERSION}",
            "upgrade sessiond, or choose another file with --db; it was left untouched",
        )


def _check_migrated(conn: duckdb.DuckDBPyConnection, path: Path) -> None:
    known = _has_table(conn, "sessiond_schema") and scalar(conn, "SELECT max(version) FROM sessiond_schema")
    if not _has_table(conn, "session_cursors") or known != SCHEMA_VERSION:
        raise StoreError(f"{printable(path)} is not of this sessiond yet", "sessiond scan brings it along")


def _has_table(conn: duckdb.DuckDBPyConnection, name: str) -> bool:
    where = "table_name = ? AND database_name = current_database() AND schema_name = current_schema()"
    return scalar(conn, f"SELECT 1 FROM duckdb_tables() WHERE {where}", name) is not None
