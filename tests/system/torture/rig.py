"""The daemon under torture: started, ended, and asked what it has."""

import http.client
import os
import shutil
import signal
import threading
import time
from collections import Counter
from pathlib import Path

from daemon.client import Remote
from daemon.config import Settings, socket_of
from daemon.errors import LimitError, QueryError, UnavailableError
from tests.system.conftest import QUICK, Box
from tests.system.torture.model import Rows
from tests.system.torture.reference import LONGEST, USAGE_TABLES, usage_sums

PLUGINS = Path(__file__).parent / "plugins"
PROCESSORS = '["usage", "recorder", "whole"]'
ISOLATED = '{"usage": "process", "recorder": "process"}'
SETTINGS = QUICK | {
    "processors": PROCESSORS,
    "max_attempts": 8,
    "chunk_bytes": 16 << 10,
    "line_limit_bytes": LONGEST,
    "log_level": "info",
    "stop_seconds": 10,
}
MOST_MEMORY = 700 << 20
OWN_ENDS = {9, -signal.SIGSEGV, -signal.SIGABRT, 1}
"""How the process may end by itself where a processor ends it, or takes all of its memory."""

NO_ANSWER = (UnavailableError, LimitError, OSError, http.client.HTTPException)
"""LimitError: a processor has taken all of the memory."""

QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


class DiedError(AssertionError):
    """The daemon has ended, and nobody wanted it to."""


