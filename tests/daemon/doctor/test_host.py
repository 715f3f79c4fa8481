"""The host: limits of the kernel, file systems, clock, disk."""

import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import daemon.mounts
from daemon.cursor import utc_now
from daemon.doctor import examine, host
from daemon.doctor.doors import Door


@pytest.fixture
def limits(monkeypatch, tmp_path):
    """Sets the kernel's limits; without one, its files cannot be read."""
    folder = tmp_path / "inotify"
    folder.mkdir()
    monkeypatch.setattr(host, "INOTIFY", folder)

    def put(watches=100_000, events=16_384, instances=128):
        (folder / "max_user_watches").write_text(f"{watches}\n")
        (folder / "max_queued_events").write_text(f"{events}\n")
        (folder / "max_user_instances").write_text(f"{instances}\n")

    return put


@pytest.fixture
def folders(root):
    """Ten folders: the root, alice's, and eight in it."""
    for number in range(8):
        (root / "alice" / str(number)).mkdir()


def test_limits_that_are_wide_are_all_right(ask, limits, folders):
    limits()
    ((level, says, _),) = ask("inotify")
    assert level == "ok"
    assert says == "one user may watch 100,000 folders, and there are 10; up to 16,384 events are kept"


@pytest.mark.parametrize(("watches", "level"), [(9, "error"), (13, "warning"), (14, "ok")])
def test_fewer_watches_than_folders_are_an_error_and_few_more_a_warning(ask, limits, folders, watches, level):
    limits(watches=watches)
    found, says, fix = ask("inotify")[0]
    assert found == level
    assert "10" in says
    if level != "ok":
        assert "fs.inotify.max_user_watches = 524288 into /etc/sysctl.d/60-sessiond.conf" in fix


def test_a_short_queue_is_a_warning_that_says_why(ask, limits, folders):
    limits(events=1024)
    ((level, says, fix),) = ask("inotify")
    assert level == "warning"
    assert "full scan" in says
    assert "fs.inotify.max_queued_events = 65536" in fix


def test_a_queue_shorter_than_the_folders_are_many_is_a_warning(ask, limits, folders, monkeypatch):
    monkeypatch.setattr(host, "QUEUED_EVENTS", 4)
    limits(events=9)
    assert ask("inotify")[0][0] == "warning"
    limits(events=10)
    assert ask("inotify")[0][0] == "ok"


def test_few_watchers_are_a_warning(ask, limits, folders):
    limits(instances=8)
    ((level, _, fix),) = ask("inotify")
    assert level == "warning"
    assert "fs.inotify.max_user_instances = 128" in fix


def test_limits_are_looked_at_although_the_root_is_missing(ask, limits, tmp_path):
    limits(events=1024)
    assert ask("inotify", root=tmp_path / "nowhere")[0][0] == "warning"


@pytest.mark.parametrize(
    ("watch", "says"),
    [
        ({"mode": "scanning"}, "the daemon cannot watch all folders"),
        ({"mode": "inotify", "overflows": 3}, "dropped events 3 times"),
    ],
)
def test_a_daemon_that_does_not_hear_everything_is_a_warning(patient, limits, folders, watch, says):
    limits()
    host_with_daemon = replace(patient(), door=Door(Path("/run/s.sock"), "answers", {"watch": watch}))
    ((found),) = examine(host_with_daemon, {"inotify": host.inotify})
    assert found.level == "warning"
    assert says in found.says
    assert found.fix


def test_folders_that_only_the_daemon_sees_count(patient, limits, folders):
    limits(watches=50)
    status = {"last_scan": {"folders": 51}}
    host_with_daemon = replace(patient(), door=Door(Path("/run/s.sock"), "answers", status))
    ((found),) = examine(host_with_daemon, {"inotify": host.inotify})
    assert found.level == "error"


def test_a_kernel_that_says_nothing_is_skipped(ask, limits):
    assert ask("inotify")[0][0] == "skipped"


@pytest.fixture
def mounts(monkeypatch, tmp_path):
    """Says what is mounted below the folder of the test, as (folder, kind)."""

    def put(*mounted):
        lines = [
            f"x {str(tmp_path / folder).replace(' ', chr(92) + '040')} {kind} rw 0 0\n" for folder, kind in mounted
        ]
        (tmp_path / "mounts").write_text("x / ext4 rw 0 0\n" + "".join(lines))
        monkeypatch.setattr(daemon.mounts, "MOUNTS", tmp_path / "mounts")

    return put


