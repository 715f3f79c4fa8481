"""Processors in processes of their own: the same results, and whatever ends such a process costs one attempt of one
session.
"""

import importlib
import json
import shutil
import signal
import sys
import threading
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

import pytest

from daemon import isolated, outcome
from daemon.client import Remote
from daemon.config import Settings, socket_of
from daemon.errors import UnavailableError

# Does what the lines say. Each session's own file in HERE/pids names the process that saw it last.
ODD = """
import ctypes, os, pathlib, subprocess, sys, time
from processors import PauseError, ProcessorResult, Table

HERE = pathlib.Path(__file__).parent
(HERE / "pids").mkdir(exist_ok=True)

def memory():
    hoard = []
    while len(hoard) < 4000:
        hoard.append(bytearray(1 << 20))
    raise RuntimeError

def hang():
    subprocess.Popen(["sleep", "600"])
    time.sleep(600)

def wrong():
    raise ValueError("venom")

ACTS = {
    b"raise": wrong,
    b"hang": hang,
    b"rubbish": lambda: [1],
    b"exit": lambda: os._exit(9),
    b"segfault": lambda: ctypes.string_at(0),
    b"memory": memory,
}

class P:
    name = "odd"
    tables = (Table("odd", {"n": "BIGINT"}),)
    budget_seconds = 2.0
    isolation = "process"

    def process(self, batch):
        (HERE / "pids" / batch.session_key.replace("/", "-")).write_text(f"{os.getpid()}")
        for word, act in ACTS.items():
            if b"poison " + word in batch.data:
                result = act()
                if result is not None:
                    return result
        if b"pause" in batch.data and not (HERE / "there").exists():
            raise PauseError("it is not there\\x1b", 0.1)
        before = batch.carry or 0
        rows = [(before + n,) for n in range(len(batch.lines))]
        anew = b"anew" in batch.data
        return ProcessorResult(len(rows), {"odd": rows}, replaces=anew, carry=before + len(rows))
"""
KINDS = ("raise", "hang", "rubbish", "exit", "segfault", "memory")


@pytest.fixture
def odd(box, monkeypatch):
    """A box with the odd processor, which may run in this process, too."""
    box.plugin("odd", ODD)
    monkeypatch.syspath_prepend(str(box.folder / "plugins"))
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    box.processor = importlib.import_module("odd").P
    yield box
    sys.modules.pop("odd", None)


@pytest.fixture
def remote(box):
    """Asks the box's daemon."""
    return Remote(socket_of(Settings(db=box.db)))


def pid_of(box, key, until):
    """The process that has seen a session last."""
    path = box.folder / "plugins" / "pids" / key.replace("/", "-")
    until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def poisons(box, line, kinds=KINDS):
    """A session of each kind of poison, and as many healthy ones."""
    for number, kind in enumerate(kinds):
        box.append(f"alice/{kind}.jsonl", line(1), line(2, f"poison {kind}"))
        box.append(f"bob/{number}.jsonl", line(1), line(2))


def assert_only_poison_has_no_rows(box, kinds=KINDS):
    rows = box.query("SELECT session_file, list(n ORDER BY n) FROM odd GROUP BY ALL ORDER BY ALL")
    assert rows == [(f"bob/{number}.jsonl", [0, 1, 2]) for number in range(len(kinds))]
    sums = box.query("SELECT count(*), sum(lines) FROM usage_session_summary")
    assert sums == [(2 * len(kinds), 5 * len(kinds))]
    failed = box.query("SELECT DISTINCT session_file, quarantined FROM session_failures ORDER BY ALL")
    assert failed == [(f"alice/{kind}.jsonl", True) for kind in sorted(kinds)]


