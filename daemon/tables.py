"""Result tables: created from their declaration, filled from Arrow, replaced session by session.

A table of the kind ``append`` is one table. A table ``t`` of the kind ``one_per_session`` is a settled table
``t_settled``, a log ``t_log`` to which each commit appends, and a view ``t`` that shows the latest of both.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from daemon.errors import ContractError, printable
from daemon.positions import insert
from daemon.store import scalar
from processors.contract import ENGINE_COLUMNS, Rows, Table


class ResultTable:
    """One table of one processor. Creates it on ``conn``; afterwards ``batch`` may be called by any thread."""

    def __init__(self, conn: duckdb.DuckDBPyConnection, declared: Table) -> None:
        self.declared = declared
        self.name = declared.name
        self.appends_to = declared.name if declared.kind == "append" else f"{declared.name}_log"
        self._types = dict(declared.columns) | ENGINE_COLUMNS
        if declared.kind == "append":
            self._create(conn, declared.name)
        else:
            self._create(conn, f"{declared.name}_settled")
            self._create(conn, f"{declared.name}_log", seq="BIGINT")
            conn.execute(self._view())
        schema = conn.sql(f'SELECT * FROM "{self.appends_to}" LIMIT 0').to_arrow_table().schema
        self._schema = pa.schema([schema.field(name) for name in self._types])

    def _create(self, conn: duckdb.DuckDBPyConnection, name: str, **more: str) -> None:
        wanted = self._types | more
        columns = ", ".join(f'"{column}" {kind}' for column, kind in wanted.items())
        try:
            conn.execute(f'CREATE TABLE IF NOT EXISTS "{name}" ({columns})')
            kinds = conn.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", [name])
            there: dict[str, str] = dict(kinds.fetchall())
            for column, kind in wanted.items():
                if column not in there:
                    conn.execute(f'ALTER TABLE "{name}" ADD COLUMN "{column}" {kind}')
                    continue
                meant = scalar(conn, f"SELECT typeof(NULL::{kind})")
                if there[column] != meant:
                    raise ContractError(
                        f"table {name}: column {column} is {there[column]} in the database, {meant} in the processor",
                        "give the table another name in the new version, or drop the old one",
                    )
        except duckdb.Error as error:
            reason = printable(str(error).partition("\n")[0])
            raise ContractError(f"table {name}: {reason}", "check its columns and their DuckDB types") from error

    def _view(self) -> str:
        columns = ", ".join(f'"{column}"' for column in self._types)
        return f"""
            CREATE OR REPLACE VIEW "{self.name}" AS
            WITH latest AS (
                SELECT {columns} FROM "{self.name}_log"
                QUALIFY row_number() OVER (PARTITION BY session_file ORDER BY seq DESC) = 1
            )
            SELECT {columns} FROM latest
            UNION ALL
            SELECT {columns} FROM "{self.name}_settled" ANTI JOIN latest USING (session_file)"""

    def batch(self, rows: Rows, key: str, username: str, version: int, at: datetime) -> pa.RecordBatch | None:
        """Rows of one session with the engine's columns, checked and converted; None if there are none.

        Raises:
            ContractError: a row does not fit; names the column.

        """
        columns, length = self._columns(rows, self.declared.columns)
        if not length:
            return None
        if self.declared.kind != "append":
            columns, length = {name: values[-1:] for name, values in columns.items()}, 1
        arrays = [self._array(name, columns.get(name), length) for name in self.declared.columns]
        engine = (key, username, version, at)
        fields = (self._schema.field(name) for name in ENGINE_COLUMNS)
        arrays += [pa.repeat(pa.scalar(value, field.type), length) for value, field in zip(engine, fields, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def update_batch(self, rows: Rows, key: str) -> pa.RecordBatch | None:
        """Updates of rows of one session: the key columns, those to change, and ``session_file``.

        Raises:
            ContractError: the table has no key, the rows lack it, or a value does not fit.

        """
        columns, length = self._columns(rows, self.declared.columns)
        if not length:
            return None
        if not self.declared.key or not set(self.declared.key) <= columns.keys():
            raise ContractError(f"table {self.name}: updates need the columns of its key", "declare Table(key=…)")
        arrays = [self._array(name, values, length) for name, values in columns.items()]
        fields = [self._schema.field(name) for name in columns]
        return pa.RecordBatch.from_arrays(
            [*arrays, pa.repeat(pa.scalar(key), length)], schema=pa.schema([*fields, ("session_file", pa.string())])
        )

    def _columns(self, rows: Rows, known: Mapping[str, str]) -> tuple[dict[str, Sequence[object]], int]:
        if isinstance(rows, Mapping):
            columns = dict(rows)
        elif isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
            names = dict.fromkeys(name for row in rows for name in row)
            columns = {name: [row.get(name) for row in rows] for name in names}
        else:
            raise ContractError(f"table {self.name}: rows have to be mappings, or a mapping of columns")
        if unknown := [name for name in columns if name not in known]:
            raise ContractError(f"table {self.name}: column {printable(unknown[0])} is not declared")
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            raise ContractError(f"table {self.name}: its columns have different lengths")
        return columns, lengths.pop() if lengths else 0

    def _array(self, name: str, values: Sequence[object] | None, length: int) -> Any:
        kind = self._schema.field(name).type
        if values is None:
            return pa.nulls(length, kind)
        try:
            return pa.array(values, kind)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            # Arrow's message would quote the value, which may come from a transcript.
            raise ContractError(
                f"table {self.name}: a value of column {name} is no {self.declared.columns[name]}"
            ) from error

    def delete(self, conn: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> None:
        """Delete all rows of some sessions, inside the caller's transaction."""
        names = [self.name] if self.declared.kind == "append" else [f"{self.name}_settled", f"{self.name}_log"]
        for name in names:
            conn.execute(f'DELETE FROM "{name}" WHERE session_file IN (SELECT unnest(?))', [list(keys)])

    def append(self, conn: duckdb.DuckDBPyConnection, batches: Sequence[pa.RecordBatch], seq: int) -> None:
        """Append rows, inside the caller's transaction; ``seq`` orders them among those of other commits."""
        rows = pa.Table.from_batches(batches)
        if self.declared.kind != "append":
            rows = rows.append_column("seq", pa.repeat(pa.scalar(seq, pa.int64()), rows.num_rows))
        insert(conn, self.appends_to, rows)

    def update(self, conn: duckdb.DuckDBPyConnection, rows: pa.RecordBatch) -> None:
        """Change rows that are there, inside the caller's transaction."""
        changed = [name for name in rows.schema.names if name not in {*self.declared.key, "session_file"}]
        if not changed:
            return
        matches = [f'rows."{name}" IS NOT DISTINCT FROM new."{name}"' for name in self.declared.key]
        bounds, values = self._bounds(rows)
        conn.register("_new", pa.Table.from_batches([rows]))
        try:
            conn.execute(
                f'UPDATE "{self.name}" AS rows SET {", ".join(f""""{name}" = new."{name}" """ for name in changed)}'
                f' FROM _new AS new WHERE rows.session_file = new.session_file AND {" AND ".join(matches + bounds)}',
                values,
            )
        finally:
            conn.unregister("_new")

    def _bounds(self, rows: pa.RecordBatch) -> tuple[list[str], list[object]]:
        # Constants let DuckDB leave out row groups by their minimum and maximum; a join does not.
        bounds: list[str] = []
        values: list[object] = []
        for name in self.declared.key:
            column = rows.column(name)
            ordered = pa.types.is_timestamp(column.type) or pa.types.is_integer(column.type)
            if ordered and column.null_count == 0:
                found = [value.as_py() for value in column]
                bounds.append(f'rows."{name}" BETWEEN ? AND ?')
                values += [min(found), max(found)]
        return bounds, values

    def fold(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Move the latest rows from the log into the settled table, inside the caller's transaction."""
        if self.declared.kind == "append":
            return
        columns = ", ".join(f'"{column}"' for column in self._types)
        log, settled = f'"{self.name}_log"', f'"{self.name}_settled"'
        if not scalar(conn, f"SELECT count(*) FROM {log}"):
            return
        conn.execute(f"DELETE FROM {settled} WHERE session_file IN (SELECT session_file FROM {log})")
        conn.execute(
            f"INSERT INTO {settled} ({columns}) SELECT {columns} FROM {log}"
            " QUALIFY row_number() OVER (PARTITION BY session_file ORDER BY seq DESC) = 1"
        )
        conn.execute(f"DELETE FROM {log}")
