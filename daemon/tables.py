"""Result tables: created from their declaration, filled from Arrow, replaced session by session.

A lane brings a session's rows into one shape; the writer converts the rows of a whole group at once, which costs a
third of converting them session by session. If that fails, it commits one by one: a bad row fails its own run only.

A table of the kind ``append`` is one table. A table ``t`` of the kind ``one_per_session`` is a settled table
``t_settled``, a log ``t_log`` to which each commit appends, and a view ``t`` that shows the latest of both.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

import duckdb
import pyarrow as pa

from daemon.arrow import insert, offered
from daemon.errors import ContractError
from daemon.kept import KeptView
from daemon.overall import create
from daemon.positions import ALL
from daemon.schema import OWN_TABLES
from daemon.shapes import Part, Shape
from daemon.store import scalar
from daemon.views import make_views, shown_as
from processors.contract import ENGINE_COLUMNS, Table, View
from processors.overall import OverallTable
from processors.registry import Registered


def make_tables(
    conn: duckdb.DuckDBPyConnection,
    declared: Sequence[Table],
    views: Sequence[View] = (),
    taken: Iterable[str] = (),
    overall: Sequence[OverallTable] = (),
) -> dict[str, "ResultTable"]:
    """A processor's tables by name, created where they are missing, and its views.

    Args:
        conn: where.
        declared, views: by the processor.
        taken: names of tables and views that other processors have.
        overall: its tables over all sessions, which are created, too.

    Raises:
        ContractError: one cannot be created as it is declared.

    """
    names = {*OWN_TABLES, *taken}
    for table in declared:
        mine = stored_as(table)
        if clash := names & mine:
            raise ContractError(f"table {table.name}: the name {min(clash)} is taken", "give it another name")
        names |= mine
    for table_over_all in overall:
        if table_over_all.name in names:
            raise ContractError(f"table {table_over_all.name}: the name is taken", "give it another name")
        names.add(table_over_all.name)
        create(conn, table_over_all.name, table_over_all.columns)
    tables = {table.name: ResultTable(conn, table) for table in declared}
    for kept in make_views(conn, views, names):
        tables[kept.table].kept.append(kept)
    return tables


def stored_as(table: Table) -> set[str]:
    """The names that a table takes in the database."""
    return {table.name} if table.kind == "append" else {table.name, f"{table.name}_log", f"{table.name}_settled"}


def names_of(spec: Registered) -> set[str]:
    """The names that a processor's tables and views take in the database."""
    declared = (*map(stored_as, spec.tables), *map(shown_as, spec.views))
    return {table.name for table in spec.overall}.union(*declared)