def test_a_poison_session_costs_its_own_rows_only_and_the_daemon_lives(odd, line):
    poisons(odd, line)
    daemon = odd.daemon(processors='["odd", "usage"]', max_attempts=2, isolation_memory="512MB")
    for kind in KINDS:
        daemon.wait("quarantined", session_file=f"alice/{kind}.jsonl", processor="odd", seconds=90)
    for number in range(len(KINDS)):
        odd.append(f"bob/{number}.jsonl", line(3))
        daemon.wait_lines(f"bob/{number}.jsonl", 3, "odd")
    assert daemon.stop() == 0
    told = {entry["session_file"].partition("/")[2]: entry["error"] for entry in daemon.of("quarantined")}
    assert told.pop("raise.jsonl").startswith("ValueError at odd.py:")
    assert told.pop("memory.jsonl").startswith("MemoryError at odd.py:")
    assert told == {
        "hang.jsonl": "it took longer than its budget",
        "rubbish.jsonl": "process() of odd returned list, not ProcessorResult",
        "exit.jsonl": "its process has ended with code 9",
        "segfault.jsonl": "its process was ended by SIGSEGV",
    }
    assert len(daemon.of("abandoned", session_file="alice/hang.jsonl")) == 2
    assert not any("venom" in str(entry) for entry in daemon.entries)
    assert not daemon.of("lane_paused")
    assert_only_poison_has_no_rows(odd)


def test_in_threads_a_poison_session_costs_its_own_rows_only_although_the_process_may_die(odd, line, remote):
    kinds = (
        "raise",
        "rubbish",
        "exit",
        "segfault",
    )  # memory in threads is everybody's; on those that hang see others
    poisons(odd, line, kinds)
    settings = {"processors": '["odd", "usage"]', "isolation": '{"odd": "thread"}', "max_attempts": 2}
    codes = []
    while not all_quarantined(daemon := odd.child(**settings), remote, len(kinds)):
        codes.append(daemon.ended())
        assert len(codes) <= 4  # each of those that end the process may do so twice
    for number in range(len(kinds)):
        odd.append(f"bob/{number}.jsonl", line(3))
    daemon.wait_quiet()
    daemon.stop()
    assert set(codes) == {9, -signal.SIGSEGV}
    assert_only_poison_has_no_rows(odd, kinds)


def all_quarantined(daemon, remote, count):
    """Wait until so many sessions are in quarantine; returns False if the daemon ends before."""
    while daemon.process.poll() is None:
        try:
            if len(remote.quarantine()) == count:
                return True
        except (UnavailableError, OSError, HTTPException):
            pass
        threading.Event().wait(0.05)
    return False


def test_both_ways_give_the_same_rows_and_tell_the_same(box, recorded, line):
    largest = sorted(recorded.rglob("*.jsonl"), key=lambda path: path.stat().st_size)[-8:]
    for number, path in enumerate(largest):
        shutil.copy(path, box.path(f"alice/{number}.jsonl"))
    found = []
    for way in ("thread", "process"):
        done = box.scan("--json", db=box.folder / way, isolation=json.dumps({"usage": way}), chunk_bytes=50_000)
        told = json.loads(done.stdout)
        del told["seconds"]
        found.append((box.rows(box.folder / way), told, done.stderr, done.returncode))
    assert found[0] == found[1]
    assert sum(map(len, found[0][0].values())) > 100


def test_a_run_that_hangs_is_killed_and_no_thread_is_lost(odd, line, until):
    odd.processor.budget_seconds = 0.5
    live = odd.live(odd.processor, workers=1, max_attempts=5, backoff_seconds=0.01)
    odd.append("alice/a.jsonl", line(1, "poison hang"))
    odd.append("bob/b.jsonl", line(1))
    live.wait("quarantined", session_file="alice/a.jsonl", seconds=90)
    assert len(live.of("abandoned")) == 5  # more than the threads that may hang
    until(lambda: live.lines("bob/b.jsonl", "odd"), 1)
    (lane,) = live.service._health.lanes()
    assert (lane["isolation"], lane["abandoned"], lane["paused"]) == ("process", 0, False)
    until(lambda: is_gone(pid_of(odd, "alice/a.jsonl", until)))
    assert live.stop() == 0


def test_a_stop_kills_what_hangs_in_time_and_counts_nothing(odd, line, until):
    odd.processor.budget_seconds = 600
    live = odd.live(odd.processor, stop_seconds=0.2)
    odd.append("alice/a.jsonl", line(1, "poison hang"))
    pid = pid_of(odd, "alice/a.jsonl", until)
    assert live.stop() == 0
    assert live.of("stopped", clean=True)
    assert is_gone(pid)
    assert odd.query("SELECT count(*) FROM session_failures") == [(0,)]


