"""The same questions and orders while no daemon runs: the database is opened for each, and closed again."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from daemon import audit, corrections, failures, processor_orders
from daemon.api.listing import MOST, sessions
from daemon.audit import Peer
from daemon.config import Settings
from daemon.errors import ConfigError, SessiondError, StoreLockedError, UnknownNameError, describe, printable
from daemon.export import stream_tables, write_parquet
from daemon.overall import changed
from daemon.query.queries import Queries, Work
from daemon.runner import run_processor
from daemon.steps import take_step
from daemon.store import open_database, read_database, sibling, transaction
from daemon.tables import make_tables
from processors.registry import Registered
from processors.registry import load as load_processors

CLOSE_SECONDS = 10.0
LOCKED_SECONDS = 3.0
"""How long a command waits for others that have the database open."""

POLL_SECONDS = 0.05

_LANES = """
    SELECT processor_name AS processor, count(*) AS sessions, sum(items)::BIGINT AS items,
        sum(lines)::BIGINT AS lines, sum(malformed_lines)::BIGINT AS malformed_lines, max(processed_at) AS last_run
    FROM session_positions GROUP BY ALL"""
_FAILURES = """
    SELECT processor_name AS processor, count(*) FILTER (quarantined) AS quarantined,
        count(*) FILTER (NOT quarantined) AS retrying
    FROM session_failures GROUP BY ALL"""
_FAILED = """
    SELECT processor_name AS processor, session_file, attempts, error, failed_at FROM session_failures
    WHERE quarantined = ? ORDER BY processor, session_file"""


class Local:
    """A client of a database; see :class:`daemon.client.Client`."""

    running = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """See :meth:`daemon.client.Client.query`."""
        with self._reading() as queries:
            table: pa.Table = queries.ask(sql, parameters).result.result()
            return table

    def status(self) -> dict[str, Any]:
        """See :meth:`daemon.client.Client.status`: what the database knows."""
        found = self._read(lambda reader: (reader.rows(_LANES), reader.rows(_FAILURES)))
        lanes: dict[str, dict[str, Any]] = {}
        for row in [*found[0], *found[1]]:
            empty = {"processor": row["processor"], "sessions": 0, "quarantined": 0, "retrying": 0, "last_run": None}
            lanes.setdefault(row["processor"], empty).update(row)
        for lane in lanes.values():
            lane["last_run"] = _iso(lane["last_run"])
        return {
            "running": False,
            "root": printable(self._settings.root),
            "db": printable(self._settings.db),
            "sessions": max((lane["sessions"] for lane in lanes.values()), default=0),
            "lanes": sorted(lanes.values(), key=lambda lane: str(lane["processor"])),
        }

    def sessions(self, user: str | None = None, state: str | None = None) -> list[dict[str, Any]]:
        """See :meth:`daemon.client.Client.sessions`."""
        listed: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            start = after
            page = self._read(
                lambda reader: sessions(reader, {}, username=user, state=state, after=start, limit=MOST)  # noqa: B023
            )
            listed += page["sessions"]
            after = page["next"]
        return listed

    def quarantine(self) -> list[dict[str, Any]]:
        """See :meth:`daemon.client.Client.quarantine`."""
        rows = self._read(lambda reader: reader.rows(_FAILED, [True]))
        return [row | {"failed_at": _iso(row["failed_at"])} for row in rows]

    def retrying(self) -> list[dict[str, Any]]:
        """See :meth:`daemon.client.Client.retrying`."""
        rows = self._read(lambda reader: reader.rows(_FAILED, [False]))
        return [row | {"failed_at": _iso(row["failed_at"]), "retry_at": None} for row in rows]

    def run_processor(self, processor: str) -> dict[str, Any]:
        """See :meth:`daemon.client.Client.run_processor`."""
        spec = self._spec(processor)

        def run(conn: duckdb.DuckDBPyConnection) -> dict[str, Any]:
            return run_processor(conn, spec.processor, self._settings.root, settings=self._settings)

        counts: dict[str, Any] = self._order("run", {"processor": processor}, run, atomic=False)
        return counts

    def reprocess(self, processor: str, user: str | None = None, session: str | None = None) -> list[dict[str, str]]:
        """See :meth:`daemon.client.Client.reprocess`."""
        given = {"user": user, "session": session}
        parameters = {"processor": processor} | {name: value for name, value in given.items() if value is not None}

        def reprocess(conn: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
            self._spec(processor)
            done = corrections.invalidate(conn, processor, session, username=user)
            if not done and (user or session):
                what = f"session {printable(session)}" if session else f"session of {printable(user)}"
                raise UnknownNameError(f"{processor} has not processed any {what}", "a key is like alice/x.jsonl")
            return done

        return _listed(self._order("reprocess", parameters, reprocess))

    def requeue(self, processor: str | None = None, session: str | None = None) -> list[dict[str, str]]:
        """See :meth:`daemon.client.Client.requeue`."""
        given = {"processor": processor, "session": session}
        parameters = {name: value for name, value in given.items() if value is not None}

        def requeue(conn: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
            if processor is not None:
                self._spec(processor)
            return [(name, key) for name, key, _ in failures.requeue(conn, processor, session)]

        return _listed(self._order("requeue", parameters, requeue))

    def order(self, processor: str, order: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """See :meth:`daemon.client.Client.order`."""
        spec = self._spec(processor)
        asked = processor_orders.find(spec, order, fields)

        def carry_out(conn: duckdb.DuckDBPyConnection) -> dict[str, Any]:
            with transaction(conn):
                make_tables(conn, spec.tables, spec.views, (), spec.overall)
                answer = processor_orders.carry_out(conn, asked, fields, Peer.myself().username)
            try:
                for step in spec.steps:
                    if step.name in asked.steps:
                        take_step(conn, step, partial(changed, conn), lambda: False)
            except Exception:  # noqa: BLE001  # a plug-in's: what was ordered is done, and the steps come later
                return answer | {"settled": False}
            return answer | {"settled": True}

        done: dict[str, Any] = self._order(order, {**fields, "processor": processor}, carry_out, atomic=False)
        return done

    def export(
        self,
        folder: Path,
        tables: Sequence[str] = (),
        progress: Callable[[str, int], None] = lambda _table, _rows: None,
    ) -> dict[str, int]:
        """See :meth:`daemon.client.Client.export`."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with self._reading() as queries, os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb") as sink:

            def emit(data: bytes) -> None:
                sink.write(data)
                sink.flush()

            asked = queries.submit(lambda reader: stream_tables(reader, tables, emit), None)
            asked.result.add_done_callback(lambda _done: _close(sink))
            try:
                return write_parquet(source, folder, progress)
            except SessiondError:
                if asked.result.done():
                    asked.result.result()  # raises what it failed with, which says more
                source.close()  # or the other side would wait for somebody to read on
                asked.end()
                raise

    @contextmanager
    def _reading(self) -> Iterator[Queries]:
        settings = self._settings
        limit, threads = settings.memory_limit, settings.database_threads
        conn = _patiently(lambda: read_database(settings.db, memory_limit=limit, threads=threads))
        with conn:
            queries = Queries(lambda: sibling(conn), settings.model_copy(update={"queries": 1}))
            queries.start()
            try:
                yield queries
            finally:
                queries.close(CLOSE_SECONDS)

    def _read(self, work: Work) -> Any:
        with self._reading() as queries:
            return queries.read(work).result.result()

    def _order(
        self,
        action: str,
        parameters: dict[str, str],
        order: Callable[[duckdb.DuckDBPyConnection], Any],
        *,
        atomic: bool = True,
    ) -> Any:
        """Carry out an order and record it; ``atomic``: in one transaction."""
        if not self._settings.db.exists():
            raise ConfigError(
                f"there is no database {printable(self._settings.db)}", "give the one that is meant with --db"
            )
        me = Peer.myself()
        limit = self._settings.memory_limit
        with _patiently(lambda: open_database(self._settings.db, memory_limit=limit)) as conn:
            try:
                if atomic:
                    with transaction(conn):
                        answer = order(conn)
                else:
                    answer = order(conn)
            except Exception as error:
                audit.record(conn, me, action, parameters, "failed", describe(error))
                raise
            audit.record(conn, me, action, parameters, "done", audit.summary(answer))
            return answer

    def _spec(self, processor: str) -> Registered:
        found, _ = load_processors(options=self._settings.options, isolation=self._settings.isolation)
        for spec in found:
            if spec.name == processor:
                return spec
        names = ", ".join(spec.name for spec in found) or "none"
        raise UnknownNameError(f"there is no processor {printable(processor)}", f"there are: {names}")


def _patiently(opened: Callable[[], duckdb.DuckDBPyConnection]) -> duckdb.DuckDBPyConnection:
    """Open the database; another command may have it open for a moment.

    Raises:
        StoreLockedError: it is in use for longer.
        StoreError: it cannot be opened.

    """
    ends = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            return opened()
        except StoreLockedError as error:
            if time.monotonic() > ends:
                error.hint = "a sessiond that is starting answers in a moment: ask again"
                raise
            time.sleep(POLL_SECONDS)


def _listed(done: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"processor": name, "session_file": key} for name, key in done]


def _close(sink: Any) -> None:
    with suppress(OSError):
        sink.close()


def _iso(at: Any) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds") + "Z"
