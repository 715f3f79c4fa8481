"""Cursors in the database: appended to a log at each commit, folded into the settled tables now and then.

Nothing depends on when a fold happens: a reader asks the log first and the settled tables after it.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

import duckdb
import pyarrow as pa

from daemon.arrow import insert, offered
from daemon.cursor import Cursor, Place, Signature, username_of
from daemon.store import scalar

_CURSOR_SCHEMA = pa.schema(
    [
        ("processor_name", pa.string()),
        ("session_file", pa.string()),
        ("session_hash", pa.int64()),
        ("device", pa.uint64()),
        ("inode", pa.uint64()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("ctime_ns", pa.int64()),
        ("position", pa.int64()),
        ("fingerprint", pa.string()),
        ("place", pa.uint8()),
        ("settled", pa.bool_()),
        ("version", pa.int32()),
        ("carry", pa.binary()),
        ("lines", pa.int64()),
        ("malformed_lines", pa.int64()),
        ("items", pa.int64()),
        ("file_hash", pa.string()),
    ]
)
_LOG_SCHEMA = pa.schema(
    [("seq", pa.int64()), ("username", pa.string()), ("processed_at", pa.timestamp("us")), *_CURSOR_SCHEMA]
)
_READ = ", ".join(_CURSOR_SCHEMA.names[3:])

FOLD_SLICE = 5_000
"""Entries that are folded at a time: others wait meanwhile, and it has to fit into memory."""

ALL = (1 << 63) - 1

CARRY_BYTES = 1_000
"""About what an entry of the log takes without its carry."""

ADOPTED = "adopted"
"""In place of a fingerprint: another tool has processed this content, and left no carry to go on from."""


# Orders the log's entries of one session: only one commit per (processor, session) is ever under way, and a
# log from before this process is folded before the first entry is made.
_sequence = itertools.count(1)


def next_sequence() -> int:
    """A number larger than all before it."""
    return next(_sequence)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the cursor log."""

    processor_name: str
    session_key: str
    cursor: Cursor
    processed_at: datetime

    def row(self) -> tuple[object, ...]:
        """The entry as a row of the log."""
        cursor = self.cursor
        return (
            next_sequence(),
            username_of(self.session_key),
            self.processed_at,
            self.processor_name,
            self.session_key,
            session_hash(self.session_key),
            *cursor.signature,
            cursor.offset,
            cursor.fingerprint,
            int(cursor.place),
            cursor.settled,
            cursor.version,
            cursor.carry,
            cursor.lines,
            cursor.malformed_lines,
            cursor.items,
            cursor.file_hash,
        )


def session_hash(key: str) -> int:
    """A number that stands for a session key in look-ups; the key itself is compared too."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little", signed=True)


def append(conn: duckdb.DuckDBPyConnection, entries: Iterable[Entry]) -> None:
    """Add entries to the log, inside the caller's transaction."""
    columns = zip(*(entry.row() for entry in entries), strict=True)
    insert(
        conn,
        "session_cursor_log",
        pa.table(
            [pa.array(column, kind) for column, kind in zip(columns, _LOG_SCHEMA.types, strict=True)],
            _LOG_SCHEMA,
        ),
    )


def find(conn: duckdb.DuckDBPyConnection, processor: str, key: str) -> Cursor | None:
    """The cursor of one session, or None if the processor has none for it."""
    where = "session_hash = ? AND session_file = ? AND processor_name = ?"
    values = [session_hash(key), key, processor]
    rows = conn.execute(
        f"SELECT {_READ} FROM session_cursor_log WHERE {where} ORDER BY seq DESC LIMIT 1", values
    ).fetchall()
    rows = rows or conn.execute(f"SELECT {_READ} FROM session_cursors WHERE {where}", values).fetchall()
    if not rows:
        return None
    device, inode, size, mtime_ns, ctime_ns, offset, fingerprint, place, *rest = rows[0]
    return Cursor(Signature(device, inode, size, mtime_ns, ctime_ns), offset, fingerprint, Place(place), *rest)


def fold(conn: duckdb.DuckDBPyConnection, limit: int, upto: int = ALL) -> int:
    """Move entries of the log into the settled tables, inside the caller's transaction; returns how many.

    The oldest first, those with a number up to ``upto``, and at most ``limit``, where each ``CARRY_BYTES`` of a carry
    count like a further one, but at least one; of each session the latest among them counts.
    """
    seq = scalar(
        conn,
        "SELECT coalesce(max(seq) FILTER (weight <= ?), min(seq)) FROM"
        " (SELECT seq, sum(1 + coalesce(carried, 0) // ?) OVER (ORDER BY seq) AS weight"
        "  FROM (SELECT seq, octet_length(carry) AS carried FROM session_cursor_log WHERE seq <= ?"
        "        ORDER BY seq LIMIT ?))",  # never a carry itself: sorting thousands takes gigabytes
        limit,
        CARRY_BYTES,
        upto,
        limit,
    )
    if seq is None:
        return 0
    # By number first, so that only those carries are read that are kept.
    latest = conn.sql(
        "SELECT * FROM session_cursor_log WHERE seq IN (SELECT max(seq) FROM session_cursor_log"
        f" WHERE seq <= {seq} GROUP BY processor_name, session_file)"
    ).to_arrow_table()
    with offered(conn, "_latest", latest):
        conn.execute("""
            INSERT INTO session_processor_state BY NAME
            SELECT processor_name, session_file, username, processed_at, file_hash,
                least(items, 2147483647)::INTEGER AS items_extracted
            FROM _latest WHERE file_hash <> ''
            ON CONFLICT DO UPDATE SET username = excluded.username, processed_at = excluded.processed_at,
                items_extracted = excluded.items_extracted, file_hash = excluded.file_hash""")
        conn.execute("""
            DELETE FROM session_processor_state AS state USING _latest AS latest
            WHERE latest.file_hash = '' AND state.session_file = latest.session_file
                AND state.processor_name = latest.processor_name""")
        conn.execute("""
            DELETE FROM session_cursors USING _latest AS latest
            WHERE session_cursors.session_hash = latest.session_hash
                AND session_cursors.session_file = latest.session_file
                AND session_cursors.processor_name = latest.processor_name""")
        conn.execute(
            "INSERT INTO session_cursors BY NAME SELECT * EXCLUDE (seq, username, processed_at) FROM _latest"
        )
        conn.execute("DELETE FROM session_cursor_log WHERE seq <= ?", [seq])
    return int(latest.num_rows)


