"""The engine's own tables.

Settled tables hold one row per (processor, session) as of the last fold; the cursor log holds what was
committed since. What counts is both together, and the log wins: see :mod:`daemon.positions`.
"""

import re

SCHEMA_VERSION = 2
"""2: kept views; what does not know of them would write past them."""

_CURSOR_COLUMNS = """
    processor_name VARCHAR NOT NULL,
    session_file VARCHAR NOT NULL,
    session_hash BIGINT NOT NULL,
    device UBIGINT NOT NULL,
    inode UBIGINT NOT NULL,
    size BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    ctime_ns BIGINT NOT NULL,
    position BIGINT NOT NULL,
    fingerprint VARCHAR NOT NULL,
    place UTINYINT NOT NULL,
    settled BOOLEAN NOT NULL,
    version INTEGER NOT NULL,
    carry BLOB,
    lines BIGINT NOT NULL,
    malformed_lines BIGINT NOT NULL,
    items BIGINT NOT NULL,
    file_hash VARCHAR NOT NULL"""

# session_processor_state is read and written by other tools: six columns, in this order, no more. It has a row once a
# file was processed to its end; a cursor inside the file has no file_hash yet.
# session_hash, a number, makes looking up one session among a million 20 times quicker than its name does.
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS session_processor_state (
    processor_name VARCHAR NOT NULL,
    session_file VARCHAR NOT NULL,
    username VARCHAR NOT NULL,
    processed_at TIMESTAMP DEFAULT current_timestamp,
    items_extracted INTEGER DEFAULT 0,
    file_hash VARCHAR,
    PRIMARY KEY (processor_name, session_file)
);
CREATE TABLE IF NOT EXISTS session_cursors ({_CURSOR_COLUMNS});
CREATE TABLE IF NOT EXISTS session_cursor_log (
    seq BIGINT NOT NULL,
    username VARCHAR NOT NULL,
    processed_at TIMESTAMP NOT NULL,{_CURSOR_COLUMNS}
);
CREATE TABLE IF NOT EXISTS session_failures (
    processor_name VARCHAR NOT NULL,
    session_file VARCHAR NOT NULL,
    content VARCHAR NOT NULL,
    device UBIGINT, inode UBIGINT, size BIGINT, mtime_ns BIGINT, ctime_ns BIGINT,
    attempts INTEGER NOT NULL,
    quarantined BOOLEAN NOT NULL,
    error VARCHAR NOT NULL,
    failed_at TIMESTAMP NOT NULL
);
CREATE TABLE IF NOT EXISTS audit_log (
    asked_at TIMESTAMP NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    username VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    parameters VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    detail VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS sessiond_schema (version INTEGER NOT NULL);
CREATE OR REPLACE VIEW session_positions AS
    WITH latest AS (
        SELECT * EXCLUDE (seq) FROM session_cursor_log
        QUALIFY row_number() OVER (PARTITION BY processor_name, session_file ORDER BY seq DESC) = 1
    )
    SELECT * FROM latest
    UNION ALL BY NAME
    SELECT cursors.*, split_part(session_file, '/', 1) AS username, state.processed_at
    FROM session_cursors AS cursors
    LEFT JOIN session_processor_state AS state USING (processor_name, session_file)
    ANTI JOIN latest USING (processor_name, session_file)
    WHERE cursors.file_hash IN ('', state.file_hash);
"""

OWN_TABLES = frozenset(re.findall(r"(?:TABLE IF NOT EXISTS|VIEW) (\w+)", SCHEMA))
"""Names that no processor's table may have."""
