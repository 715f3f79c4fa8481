"""What a disk can do to the database: full, failing, read-only, and files that are not as they were written."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

KEY = "alice/a.jsonl"
SHIM = Path(__file__).parent / "faults" / "shim.c"

# A processor that is there for its import: a daemon with it makes a checkpoint every few commits.
OFTEN = """
import daemon.room
from processors import ProcessorResult

daemon.room.THRESHOLD = "64KB"

class P:
    name = "often"
    tables = ()

    def process(self, batch):
        return ProcessorResult()
"""
BOTH = '["usage", "often"]'

# The same, for one that waits longer until it folds.
LATE = """
import daemon.writer
from processors import ProcessorResult

daemon.writer.IDLE_SECONDS = 3.0

class P:
    name = "late"
    tables = ()

    def process(self, batch):
        return ProcessorResult()
"""


@pytest.fixture
def disk(box):
    """A small disk for the database; returns what mounts it: with a size, and again with other options."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can mount a small disk")
    place = box.db.parent
    place.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("NOT TESTED: tmpfs cannot be mounted here")

    mount("size=120m")
    yield lambda options: mount(f"remount,{options}")
    box.close()
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def fail(box, tmp_path_factory):
    """Has system calls of daemons fail that are started with ``fail.settings``: ``fail("sync .wal 5")``, or none."""
    if shutil.which("gcc") is None:
        pytest.skip("NOT TESTED: without gcc, no system call can be made to fail")
    shim = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim, SHIM, "-ldl"], check=True)
    rules = box.folder / "rules"

    def now(*lines):
        new = rules.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.rename(rules)

    now()
    now.before = ("env", f"LD_PRELOAD={shim}", f"FAULTS={rules}")
    return now


def _fill(box, leave=0):
    """Fill the disk up to so many bytes."""
    filler = box.db.parent / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(box.db.parent)
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - leave))
    return filler


def _counts(box):
    return box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events")


def test_a_disk_that_is_full_pauses_the_daemon_until_it_is_not(box, line, disk):
    box.plugin("often", OFTEN)
    daemon = box.daemon(debounce_ms=0, settle_seconds=3600, processors=BOTH)
    box.append(KEY, line(0))
    daemon.wait("processed", 2)
    daemon.wait("folded")  # a checkpoint that runs just now would fail, and end the process
    filler = _fill(box)
    for number in range(1, 1000):
        box.append(f"bob/{number % 10}.jsonl", line(number, "x" * 1000))
    blocked = daemon.wait("store_blocked")
    assert "No space left" in blocked["error"]
    filler.unlink()
    daemon.wait("store_resumed")
    daemon.wait_quiet()
    assert daemon.stop() == 0
    assert len(daemon.of("store_blocked")) == 1
    assert daemon.of("run_failed") == daemon.of("quarantined") == []
    assert _counts(box) == [(1000, 1000)]


def test_a_stop_while_the_disk_is_full_is_no_sessions_fault(box, line, disk):
    daemon = box.daemon(debounce_ms=0, settle_seconds=3600, max_attempts=1)
    box.append(KEY, line(0))
    daemon.wait("folded")
    filler = _fill(box)
    box.append(KEY, *(line(number, "x" * 1000) for number in range(1, 1000)))
    daemon.wait("store_blocked")
    filler.unlink()
    daemon.stop()
    assert not daemon.of("quarantined")
    again = box.daemon()
    again.wait_quiet()
    assert again.stop() == 0
    assert _counts(box) == [(1000, 1000)]


