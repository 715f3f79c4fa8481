"""Which rows of an old database a new one gets, after it was made from the transcripts that are there.

Whatever the new database has no position for: sessions whose files are gone or cannot be read, and processors that
are not here any more. For what it has a position for, its own rows are the right ones.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import duckdb

from daemon.commit import fold_all
from daemon.cursor import Cursor, Place, Signature, utc_now
from daemon.errors import ContractError, SessionError, describe, printable
from daemon.overall import changed
from daemon.positions import Entry, append, next_sequence
from daemon.salvage import STATE, Old, OldTable, Salvaged, reason_of
from daemon.schema import OWN_TABLES
from daemon.steps import take_step
from daemon.store import migrate, scalar, transaction
from daemon.tables import ResultTable, make_tables, names_of, stored_as
from daemon.transcript import Transcripts
from processors.registry import Registered

_SESSION = ("processor_name", "session_file")
_OLDER = ("session_file", "username", "processed_at", "items_extracted", "file_hash")

_ABSENT = """NOT EXISTS (FROM _present WHERE _present.processor_name = source.processor_name
    AND _present.session_file = source.session_file)"""
_ABSENT_OF = "session_file NOT IN (SELECT session_file FROM _present WHERE processor_name = ?)"


def result_tables(
    conn: duckdb.DuckDBPyConnection, processors: Sequence[Registered]
) -> dict[str, dict[str, ResultTable]]:
    """The tables of the processors that can be used with this database, as the engine makes them."""
    made: dict[str, dict[str, ResultTable]] = {}
    taken: set[str] = set()
    for spec in processors:
        try:
            made[spec.name] = make_tables(conn, spec.tables, spec.views, taken, spec.overall)
        except ContractError:  # the scan has told of it
            continue
        taken.update(names_of(spec))
    return made


class Rescue:
    """Fills a new database from an old one.

    Args:
        conn: to the new one; the old one is attached to it.
        processors: those that have made the new one.
        transcripts: what it was made of.
        told: gets what becomes of each table.

    """

    def __init__(
        self,
        conn: duckdb.DuckDBPyConnection,
        processors: Sequence[Registered],
        transcripts: Transcripts,
        told: Salvaged,
    ) -> None:
        self._conn = conn
        self._transcripts = transcripts
        self._told = told
        self._old = Old(conn, told)
        self._made = result_tables(conn, processors)
        self._known = [spec for spec in processors if spec.name in self._made]
        self._whole = [spec.name for spec in self._known if not spec.incremental]
        self._taken = set(OWN_TABLES) | {"session_extraction_state"}
        for spec in self._known:
            self._taken.update(names_of(spec))

    def all(self) -> None:
        """Copy all that is to be copied; outside a transaction."""
        fold_all(self._conn, self._made, views=False)
        self._find_present()
        damaged = [spec.name for spec in self._known if spec.incremental and not self._results(spec)]
        self._others()
        self._positions(damaged)
        self._records()
        self._told.sessions = self._count()
        fold_all(self._conn, self._made)
        self._steps()

    def _find_present(self) -> None:
        """Note what the new database has, by processor and session, and what has another name there."""
        self._conn.execute("""
            CREATE OR REPLACE TEMP TABLE _present AS SELECT processor_name, session_file FROM session_cursors;
            CREATE OR REPLACE TEMP TABLE _orphans (processor_name VARCHAR, session_file VARCHAR)""")
        latest: dict[tuple[str, str], tuple[str, Cursor]] = {}
        for table, order in (("session_cursors", "was.session_file"), ("session_cursor_log", "seq")):
            if not self._old.has(table, (*_SESSION, "device", "inode", "position", "fingerprint")):
                continue
            try:
                found = self._conn.execute(f"""
                    SELECT was.processor_name, was.session_file, now.session_file,
                        was.device, was.inode, was.position, was.fingerprint
                    FROM old.main.{table} AS was JOIN session_cursors AS now USING (processor_name, device, inode)
                    ANTI JOIN _present ON _present.processor_name = was.processor_name
                        AND _present.session_file = was.session_file
                    ORDER BY {order}""").fetchall()
            except duckdb.ProgrammingError:
                raise
            except duckdb.Error:
                continue  # what cannot be read is told where it is copied
            for processor, was, key, device, inode, position, fingerprint in found:
                seen = _cursor(Signature(device, inode, 0, 0, 0), position, fingerprint)
                latest[processor, was] = key, seen
        for (processor, was), (key, seen) in latest.items():
            with suppress(SessionError):
                if self._transcripts.continues(key, seen):
                    self._conn.execute("INSERT INTO _present VALUES (?, ?)", [processor, was])

    def _results(self, spec: Registered) -> bool:
        """Rows of a processor that the engine keeps the tables of; returns whether all of them could be read."""
        whole = True
        for table in self._made[spec.name].values():
            names = sorted(stored_as(table.declared) & self._old.tables.keys())
            for name in names:
                whole &= self._old.copy(name, name, _ABSENT_OF, [spec.name]) and name not in self._old.damaged
            stored = names if table.declared.kind == "append" else [name for name in names if name != table.name]
            for name in stored:
                # Rows without a position would be doubled if their file came back. Version 0 is no processor's.
                self._conn.execute(
                    f'INSERT INTO _orphans SELECT DISTINCT ?, session_file FROM "{name}" WHERE {_ABSENT_OF}',
                    [spec.name, spec.name],
                )
            if table.kept:
                keys = self._conn.execute(
                    f'SELECT DISTINCT session_file FROM "{table.name}" WHERE {_ABSENT_OF}', [spec.name]
                ).fetchall()
                with transaction(self._conn):
                    for view in table.kept:
                        view.leaving(self._conn, [key for (key,) in keys], next_sequence())
        return whole

    def _positions(self, damaged: Sequence[str]) -> None:
        """Who has processed what, of all that was not processed anew."""
        for table in STATE:
            if self._old.has(table, _SESSION):
                self._old.copy(table, table, _ABSENT)
        if self._old.has("session_extraction_state", _OLDER):  # of an older tool, see daemon.store.migrate
            self._conn.execute(
                "CREATE TABLE session_extraction_state AS FROM old.main.session_extraction_state LIMIT 0"
            )
            present = "SELECT session_file FROM _present WHERE processor_name = 'verification'"
            self._old.copy("session_extraction_state", "session_extraction_state", f"session_file NOT IN ({present})")
            migrate(self._conn)
        lost = self._conn.execute("""
            SELECT DISTINCT processor_name, session_file FROM _orphans WHERE session_file IS NOT NULL
            EXCEPT SELECT processor_name, session_file FROM session_cursors
            EXCEPT SELECT processor_name, session_file FROM session_cursor_log""").fetchall()
        with transaction(self._conn):
            if lost:
                now, nowhere = utc_now(), _cursor(Signature(0, 0, 0, 0, 0), 0, "")
                append(self._conn, [Entry(processor, key, nowhere, now) for processor, key in lost])
            for processor in damaged:
                for table in ("session_cursors", "session_cursor_log"):
                    self._conn.execute(
                        f"UPDATE {table} SET version = 0, settled = false WHERE processor_name = ? AND {_ABSENT_OF}",
                        [processor, processor],
                    )

    def _others(self) -> None:
        """What whole-session processors, processors that are not here, and other tools have written."""
        for name, sql in self._old.made("sequences", "sequence_name"):
            self._make(f"sequence {name}", sql)
        for name, table in self._old.tables.items():
            if name not in self._taken:
                self._other(table)
        for name, sql in self._old.made("indexes", "index_name"):
            self._make(f"index {name}", sql)
        views = [(name, sql) for name, sql in self._old.made("views", "view_name") if name not in self._taken]
        for name, sql in views * 2:  # one may be made of another
            self._make(f"view {name}", sql, quietly=True)
        for name, sql in views:
            self._make(f"view {name}", sql)

    def _other(self, table: OldTable) -> None:
        name = table.name
        there = scalar(
            self._conn,
            "SELECT 1 FROM duckdb_tables() WHERE table_name = ? AND database_name = current_database()",
            name,
        )
        if not there:
            # None of the processors that are here has made it, so that nothing of it can be doubled.
            if self._make(f"table {name}", table.sql) and self._old.copy(name, name, "true") and table.comment:
                whole = not self._old.damaged  # a kept view goes on from rows that are all there, or is made anew
                self._conn.execute(f'COMMENT ON TABLE "{name}" IS {_literal(table.comment if whole else "")}')
        elif "session_file" in table.columns:
            absent = (
                "session_file NOT IN"
                " (SELECT session_file FROM _present WHERE list_contains(?::VARCHAR[], processor_name))"
                f' AND session_file NOT IN (SELECT session_file FROM "{name}" WHERE session_file IS NOT NULL)'
            )
            self._old.copy(name, name, absent, [self._whole])
        elif scalar(self._conn, f'SELECT count(*) FROM "{name}"'):
            self._told.left.append((f"table {printable(name)}", "has no session_file that tells whose a row is"))
        else:
            self._old.copy(name, name, "true")

    def _make(self, what: str, sql: str, *, quietly: bool = False) -> bool:
        """Make something anew by the statement that it was made with, if there is none of that name."""
        try:
            self._conn.execute(sql)
        except duckdb.CatalogException as error:
            if "already exists" in str(error):
                return True
            if not quietly:
                self._told.left.append((printable(what), reason_of(error)))
            return False
        except duckdb.Error as error:
            if not quietly:
                self._told.left.append((printable(what), reason_of(error)))
            return False
        return True

    def _records(self) -> None:
        """What people decided, orders that were given, and failures of processors that are not here."""
        for table in (table for spec in self._known for table in spec.records):
            if self._old.has(table.name):
                self._old.copy(table.name, table.name, "true")
        if self._old.has("audit_log"):
            self._old.copy("audit_log", "audit_log", "true")
        if self._old.has("session_failures", _SESSION):
            here = [spec.name for spec in self._known]
            self._old.copy(
                "session_failures", "session_failures", "processor_name NOT IN (SELECT unnest(?::VARCHAR[]))", [here]
            )

    def _steps(self) -> None:
        """What follows from all rows: those that were made anew knew neither the old ones nor what people decided."""
        for spec in self._known:
            try:
                for step in spec.steps:
                    take_step(self._conn, step, partial(changed, self._conn), lambda: False)
            except Exception as error:  # noqa: BLE001  # a plug-in's; the daemon takes them anew
                self._told.left.append((f"what follows from the rows of {spec.name}", describe(error)))

    def _count(self) -> int:
        found = " UNION ".join(f"SELECT session_file FROM {table} AS source WHERE {_ABSENT}" for table in STATE)
        return int(scalar(self._conn, f"SELECT count(*) FROM ({found})"))


def _cursor(signature: Signature, position: int, fingerprint: str) -> Cursor:
    """A cursor of which little is known, and which no processor goes on from."""
    return Cursor(signature, position, fingerprint, Place(0), False, 0, None, 0, 0, 0, "")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
