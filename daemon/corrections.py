"""What changes from outside what counts as processed: orders of the operator, and what other tools have recorded."""

import duckdb

from daemon.positions import ADOPTED

_ADOPT = f"fingerprint = '{ADOPTED}', position = 0, place = 0, carry = NULL, settled = false"


def invalidate(
    conn: duckdb.DuckDBPyConnection, processor: str, key: str | None = None, *, username: str | None = None
) -> list[tuple[str, str]]:
    """Have a processor start anew on one session, on a user's, or on all; returns (processor, session) of each.

    Inside the caller's transaction. Version 0 is no processor's, so the next look begins at the start.
    """
    mine = (
        "processor_name = $name AND session_file = coalesce($key, session_file)"
        " AND split_part(session_file, '/', 1) = coalesce($user, split_part(session_file, '/', 1))"
    )
    values = {"name": processor, "key": key, "user": username}
    done: set[tuple[str, str]] = set()
    for table in ("session_cursor_log", "session_cursors"):
        changed = conn.execute(
            f"UPDATE {table} SET version = 0, settled = false WHERE {mine} RETURNING processor_name, session_file",
            values,
        )
        done.update(changed.fetchall())
    # What another tool recorded has no position to go back to: without its row, the session is a new one.
    others = conn.execute(
        f"""
        DELETE FROM session_processor_state WHERE {mine} AND session_file NOT IN
            (SELECT session_file FROM session_cursors WHERE processor_name = $name
             UNION ALL SELECT session_file FROM session_cursor_log WHERE processor_name = $name)
        RETURNING processor_name, session_file""",
        values,
    )
    return sorted(done.union(others.fetchall()))


def reconcile(conn: duckdb.DuckDBPyConnection) -> None:
    """Give effect to what another tool has done to the state rows since the last fold.

    Where it deleted a row, the session is processed anew and its rows are replaced. Where it recorded another
    hash, what it has recorded counts, and not our cursor.
    """
    conn.execute("""
        UPDATE session_cursors SET version = 0, settled = false WHERE rowid IN (
            SELECT cursors.rowid FROM session_cursors AS cursors
            ANTI JOIN session_processor_state USING (processor_name, session_file)
            WHERE cursors.file_hash <> '')""")
    conn.execute(f"""
        UPDATE session_cursors AS cursors
        SET {_ADOPT}, file_hash = coalesce(state.file_hash, ''), items = coalesce(state.items_extracted, 0)
        FROM session_processor_state AS state
        WHERE cursors.processor_name = state.processor_name AND cursors.session_file = state.session_file
            AND cursors.file_hash <> '' AND cursors.file_hash IS DISTINCT FROM state.file_hash""")


def adopt(conn: duckdb.DuckDBPyConnection, processor: str, key: str, file_hash: str, items: int) -> None:
    """Another tool has processed a session: what it recorded counts, and not our cursor.

    The cursor stays, as the sign that there are rows to be replaced when the session is processed anew.
    """
    for table in ("session_cursor_log", "session_cursors"):
        conn.execute(
            f"UPDATE {table} SET {_ADOPT}, file_hash = ?, items = ? WHERE processor_name = ? AND session_file = ?",
            [file_hash, items, processor, key],
        )
