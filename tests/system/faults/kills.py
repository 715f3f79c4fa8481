"""Kills a daemon at any moment, and counts from outside what it had said to be committed.

The daemon is a process of its own, forked from this one, so that a start costs no imports. What counts as
acknowledged is what it has told in its log (``processed``, with a number of lines) before it died. After each kill
the database is opened, and every row acknowledged has to be in it exactly once, and no row twice; and after the last
kill, every line.
"""

import contextlib
import json
import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from daemon import cli, room

SESSIONS = 5
THRESHOLD = "64KB"
"""Of the log, at which a checkpoint is made: after some dozen commits instead of hundreds of thousands."""

QUIET = 60.0  # the longest that anything may take
SETTINGS = {
    "SESSIOND_PROCESSORS": '["usage"]',
    "SESSIOND_DEBOUNCE_MS": "0",
    "SESSIOND_MAX_ATTEMPTS": "100",
    "SESSIOND_LOG_LEVEL": "debug",
}


@dataclass
class Figures:
    """What came of it. ``lost``, ``doubled`` and ``torn`` (rows without their position) have to be 0."""

    kills: int = 0
    while_starting: int = 0
    during_checkpoints: int = 0
    lines: int = 0
    acknowledged: int = 0
    rows: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    seconds: float = 0.0


