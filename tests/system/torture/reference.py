"""The plain reference: which rows a file's content gives, worked out at once and from the start."""

import json
from functools import lru_cache
from hashlib import blake2b

import duckdb

from daemon.cursor import utc_now
from daemon.store import transaction
from daemon.tables import make_tables
from processors import Batch
from processors.registry import load

LONGEST = 64 << 10
"""The limit of a line that the daemon is started with."""

USAGE_TABLES = ("usage_events", "usage_messages", "usage_session_summary")


def usage_sums(table):
    """SQL of how many rows each session has, and of a sum over all that is in them; takes a prefix of users."""
    rows = f"SELECT * EXCLUDE (extracted_at, processor_version) FROM {table} WHERE starts_with(username, ?)"
    return (
        f"SELECT session_file, count(*) AS rows, sum(hash(t)::HUGEINT)::VARCHAR AS total FROM ({rows}) t GROUP BY ALL"
    )


@lru_cache(256)
def complete(content):
    """The complete lines, in order; None stands for one over the limit."""
    *lines, tail = content.split(b"\n")
    if len(tail) > LONGEST or (tail.rstrip(b" \t\r").endswith(b"}") and _is_object(tail)):
        lines.append(tail)
    return tuple(line if len(line) <= LONGEST else None for line in lines)


def _is_object(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@lru_cache(256)
def malformed(lines):
    return sum(line is None or not _is_object(line) for line in lines)


@lru_cache(1 << 14)
def digest(line):
    return blake2b(line.rstrip(b" \t\r"), digest_size=12).hexdigest()


@lru_cache(256)
def digests(content):
    """What ``recorder`` and ``whole`` have to have of it."""
    return tuple(digest(line) for line in complete(content) if line is not None)


class UsageReference:
    """What ``usage`` has to have."""

    def __init__(self):
        (self._spec,) = load(["usage"])[0]
        self._conn = duckdb.connect()
        self._conn.execute("SET TimeZone = 'UTC'")
        self._tables = make_tables(self._conn, self._spec.tables)
        self._known = {}

    def close(self):
        self._conn.close()

    def sums(self, key, content, upto=None):
        """Count and sum of the rows by table; of the first so many lines only."""
        name = (key, blake2b(content).digest(), upto)
        if name not in self._known:
            self._known[name] = self._fold(key, complete(content)[:upto])
        return self._known[name]

    def _fold(self, key, lines):
        if not lines:
            return {}
        kept = [line for line in lines if line is not None]
        data = b"".join(line + b"\n" for line in kept)
        batch = Batch(key, data, is_first=True, skipped_lines=len(lines) - len(kept))
        result = self._spec.processor.process(batch)
        with transaction(self._conn):
            for name, table in self._tables.items():
                self._conn.execute(f"DELETE FROM {table.appends_to}")
                if part := table.rows(result.rows.get(name, ()), key, batch.username, self._spec.version, utc_now()):
                    table.append(self._conn, [part], 1)
        found = {table: self._conn.execute(usage_sums(table), [""]).fetchall() for table in USAGE_TABLES}
        return {table: tuple(rows[0][1:]) for table, rows in found.items() if rows}
