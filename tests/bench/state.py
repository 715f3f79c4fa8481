"""A daemon that knows many sessions: how soon it is ready, and what it costs while nothing happens."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.child import Daemon
from tests.bench.crowd import Crowd, processed_crowd
from tests.bench.place import Place, median
from tests.bench.report import Row

ROUNDS = 3
IDLE_SECONDS = 300.0
"""As long as the time between two full scans, so that it holds one, whenever it begins."""


@contextmanager
def running(crowd: Crowd, folder: Path) -> Iterator[tuple[int, float]]:
    """``sessiond run`` as a user starts it: its process id, and the seconds until it said that it is ready."""
    config = folder / "empty.toml"
    config.touch()
    command = [sys.executable, "-m", "daemon.cli", "run", str(crowd.root), "--db", str(crowd.db), "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SESSIOND_")}
    began = time.monotonic()
    process = subprocess.Popen(
        [*command, "--config", str(config)], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        for line in process.stderr:
            if json.loads(line)["event"] == "ready":
                break
        else:
            raise RuntimeError(f"sessiond run ended with {process.wait()} before it was ready")
        yield process.pid, time.monotonic() - began
    finally:
        process.terminate()
        process.communicate(timeout=120)


def restart(place: Place) -> Row:
    """Row 7: from the start of the process, interpreter included; files opened by the end of the first scan."""
    crowd = processed_crowd(place)
    seconds = []
    with place.temporary("restart") as folder:
        for _ in range(ROUNDS):
            with running(crowd, folder) as (_, ready):
                seconds.append(ready)
    with Daemon(crowd.root, crowd.db) as daemon:
        daemon.settle()
        time.sleep(1)
        state = daemon.state()
    if state["sessions"] < crowd.sessions:
        raise RuntimeError(f"it knows {state['sessions']} sessions only")
    taken, opened = median(seconds), state["files_opened"]
    return Row(
        "restart",
        f"restart with {crowd.sessions:,} unchanged sessions: ready; files opened",
        f"{taken:.2f} s; {opened}",
        "<= 1.5 s; 0",
        taken <= 1.5 and opened == 0,
        {"seconds": seconds, "files_opened": opened},
    )


def idle(place: Place) -> Row:
    """Row 8: CPU over one full-scan period, memory as the largest of what was seen in it."""
    crowd = processed_crowd(place)
    window = place.seconds(IDLE_SECONDS, 10)
    resident = []
    with place.temporary("idle") as folder, running(crowd, folder) as (pid, _):
        time.sleep(15)  # the first scan and what follows a start are over
        began, before = time.monotonic(), _cpu_seconds(pid)
        while time.monotonic() - began < window:
            time.sleep(1)
            resident.append(_memory_mb(pid, "VmRSS"))
        share = (_cpu_seconds(pid) - before) / (time.monotonic() - began)
        peak = _memory_mb(pid, "VmHWM")
    return Row(
        "idle",
        f"idle with {crowd.sessions:,} sessions for {window:.0f} s: CPU of one core; memory",
        f"{share:.2%}; {max(resident):.0f} MB",
        "<= 1 %; <= 250 MB",
        share <= 0.01 and max(resident) <= 250,
        {"cpu_share": share, "rss_mb": max(resident), "rss_mb_last": resident[-1], "rss_mb_peak": peak},
    )


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6
