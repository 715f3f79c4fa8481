"""The state table as other tools see it: one row per processor and session, by the hash of the whole file."""

import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from daemon.corrections import adopt
from daemon.cursor import Signature, username_of, utc_now
from daemon.errors import SessionError
from daemon.positions import ADOPTED
from daemon.scan import scan
from daemon.transcript import Transcripts

CLEARLY_SECONDS = 2.0
"""Timestamps of a file that lie less than this before another are not clearly before it: FAT's ticks."""


class SessionProcessorStateRepository:
    """Reads and writes what was processed, on a connection to a migrated database.

    Serves rows that other tools wrote with only the six columns of ``session_processor_state``.
    """

    def __init__(self, conn: duckdb.DuckDBPyConnection) -> None:
        self._conn = conn

    def is_processed(self, processor_name: str, session_file: str, file_hash: str) -> bool:
        """Whether the processor has processed a file of that key with just that hash."""
        rows = self._conn.execute(
            """
            SELECT file_hash FROM (
                SELECT seq, file_hash FROM session_cursor_log WHERE processor_name = $name AND session_file = $key
                UNION ALL
                SELECT 0, file_hash FROM session_processor_state WHERE processor_name = $name AND session_file = $key
            ) ORDER BY seq DESC LIMIT 1""",
            {"name": processor_name, "key": session_file},
        ).fetchall()
        return bool(rows) and rows[0][0] is not None and rows[0][0] == file_hash

    def mark_processed(
        self, processor_name: str, session_file: str, username: str, items_count: int, file_hash: str
    ) -> None:
        """Record that a file with that hash is processed, in place of what was recorded before."""
        adopt(self._conn, processor_name, session_file, file_hash or "", items_count)
        self._conn.execute(
            """
            INSERT INTO session_processor_state VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET username = excluded.username, processed_at = excluded.processed_at,
                items_extracted = excluded.items_extracted, file_hash = excluded.file_hash""",
            [
                processor_name,
                session_file,
                username,
                utc_now(),
                items_count,
                file_hash,
            ],
        )

    def scan_unprocessed_for(
        self, processor_name: str, session_dir: str | os.PathLike[str]
    ) -> list[tuple[str, Path]]:
        """The session files below a root that have no row, or have changed since, as (username, path), sorted.

        A file with a row whose mtime lies clearly before its ``processed_at`` is left out without being
        hashed, unless its size or inode is known to be another now. Entries directly in the root are no
        sessions. A missing root has none.
        """
        root = Path(os.path.abspath(session_dir))  # noqa: PTH100  # resolve() would follow symbolic links
        if not root.is_dir():
            return []
        found: list[tuple[str, Signature]] = []
        scan(str(root), lambda _key, _hash: True, found.extend, lambda _name, _reason: None)
        rows = self._rows(processor_name)
        transcripts = Transcripts(root)
        return [
            (username_of(key), root / key)
            for key, seen in sorted(found)
            if key not in rows or _changed(transcripts, key, seen, *rows[key])
        ]

    def _rows(self, processor_name: str) -> dict[str, tuple[str, datetime | None, Signature | None, bool]]:
        rows = self._conn.execute(
            """
            SELECT session_file, coalesce(latest.file_hash, state.file_hash, ''),
                coalesce(latest.processed_at, state.processed_at), coalesce(settled, false),
                fingerprint, device, inode, size, mtime_ns, ctime_ns
            FROM (SELECT * FROM session_processor_state WHERE processor_name = $name) AS state
            FULL JOIN (SELECT * FROM session_positions WHERE processor_name = $name) AS latest USING (session_file)
            """,
            {"name": processor_name},
        ).fetchall()
        return {
            key: (
                file_hash,
                at,
                None if fingerprint in {None, ADOPTED} else Signature(*signature),
                bool(settled),
            )
            for key, file_hash, at, settled, fingerprint, *signature in rows
        }


def _changed(
    transcripts: Transcripts,
    key: str,
    seen: Signature,
    file_hash: str,
    processed_at: datetime | None,
    known: Signature | None,
    settled: bool,
) -> bool:
    if known is not None and settled and seen == known:
        return False
    same_file = known is None or (seen.inode, seen.size) == (known.inode, known.size)
    if processed_at is not None and same_file and (known is None or settled):
        age = processed_at.replace(tzinfo=UTC).timestamp() - seen.mtime_ns / 1e9
        if age > CLEARLY_SECONDS:
            return False
    try:
        return transcripts.digest(key, like=file_hash) != file_hash
    except SessionError:
        return True
