"""What the system tests share: a box with a root and a database, and daemons in it, in this process or as a child.

Nothing here is a stand-in: real files, the real observer, the real database. Tests wait on conditions.
"""

import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.config import Settings
from daemon.events import Events
from daemon.service import Service
from daemon.store import open_database
from processors.registry import load, register
from processors.usage import UsageProcessor

RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "sessions"
SECONDS = 30.0
QUICK = {
    "debounce_ms": 20,
    "max_delay_ms": 200,
    "settle_seconds": 2.1,
    "backoff_seconds": 0.05,
    "backoff_max_seconds": 0.2,
    "log_level": "debug",
}


def wait_until(probe, wanted=True, seconds=SECONDS):
    """Poll until ``probe()`` is ``wanted`` (True: anything true), and return it."""
    ends, pause = time.monotonic() + seconds, threading.Event()
    while True:
        value = probe()
        if value == wanted or (wanted is True and value):
            return value
        if time.monotonic() > ends:
            assert value == wanted, f"not within {seconds:.0f} s"
        pause.wait(0.02)


class Log:
    """Events of a daemon as they come, as dicts with ``event`` and ``level``."""

    def __init__(self):
        self.entries = []
        self.raw = []
        self._news = threading.Condition()

    def add(self, entry):
        with self._news:
            self.entries.append(entry)
            self._news.notify_all()

    def of(self, event, **fields):
        """The events of that name with just these fields."""
        return [
            entry
            for entry in list(self.entries)
            if entry["event"] == event and all(entry.get(name) == value for name, value in fields.items())
        ]

    def lines(self, key, processor="usage"):
        """How many lines of a session were committed, malformed ones included."""
        found = self.of("processed", session_file=key, processor=processor)
        return sum(entry["lines"] + entry["malformed"] for entry in found)

    def wait(self, event, times=1, seconds=SECONDS, **fields):
        """Wait until an event has happened so often; returns the latest one."""
        with self._news:
            happened = self._news.wait_for(lambda: len(self.of(event, **fields)) >= times, seconds)
        seen = [entry["event"] for entry in self.entries]
        assert happened, f"{event} {fields} has not happened {times}x within {seconds} s, but {seen[-40:]}"
        return self.of(event, **fields)[-1]

    def wait_lines(self, key, lines, processor="usage"):
        """Wait until so many lines of a session were committed."""
        wait_until(lambda: self.lines(key, processor) >= lines)


