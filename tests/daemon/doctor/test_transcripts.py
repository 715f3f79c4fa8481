"""What is read: the root and its files."""

import os

import pytest

HOSTILE = "evil\x1b[2J\n.jsonl"


@pytest.fixture
def session(root):
    path = root / "alice/a.jsonl"
    path.write_bytes(b"{}\n")
    return path


def test_a_root_that_is_there_is_named_with_where_it_is_from(ask, root):
    assert ask("root") == [("ok", f"{root} (command line)", "")]


def test_a_root_that_is_not_there_is_an_error_and_so_are_no_files(ask, tmp_path):
    level, says, fix = ask("root", root=tmp_path / "nowhere")[0]
    assert level == "error"
    assert "nowhere does not exist" in says
    assert fix
    assert ask("files", root=tmp_path / "nowhere") == [("skipped", "the root is not there", "")]


def test_a_root_that_is_a_file_is_an_error(ask, session):
    level, says, _ = ask("root", root=session)[0]
    assert level == "error"
    assert "is no folder" in says


def test_session_files_directly_in_the_root_are_a_warning(ask, root):
    for number in range(5):
        (root / f"{number}.jsonl").write_bytes(b"")
    (root / HOSTILE).write_bytes(b"")
    level, says, fix = ask("root")[0]
    assert level == "warning"
    assert says.startswith("6 files directly in the root")
    assert says.endswith("0.jsonl, 1.jsonl, 2.jsonl and 3 more")
    assert fix


def test_files_are_counted(ask, session):
    ((level, says, _),) = ask("files")
    assert level == "ok"
    assert says.startswith("1 session file, 3 bytes, in 2 folders")


@pytest.mark.parametrize("kind", ["link", "pipe", "name"])
def test_what_looks_like_a_session_and_is_none_is_a_warning(ask, root, session, kind):
    name = os.fsencode(root / "alice") + (b"/b\xff.jsonl" if kind == "name" else b"/b.jsonl")
    if kind == "link":
        (root / "alice/b.jsonl").symlink_to("a.jsonl")
    elif kind == "pipe":
        os.mkfifo(name)
    else:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    level, says, fix = ask("files")[0]
    assert level == "warning"
    assert says.startswith("1 name ")
    assert "alice/b" in says
    assert fix


def test_a_hostile_name_is_shown_as_escapes(ask, root, session):
    (root / "alice" / HOSTILE).symlink_to("a.jsonl")
    level, says, _ = ask("files")[0]
    assert level == "warning"
    assert r"alice/evil\x1b[2J\n.jsonl" in says
