"""The connection that whole-session processors and orders get: all they cannot do is end the engine's transaction."""

from typing import Any

import duckdb

from daemon.errors import ContractError

_HINT = "what a processor writes is committed by the engine, all of it or nothing; raise to keep nothing"


class GuardedConnection:
    """Passes everything on to a DuckDB connection, except what would end its transaction or escape it."""

    def __init__(self, conn: duckdb.DuckDBPyConnection) -> None:
        self._conn = conn

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> "GuardedConnection":
        """As the connection's."""
        self._conn.execute(_allowed(query), *args, **kwargs)
        return self

    def executemany(self, query: Any, *args: Any, **kwargs: Any) -> "GuardedConnection":
        """As the connection's."""
        self._conn.executemany(_allowed(query), *args, **kwargs)
        return self

    def sql(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """As the connection's."""
        return self._conn.sql(_allowed(query), *args, **kwargs)

    def from_query(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """As the connection's."""
        return self._conn.from_query(_allowed(query), *args, **kwargs)

    def query(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """As the connection's."""
        return self._conn.query(_allowed(query), *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in {"begin", "commit", "rollback", "close", "cursor", "duplicate", "checkpoint"}:
            raise ContractError(f"a processor may not call {name}() on its connection", _HINT)
        return getattr(self._conn, name)


def _allowed(query: Any) -> Any:
    """The query, unless it, as text or as parsed statements, begins or ends a transaction."""
    statements = duckdb.extract_statements(query) if isinstance(query, str) else query
    for statement in statements if isinstance(statements, list) else [statements]:
        if getattr(statement, "type", None) == duckdb.StatementType.TRANSACTION:
            raise ContractError("a processor may not begin or end a transaction", _HINT)
    return query
