"""The database: made, migrated, refused, and explained in one line where it cannot be used."""

import os
import subprocess
import sys
from datetime import datetime

import duckdb
import pytest

from daemon import compute_file_hash, migrate, open_database
from daemon.errors import StoreError, StoreLockedError
from daemon.schema import SCHEMA_VERSION
from daemon.shadow import copy_of
from daemon.store import read_database, transaction

HOLDER = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


def columns(conn, table):
    found = conn.execute(
        "SELECT column_name, data_type, is_nullable, column_default FROM duckdb_columns() WHERE table_name = ?"
        " ORDER BY column_index",
        [table],
    )
    return found.fetchall()


def contents(conn):
    tables = conn.execute("SELECT table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
    return {name: conn.execute(f'SELECT * FROM "{name}" ORDER BY ALL').fetchall() for (name,) in tables}


def test_the_state_table_is_what_other_tools_expect(conn):
    found = columns(conn, "session_processor_state")
    assert [(name, kind, nullable) for name, kind, nullable, _ in found] == [
        ("processor_name", "VARCHAR", False),
        ("session_file", "VARCHAR", False),
        ("username", "VARCHAR", False),
        ("processed_at", "TIMESTAMP", True),
        ("items_extracted", "INTEGER", True),
        ("file_hash", "VARCHAR", True),
    ]
    key = conn.execute(
        "SELECT constraint_column_names FROM duckdb_constraints()"
        " WHERE table_name = 'session_processor_state' AND constraint_type = 'PRIMARY KEY'"
    )
    assert key.fetchall() == [(["processor_name", "session_file"],)]


def test_a_row_of_another_tool_gets_the_defaults(conn):
    conn.execute(
        "INSERT INTO session_processor_state (processor_name, session_file, username) VALUES ('p', 'a/s.jsonl', 'a')"
    )
    found = conn.execute("SELECT processed_at, items_extracted, file_hash FROM session_processor_state").fetchall()
    assert isinstance(found[0][0], datetime)
    assert found[0][1:] == (0, None)


def test_migrating_again_changes_nothing(conn):
    conn.execute("INSERT INTO session_processor_state VALUES ('p', 'a/s.jsonl', 'a', '2026-01-01', 3, 'h')")
    before = contents(conn)
    for _ in range(3):
        migrate(conn)
    assert contents(conn) == before


def test_any_connection_can_be_migrated():
    with duckdb.connect() as conn:
        migrate(conn)
        migrate(conn)
        assert len(columns(conn, "session_processor_state")) == 6


OLDER = """
    CREATE TABLE session_extraction_state (session_file VARCHAR PRIMARY KEY, username VARCHAR NOT NULL,
        processed_at TIMESTAMP, items_extracted INTEGER, file_hash VARCHAR);
    INSERT INTO session_extraction_state VALUES
        ('a/s.jsonl', 'a', '2026-01-01 10:00:00', 3, 'd41d8cd98f00b204e9800998ecf8427e'),
        ('b/t.jsonl', 'b', '2026-01-02 10:00:00', 0, NULL);
"""


MIGRATED = [
    ("verification", "a/s.jsonl", "a", datetime(2026, 1, 1, 10), 3, "d41d8cd98f00b204e9800998ecf8427e"),  # noqa: DTZ001
    ("verification", "b/t.jsonl", "b", datetime(2026, 1, 2, 10), 0, None),  # noqa: DTZ001
]


def assert_migrated(conn):
    assert conn.execute("SELECT * FROM session_processor_state ORDER BY ALL").fetchall() == MIGRATED
    assert columns(conn, "session_extraction_state") == []


def test_the_older_single_key_table_becomes_rows_of_verification(database):
    database.parent.mkdir()
    with duckdb.connect(str(database)) as conn:
        conn.execute(OLDER)
    for _ in range(2):
        with open_database(database) as conn:
            assert_migrated(conn)


def test_the_older_table_is_migrated_on_a_connection_in_memory_too():
    with duckdb.connect() as conn:
        conn.execute(OLDER)
        migrate(conn)
        migrate(conn)
        assert_migrated(conn)


def test_rows_that_are_newer_than_the_older_table_stay(conn):
    conn.execute("INSERT INTO session_processor_state VALUES ('verification', 'a/s.jsonl', 'a', now(), 9, 'new')")
    conn.execute(OLDER)
    migrate(conn)
    found = conn.execute("SELECT session_file, file_hash FROM session_processor_state ORDER BY ALL").fetchall()
    assert found == [("a/s.jsonl", "new"), ("b/t.jsonl", None)]


def test_a_migration_that_fails_leaves_the_older_table_as_it_was():
    with duckdb.connect() as conn:
        conn.execute("CREATE TABLE session_extraction_state (session_file VARCHAR, username VARCHAR)")
        conn.execute("INSERT INTO session_extraction_state VALUES ('a/s.jsonl', NULL)")
        before = contents(conn)
        with pytest.raises(duckdb.Error):
            migrate(conn)
        assert contents(conn) == before


def test_times_are_utc(conn):
    assert conn.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
    with conn.cursor() as other:
        assert other.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_the_folder_of_the_database_is_made_for_its_owner_only(database):
    open_database(database).close()
    assert database.parent.stat().st_mode & 0o077 == 0


def test_a_database_of_a_newer_version_is_refused_and_not_a_byte_of_it_changes(database):
    open_database(database).close()
    with duckdb.connect(str(database)) as conn:
        conn.execute("UPDATE sessiond_schema SET version = ?", [SCHEMA_VERSION + 1])
    before = {path.name: path.read_bytes() for path in database.parent.iterdir()}
    with pytest.raises(StoreError, match=rf"schema version {SCHEMA_VERSION + 1}.*upgrade sessiond") as caught:
        open_database(database)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in database.parent.iterdir()} == before