def test_no_process_outlives_a_daemon_that_was_killed(odd, line, until):
    odd.append("alice/a.jsonl", line(1, "poison hang"))
    odd.append("bob/b.jsonl", line(1))
    daemon = odd.daemon(processors='["odd"]')
    pids = {pid_of(odd, key, until) for key in ("alice/a.jsonl", "bob/b.jsonl")}
    assert daemon.process.pid not in pids
    daemon.kill()
    for pid in pids:
        until(lambda pid=pid: is_gone(pid))


def test_one_that_cannot_be_started_is_said_once_costs_no_attempt_and_goes_on_when_it_can(
    odd, line, until, monkeypatch, remote
):
    monkeypatch.setattr(isolated, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(outcome, "AGAIN_SECONDS", 0.1)
    source = odd.folder / "plugins" / "odd.py"
    source.write_text("raise ValueError('venom')")
    live = odd.live(odd.processor, max_attempts=1, workers=1)
    odd.append("alice/a.jsonl", line(1))
    until(lambda: not remote.status()["healthy"])
    assert "odd: its process cannot load it: ValueError at odd.py:1" in remote.status()["reasons"][0]
    until(lambda: live.engine.lanes[0].counts()["running"], 0)
    source.write_text(ODD)
    until(lambda: live.lines("alice/a.jsonl", "odd"), 1)
    until(lambda: remote.status()["reasons"], [])
    assert len(live.of("processor_unusable")) == 1
    assert live.of("run_failed") == live.of("quarantined") == []
    assert not any("venom" in str(entry) for entry in live.entries)


def test_a_scan_whose_processor_cannot_be_started_says_so_and_fails(odd, line):
    only_here = (
        "import __main__\nif getattr(__main__.__spec__, 'name', '') == 'daemon.child':\n    raise ValueError\n"
    )
    odd.plugin("odd", only_here + ODD)
    odd.append("alice/a.jsonl", line(1))
    done = odd.scan("--json", processors='["odd"]')
    assert done.returncode == 1
    assert json.loads(done.stdout)["unusable"] == [
        "odd: its process cannot load it: ValueError at odd.py:3 in <module>"
    ]


def test_what_is_tried_again_is_listed_with_its_attempts_and_when_and_an_order_hurries_it(odd, line, until, remote):
    live = odd.live(odd.processor, max_attempts=3, backoff_seconds=3600, backoff_max_seconds=3600)
    odd.append("alice/a.jsonl", line(1, "poison raise"))
    live.wait("run_failed")
    (row,) = until(remote.retrying)
    assert (row["processor"], row["session_file"], row["attempts"]) == ("odd", "alice/a.jsonl", 1)
    assert row["error"].startswith("ValueError at odd.py")
    wait = datetime.fromisoformat(row["retry_at"]) - datetime.now(UTC)
    assert 0.8 * 3600 - 60 < wait.total_seconds() < 1.2 * 3600 + 60
    shown = odd.sessiond("quarantine", "--retrying", "--db", odd.db).stdout
    assert f"odd\talice/a.jsonl\t1\t{row['failed_at']}\t" in shown
    for attempts in (2, 3):
        assert remote.run_processor("odd")["errors"] == 1
        live.wait("run_failed" if attempts < 3 else "quarantined", session_file="alice/a.jsonl")
    until(remote.retrying, [])
    assert [(row["session_file"], row["attempts"]) for row in remote.quarantine()] == [("alice/a.jsonl", 3)]
    live.stop()
    assert odd.sessiond("quarantine", "--retrying", "--json", "--db", odd.db).stdout == "[]\n"


def test_it_can_say_that_it_cannot_run_now_and_that_rows_stand_for_all_before(odd, line):
    odd.append("alice/a.jsonl", line(1), line(2, "pause"))
    odd.append("bob/b.jsonl", line(1))
    daemon = odd.daemon(processors='["odd"]', max_attempts=2)
    assert daemon.wait("processor_waits", processor="odd")["reason"] == "it is not there\\x1b"
    (odd.folder / "plugins" / "there").touch()
    daemon.wait("processor_goes_on", processor="odd")
    daemon.wait_lines("alice/a.jsonl", 2, "odd")
    odd.append("alice/a.jsonl", line(3, "anew"))
    daemon.wait_lines("alice/a.jsonl", 3, "odd")
    assert daemon.stop() == 0
    assert odd.query("SELECT session_file, n FROM odd ORDER BY ALL") == [("alice/a.jsonl", 2), ("bob/b.jsonl", 0)]
    assert not daemon.of("run_failed")
