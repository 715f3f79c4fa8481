"""What an old database still gives a new one: the rows of sessions that the new one could not make itself.

The old file is attached for reading only, with its log of recent commits (``.wal``) or, if that is damaged, without.
Each table is read in ranges: what lies in a damaged block is lost, and said, and the rest of the table is not.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from daemon.errors import printable
from daemon.explained import explained, passing
from daemon.store import out_of_memory, scalar, transaction

RANGE_ROWS = 122_880
"""DuckDB's row group. A damaged one is halved, as a block seldom holds all of it, until there are so few rows:"""
LEAST_ROWS = 2_048

STATE = ("session_cursors", "session_cursor_log", "session_processor_state")
"""Who has processed what; the log wins, see :mod:`daemon.positions`."""

WHOLE, WITHOUT_LOG, UNREADABLE = "whole", "without its log", "unreadable"


@dataclass(slots=True)
class Salvaged:
    """What became of one old database.

    Attributes:
        file: its path.
        read: ``whole``, ``without its log`` or ``unreadable``; ``why``, if it is not whole.
        sessions: how many have rows or positions from it.
        tables: rows that were copied, by table.
        lost: what cannot be read, as (what, why).
        left: what can be read and was not copied, as (what, why).

    """

    file: str
    read: str = UNREADABLE
    why: str = ""
    sessions: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    lost: list[tuple[str, str]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows were copied."""
        return sum(self.tables.values())


@dataclass(frozen=True, slots=True)
class OldTable:
    """A table of the old database: how it was made, and the remark on it."""

    name: str
    columns: tuple[str, ...]
    sql: str
    comment: str | None


@contextmanager
def attached(conn: duckdb.DuckDBPyConnection, path: Path) -> Iterator[Salvaged]:
    """Inside, what can be read of the file is there as the database ``old``.

    Args:
        conn: of the new database, or of one in memory.
        path: the old file. Not a byte of it changes.

    """
    told = Salvaged(printable(path))
    attach = "ATTACH '{}' AS old (READ_ONLY)"
    try:
        conn.execute(attach.format(_quoted(path)))
        told.read = WHOLE
    except duckdb.Error as error:
        passes = passing(error) and "Input/output" not in str(error)  # which reads less, and is worth a try
        if out_of_memory(error) or passes or "lock on file" in str(error):
            raise explained(error, path) from error
        told.why = reason_of(error)
        # By another name, DuckDB does not find the log.
        alone = Path(f"{path}.without-log")
        alone.unlink(missing_ok=True)
        with suppress(duckdb.Error, OSError):
            os.link(path, alone)
            try:
                conn.execute(attach.format(_quoted(alone)))
            finally:
                alone.unlink()
            told.read = WITHOUT_LOG
    try:
        yield told
    finally:
        if told.read != UNREADABLE:
            with suppress(duckdb.Error):
                conn.execute("DETACH old")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def reason_of(error: BaseException) -> str:
    """Why something cannot be read or written. What DuckDB says may quote rows, so only its damage is shown."""
    text = str(error)
    if "checksum" in text:
        return "it does not have the checksum that it was written with"
    if isinstance(error, duckdb.IOException):
        return printable(text.partition("\n")[0])
    return type(error).__name__


class Old:
    """The database ``old`` on a connection, for :class:`daemon.rescue.Rescue`."""

    def __init__(self, conn: duckdb.DuckDBPyConnection, told: Salvaged) -> None:
        self._conn = conn
        self._told = told
        self.tables = {table.name: table for table in self._tables()}
        self.damaged: set[str] = set()
        """Names of tables of which something is lost."""

    def _tables(self) -> list[OldTable]:
        found = self._conn.execute("""
            SELECT schema_name, table_name, sql, comment,
                (SELECT list(column_name ORDER BY column_index) FROM duckdb_columns() AS columns
                 WHERE columns.table_oid = tables.table_oid AND columns.database_name = 'old')
            FROM duckdb_tables() AS tables WHERE database_name = 'old' ORDER BY table_oid""").fetchall()
        self._told.left += [(f"table {schema}.{name}", "is in another schema") for schema, name, *_ in found
                            if schema != "main"]  # fmt: skip
        return [
            OldTable(name, tuple(columns), sql, comment)
            for schema, name, sql, comment, columns in found
            if schema == "main"
        ]

    def made(self, kind: str, name: str) -> list[tuple[str, str]]:
        """Views, indexes, sequences (``kind``) with the column ``name``: each with the SQL that makes it."""
        # A view is one of DuckDB's own unless it is in the schema of the user.
        internal = "AND NOT internal" if kind == "views" else ""
        return self._conn.execute(
            f"SELECT {name}, sql FROM duckdb_{kind}() WHERE database_name = 'old' AND schema_name = 'main' {internal}"
        ).fetchall()

    def copy(self, name: str, into: str, where: str, parameters: Sequence[object] = ()) -> bool:
        """Copy those rows of a table of the old database for which ``where`` holds; returns whether it could be done.

        Args:
            name: of the old table.
            into: the table of the new database; columns that only one of the two has are left out.
            where: a condition on the row, which is called ``source``.
            parameters: of that.

        """
        table = self.tables[name]
        there = {
            column for (column,) in self._conn.execute(f'SELECT column_name FROM (DESCRIBE "{into}")').fetchall()
        }
        columns = ", ".join(f'source."{column}"' for column in table.columns if column in there)
        ranges = self.ranges(name)  # outside the transaction, which an error would end
        copied = 0
        try:
            with transaction(self._conn):
                for start, end in ranges:
                    copied += scalar(
                        self._conn,
                        f'INSERT INTO "{into}" BY NAME SELECT {columns} FROM old.main."{name}" AS source'
                        f" WHERE rowid >= {start} AND rowid < {end} AND ({where})",
                        *parameters,
                    )
        except duckdb.Error as error:
            self._told.lost.append((f"table {printable(name)}", f"its rows do not fit: {reason_of(error)}"))
            self.damaged.add(name)
            return False
        if copied:
            self._told.tables[into] = self._told.tables.get(into, 0) + copied
        return True

    def ranges(self, table: str) -> list[tuple[int, int]]:
        """The ranges of rows of a table that can be read, as (from, up to); tells of the others as lost."""
        name = f'old.main."{table}"'
        try:
            last = scalar(self._conn, f"SELECT max(rowid) FROM {name}")
        except duckdb.Error as error:
            self._lose(table, "all of it", error)
            return []
        if last is None:
            return []
        good: list[tuple[int, int]] = []
        lost = 0
        why: duckdb.Error | None = None
        todo = [(0, int(last) + 1)]
        while todo:
            start, end = todo.pop()
            try:
                # A hash needs every value; what only counts is answered from statistics.
                self._conn.execute(
                    f"SELECT bit_xor(hash(*COLUMNS(*))) FROM {name} WHERE rowid >= {start} AND rowid < {end}"
                ).fetchall()
            except duckdb.Error as error:
                size = end - start
                if size <= LEAST_ROWS:
                    lost, why = lost + size, error
                    continue
                unit = RANGE_ROWS if size > RANGE_ROWS else LEAST_ROWS
                middle = start + max(unit, size // 2 // unit * unit)
                todo += [(middle, end), (start, middle)]
            else:
                good.append((start, end))
        if why is not None:
            self._lose(table, f"up to {lost:,} of {last + 1:,} rows", why)
        return good

    def _lose(self, name: str, what: str, error: duckdb.Error) -> None:
        self.damaged.add(name)
        self._told.lost.append((f"table {printable(name)}: {what}", reason_of(error)))

    def sessions(self) -> set[str]:
        """The sessions that it has positions of, as far as they can be read."""
        keys: set[str] = set()
        for name in STATE:
            if self.has(name, ("session_file",)):
                with suppress(duckdb.Error):
                    keys.update(
                        key for (key,) in self._conn.execute(f"SELECT session_file FROM old.main.{name}").fetchall()
                    )
        return keys

    def has(self, name: str, columns: Collection[str] = ()) -> bool:
        """Whether there is a table with these columns."""
        return name in self.tables and set(columns) <= set(self.tables[name].columns)
