"""A processor's tables over all sessions, and rows that must not be there; see :mod:`processors.overall`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from daemon.arrow import insert, offered
from daemon.errors import ContractError, printable
from daemon.store import scalar, transaction
from processors.contract import Table
from processors.overall import OverallTable, Removal


def create(conn: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str]) -> None:
    """Create a table where it is missing, and the columns that it lacks.

    Args:
        conn: where.
        name: of the table.
        columns: name → DuckDB type.

    Raises:
        ContractError: it cannot be created, or is there with other types.

    """
    try:
        declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        conn.execute(f'CREATE TABLE IF NOT EXISTS "{name}" ({declared})')
        mine = "database_name = current_database() AND schema_name = current_schema()"  # others may be attached
        kinds = conn.execute(
            f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? AND {mine}", [name]
        )
        there: dict[str, str] = dict(kinds.fetchall())
        for column, kind in columns.items():
            if column not in there:
                conn.execute(f'ALTER TABLE "{name}" ADD COLUMN "{column}" {kind}')
                continue
            meant = scalar(conn, f"SELECT typeof(NULL::{kind})")
            if meant == "BIT":  # which Arrow does not bring back as it was
                raise ContractError(f"table {name}: column {column} is a BIT", "declare a VARCHAR or a BLOB")
            if there[column] != meant:
                raise ContractError(
                    f"table {name}: column {column} is {there[column]} in the database, {meant} in the processor",
                    "give the table another name in the new version, or drop the old one",
                )
    except duckdb.Error as error:
        reason = printable(str(error).partition("\n")[0])
        raise ContractError(f"table {name}: {reason}", "check its columns and their DuckDB types") from error


def rows_of(conn: duckdb.DuckDBPyConnection, table: OverallTable, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Rows as they go into the table.

    Raises:
        ContractError: they do not fit it.

    """
    schema = conn.sql(f'SELECT * FROM "{table.name}" LIMIT 0').to_arrow_table().schema
    try:
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(table.columns)
        named = dict(zip(table.columns, columns, strict=True))
        return pa.table({name: pa.array(values, schema.field(name).type) for name, values in named.items()})
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise ContractError(f"rows do not fit table {table.name}", "see the columns that are declared") from error


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be done to a table, so that it has the rows that it should."""

    gone: pa.Table
    new: pa.Table

    def __bool__(self) -> bool:
        return bool(self.gone.num_rows or self.new.num_rows)


def change_to(conn: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> Change:
    """What makes just these rows of what a table has; the order of rows, and how often one is there, mean nothing."""
    columns = ", ".join(f'"{column}"' for column in rows.column_names)
    with offered(conn, f"wanted of {name}", rows):
        there, wanted = f'SELECT {columns} FROM "{name}"', f'SELECT {columns} FROM "wanted of {name}"'
        gone, new = (conn.sql(f"{one} EXCEPT {other}").to_arrow_table() for one, other in
                     ((there, wanted), (wanted, there)))  # fmt: skip
    return Change(gone, new)


def make_changes(conn: duckdb.DuckDBPyConnection, changes: Mapping[str, Change]) -> None:
    """Make changes of tables, inside the caller's transaction; what they cost is a matter of their size.

    Made twice, they come to the same as once: one that was given up as the disk was full may be written after all,
    when the next has been worked out already.
    """
    for name, change in changes.items():
        gone = pa.concat_tables([change.gone, change.new])
        if gone.num_rows:
            same = " AND ".join(f'rows."{each}" IS NOT DISTINCT FROM gone."{each}"' for each in gone.column_names)
            with offered(conn, f"gone of {name}", gone):
                conn.execute(f'DELETE FROM "{name}" AS rows USING "gone of {name}" AS gone WHERE {same}')
        if change.new.num_rows:
            insert(conn, name, change.new)


def changed(conn: duckdb.DuckDBPyConnection, changes: Mapping[str, Change]) -> None:
    """The same, in a transaction of its own."""
    with transaction(conn):
        make_changes(conn, changes)


def remove(conn: duckdb.DuckDBPyConnection, tables: Sequence[Table], removals: Sequence[Removal]) -> dict[str, int]:
    """Remove what must not be there; returns how many rows, by table.

    Raises:
        ContractError: a condition is wrong.

    """
    kinds = {table.name: table.kind for table in tables}
    removed: dict[str, int] = {}
    for removal in removals:
        inner = kinds.get(removal.table) == "one_per_session"
        names = [f"{removal.table}_settled", f"{removal.table}_log"] if inner else [removal.table]
        try:
            with transaction(conn):
                count = sum(int(scalar(conn, _statement(name, removal))) for name in names)
        except duckdb.ProgrammingError as error:
            reason = printable(str(error).partition("\n")[0])
            raise ContractError(f"removal from {removal.table}: {reason}", "check its condition") from error
        except duckdb.DataError as error:  # it may quote a row
            raise ContractError(
                f"removal from {removal.table}: {type(error).__name__}", "check its condition"
            ) from error
        removed[removal.table] = removed.get(removal.table, 0) + count
    return removed


def _statement(name: str, removal: Removal) -> str:
    if not removal.columns and name != removal.table:
        # With the row that is shown of a session go those that it has taken the place of, or one of them would be.
        return (
            f'DELETE FROM "{name}" WHERE ({removal.where})'
            f' OR session_file IN (SELECT session_file FROM "{removal.table}" WHERE ({removal.where}))'
        )
    if not removal.columns:
        return f'DELETE FROM "{name}" WHERE ({removal.where})'
    sets = ", ".join(f'"{column}" = NULL' for column in removal.columns)
    there = " OR ".join(f'"{column}" IS NOT NULL' for column in removal.columns)
    return f'UPDATE "{name}" SET {sets} WHERE ({removal.where}) AND ({there})'