def test_a_database_of_an_older_version_is_brought_along_by_whoever_writes(database):
    open_database(database).close()
    with duckdb.connect(str(database)) as conn:
        conn.execute("UPDATE sessiond_schema SET version = ?", [SCHEMA_VERSION - 1])
    with pytest.raises(StoreError, match="not of this sessiond yet"):
        read_database(database, memory_limit="64MB", threads=1)
    open_database(database).close()
    with read_database(database, memory_limit="64MB", threads=1) as conn:
        assert conn.execute("FROM sessiond_schema").fetchall() == [(SCHEMA_VERSION,)]


def test_a_connection_to_a_newer_database_is_not_migrated():
    with duckdb.connect() as conn:
        migrate(conn)
        conn.execute("UPDATE sessiond_schema SET version = ?", [SCHEMA_VERSION + 1])
        conn.execute(OLDER)
        before = contents(conn)
        with pytest.raises(StoreError, match="schema version"):
            migrate(conn)
        assert contents(conn) == before


@pytest.mark.parametrize(
    "content", [b"this is no database, but a text of some length " * 100, b"short", b"\0" * 9000]
)
def test_a_file_that_is_no_database_is_refused_in_one_line_and_untouched(database, content):
    database.parent.mkdir()
    database.write_bytes(content)
    with pytest.raises(StoreError, match=str(database)) as caught:
        open_database(database)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert database.read_bytes() == content


def test_a_database_in_a_place_that_is_no_folder_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot use the database .*--db"):
        open_database(tmp_path / "file" / "db.duckdb")


def test_a_transaction_keeps_everything_or_nothing(conn):
    conn.execute("CREATE TABLE t (n INTEGER)")
    with pytest.raises(duckdb.CatalogException), transaction(conn):
        conn.execute("INSERT INTO t VALUES (1); SELECT * FROM missing")
    assert conn.execute("SELECT * FROM t").fetchall() == []
    with transaction(conn):
        conn.execute("INSERT INTO t VALUES (2)")
    assert conn.execute("SELECT * FROM t").fetchall() == [(2,)]


@pytest.fixture
def lock(tmp_path):
    """The path of a database that another process has open, and that process."""
    path = tmp_path / "locked.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "open\n"
        yield path, holder
        holder.stdin.close()
        holder.wait(30)


def test_a_database_that_another_process_has_open_is_refused_with_the_number_of_that_process(lock):
    path, holder = lock
    with pytest.raises(StoreLockedError, match=rf"{path} is in use by process {holder.pid}\b.*python") as caught:
        open_database(path)
    assert "\n" not in str(caught.value)


def test_a_database_can_be_opened_once_the_other_process_is_gone(lock):
    path, holder = lock
    holder.kill()
    holder.wait(30)
    open_database(path).close()


def test_rows_of_the_older_table_without_a_username_are_taken_over():
    with duckdb.connect() as conn:
        conn.execute(OLDER.replace("username VARCHAR NOT NULL", "username VARCHAR").replace("'b',", "NULL,"))
        migrate(conn)
        assert_migrated(conn)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
def test_a_hash_of_what_is_no_file_is_refused_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(OSError, match="not a regular file"):
        compute_file_hash(tmp_path / "x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_does_not_write_to_the_database_of_another_user(database):
    open_database(database).close()
    os.chown(database, 65534, 65534)
    with pytest.raises(StoreError, match=r"belongs to nobody \(do this as that user: sudo -u 'nobody'"):
        open_database(database)
    assert {path.name for path in database.parent.iterdir()} == {database.name, copy_of(database).name}
    read_database(database, memory_limit="128MB", threads=1).close()


def test_opening_it_once_more_does_not_give_its_lock_away(database):
    with open_database(database) as conn:
        conn.execute("SELECT 1")
        with open_database(database):
            pass
        program = f"import duckdb; duckdb.connect({str(database)!r}, read_only=True)"
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "lock on file" in other.stderr