def test_no_checkpoint_is_begun_while_there_is_no_room_for_one(box, line, disk):
    """A checkpoint that fails ends the database for the process; so commits go on without, while they can."""
    box.plugin("often", OFTEN)
    daemon = box.daemon(debounce_ms=0, processors=BOTH)
    box.append(KEY, line(0))
    daemon.wait_lines(KEY, 1)
    daemon.wait("processed", 2)
    daemon.wait("folded")
    filler = _fill(box, leave=16 << 20)
    before = box.db.stat().st_mtime_ns
    for number in range(1, 1500):
        box.append(KEY, line(number, "x" * 1000))
        if number % 100 == 0:
            daemon.wait_lines(KEY, number)
    daemon.wait_quiet()
    assert Path(f"{box.db}.wal").stat().st_size > 64_000
    assert box.db.stat().st_mtime_ns == before
    filler.unlink()
    number = 1500
    while box.db.stat().st_mtime_ns == before:
        box.append(KEY, line(number))
        number += 1
        daemon.wait_lines(KEY, number)
        assert number < 2500
    assert daemon.stop() == 0
    assert daemon.of("store_blocked") == []
    assert _counts(box) == [(number, number)]


@pytest.fixture
def no_temporary_files(box):
    """The place of DuckDB's temporary files is a disk that is full."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can mount a small disk")
    place = Path(f"{box.db}.tmp")
    place.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], check=False).returncode:
        pytest.skip("NOT TESTED: tmpfs cannot be mounted here")
    yield
    box.close()
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.usefixtures("no_temporary_files")
def test_no_room_for_temporary_files_is_told_to_who_asks_and_stops_nothing(box, line):
    daemon = box.daemon(memory_limit="200MB", query_memory="64MB")
    box.append(KEY, *(line(number) for number in range(1000)))
    daemon.wait_lines(KEY, 1000)
    question = "SELECT count(*) FROM (SELECT DISTINCT repeat(uuid()::VARCHAR, 4) AS u FROM range(1500000))"
    refused = box.sessiond("query", question, "--db", box.db)
    assert refused.returncode != 0
    assert "make it smaller" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    box.append(KEY, *(line(number) for number in range(1000, 2000)))
    daemon.wait_lines(KEY, 2000)
    assert daemon.stop() == 0
    assert daemon.of("run_failed") == daemon.of("store_blocked") == []
    assert _counts(box) == [(2000, 2000)]


def test_a_disk_that_is_full_when_it_is_time_to_fold_puts_the_fold_off(box, line, disk):
    box.plugin("late", LATE)
    daemon = box.daemon(debounce_ms=0, settle_seconds=3600, processors='["usage", "late"]')
    box.append(KEY, line(0))
    daemon.wait("processed", 2)
    filler = _fill(box)
    assert "No space left" in daemon.wait("fold_failed")["error"]
    filler.unlink()
    daemon.wait("folded")
    assert daemon.stop() == 0
    assert len(daemon.of("fold_failed")) == 1
    assert box.query("SELECT count(*) FROM session_cursor_log") == [(0,)]
    assert _counts(box) == [(1, 1)]


def test_a_disk_that_is_full_at_the_start_is_one_clear_error(box, line, disk):
    box.append(KEY, line(0))
    filler = _fill(box)
    result = box.scan()
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "free space" in result.stderr
    filler.unlink()
    assert box.scan().returncode == 0
    assert _counts(box) == [(1, 1)]


def test_a_disk_that_is_full_when_a_daemon_comes_back_loses_nothing(box, line, disk):
    daemon = box.daemon(debounce_ms=0)
    box.append(KEY, *map(line, range(100)))
    daemon.wait_lines(KEY, 100)
    daemon.kill()
    filler = _fill(box)
    box.append(KEY, *(line(number, "x" * 1000) for number in range(100, 200)))
    again = box.child(debounce_ms=0)
    assert again.ended() == 2  # and the supervisor starts another, until there is space
    said = b"".join(again.raw).decode()
    assert "free space" in said
    assert "damaged" not in said
    filler.unlink()
    assert box.scan().returncode == 0
    assert _counts(box) == [(200, 200)]


def test_a_disk_that_is_mounted_for_reading_only_is_one_clear_error(box, line, disk):
    box.append(KEY, line(0))
    assert box.scan().returncode == 0
    before = box.db.read_bytes()
    disk("ro")
    result = box.scan()
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "mount it for writing" in result.stderr
    assert box.db.read_bytes() == before
    disk("rw")
    assert box.scan().returncode == 0


@pytest.mark.parametrize(
    ("error", "says"), [(30, "Read-only"), (5, "Input/output"), (28, "No space"), (122, "quota")]
)
def test_a_log_that_cannot_be_written_pauses_the_daemon(box, line, fail, error, says):
    daemon = box.child(before=fail.before, debounce_ms=0)
    daemon.wait("ready")
    box.append(KEY, line(0))
    daemon.wait_lines(KEY, 1)
    fail(f"write .wal {error}")
    box.append(KEY, line(1))
    box.append("bob/b.jsonl", line(2))
    assert says in daemon.wait("store_blocked")["error"]
    fail()
    daemon.wait("store_resumed")
    daemon.wait_lines(KEY, 2)
    daemon.wait_lines("bob/b.jsonl", 1)
    assert daemon.stop() == 0
    assert _counts(box) == [(3, 3)]


def test_a_log_that_cannot_be_synced_ends_the_daemon_for_a_new_one_to_see_what_is_there(box, line, fail):
    daemon = box.child(before=fail.before, debounce_ms=0)
    daemon.wait("ready")
    box.append(KEY, line(0))
    daemon.wait_lines(KEY, 1)
    fail("sync .wal 5")
    box.append(KEY, line(1))
    assert daemon.ended() == 1
    (failed,) = daemon.of("part_failed")
    assert "fsync failed" in failed["error"]
    fail()
    assert box.scan().returncode == 0
    assert _counts(box) == [(2, 2)]


@pytest.mark.parametrize("rule", ["write sessiond.duckdb 28", "write sessiond.duckdb 5", "sync sessiond.duckdb 5"])
def test_a_checkpoint_that_fails_ends_the_daemon_and_what_was_committed_is_there(box, line, fail, rule):
    box.plugin("often", OFTEN)
    daemon = box.child(before=fail.before, debounce_ms=0, processors=BOTH)
    daemon.wait("ready")
    fail(rule)
    number = 0
    while daemon.process.poll() is None and number < 3000:
        box.append(KEY, line(number, "x" * 500))
        number += 1
        daemon.process.poll() is None and number % 20 == 0 and daemon.wait("processed")
    assert daemon.ended() == 1
    (failed,) = daemon.of("part_failed")
    assert "checkpoint" in failed["error"]
    acknowledged = daemon.lines(KEY)
    fail()
    with_rows = box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events")
    assert with_rows[0][0] == with_rows[0][1] >= acknowledged
    assert box.scan().returncode == 0
    assert _counts(box) == [(number, number)]


@pytest.mark.parametrize("which", [1, 6, 7, 14, 21, 28])
def test_a_kill_in_the_middle_of_a_write_to_the_database_leaves_one_that_can_be_opened(box, line, fail, which):
    """Where half of a block is written; DuckDB alone cannot open one of seven of these."""
    box.plugin("often", OFTEN)
    daemon = box.daemon(debounce_ms=0, processors=BOTH)
    number = 0
    for _ in range(3):
        checkpointed_at = box.db.stat().st_mtime_ns
        while box.db.stat().st_mtime_ns == checkpointed_at:
            box.append(KEY, line(number, "x" * 500))
            number += 1
            daemon.wait_lines(KEY, number)
    daemon.kill()
    fail(f"tear sessiond.duckdb {which}")
    again = box.child(before=fail.before, debounce_ms=0, processors=BOTH)
    while again.process.poll() is None and number < 10_000:
        box.append(KEY, line(number, "x" * 500))
        number += 1
        with suppress(subprocess.TimeoutExpired):
            again.process.wait(0.002)
    assert again.ended() == -9
    fail()
    assert box.scan().returncode == 0
    assert _counts(box) == [(number, number)]


def test_a_database_that_the_disk_cannot_read_is_not_called_a_damaged_one(box, line, fail):
    box.append(KEY, line(0))
    assert box.scan().returncode == 0
    before = box.db.read_bytes()
    fail("read sessiond.duckdb 5")
    child = box.child("scan", str(box.root), "--db", str(box.db), before=fail.before)
    assert child.ended() == 2
    said = b"".join(child.raw).decode()
    assert "its disk fails" in said
    assert said.count("\n") == 1
    assert box.db.read_bytes() == before
    fail()
    assert box.scan().returncode == 0


def test_a_database_that_is_damaged_while_it_is_used_ends_the_daemon_and_no_session_is_blamed(box, line):
    daemon = box.daemon(debounce_ms=0)
    for number in range(10):
        box.append(f"alice/{number}.jsonl", *(line(number * 1000 + each, "x" * 300) for each in range(1000)))
    daemon.wait_quiet()
    assert daemon.stop() == 0
    again = box.daemon(debounce_ms=0, processors='["usage"]')
    with box.db.open("r+b") as file:
        for place in range(3 * 4096, box.db.stat().st_size, 262144):
            file.seek(place + 10_000)
            file.write(os.urandom(5000))
    for number in range(10):
        box.append(f"alice/{number}.jsonl", line(10_000 + number))
    assert again.ended() == 1
    (failed,) = again.of("part_failed")
    assert "the database is damaged" in failed["error"]
    assert "sessiond rebuild" in failed["error"]
    assert again.of("run_failed") == again.of("quarantined") == []


def _cut(log):
    return log[: len(log) * 2 // 3]


def _header_cut(log):
    return log[:10]


def _more(log):
    return log + os.urandom(1000)


def _zeros(log):
    return log + bytes(5000)


def _middle(log):
    """Where an entry begins, so that the rest cannot be made out."""
    middle = len(log) // 2
    return log[:middle] + os.urandom(200) + log[middle + 200 :]


def _all(log):
    return os.urandom(len(log))


@pytest.mark.parametrize("damage", [_cut, _header_cut, _more, _zeros, _middle, _all])
def test_a_log_that_is_not_as_it_was_written_gives_the_rows_of_the_files_or_is_refused(box, line, damage):
    """DuckDB goes back to the last commit that it can make out, of which rows and positions both are, or neither."""
    daemon = box.daemon(debounce_ms=0)
    for number in range(60):
        box.append(f"alice/{number % 3}.jsonl", line(number))
        daemon.wait_lines(f"alice/{number % 3}.jsonl", number // 3 + 1)
    daemon.kill()
    log = Path(f"{box.db}.wal")
    damaged = damage(log.read_bytes())
    log.write_bytes(damaged)
    result = box.scan()
    if result.returncode == 2:
        assert "sessiond rebuild" in result.stderr
        assert log.read_bytes() == damaged
        assert box.sessiond("rebuild", box.root, "--db", box.db, processors='["usage"]').returncode == 1
    assert _counts(box) == [(60, 60)]
    assert box.query("SELECT sum(lines) FROM session_positions") == [(60,)]
    again = box.daemon(debounce_ms=0)
    box.append(KEY, line(60))
    again.wait_lines(KEY, 1)
    again.kill()
    assert _counts(box) == [(61, 61)]


def test_a_log_without_its_database_is_not_deleted(box, line):
    daemon = box.daemon(debounce_ms=0)
    box.append(KEY, line(0))
    daemon.wait_lines(KEY, 1)
    daemon.kill()
    log = Path(f"{box.db}.wal")
    content = log.read_bytes()
    elsewhere = box.db.rename(box.folder / "elsewhere.duckdb")
    result = box.scan()
    assert result.returncode == 2
    assert "put the database back" in result.stderr
    assert log.read_bytes() == content
    elsewhere.rename(box.db)
    assert box.scan().returncode == 0
    assert _counts(box) == [(1, 1)]