class Child(Log):
    """``sessiond …`` in a process of its own; standard error is read as JSON lines."""

    def __init__(self, command, env, cwd):
        super().__init__()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = f"@sessiond-test-{uuid.uuid4()}"
        self.notify.bind("\0" + address[1:])
        env = env | {"NOTIFY_SOCKET": address}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, cwd=cwd, stdout=pipe, stderr=pipe)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.raw.append(line)
            try:
                self.add(json.loads(line))
            except ValueError:
                self.add({"event": "not JSON", "text": line})

    def status(self, seconds=SECONDS):
        """The next STATUS= that the daemon sends."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if select.select([self.notify], [], [], 0.1)[0]:
                for line in self.notify.recv(4096).decode().splitlines():
                    if line.startswith("STATUS="):
                        return line
        raise AssertionError(f"no status within {seconds} s")

    def wait_quiet(self):
        """Wait until everything was scanned and nothing waits any more."""
        self.wait("scanned")
        while select.select([self.notify], [], [], 0)[0]:
            self.notify.recv(4096)
        # Twice, because a change of this moment has no lag yet.
        quiet, ends = 0, time.monotonic() + SECONDS
        while quiet < 2:
            status = self.status()
            quiet = quiet + 1 if "lag 0.0 s, backlog 0" in status else 0
            assert time.monotonic() < ends, status

    def send(self, number):
        self.process.send_signal(number)

    def ended(self, seconds=SECONDS):
        """The exit code, once it has ended; output is complete then."""
        code = self.process.wait(seconds)
        self._reader.join(seconds)
        return code

    def stop(self, number=signal.SIGTERM):
        self.send(number)
        return self.ended()

    def kill(self):
        self.stop(signal.SIGKILL)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.ended()
        self.process.stdout.close()
        self.process.stderr.close()
        self.notify.close()


class Live(Log):
    """A daemon in this process, whose database can be asked while it runs."""

    def __init__(self, settings, processors):
        super().__init__()
        self.service = Service(settings, [register(each) for each in processors], Events(self._hear))
        self.watch, self.engine, self.survey = self.service._watch, self.service.engine, self.service.survey
        self.code = None
        self._conn = self.engine.connect()
        self._thread = threading.Thread(target=self._run, name="daemon-under-test")
        self._thread.start()

    def _run(self):
        self.code = self.service.run()

    def _hear(self, level, event, fields):
        self.add({"event": event, "level": level, **fields})

    def query(self, sql, *values):
        return self._conn.execute(sql, list(values)).fetchall()

    def ids(self, key):
        """The numbers of the lines of a session that are in the database, as often as they are."""
        found = self.query("SELECT event_uuid FROM usage_events WHERE session_file = ?", key)
        return sorted(int(name.removeprefix("u")) for (name,) in found)

    def wait_ids(self, key, numbers):
        wait_until(lambda: self.ids(key), sorted(numbers))

    def wait_idle(self):
        wait_until(self.engine.idle)

    def stop(self):
        if self._thread.is_alive():
            self._conn.close()
            self.service.stop("the test is over")
            self._thread.join(SECONDS)
            assert not self._thread.is_alive(), "the daemon does not stop"
        return self.code


class Box:
    """A root, a database, and what runs on them; everything ends with the test."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "root"
        self.db = folder / "state" / "sessiond.duckdb"
        self.root.mkdir(parents=True)
        self._open = []

    def path(self, key):
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def append(self, key, *data):
        with self.path(key).open("ab") as file:
            file.write(b"".join(data))

    def live(self, *processors, **settings):
        """A daemon in this process, its first scan behind it; by default with the usage processor."""
        values = {"root": self.root, "db": self.db} | QUICK | settings
        live = Live(Settings(**values), processors or (UsageProcessor,))
        self._open.append(live.stop)
        live.wait("ready")
        if self.root.is_dir():
            live.wait("scanned")
        return live

    def env(self, **settings):
        home = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder / "plugins")}
        return home | {f"SESSIOND_{name.upper()}": str(value) for name, value in settings.items()}

    def child(self, *arguments, before=(), **settings):
        """``sessiond run``, or another command, in a process of its own; ``before``: what starts it."""
        arguments = arguments or ("run", str(self.root), "--db", str(self.db))
        settings = QUICK | {"processors": '["usage"]'} | settings
        command = [*before, sys.executable, "-m", "daemon.cli", *arguments]
        child = Child(command, self.env(**settings), self.folder)
        self._open.append(child.close)
        return child

    def daemon(self, **settings):
        """``sessiond run``, ready."""
        child = self.child(**settings)
        child.wait("ready")
        return child

    def sessiond(self, *arguments, env=None, **settings):
        """A command that ends by itself."""
        return subprocess.run(
            [sys.executable, "-m", "daemon.cli", *map(str, arguments)],
            env=self.env(**settings) | (env or {}),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def on_a_terminal(self, *arguments, width=120):
        """What a command writes to a terminal."""
        master, slave = pty.openpty()
        shown = bytearray()

        def read():
            try:
                while data := os.read(master, 4096):
                    shown.extend(data)
            except OSError:  # the other side is closed
                pass

        reader = threading.Thread(target=read)
        reader.start()
        command = [sys.executable, "-m", "daemon.cli", *map(str, arguments), "--db", str(self.db)]
        environment = self.env() | {"COLUMNS": str(width)}
        subprocess.run(command, env=environment, stdout=slave, stderr=slave, timeout=60, check=False)
        os.close(slave)
        reader.join(30)
        os.close(master)
        return bytes(shown)

    def scan(self, *arguments, root=None, db=None, **settings):
        settings = {"processors": '["usage"]'} | settings
        return self.sessiond("scan", root or self.root, "--db", db or self.db, *arguments, **settings)

    def plugin(self, name, source):
        """Install a processor the way a plug-in is: a module with a class P, and an entry point."""
        info = self.folder / "plugins" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[sessiond.processors]\n{name} = {name}:P\n")
        (info.parent / f"{name}.py").write_text(source)

    def query(self, sql, *values, db=None):
        """Ask the database of a daemon that has ended."""
        with open_database(db or self.db) as conn:
            return conn.execute(sql, list(values)).fetchall()

    def rows(self, db=None):
        """All result rows of the usage processor by table, without when they were extracted, in some order.

        Fails if its kept views show anything else than working them out anew.
        """
        (spec,) = load(["usage"])[0]
        with open_database(db or self.db) as conn:

            def asked(sql):
                return sorted(map(repr, conn.execute(sql).fetchall()))

            for view in spec.views:
                if view.table:
                    assert asked(f"SELECT * FROM {view.name}") == asked(view.sql)
            return {table.name: asked(f"SELECT * EXCLUDE (extracted_at) FROM {table.name}") for table in spec.tables}

    def close(self):
        for close in reversed(self._open):
            close()


@pytest.fixture
def box(tmp_path):
    box = Box(tmp_path)
    yield box
    box.close()


@pytest.fixture
def until() -> Callable:
    return wait_until


@pytest.fixture
def line() -> Callable:
    """Makes line number n of a session: a tool call of its own, so that each line is one row of usage_events."""

    def make(number, text=""):
        block = {"type": "tool_use", "id": f"t{number}", "name": "Bash", "input": {"command": text}}
        message = {"role": "assistant", "id": f"m{number}", "model": "m", "content": [block]}
        stamp = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        turn = {"type": "assistant", "uuid": f"u{number}", "timestamp": stamp, "message": message}
        return json.dumps(turn).encode() + b"\n"

    return make


@pytest.fixture
def recorded(tmp_path):
    """A copy of the recorded sessions."""
    if not RECORDED.is_dir():
        pytest.skip(f"the recorded sessions are not there: {RECORDED}")
    return Path(shutil.copytree(RECORDED, tmp_path / "recorded"))