class ResultTable(Shape):
    """One table of one processor, created on ``conn``."""

    def __init__(self, conn: duckdb.DuckDBPyConnection, declared: Table) -> None:
        self.kept: list[KeptView] = []
        self.appends_to = declared.name if declared.kind == "append" else f"{declared.name}_log"
        self.name = declared.name
        self.types = dict(declared.columns) | ENGINE_COLUMNS
        if declared.kind == "append":
            create(conn, declared.name, self.types)
        else:
            create(conn, f"{declared.name}_settled", self.types)
            create(conn, f"{declared.name}_log", self.types | {"seq": "BIGINT"})
            try:
                conn.execute(self._view())
            except duckdb.Error as error:
                raise ContractError(
                    f"table {declared.name}: there is a table of that name, of another kind",
                    "give it another name in the new version, or drop the old one",
                ) from error
        super().__init__(declared, conn.sql(f'SELECT * FROM "{self.appends_to}" LIMIT 0').to_arrow_table().schema)

    def _view(self) -> str:
        columns = ", ".join(f'"{column}"' for column in self.types)
        return f"""
            CREATE OR REPLACE VIEW "{self.name}" AS
            WITH latest AS (
                SELECT {columns} FROM "{self.name}_log"
                QUALIFY row_number() OVER (PARTITION BY session_file ORDER BY seq DESC) = 1
            )
            SELECT {columns} FROM latest
            UNION ALL
            SELECT {columns} FROM "{self.name}_settled" ANTI JOIN latest USING (session_file)"""

    def delete(self, conn: duckdb.DuckDBPyConnection, keys: Sequence[str], seq: int) -> None:
        """Delete all rows of some sessions, inside the caller's transaction; ``seq``: its number."""
        for view in self.kept:
            view.leaving(conn, keys, seq)
        names = [self.name] if self.declared.kind == "append" else [f"{self.name}_settled", f"{self.name}_log"]
        for name in names:
            conn.execute(f'DELETE FROM "{name}" WHERE session_file IN (SELECT unnest(?))', [list(keys)])

    def append(self, conn: duckdb.DuckDBPyConnection, parts: Sequence[Part], seq: int) -> None:
        """Append rows, inside the caller's transaction; ``seq`` orders them among those of other commits.

        Raises:
            ContractError: a value does not fit its column.

        """
        table = self.arrow(parts)
        if self.declared.kind == "one_per_session":
            table = table.append_column("seq", pa.repeat(pa.scalar(seq, pa.int64()), table.num_rows))
        self._check_texts(conn, table)
        insert(conn, self.appends_to, table)
        for view in self.kept:
            view.changed(conn, table.column(view.key), seq)

    def _check_texts(self, conn: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
        for name in set(self.texts) & set(rows.column_names):
            relation = f"{name} of {self.name}"
            with offered(conn, relation, rows.select([name])):
                wrong = f'"{name}" IS NOT NULL AND TRY_CAST("{name}" AS {self.types[name]}) IS NULL'
                if scalar(conn, f'SELECT count(*) FROM "{relation}" WHERE {wrong}'):
                    raise self.misfit(name)

    def update(self, conn: duckdb.DuckDBPyConnection, news: Sequence[Part], seq: int) -> None:
        """Change rows that are there, inside the caller's transaction; ``seq``: its number.

        Raises:
            ContractError: a value does not fit its column.

        """
        for columns, group in groupby(news, lambda part: tuple(part.columns)):
            changed = [name for name in columns if name not in self.declared.key]
            if changed:
                table = self.arrow(list(group))
                self._update(conn, table, changed)
                for view in self.kept:
                    view.changed(conn, table.column(view.key), seq)

    def _update(self, conn: duckdb.DuckDBPyConnection, news: pa.Table, changed: Sequence[str]) -> None:
        self._check_texts(conn, news)
        sets = ", ".join(f'"{name}" = news."{name}"' for name in changed)
        matches = [f'rows."{name}" IS NOT DISTINCT FROM news."{name}"' for name in self.declared.key]
        values: list[object] = []
        for name in self.declared.key:
            column = news.column(name)
            ordered = pa.types.is_timestamp(column.type) or pa.types.is_integer(column.type)
            if ordered and column.null_count == 0:
                # Constants let DuckDB leave out row groups by their minimum and maximum; a join does not.
                found = column.to_pylist()
                matches.append(f'rows."{name}" BETWEEN ? AND ?')
                values += [min(found), max(found)]
        name = f"news of {self.name}: {', '.join(news.column_names)}"
        with offered(conn, name, news):
            conn.execute(
                f'UPDATE "{self.name}" AS rows SET {sets} FROM "{name}" AS news'
                f" WHERE rows.session_file = news.session_file AND {' AND '.join(matches)}",
                values,
            )

    def fold(self, conn: duckdb.DuckDBPyConnection, limit: int, upto: int = ALL) -> int:
        """Move the oldest rows from the log into the settled table; returns how many sessions.

        About ``limit``, with a number up to ``upto``. Inside the caller's transaction.
        """
        if self.declared.kind == "append":
            return 0
        log, settled = f"{self.name}_log", f"{self.name}_settled"
        seq = scalar(
            conn, f'SELECT max(seq) FROM (SELECT seq FROM "{log}" WHERE seq <= ? ORDER BY seq LIMIT ?)', upto, limit
        )
        if seq is None:
            return 0
        columns = ", ".join(f'"{column}"' for column in self.types)
        conn.execute(
            f'DELETE FROM "{settled}" WHERE session_file IN (SELECT session_file FROM "{log}" WHERE seq <= ?)', [seq]
        )
        moved = conn.execute(
            f'INSERT INTO "{settled}" ({columns}) SELECT {columns} FROM "{log}" WHERE seq <= ?'
            " QUALIFY row_number() OVER (PARTITION BY session_file ORDER BY seq DESC) = 1",
            [seq],
        ).fetchall()[0][0]
        conn.execute(f'DELETE FROM "{log}" WHERE seq <= ?', [seq])
        return int(moved)

    def fold_views(self, conn: duckdb.DuckDBPyConnection, upto: int = ALL) -> int:
        """Bring some rows of the kept views up to date; returns how many keys were due."""
        return sum(view.fold(conn, upto) for view in self.kept)
