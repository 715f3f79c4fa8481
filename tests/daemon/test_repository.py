"""The state as other tools see it, by rows of six columns."""

import os
from hashlib import md5

import pytest

from daemon import SessionProcessorStateRepository, compute_file_hash, run_processor
from processors import ProcessorResult

LONG_AGO = (10**18, 10**18)


class Fold:
    """Does nothing."""

    name = "p"

    def process(self, batch):
        return ProcessorResult(items_count=1)


@pytest.fixture
def repository(conn):
    return SessionProcessorStateRepository(conn)


@pytest.fixture
def file(root):
    path = root / "alice/s.jsonl"
    path.write_bytes(b"{}\n")
    return path


def insert(conn, key, file_hash, processed_at="now()::TIMESTAMP"):
    conn.execute(
        "INSERT INTO session_processor_state (processor_name, session_file, username, processed_at, items_extracted,"
        f" file_hash) VALUES ('p', ?, 'alice', {processed_at}, 1, ?)",
        [key, file_hash],
    )


def test_a_session_is_processed_with_just_the_recorded_hash_and_processor(repository):
    assert not repository.is_processed("p", "alice/s.jsonl", "h")
    repository.mark_processed("p", "alice/s.jsonl", "alice", 3, "h")
    assert repository.is_processed("p", "alice/s.jsonl", "h")
    assert not repository.is_processed("p", "alice/s.jsonl", "other")
    assert not repository.is_processed("q", "alice/s.jsonl", "h")
    assert not repository.is_processed("p", "alice/t.jsonl", "h")


def test_marking_again_replaces_the_row(conn, repository):
    repository.mark_processed("p", "alice/s.jsonl", "alice", 3, "h")
    first = conn.execute("SELECT processed_at FROM session_processor_state").fetchone()[0]
    repository.mark_processed("p", "alice/s.jsonl", "bob", 4, "i")
    found = conn.execute("SELECT username, items_extracted, file_hash, processed_at FROM session_processor_state")
    (row,) = found.fetchall()
    assert row[:3] == ("bob", 4, "i")
    assert row[3] >= first


def test_rows_of_other_tools_count(conn, repository):
    insert(conn, "alice/s.jsonl", "h")
    insert(conn, "alice/none.jsonl", None)
    assert repository.is_processed("p", "alice/s.jsonl", "h")
    assert not repository.is_processed("p", "alice/none.jsonl", "h")


def test_a_new_file_is_unprocessed_and_what_lies_in_the_root_itself_is_no_session(root, repository, file):
    deep = root / "bob/x/subagents/t.jsonl"
    deep.parent.mkdir(parents=True)
    deep.touch()
    (root / "direct.jsonl").touch()
    (root / "alice/notes.txt").touch()
    (root / "alice/link.jsonl").symlink_to(file)
    os.mkfifo(root / "alice/fifo.jsonl")
    (root / "alice/folder.jsonl").mkdir()
    assert repository.scan_unprocessed_for("p", root) == [("alice", file), ("bob", deep)]
    assert repository.scan_unprocessed_for("p", str(root)) == [("alice", file), ("bob", deep)]


def test_a_missing_folder_has_no_sessions(tmp_path, repository):
    assert repository.scan_unprocessed_for("p", tmp_path / "nowhere") == []


@pytest.mark.parametrize("algorithm", ["blake3", "md5"])
def test_a_file_is_unprocessed_until_it_is_marked_and_again_once_it_changes(root, repository, file, algorithm):
    def digest():
        plain = md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        return plain if algorithm == "md5" else compute_file_hash(file)

    for content in (b"{}\n", b"{ }", b"[]\n"):
        file.write_bytes(content)
        assert repository.scan_unprocessed_for("p", root) == [("alice", file)]
        repository.mark_processed("p", "alice/s.jsonl", "alice", 1, digest())
        assert repository.scan_unprocessed_for("p", root) == []
        assert repository.scan_unprocessed_for("q", root) == [("alice", file)]


def test_a_file_whose_time_lies_clearly_before_its_row_is_left_out_without_being_read(conn, root, repository, file):
    os.utime(file, ns=LONG_AGO)
    insert(conn, "alice/s.jsonl", "a hash that it does not have")
    assert repository.scan_unprocessed_for("p", root) == []


def test_a_file_whose_time_lies_near_or_after_its_row_is_compared_by_its_content(conn, root, repository, file):
    insert(conn, "alice/s.jsonl", "a hash that it does not have")
    assert repository.scan_unprocessed_for("p", root) == [("alice", file)]


def test_a_row_without_a_time_or_hash_says_nothing(conn, root, repository, file):
    os.utime(file, ns=LONG_AGO)
    insert(conn, "alice/s.jsonl", None, "NULL")
    assert repository.scan_unprocessed_for("p", root) == [("alice", file)]


def test_what_was_processed_here_is_seen_by_other_tools_and_the_other_way_round(conn, root, repository, file):
    run_processor(conn, Fold(), root)
    assert repository.is_processed("p", "alice/s.jsonl", compute_file_hash(file))
    assert repository.scan_unprocessed_for("p", root) == []
    file.write_bytes(b"{}\n{}\n")
    assert repository.scan_unprocessed_for("p", root) == [("alice", file)]
    repository.mark_processed("p", "alice/s.jsonl", "alice", 1, compute_file_hash(file))
    assert run_processor(conn, Fold(), root)["scanned"] == 0


def test_a_file_rewritten_under_its_old_time_is_seen(conn, root, repository, file):
    os.utime(file, ns=LONG_AGO)
    run_processor(conn, Fold(), root)
    file.write_bytes(b"{}\n{}\n{}\n")
    os.utime(file, ns=LONG_AGO)
    assert repository.scan_unprocessed_for("p", root) == [("alice", file)]


def test_the_hash_of_a_file_names_its_algorithm_and_depends_on_every_byte(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x" * 3_000_000)
    one = compute_file_hash(path)
    assert one.startswith("blake3:")
    assert len(one) == len("blake3:") + 64
    path.write_bytes(b"x" * 2_999_999 + b"y")
    assert compute_file_hash(str(path)) != one
    with pytest.raises(FileNotFoundError):
        compute_file_hash(tmp_path / "missing")