def test_file_systems_of_this_host_are_all_right(ask, mounts):
    mounts(("other", "nfs"), ("root", "xfs"), ("roo", "nfs"))
    assert ask("filesystem") == [("ok", "the root is on xfs", ""), ("ok", "the database is on ext4", "")]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_root_of_another_host_is_a_warning(ask, mounts, kind):
    mounts(("root", "ext4"), ("root", kind))
    level, says, fix = ask("filesystem")[0]
    assert level == "warning"
    assert f"the root is on {kind}" in says
    assert fix


@pytest.mark.parametrize(("kind", "level"), [("nfs", "error"), ("fuse.sshfs", "warning"), ("ext4", "ok")])
def test_a_database_on_another_host_is_an_error(ask, mounts, tmp_path, kind, level):
    mounts(("my state", kind))
    found = ask("filesystem", db=tmp_path / "my state" / "not yet" / "s.duckdb")
    assert found[0][0] == level
    assert f"the database is on {kind}" in " ".join(says for _, says, _ in found)


@pytest.fixture
def timedatectl(monkeypatch, tmp_path):
    """Puts a program of that name before the host's, which prints something or fails."""

    def put(script):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "timedatectl").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "timedatectl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return put


@pytest.mark.parametrize(
    ("script", "level"), [("echo yes", "ok"), ("echo no", "warning"), ("exit 1", "skipped"), ("echo", "skipped")]
)
def test_what_the_host_says_of_its_clock(ask, timedatectl, script, level):
    timedatectl(script)
    (found,) = [each for each in ask("clock") if "synchronized" in each[1]]
    assert found[0] == level
    assert bool(found[2]) == (level == "warning")


def test_a_host_without_timedatectl_is_skipped(ask, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert ("skipped", "timedatectl cannot say whether the clock is synchronized", "") in ask("clock")


@pytest.mark.parametrize(("ahead", "level"), [(3600, "warning"), (60, "ok")])
def test_files_from_the_future_are_a_warning(ask, root, ahead, level):
    path = root / "alice/a.jsonl"
    path.write_bytes(b"{}\n")
    os.utime(path, (time.time() + ahead,) * 2)
    (found,) = [each for each in ask("clock") if "future" in each[1]]
    assert found[0] == level
    if level == "warning":
        assert "1 file with a time in the future: alice/a.jsonl" in found[1]


@pytest.mark.parametrize(("ahead", "level"), [(7200, "warning"), (-7200, "ok")])
def test_a_clock_that_was_set_back_is_a_warning(ask, conn, ahead, level):
    conn.execute(
        "INSERT INTO session_cursor_log"
        " SELECT 1, 'alice', ?, 'usage', 'alice/a.jsonl', 0, 0, 0, 0, 0, 0, 0, '', 0, true, 1, NULL, 0, 0, 0, 'x'",
        [utc_now() + timedelta(seconds=ahead)],
    )
    conn.close()
    (found,) = [each for each in ask("clock") if "the database" in each[1]]
    assert found[0] == level


def test_room_on_the_disk_is_all_right(ask):
    ((level, says, _),) = ask("disk")
    assert level == "ok"
    assert "free in" in says


@pytest.mark.parametrize(("share", "level"), [(1.1, "error"), (0.6, "warning")])
def test_little_room_is_told_of(ask, monkeypatch, tmp_path, share, level):
    room = os.statvfs(tmp_path)
    monkeypatch.setattr(host, "WAL_BYTES", int(room.f_bavail * room.f_frsize * share / 2))
    found, _, fix = ask("disk")[0]
    assert found == level
    assert "make room" in fix


def test_few_inodes_are_a_warning(ask, monkeypatch, tmp_path):
    if not os.statvfs(tmp_path).f_files:
        pytest.skip("this file system does not count inodes")
    monkeypatch.setattr(host, "INODES", 1 << 62)
    assert ask("disk")[0][0] == "warning"


def test_a_mount_of_any_name_is_found(monkeypatch, tmp_path):
    folder = tmp_path / "a #\\b\tc\nd\\040"
    escaped = "".join(f"\\{ord(char):03o}" if char in " #\\\t\n" else char for char in str(folder))
    (tmp_path / "mounts").write_text(f"x / ext4 rw 0 0\nx {escaped} fuse.x rw 0 0\n")
    monkeypatch.setattr(daemon.mounts, "MOUNTS", tmp_path / "mounts")
    assert daemon.mounts.kind_of(folder / "file") == "fuse.x"
    assert daemon.mounts.kind_of(tmp_path) == "ext4"
