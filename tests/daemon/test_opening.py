"""Opening a session file: nothing but a regular file below the root, and never a wait."""

import os
import pwd
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from daemon.cursor import Signature
from daemon.errors import SessionError, SessionGoneError, SessionRefusedError
from daemon.opening import is_name, key_of, open_session


def read(root, key):
    with open_session(root, key) as (fd, signature):
        assert signature == Signature.of(os.fstat(fd))
        return os.read(fd, 100)


@pytest.fixture
def deep(root):
    """A session in a folder of a folder, and a file outside the root with a secret in it."""
    path = root / "alice/project/deeper/s.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine\n")
    (root.parent / "outside").mkdir()
    (root.parent / "outside/s.jsonl").write_bytes(b"secret\n")
    return path


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open():
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


KEY = "alice/project/deeper/s.jsonl"


def test_a_regular_file_is_opened_with_its_own_signature(root, deep):
    assert read(root, KEY) == b"mine\n"


def test_the_root_itself_may_be_a_link(root, deep):
    (root.parent / "link").symlink_to(root)
    assert read(root.parent / "link", KEY) == b"mine\n"


@pytest.mark.parametrize("level", ["alice", "alice/project", "alice/project/deeper"])
@pytest.mark.parametrize("inside", [True, False], ids=["within the root", "out of the root"])
def test_a_link_in_place_of_a_folder_is_refused_at_every_level(root, deep, level, inside):
    folder = root / level
    target = root / "elsewhere" if inside else root.parent / "away"
    folder.rename(target)
    folder.symlink_to(target)
    with pytest.raises(SessionRefusedError) as caught:
        read(root, KEY)
    assert caught.value.reason == "link"


@pytest.mark.parametrize("target", ["../../../../outside/s.jsonl", "other.jsonl", "missing.jsonl", "s.jsonl"])
def test_a_link_in_place_of_the_file_is_refused_wherever_it_leads(root, deep, target):
    (deep.parent / "other.jsonl").write_bytes(b"mine too\n")
    deep.unlink()
    deep.symlink_to(target)
    with pytest.raises(SessionRefusedError) as caught:
        read(root, KEY)
    assert caught.value.reason == "link"


@pytest.mark.parametrize(
    "key",
    [
        "alice/../../outside/s.jsonl",
        "../outside/s.jsonl",
        "alice/project/../project/deeper/s.jsonl",
        "alice//project/deeper/s.jsonl",
        "alice/./project/deeper/s.jsonl",
        "/alice/project/deeper/s.jsonl",
        "alice/project/deeper/..",
        "alice/project/deeper/",
    ],
)
def test_a_key_that_is_no_plain_path_below_the_root_is_refused(root, deep, key):
    with pytest.raises(SessionError):
        read(root, key)


def test_a_key_that_is_an_absolute_path_leads_nowhere_else(root, deep):
    with pytest.raises(SessionError):
        read(root, str(root.parent / "outside/s.jsonl"))


@pytest.mark.timeout(20)
def test_a_fifo_is_refused_without_waiting_for_a_writer(root):
    os.mkfifo(root / "alice/s.jsonl")
    with pytest.raises(SessionRefusedError) as caught:
        read(root, "alice/s.jsonl")
    assert caught.value.reason == "irregular"


def test_a_socket_and_a_folder_are_refused(root):
    (root / "alice/folder.jsonl").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(root / "alice", os.O_PATH)
        server.bind(f"/proc/self/fd/{here}/s.jsonl")  # the path itself may be too long for a socket's name
        os.close(here)
    for name in ("folder.jsonl", "s.jsonl"):
        with pytest.raises(SessionRefusedError) as caught:
            read(root, f"alice/{name}")
        assert caught.value.reason == "irregular"


def test_a_file_in_place_of_a_folder_is_refused(root):
    (root / "alice/project").touch()
    with pytest.raises(SessionRefusedError):
        read(root, KEY)


@pytest.mark.parametrize("key", ["alice/missing.jsonl", "bob/s.jsonl"])
def test_what_is_not_there_is_gone(root, key):
    with pytest.raises(SessionGoneError):
        read(root, key)


def test_a_missing_root_is_gone(tmp_path):
    with pytest.raises(SessionGoneError):
        read(tmp_path / "nowhere", "alice/s.jsonl")


def test_an_error_shows_no_character_that_could_act_on_a_terminal(root):
    with pytest.raises(SessionGoneError) as caught:
        read(root, "alice/\x1b[31m\nred.jsonl")
    assert str(caught.value).isprintable()


CHILD = """
    import os, sys
    from pathlib import Path
    from daemon.errors import SessionError
    from daemon.opening import open_session

    root, user, group = sys.argv[1:]
    if os.geteuid() == 0:  # nothing is forbidden to root
        os.setgroups([])
        os.setgid(int(group))
        os.setuid(int(user))
    for key in sys.stdin.read().splitlines():
        try:
            with open_session(Path(root), key) as (fd, _):
                print("read", os.read(fd, 10))
        except SessionError as error:
            print(error.reason)
"""


@pytest.mark.parametrize("level", ["alice/s.jsonl", "alice"])
def test_a_file_or_folder_without_permission_is_refused_for_that_reason(root, level):
    for user in ("alice", "bob"):
        (root / user).mkdir(exist_ok=True)
        (root / user / "s.jsonl").write_bytes(b"public\n")
    (root / level).chmod(0)
    here = os.open(root, os.O_RDONLY)  # the folders above it may be closed to others
    nobody = pwd.getpwnam("nobody")
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(CHILD),
            f"/proc/self/fd/{here}",
            str(nobody.pw_uid),
            str(nobody.pw_gid),
        ],
        input="alice/s.jsonl\nbob/s.jsonl\n",
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[here],
        timeout=60,
        check=True,
    )
    os.close(here)
    (root / level).chmod(0o700)
    assert child.stdout.splitlines() == ["permission", "read b'public\\n'"]


ROOT = "/data/root"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/data/root/alice/s.jsonl", "alice/s.jsonl"),
        ("/data/root/alice/a b/é/s.jsonl", "alice/a b/é/s.jsonl"),
        ("/data/root/direct.jsonl", None),
        ("/data/root/alice/s.json", None),
        ("/data/root2/alice/s.jsonl", None),
        ("/elsewhere/alice/s.jsonl", None),
        (os.fsdecode(b"/data/root/alice/\xff.jsonl"), None),
    ],
)
def test_a_session_is_a_jsonl_file_with_a_utf8_name_in_a_users_folder(path, key):
    assert key_of(ROOT, path) == key


def test_a_name_is_utf8_or_none(root):
    (root / "alice" / os.fsdecode(b"\xff\xfe.jsonl")).touch()
    (root / "alice/é.jsonl").touch()
    assert sorted(is_name(path.name) for path in (root / "alice").iterdir()) == [False, True]
