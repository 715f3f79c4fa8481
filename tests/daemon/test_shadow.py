"""Blocks that a checkpoint overwrites are put back if it was ended in the middle of one, and never otherwise."""

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from daemon import open_database
from daemon.errors import StoreError
from daemon.shadow import copy_of, restore
from daemon.store import scalar, transaction


def _rows(database):
    with open_database(database) as conn:
        return scalar(conn, "SELECT count(*) FROM t")


def _metadata_of(database):
    """Where blocks of metadata are in the file, as of its last checkpoint; opened so that none is made."""
    with duckdb.connect(str(database), read_only=True) as conn:
        numbers = conn.execute("SELECT block_id FROM pragma_metadata_info()").fetchall()
    return [12288 + number * 262144 for (number,) in numbers]


def _tear(database, place):
    """Leave a half of a block, as a kill in the middle of its write does."""
    with database.open("r+b") as file:
        file.seek(place + 100)
        file.write(b"\xff" * 1000)


@pytest.fixture
def kept(database):
    """A database whose copy is up to date."""
    with open_database(database) as conn, transaction(conn):
        conn.execute("CREATE TABLE t AS SELECT range AS i FROM range(1000)")
    with open_database(database) as conn:
        conn.execute("CHECKPOINT")
        with transaction(conn):
            pass  # nothing to be written, and so no checkpoint after it
    return database


def test_a_block_that_is_half_written_is_put_back(kept):
    for place in _metadata_of(kept):
        _tear(kept, place)
    assert _rows(kept) == 1000


def test_without_a_copy_it_is_a_damaged_database(kept):
    (place, *_) = _metadata_of(kept)
    copy_of(kept).unlink()
    _tear(kept, place)
    with pytest.raises(StoreError, match="sessiond rebuild"):
        open_database(kept)


def test_the_copy_of_an_earlier_checkpoint_changes_nothing(kept):
    earlier = copy_of(kept).read_bytes()
    with open_database(kept) as conn:
        with transaction(conn):
            conn.execute("INSERT INTO t SELECT range FROM range(500)")
        conn.execute("CHECKPOINT")
    copy_of(kept).write_bytes(earlier)
    before = kept.read_bytes()
    assert restore(kept) == 0
    assert kept.read_bytes() == before


def test_the_copy_of_another_database_changes_nothing(kept, tmp_path):
    other = tmp_path / "other.duckdb"
    with open_database(other) as conn, transaction(conn):
        conn.execute("CREATE TABLE t AS SELECT range AS i FROM range(7)")
    shutil.copy(copy_of(kept), copy_of(other))
    before = other.read_bytes()
    assert restore(other) == 0
    assert other.read_bytes() == before


def test_nothing_is_put_back_into_a_database_that_is_open(kept):
    (place, *_) = _metadata_of(kept)
    opened = f"import time, duckdb; c = duckdb.connect({str(kept)!r}); print(flush=True); time.sleep(3600)"
    with subprocess.Popen([sys.executable, "-c", opened], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline()
            _tear(kept, place)
            assert restore(kept) == 0
        finally:
            process.kill()
    assert restore(kept) == 1


def test_nothing_is_put_back_into_a_database_that_this_process_has_open(kept):
    (place, *_) = _metadata_of(kept)
    with open_database(kept):
        _tear(kept, place)
        assert restore(kept) == 0


def test_to_keep_a_copy_does_not_let_another_process_in(kept):
    with open_database(kept) as conn:
        with transaction(conn):
            conn.execute("INSERT INTO t VALUES (1)")
        other = f"import duckdb; duckdb.connect({str(kept)!r})"
        refused = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False)
        assert "lock" in refused.stderr


def test_the_copy_is_for_nobody_else(kept):
    assert Path(copy_of(kept)).stat().st_mode & 0o077 == 0


def test_a_copy_that_is_cut_short_changes_nothing_wrongly(kept):
    places = _metadata_of(kept)
    copy = copy_of(kept)
    copy.write_bytes(copy.read_bytes()[:20_000])
    before = kept.read_bytes()
    assert restore(kept) == 0
    assert kept.read_bytes() == before
    assert places


def test_a_database_in_memory_has_none():
    with open_database(":memory:") as conn, transaction(conn):
        conn.execute("CREATE TABLE t (i INTEGER)")
    assert not Path(":memory:.blocks").exists()
