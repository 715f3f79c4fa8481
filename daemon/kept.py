"""Views whose rows are kept in the database, and worked out anew only where the table below them has changed.

A kept view ``v`` of a table ``t`` is a table ``v_kept`` with its rows, a table ``v_due`` with the keys whose rows in
``t`` have changed since, and a view ``v``: the kept rows of all other keys, and the rows of the due ones, worked out
at that moment. So the view is right at any time; a fold makes it quick.
"""

from collections.abc import Sequence
from hashlib import blake2b

import duckdb
import pyarrow as pa

from daemon.arrow import insert
from daemon.errors import ContractError, printable
from daemon.store import scalar, transaction
from processors.contract import View

SLICE = 20_000
"""Keys that are worked out at a time: others wait meanwhile. A slice reads the keys of all rows, which takes longer
than the work on some thousands of them: 20 ms for 5 million rows."""


def kept_as(name: str) -> set[str]:
    """The names that a kept view takes in the database besides its own."""
    return {f"{name}_kept", f"{name}_due"}


class KeptView:
    """The rows of one kept view; all methods but the first are called inside a transaction of the caller's."""

    def __init__(self, conn: duckdb.DuckDBPyConnection, declared: View) -> None:
        """Create it, outside a transaction; if it is declared otherwise than before, every key is due."""
        self.table, self.key = declared.table, declared.key
        self._sql = declared.sql
        self._kept, self._due = f"{declared.name}_kept", f"{declared.name}_due"
        digest = blake2b(repr(declared).encode(), digest_size=16).hexdigest()
        known = scalar(conn, "SELECT comment FROM duckdb_tables() WHERE table_name = ?", self._kept)
        try:
            with transaction(conn):
                if known == digest:
                    # The numbers of commits begin anew with each process.
                    conn.execute(f'UPDATE "{self._due}" SET seq = 0 WHERE seq > 0')
                else:
                    self._create(conn, declared.name, digest)
                conn.execute(self._view(declared.name))
        except duckdb.Error as error:
            reason = printable(str(error).partition("\n")[0])
            raise ContractError(f"view {declared.name}: {reason}", "check its SQL and the tables in it") from error

    def _create(self, conn: duckdb.DuckDBPyConnection, name: str, digest: str) -> None:
        conn.execute(f'DROP VIEW IF EXISTS "{name}"')  # which may show columns that will not be there
        conn.execute(f'CREATE OR REPLACE TABLE "{self._kept}" AS SELECT * FROM ({self._sql}) LIMIT 0')
        conn.execute(
            f'CREATE OR REPLACE TABLE "{self._due}" AS SELECT DISTINCT "{self.key}", 0::BIGINT AS seq'
            f' FROM "{self.table}" WHERE "{self.key}" IS NOT NULL'
        )
        conn.execute(f"COMMENT ON TABLE \"{self._kept}\" IS '{digest}'")

    def _view(self, name: str) -> str:
        return f"""
            CREATE OR REPLACE VIEW "{name}" AS
            SELECT * FROM "{self._kept}" ANTI JOIN "{self._due}" USING ("{self.key}")
            UNION ALL BY NAME
            {self._worked_out("")}"""

    def _worked_out(self, condition: str) -> str:
        """The view's own statement, over just those rows of its table whose key is due.

        Rows are found by their place: what has changed lately stands together at the table's end, and the rest of
        it need not be read. That is five times quicker than to compare the keys of whole rows.
        """
        table, due = f'main."{self.table}"', f'SELECT "{self.key}" FROM main."{self._due}" {condition}'
        return f"""
            SELECT * FROM (
                WITH "{self.table}" AS (
                    SELECT * FROM {table}
                    WHERE rowid IN (SELECT rowid FROM {table} WHERE "{self.key}" IN ({due}))
                )
                SELECT * FROM ({self._sql})
            )"""

    def changed(self, conn: duckdb.DuckDBPyConnection, keys: pa.ChunkedArray, seq: int) -> None:
        """Rows with these keys were added or changed, by commit number ``seq``."""
        due = keys.drop_null().unique()
        insert(conn, self._due, pa.table({self.key: due, "seq": pa.repeat(pa.scalar(seq, pa.int64()), len(due))}))

    def leaving(self, conn: duckdb.DuckDBPyConnection, sessions: Sequence[str], seq: int) -> None:
        """All rows of some sessions are about to be deleted."""
        conn.execute(
            f'INSERT INTO "{self._due}" SELECT DISTINCT "{self.key}", ? FROM "{self.table}"'
            f' WHERE session_file IN (SELECT unnest(?)) AND "{self.key}" IS NOT NULL',
            [seq, list(sessions)],
        )

    def fold(self, conn: duckdb.DuckDBPyConnection, upto: int) -> int:
        """Work out what is due for longest, of commits up to number ``upto``; returns how many keys were due."""
        due = f'"{self._due}"'
        last = scalar(
            conn, f"SELECT max(seq) FROM (SELECT seq FROM {due} WHERE seq <= ? ORDER BY seq LIMIT {SLICE})", upto
        )
        if last is None:
            return 0
        # All with number 0 came at once, and may be all that there are: they are taken by the value of their key.
        chosen = f"WHERE seq <= {int(last)}"
        if last == 0:
            edge = scalar(
                conn,
                f'SELECT max("{self.key}") FROM (SELECT "{self.key}" FROM {due} WHERE seq = 0'
                f' ORDER BY "{self.key}" LIMIT {SLICE})',
            )
            chosen = f'WHERE seq = 0 AND "{self.key}" <= {int(edge)}'
        keys = f'SELECT "{self.key}" FROM {due} {chosen}'
        conn.execute(f'DELETE FROM "{self._kept}" WHERE "{self.key}" IN ({keys})')
        conn.execute(f'INSERT INTO "{self._kept}" BY NAME {self._worked_out(chosen)}')
        return int(conn.execute(f"DELETE FROM {due} {chosen}").fetchall()[0][0])