class Rig:
    """One root and database. The daemon runs from :meth:`start` on, whatever ends it, until :meth:`close`."""

    def __init__(self, folder, *, isolated=False):
        self.box = Box(folder)
        self._isolation = {"isolation": ISOLATED} if isolated else {}
        self.counts = Counter()
        self.moved = set()  # former names of sessions, as the daemons that have ended told them
        self.peak = 0
        self.version = 1
        self.daemon = None
        self.dies = False
        """Whether it may die by itself."""
        self.few_watches = False
        (folder / "plugins" / "tried").mkdir(parents=True)
        for name in ("recorder", "whole"):
            self.box.plugin(name, (PLUGINS / f"{name}.py").read_text())
        shutil.copy(PLUGINS / "mischief.py", folder / "plugins")
        (folder / "plugins" / "version").write_text("1")
        self.remote = Remote(socket_of(Settings(db=self.box.db)))
        self.obeys_modes = os.geteuid() != 0 or shutil.which("setpriv") is not None

    def start(self, **settings):
        before = []
        if os.geteuid() == 0 and self.obeys_modes:
            before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if self.few_watches:
            limit = "/proc/sys/user/max_inotify_watches"
            before += ["unshare", "--user", "--map-root-user", "sh", "-c", f'echo 4 > {limit} && exec "$@"', "sh"]
        self.daemon = self.box.child(before=before, **SETTINGS | self._isolation | settings)
        self.counts["starts"] += 1

    def ready(self):
        """Wait until it is; it may die of a script on the way."""
        ends = time.monotonic() + 60
        while not self.daemon.of("ready"):
            self.supervise()
            assert time.monotonic() < ends, "the daemon does not get ready"
            _moment(0.01)

    def supervise(self):
        """Start it anew if it has ended by itself, as it may."""
        code = self.daemon.process.poll()
        if code is not None:
            self._ended()
            if not self.dies or code not in OWN_ENDS:
                raise DiedError(f"the daemon has ended with {code}:\n{self.log()}")
            self.counts["deaths"] += 1
            self.start()

    def end(self, number):
        """Stop it, or kill it."""
        if self.daemon.process.poll() is None:
            self.memory()
            self.daemon.send(number)
            code = self.daemon.ended(60)
            early = code == -number and not self.daemon.of("ready")  # it could not handle signals yet
            if number == signal.SIGTERM and code and not (early or self.dies):
                raise DiedError(f"the daemon was stopped, and ended with {code}:\n{self.log()}")
            self.counts["kills" if number == signal.SIGKILL else "stops"] += 1
        self._ended()

    def _ended(self):
        self.daemon.close()
        self.box._open.remove(self.daemon.close)
        for event in (
            "missed",
            "overflowed",
            "abandoned",
            "quarantined",
            "rewritten",
            "watch_armed",
            "moved",
            "refused",
        ):
            self.counts[event] += len(self.daemon.of(event))
        self.moved |= {entry["old"] for entry in self.daemon.of("moved")}
        assert not self.daemon.of("not JSON") or self.dies, self.daemon.of("not JSON")

    def new_version(self):
        self.version += 1
        (self.box.folder / "plugins" / "version").write_text(str(self.version))

    def clock(self, seconds):
        (self.box.folder / "plugins" / "clock").write_text(str(seconds))

    def freeze(self, *, overflow):
        """Stop it in its tracks, until :meth:`thaw`; returns when it stands still."""
        self.daemon.send(signal.SIGSTOP)
        stat = Path(f"/proc/{self.daemon.process.pid}/stat")
        while self.daemon.process.poll() is None and stat.read_text().rpartition(")")[2].split()[0] not in "TtZ":
            _moment(0.001)
        if overflow and QUEUE <= 100_000 and self.box.root.is_dir():
            files = [self.box.root / f"flood{number}" for number in range(2)]
            for number in range(QUEUE + 1000):  # in turn, as equal events in a row are one
                files[number % 2].touch()
            for file in files:
                file.unlink()

    def thaw(self):
        self.daemon.send(signal.SIGCONT)

    def found(self, tag):
        """:class:`Rows` by session, of the script's users; None while it cannot be asked."""
        try:
            recorded = self._ask(
                "SELECT session_file, list(line ORDER BY n) AS lines, list(DISTINCT v) AS v,"
                " bool_and(n < lines) AS ok FROM"
                " (SELECT *, count(*) OVER (PARTITION BY session_file) AS lines FROM recorded"
                " WHERE starts_with(username, ?)) GROUP BY ALL",
                tag,
            )
            whole = self._whole_rows(tag)
            usage = {table: self._ask(usage_sums(table), tag) for table in USAGE_TABLES}
            positions = self._ask(
                "SELECT session_file, processor_name, lines, malformed_lines FROM session_positions"
                " WHERE starts_with(username, ?)",
                tag,
            )
        except NO_ANSWER:
            return None
        found = {}

        def put(key, **values):
            found[key] = found.get(key, Rows())._replace(**values)

        for row in recorded:
            lines = tuple(row["lines"]) if row["ok"] else ("numbered wrongly", *row["lines"])
            put(row["session_file"], recorder=lines, versions=frozenset(row["v"]))
        for row in whole:
            put(row["session_file"], whole=tuple(row["lines"]))
        for table, rows in usage.items():
            for row in rows:
                before = found.get(row["session_file"], Rows()).usage
                put(row["session_file"], usage=before | {table: (row["rows"], row["total"])})
        for row in positions:
            before = found.get(row["session_file"], Rows()).positions
            done = (row["lines"], row["malformed_lines"])
            put(row["session_file"], positions=before | {row["processor_name"]: done})
        return found

    def _ask(self, sql, *values):
        return self.remote.query(sql, list(values)).to_pylist()

    def _whole_rows(self, tag):
        try:
            return self._ask(
                "SELECT session_file, list(line ORDER BY n) AS lines FROM whole"
                " WHERE starts_with(session_file, ?) GROUP BY ALL",
                tag,
            )
        except QueryError as error:  # its table is made by its first run
            if "there is no table" not in str(error) and "does not exist" not in str(error):
                raise
            return []

    def idle(self):
        """Whether nothing is under way or waits, by its own account."""
        lanes = self.lanes()
        return bool(lanes) and not any(any(lane.values()) for lane in lanes.values())

    def lanes(self):
        """What is under way or waits, by processor; nothing while it cannot be asked."""
        try:
            lanes = self.remote.status()["lanes"]
        except NO_ANSWER:
            return {}
        waits = ("live", "backlog", "running", "delayed", "retrying")
        return {lane["processor"]: {name: lane[name] for name in waits} for lane in lanes}

    def memory(self):
        """The most memory that this process has used so far, in bytes."""
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        peak = next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
        self.peak = max(self.peak, peak)
        return peak

    def log(self):
        told = [entry for entry in self.daemon.entries if entry["event"] != "asked"]
        return "\n".join(map(str, told[-40:]))

    def close(self):
        self.box.close()


def _moment(seconds):
    threading.Event().wait(seconds)


def may_limit_watches():
    """Whether a daemon can be started with few watches here."""
    return shutil.which("unshare") is not None and not os.system("unshare --user --map-root-user true 2>/dev/null")
