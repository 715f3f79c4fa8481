"""Processors in processes of their own: the same results, and whatever ends such a process costs one attempt of one
session.
"""

from pathlib import Path

import pytest

from daemon.client import Remote
from daemon.config import Settings, socket_of

# Does what the lines say. Each session's own file in HERE/pids names the process that saw it last.
ODD = """
import ctypes, os, pathlib, subprocess, sys, time
from processors import ProcessorResult, Table

HERE = pathlib.Path(__file__).parent
(HERE / "pids").mkdir(exist_ok=True)

def memory():
    hoard = []
    while len(hoard) < 2000:
        hoard.append(bytearray(1 << 20))
    raise RuntimeError

def hang():
    subprocess.Popen(["sleep", "600"])
    time.sleep(600)

def noise():
    print("poison on stdout", flush=True)
    print("poison on stderr", file=sys.stderr, flush=True)
    os.write(1, b"poison on 1")
    os.write(2, b"poison on 2")
    sys.stdin.read()

def no_socket():
    os.closerange(3, 100)
    time.sleep(600)

def fork_and_die():
    if os.fork():
        os._exit(7)
    time.sleep(600)

def wrong():
    raise ValueError("poison")

ACTS = {
    b"raise": wrong,
    b"hang": hang,
    b"rubbish": lambda: [1],
    b"misfit": lambda: ProcessorResult(rows={"odd": [("poison",)]}),
    b"ratios": lambda: ProcessorResult(ratios={"a": 1}),
    b"exit": lambda: os._exit(9),
    b"segfault": lambda: ctypes.string_at(0),
    b"memory": memory,
    b"interrupt": lambda: exec("raise KeyboardInterrupt"),
    b"noise": noise,
    b"close": no_socket,
    b"fork": fork_and_die,
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
        before = batch.carry or 0
        rows = [(before + n,) for n in range(len(batch.lines))]
        return ProcessorResult(len(rows), {"odd": rows}, carry=before + len(rows))
"""
KINDS = ("raise", "hang", "rubbish", "misfit", "ratios", "exit", "segfault", "memory", "interrupt", "close", "fork")
IN_THREAD = {"isolation": '{"odd": "thread"}'}


@pytest.fixture
def odd(box):
    """A box with the odd processor, and what is asked of it."""
    box.plugin("odd", ODD)
    box.settings = {"processors": '["odd", "usage"]', "max_attempts": 2, "isolation_memory": "1GB"}
    box.remote = Remote(socket_of(Settings(db=box.db)))
    return box


def pid_of(box, key, until):
    """The process that has seen a session last."""
    return int(until((box.folder / "plugins" / "pids" / key.replace("/", "-")).read_text))


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def group_of(pid):
    """The processes that it has begun, itself included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _state, _parent, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == pid:
            found.append(int(stat.parent.name))
    return found


def test_a_poison_session_costs_its_own_rows_only_and_the_daemon_lives(odd, line, until):
    for number, kind in enumerate(KINDS):
        odd.append(f"alice/{kind}.jsonl", line(1), line(2, f"poison {kind}"))
        odd.append(f"bob/{number}.jsonl", line(1), line(2))
    daemon = odd.daemon(**odd.settings)
    for kind in KINDS:
        daemon.wait("quarantined", session_file=f"alice/{kind}.jsonl", processor="odd", seconds=60)
    for number in range(len(KINDS)):
        odd.append(f"bob/{number}.jsonl", line(3))
        daemon.wait_lines(f"bob/{number}.jsonl", 3, "odd")
    assert daemon.stop() == 0
    told = {entry["session_file"]: entry["error"] for entry in daemon.of("quarantined")}
    assert told.keys() == {f"alice/{kind}.jsonl" for kind in KINDS}
    assert "ended with code 9" in told["alice/exit.jsonl"]
    assert "SIGSEGV" in told["alice/segfault.jsonl"]
    assert told["alice/hang.jsonl"] == "it took longer than its budget"
    assert told["alice/memory.jsonl"].startswith("MemoryError at odd.py")
    assert "ended with code 7" in told["alice/fork.jsonl"]
    assert not any("poison" in str(entry) for entry in daemon.entries)
    assert len(daemon.of("ready")) == 1
    rows = odd.query("SELECT session_file, list(n ORDER BY n) FROM odd GROUP BY ALL ORDER BY ALL")
    assert rows == sorted((f"bob/{number}.jsonl", [0, 1, 2]) for number in range(len(KINDS)))
    assert odd.query("SELECT count(*), sum(lines) FROM usage_session_summary") == [(2 * len(KINDS), 5 * len(KINDS))]