def forget_position(conn: duckdb.DuckDBPyConnection, processor: str, key: str) -> None:
    """Delete all that says that a processor has processed a session, inside the caller's transaction."""
    for state in ("session_cursor_log", "session_cursors", "session_processor_state"):
        conn.execute(f"DELETE FROM {state} WHERE processor_name = ? AND session_file = ?", [processor, key])


@dataclass(frozen=True, slots=True)
class Known:
    """What a lane has to know of all its sessions at the start.

    ``current``: hash of the signature for sessions that need no look, 0 for those that do.
    ``foreign``: file hash of the sessions that have a state row but no cursor. ``inodes``: hash of device and inode
    of the sessions in ``current``, in the same order. ``partial``: the share of the bytes that was processed, of the
    sessions whose last look left something unread.
    """

    current: dict[str, int]
    foreign: dict[str, str]
    inodes: list[int]
    partial: dict[str, float]


def load(conn: duckdb.DuckDBPyConnection, processor: str, version: int, names: dict[str, str] | None = None) -> Known:
    """The state of one processor's sessions, after :func:`reconcile`.

    ``names``: session keys that are in memory already, by themselves; those that are not are added. So several
    processors have them once.
    """
    found = conn.sql(
        f"SELECT session_file, device, inode, size, mtime_ns, ctime_ns, settled AND version = {version:d} AS holds"
        " FROM session_cursors WHERE processor_name = $name",
        params={"name": processor},
    )
    current: dict[str, int] = {}
    inodes: list[int] = []
    for batch in found.to_arrow_reader(65_536):  # never all of a million at once
        keys, *signature, holds = (column.to_pylist() for column in batch.columns)
        if names is not None:
            keys = list(map(names.setdefault, keys, keys))
        hashes = map(hash, zip(*signature, strict=True))
        inodes += map(hash, zip(*signature[:2], strict=True))
        current.update(zip(keys, (value if ok else 0 for value, ok in zip(hashes, holds, strict=True)), strict=True))
    foreign = conn.execute(
        "SELECT session_file, coalesce(file_hash, '') FROM session_processor_state AS state"
        " ANTI JOIN session_cursors USING (processor_name, session_file) WHERE processor_name = ?",
        [processor],
    ).fetchall()
    partial = conn.execute(
        "SELECT session_file, position / size FROM session_cursors"
        " WHERE processor_name = ? AND position < size AND fingerprint <> ?",
        [processor, ADOPTED],
    ).fetchall()
    return Known(current, dict(foreign), inodes, dict(partial))


def recent_runs(
    conn: duckdb.DuckDBPyConnection, processor: str, now: datetime, seconds: float
) -> list[tuple[str, float]]:
    """Sessions that were processed in the last ``seconds``, with how long ago, oldest first."""
    found = conn.execute(
        "SELECT session_file, processed_at FROM session_processor_state"
        " WHERE processor_name = ? AND processed_at BETWEEN ? AND ? ORDER BY processed_at",
        [processor, now - timedelta(seconds=seconds), now],
    )
    return [(key, (now - at).total_seconds()) for key, at in found.fetchall()]


def same_inode(conn: duckdb.DuckDBPyConnection, signatures: Sequence[tuple[str, Signature]]) -> dict[str, list[str]]:
    """For each key, the other known sessions that were last seen in the very inode that it has now, if any."""
    wanted = pa.table(
        {
            "new_key": pa.array([key for key, _ in signatures], pa.string()),
            "device": pa.array([signature.device for _, signature in signatures], pa.uint64()),
            "inode": pa.array([signature.inode for _, signature in signatures], pa.uint64()),
        }
    )
    with offered(conn, "_wanted", wanted):
        return dict(
            conn.execute("""
            SELECT new_key, list(DISTINCT session_file) FROM _wanted
            JOIN (SELECT session_file, device, inode FROM session_cursors
                  UNION ALL SELECT session_file, device, inode FROM session_cursor_log) USING (device, inode)
            WHERE session_file <> new_key GROUP BY new_key""").fetchall()
        )
