"""A real daemon in a process of its own, watched from outside: memory, descriptors, threads, reads, queues, log."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from daemon.client import connect
from daemon.errors import SessiondError
from daemon.store import open_database

PLUGINS = Path(__file__).with_name("plugins")
EVERY_SECONDS = 0.25
ROLLUP_EVERY = 20
"""The kernel walks all pages for a proportional size: not each time."""


@dataclass
class Sample:
    """One look: megabytes of memory, counts; ``at`` in seconds since the daemon began."""

    at: float
    rss: float
    descriptors: int
    threads: int
    pss: float | None = None


@dataclass
class Watched:
    """What was seen of one process."""

    samples: list[Sample] = field(default_factory=list)

    def peak(self, name="rss"):
        return max(getattr(sample, name) for sample in self.samples)

    def peak_pss(self):
        return max((sample.pss for sample in self.samples if sample.pss is not None), default=0.0)

    def slope(self, name="rss", since=0.5):
        """By how much it grows per minute, by regression over what comes after that share of the samples."""
        late = self.samples[int(len(self.samples) * since) :]
        if len(late) < 3:
            return 0.0
        return statistics.linear_regression([s.at / 60 for s in late], [getattr(s, name) for s in late]).slope


class Daemon:
    """``sessiond run`` on a root and a database; use it with ``with``.

    Args:
        root, folder: of the sessions; and where the database and the log are.
        processors: names of those to run; plug-ins of this folder among them.
        settings: others than the defaults.
        env: of the plug-ins.

    """

    def __init__(self, root, folder, *processors, env=None, **settings):
        folder.mkdir(parents=True, exist_ok=True)
        self.root, self.folder, self.db = root, folder, folder / "sessiond.duckdb"
        self._log = folder / "log"
        self._began_log = self._log.stat().st_size if self._log.exists() else 0
        config = folder / "empty.toml"
        config.touch()
        settings = {"processors": json.dumps(processors or ["usage"])} | settings
        install(folder / "plugins")
        self._env = {"HOME": str(folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(folder / "plugins")}
        self._env |= {f"SESSIOND_{name.upper()}": str(value) for name, value in settings.items()} | (env or {})
        arguments = ["run", str(root), "--db", str(self.db), "--json", "--config", str(config)]
        self.began = time.monotonic()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "daemon.cli", *arguments], env=self._env, stdout=log, stderr=log
            )
        self.pid = self.process.pid
        self.watched = Watched()
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def __enter__(self):
        try:
            self.wait(lambda: self.events()["ready"], "the daemon to be ready", seconds=600)
        except BaseException:
            self.stop()
            raise
        self.ready_seconds = time.monotonic() - self.began
        return self

    def __exit__(self, *_error):
        self.stop()

    # What is seen from outside

    def _sample(self):
        number = 0
        while not self._ended.wait(EVERY_SECONDS):
            with suppress(OSError, ValueError, IndexError):  # it has just ended
                pss = self.pss() if number % ROLLUP_EVERY == 0 else None
                number += 1
                self.watched.samples.append(
                    Sample(
                        time.monotonic() - self.began, self.memory("VmRSS"), self.descriptors(), self.threads(), pss
                    )
                )

    def _processes(self):
        """The daemon's, and those that it has begun."""
        found = [self.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with suppress(OSError):
                    found += map(int, children.read_text().split())
        return found

    def _sum(self, measure):
        total = measure(self.pid)
        for pid in self._processes()[1:]:
            with suppress(OSError, ValueError):  # it has ended
                total += measure(pid)
        return total

    def memory(self, name="VmRSS"):
        """``VmRSS``; or ``VmHWM``, the most there ever was; in MB, of all processes."""
        return self._sum(lambda pid: _field(f"/proc/{pid}/status", name) * 1024 / 1e6)

    def pss(self):
        """The same, with each shared page's share."""
        return self._sum(lambda pid: _field(f"/proc/{pid}/smaps_rollup", "Pss") * 1024 / 1e6)

    def descriptors(self):
        return self._sum(lambda pid: _count(f"/proc/{pid}/fd"))

    def threads(self):
        return self._sum(lambda pid: _count(f"/proc/{pid}/task"))

    def bytes_read(self):
        """By read calls, whether from the disk or from memory."""
        return self._sum(lambda pid: _field(f"/proc/{pid}/io", "rchar"))

    def cpu(self):
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_bytes(self):
        return self._log.stat().st_size - self._began_log

    def entries(self):
        """The entries of the log, as far as they are JSON."""
        with self._log.open("rb") as log:
            log.seek(self._began_log)
            for line in log:
                try:
                    entry = json.loads(line)
                except ValueError:
                    entry = None
                yield entry if isinstance(entry, dict) else {"event": "not JSON"}

    def events(self):
        return Counter(entry.get("event", "none") for entry in self.entries())

    # What it says

    def client(self):
        return connect(socket=f"{self.db}.sock")

    def status(self):
        return self.client().status()

    def lane(self, processor="usage"):
        return next(lane for lane in self.status()["lanes"] if lane["processor"] == processor)

    def query(self, sql):
        return self.client().query(sql).to_pylist()

    def wait(self, condition, what, seconds=600.0, every=0.1):
        ends = time.monotonic() + seconds
        while True:
            with suppress(SessiondError, OSError):
                if (value := condition()) not in (None, False):
                    return value
            if self.process.poll() is not None:
                raise RuntimeError(f"the daemon has ended with {self.process.returncode}: {self.tail()}")
            if time.monotonic() > ends:
                raise TimeoutError(f"waited {seconds:.0f} s for {what}: {self.tail()}")
            time.sleep(every)

    def wait_scanned(self, scans=1, seconds=3600.0):
        self.wait(lambda: self.status()["last_scan"] is not None, "the scan", seconds)

    def wait_idle(self, processor="usage", seconds=3600.0, every=0.25):
        """Until a full scan is over and the processor has nothing to do; what failed may wait."""
        self.wait(lambda: self.status()["last_scan"], "the first scan", seconds, every)

        def idle():
            lane = self.lane(processor)
            return not (lane["live"] or lane["backlog"] or lane["running"] or lane["delayed"])

        self.wait(lambda: idle() and idle(), f"{processor} to be done", seconds, every)

    def scan(self):
        return self.client().scan()

    def tail(self):
        return self._log.read_bytes()[-2000:].decode(errors="replace")

    # What is done to it

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self._ended.set()
        self._sampler.join()
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=120):
        """End it in order; returns its exit code."""
        self._ended.set()
        self._sampler.join()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def rows(self, sql):
        """What the database says, once the daemon has ended."""
        with open_database(self.db) as conn:
            return conn.execute(sql).fetchall()


def install(folder):
    """Have the plug-ins found as what is installed is: a module with a class P, and an entry point."""
    for module in PLUGINS.glob("*.py"):
        info = folder / f"{module.stem}-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.stem}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[sessiond.processors]\n{module.stem} = {module.stem}:P\n")
        shutil.copy(module, folder)


def _count(folder):
    return sum(1 for _ in Path(folder).iterdir())


def _field(path, name):
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise ValueError(name)


@contextmanager
def temporary(folder, name):
    """A folder of one scenario, which goes with it."""
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def say(text):
    print(f"bounds: {text}", file=sys.stderr, flush=True)
