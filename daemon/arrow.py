"""Arrow tables as relations of a connection.

Registering one costs DuckDB 0.4 ms, as much as a small insert. So each name is registered once per connection, for a
source that gives whatever is offered at the time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import duckdb
import pyarrow as pa


class _Source:
    """What is registered: any object with this method is, by Arrow's PyCapsule interface, a table."""

    def __init__(self) -> None:
        self.rows: pa.Table | None = None

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        assert self.rows is not None
        return self.rows.__arrow_c_stream__(requested_schema)


# By connection and name. A connection is used by one thread at a time, and so is what stands under it.
_sources: WeakKeyDictionary[duckdb.DuckDBPyConnection, dict[str, _Source]] = WeakKeyDictionary()


@contextmanager
def offered(conn: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> Iterator[None]:
    """Inside, ``rows`` are what queries on ``conn`` find as the relation ``name``.

    The same name is always offered the same columns.
    """
    sources = _sources.setdefault(conn, {})
    known = name in sources
    source = sources.setdefault(name, _Source())
    source.rows = rows
    try:
        if not known:
            conn.register(name, source)
        yield
    finally:
        source.rows = None


def forget(conn: duckdb.DuckDBPyConnection) -> None:
    """A transaction was rolled back, and with it went the names that were registered in it."""
    _sources.pop(conn, None)


def insert(conn: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    """Append rows to a table, by the names of their columns."""
    with offered(conn, f"rows of {table}", rows):
        conn.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM "rows of {table}"')
