"""The state without a daemon, and sockets at which none answers."""

import os
import socket
import threading

import pytest

from daemon import client
from daemon.config import Settings
from daemon.doctor import service
from daemon.once import scan_once
from daemon.store import open_database
from processors.registry import load


@pytest.fixture
def scanned(root, database):
    """Everything processed: one session of alice, one of bob."""
    (root / "bob").mkdir()
    for user in ("alice", "bob"):
        (root / user / "s.jsonl").write_bytes(b'{"type":"summary"}\n')
    scan_once(Settings(root=root, db=database), load(["usage"])[0], lambda *_event: None, progress=False)
    return database


@pytest.fixture
def late(monkeypatch):
    """Any change is older than what may wait."""
    monkeypatch.setattr(service, "BEHIND_SECONDS", -1.0)


def _execute(database, *statements):
    with open_database(database) as conn:
        for statement in statements:
            conn.execute(statement)


@pytest.mark.usefixtures("late", "scanned")
def test_a_session_that_was_processed_is_not_behind_and_one_that_changed_is(ask, root):
    assert ask("state", None)[0][1] == "usage: 2 sessions, 0 of them not processed as they are"
    with (root / "bob/s.jsonl").open("ab") as file:
        file.write(b"{}\n")
    level, says, fix = ask("state")[0]
    assert level == "warning"
    assert says.startswith("usage: 2 sessions, 1 of them not processed as they are: the oldest change was ")
    assert "sessiond scan" in fix


@pytest.mark.usefixtures("scanned")
def test_a_change_of_this_moment_may_wait(ask, root):
    (root / "alice/new.jsonl").write_bytes(b"{}\n")
    ((level, says, _),) = ask("state")
    assert level == "ok"
    assert "3 sessions, 1 of them not processed" in says


def test_without_a_database_everything_is_behind(ask, root, late):
    (root / "alice/s.jsonl").write_bytes(b"{}\n")
    level, says, _ = ask("state")[0]
    assert (level, "1 session, 1 of them not" in says) == ("warning", True)


def test_sessions_of_an_older_version_are_a_warning(ask, scanned):
    _execute(scanned, "UPDATE session_cursors SET version = 0", "UPDATE session_cursor_log SET version = 0")
    level, says, _ = ask("state")[0]
    assert level == "warning"
    assert "2 sessions processed by another version" in says


def test_what_is_in_quarantine_is_a_warning_and_not_behind(ask, scanned, root, late):
    path = root / "alice/poison.jsonl"
    path.write_bytes(b"{}\n")
    seen = path.stat()
    signature = f"{seen.st_dev}, {seen.st_ino}, {seen.st_size}, {seen.st_mtime_ns}, {seen.st_ctime_ns}"
    _execute(
        scanned,
        f"INSERT INTO session_failures VALUES ('usage', 'alice/poison.jsonl', 'x', {signature}, 5, true, 'E', now())",
    )
    found = ask("state")
    assert [level for level, _, _ in found] == ["warning", "ok"]
    assert found[0][1] == "usage: 1 session in quarantine"
    assert "sessiond requeue" in found[0][2]
    assert "0 of them not processed" in found[1][1]


@pytest.mark.parametrize(("when", "level"), [("'2200-01-01'", "ok"), ("'2000-01-01'", "warning")])
def test_what_another_tool_has_processed_counts_by_its_time(ask, database, root, late, when, level):
    (root / "alice/s.jsonl").write_bytes(b"{}\n")
    _execute(
        database, f"INSERT INTO session_processor_state VALUES ('usage', 'alice/s.jsonl', 'alice', {when}, 1, 'x')"
    )
    assert ask("state")[0][0] == level


# Sockets


def test_no_daemon_is_no_warning(ask, database):
    ((level, says, fix),) = ask("socket")
    assert level == "skipped"
    assert f"{database}.sock" in says
    assert "sessiond run" in fix


@pytest.mark.parametrize(("state", "level"), [("active", "error"), ("inactive", "skipped")])
def test_a_unit_that_is_active_and_does_not_answer_is_an_error(ask, monkeypatch, tmp_path, state, level):
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\necho {state}\n[ {state} = active ]\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert ask("socket")[0][0] == level


@pytest.fixture
def listening(tmp_path):
    """A socket at which somebody listens; the test's own programs end with it."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.sock"))
        server.listen()
        yield server


def test_a_socket_that_was_left_behind_is_a_warning(ask, listening, tmp_path):
    listening.close()
    level, says, fix = ask("socket", socket=tmp_path / "s.sock")[0]
    assert level == "warning"
    assert "left behind" in says
    assert fix


def test_a_socket_that_says_nothing_is_an_error(ask, listening, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.1)
    ((level, says, fix),) = ask("socket", socket=tmp_path / "s.sock")
    assert level == "error"
    assert "does not answer as a daemon does" in says
    assert "restart" in fix


@pytest.mark.parametrize("body", [b"[]", b"{}", b"hello", b'{"error": "no"}'])
def test_a_socket_of_another_program_is_an_error(ask, listening, tmp_path, body):
    def answer():
        connection, _ = listening.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    thread = threading.Thread(target=answer)
    thread.start()
    assert ask("socket", socket=tmp_path / "s.sock")[0][0] == "error"
    thread.join()


def test_a_file_in_place_of_a_socket_is_an_error(ask, tmp_path):
    (tmp_path / "s.sock").write_text("")
    level, says, _ = ask("socket", socket=tmp_path / "s.sock")[0]
    assert level == "error"
    assert "is no socket" in says