class Daemon:
    """``sessiond run`` in a forked process; what it logs is read without waiting."""

    def __init__(self, root: Path, db: Path, threshold: str) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.dup2(writing, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.environ.update(SETTINGS)
            room.THRESHOLD = threshold
            cli.sys.argv = ["sessiond", "run", str(root), "--db", str(db)]
            code = 1
            try:
                cli.main()
                code = 0
            except SystemExit as end:
                code = end.code or 0
            finally:
                os._exit(code)
        os.close(writing)
        self._pipe = reading
        self._rest = b""
        self.ready = False
        self.acknowledged: Counter[str] = Counter()
        self.last = ""

    def hear(self, seconds: float = 0.0) -> bool:
        """Read what was logged, and wait so long for it; returns whether there may be more."""
        if not select.select([self._pipe], [], [], seconds)[0]:
            return True
        data = os.read(self._pipe, 1 << 20)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.last = line.decode()
            with contextlib.suppress(ValueError):  # Python's own words, if it crashes
                entry = json.loads(line)
                self.ready |= entry["event"] == "ready"
                if entry["event"] == "processed":
                    self.acknowledged[entry["session_file"]] += entry["lines"]
        return bool(data)

    def end(self, number: int) -> int:
        """Send a signal, wait for the end, and read all that it has logged before; returns how it ended."""
        os.kill(self.pid, number)
        while self.hear(QUIET):
            pass
        os.close(self._pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Bench:
    """A root, a database, and what was written and acknowledged so far."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._root, self._db = folder / "root", folder / "state" / "sessiond.duckdb"
        (self._root / "alice").mkdir(parents=True)
        self._rng = random.Random(seed)
        self._written: Counter[str] = Counter()
        self._acknowledged: Counter[str] = Counter()
        self.figures = Figures()

    def run(self, kills: int, tell: Callable[[str], None] = lambda _text: None) -> Figures:
        """Kill so often, a third of it during checkpoints; then let a daemon finish, and count."""
        began = time.monotonic()
        figures = self.figures
        while figures.kills < kills:
            wanted = (kills + 2) // 3 - figures.during_checkpoints
            self._kill(in_checkpoint=wanted > 0 and self._rng.random() < wanted / (kills - figures.kills) + 0.1)
            self._count()
            if figures.kills % 50 == 0:
                tell(f"{figures.kills} kills, {figures.during_checkpoints} during checkpoints,"
                     f" {figures.acknowledged} rows acknowledged, {figures.lost} lost, {figures.doubled} doubled,"
                     f" {time.monotonic() - began:.0f} s")  # fmt: skip
        self._finish()
        figures.seconds = round(time.monotonic() - began, 1)
        return figures

    def _append(self) -> None:
        key = f"alice/{self._rng.randrange(SESSIONS)}.jsonl"
        lines = []
        for _ in range(self._rng.randrange(1, 8)):
            number = self._written[key]
            block = {"type": "tool_use", "id": f"t{key}{number}", "name": "Bash", "input": {"command": "x" * 200}}
            message = {"role": "assistant", "id": f"m{key}{number}", "model": "m", "content": [block]}
            turn = {"type": "assistant", "uuid": str(number), "timestamp": "2026-01-01T00:00:00Z", "message": message}
            lines.append(json.dumps(turn) + "\n")
            self._written[key] += 1
        with (self._root / key).open("a") as file:
            file.write("".join(lines))

    def _kill(self, *, in_checkpoint: bool) -> None:
        daemon = Daemon(self._root, self._db, THRESHOLD if in_checkpoint else room.THRESHOLD)
        starting = not in_checkpoint and self._rng.random() < 0.2
        moment = time.monotonic() + self._rng.uniform(0, 0.3)
        ends = time.monotonic() + QUIET
        while not daemon.ready and not (starting and time.monotonic() > moment):
            assert daemon.hear(0.005), f"the daemon has ended: {daemon.last}"
            assert time.monotonic() < ends, "the daemon does not start"
        moment = time.monotonic() + self._rng.uniform(0, 0.3)
        written = self._db.stat().st_mtime_ns if daemon.ready else 0
        while not starting and time.monotonic() < (ends if in_checkpoint else moment):
            self._append()
            assert daemon.hear(0.001), f"the daemon has ended: {daemon.last}"
            if in_checkpoint and self._checkpoint_begins(0.003, written):
                time.sleep(self._rng.uniform(0, 0.003))
                break
        status = daemon.end(signal.SIGKILL)
        assert status == -signal.SIGKILL, f"the daemon has ended: {daemon.last}"
        self._acknowledged += daemon.acknowledged
        self.figures.kills += 1
        self.figures.while_starting += not daemon.ready
        self.figures.during_checkpoints += self._was_in_checkpoint()

    def _checkpoint_begins(self, seconds: float, before: int) -> bool:
        """Whether the database file was written since ``before``, which is what a checkpoint does first."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if self._db.stat().st_mtime_ns != before:
                return True
        return False

    def _was_in_checkpoint(self) -> bool:
        """Whether a checkpoint was under way: it writes the file and then deletes the log, which commits make anew.

        So a log that is older than the file is one that is still to be deleted.
        """
        with contextlib.suppress(FileNotFoundError):
            log = Path(f"{self._db}.wal").stat()
            return log.st_size > 0 and self._db.stat().st_mtime_ns > log.st_mtime_ns
        return False

    def _count(self) -> None:
        if not self._db.exists():
            return
        with duckdb.connect(str(self._db), read_only=True, config={"threads": 1}) as conn:
            if not conn.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'usage_events'").fetchall():
                return
            found = dict(
                conn.execute("SELECT session_file, list(event_uuid) FROM usage_events GROUP BY ALL").fetchall()
            )
            positions = dict(conn.execute("SELECT session_file, lines FROM session_positions").fetchall())
        figures = self.figures
        figures.rows = sum(map(len, found.values()))
        figures.acknowledged = self._acknowledged.total()
        figures.lines = self._written.total()
        for key in self._written:
            rows = Counter(found.get(key, []))
            figures.doubled += rows.total() - len(rows)
            figures.lost += sum(1 for number in range(self._acknowledged[key]) if str(number) not in rows)
            figures.torn += abs(positions.get(key, 0) - rows.total())

    def _finish(self) -> None:
        daemon = Daemon(self._root, self._db, room.THRESHOLD)
        ends = time.monotonic() + QUIET
        while (self._acknowledged + daemon.acknowledged).total() < self._written.total() and time.monotonic() < ends:
            daemon.hear(0.05)
            if daemon.ready and time.monotonic() > ends - QUIET + 5:
                break  # what was committed and not told by a killed one is told by nobody
        assert daemon.end(signal.SIGTERM) == 0, daemon.last
        self._acknowledged += daemon.acknowledged
        self._count()
        assert self.figures.rows == self.figures.lines, "lines are missing"
