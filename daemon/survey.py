"""Keeping watch: the thread *scanner* arms the watcher, scans after it, and audits what the watcher reports.

It owns the watcher's arming and the walks. It is woken by requests (a rebuild, a scan, new folders), by the time
of the next full scan, and by the stop. If it dies, the service stops. Missing root: it waits for it.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from daemon.cursor import Signature, utc_now
from daemon.engine import Engine
from daemon.errors import describe, printable
from daemon.events import Events
from daemon.mounts import is_remote, kind_of
from daemon.scan import Totals, scan
from daemon.tree import topmost
from daemon.watch import Watch

ROOT_POLL_SECONDS = 0.5
GRACE_SECONDS = 1.0
"""How long after a scan an event may still be on its way before its change counts as missed."""

MAX_FORBIDDEN = 10_000

REARM_SECONDS = 300.0
"""How often it is tried again to watch folders that could not be watched."""


class Survey:
    """Arms, scans and audits. ``request_…`` may be called from any thread."""

    def __init__(
        self,
        root: Path,
        watch: Watch,
        engine: Engine,
        events: Events,
        *,
        scan_seconds: float,
        fallback_seconds: float,
        armed: Callable[[], None],
    ) -> None:
        self._root = str(root)
        self._watch = watch
        self._engine = engine
        self._events = events
        self._scan_seconds = scan_seconds
        self._fallback_seconds = fallback_seconds
        self._armed = armed
        self._thread = threading.Thread(target=self._run, name="scanner", daemon=True)
        self._wake = threading.Condition()  # guards the next six
        self._stop = False
        self._rebuild = True
        self._full = True
        self._folders: set[str] = set()
        self._dropped = False  # what was reported was not noted, since the last full scan began
        self._forbidden: set[str] = set()  # folders that could not be listed, so that nothing in them is watched
        # The scanner's own:
        self._trusted = False  # the watcher has been sound since before the last full scan
        self._degraded = False  # changes are found by scanning
        self._told = False  # that it is
        self._waiting = False
        self._short = False  # fewer watches than folders
        self._armed_at = 0.0
        # Read by others:
        self.failure: BaseException | None = None
        self.last_scan: Totals | None = None
        self.scanned_at = 0.0
        self._there_since = time.monotonic()
        self.scanned_on: datetime | None = None
        self.scan_seconds = 0.0
        self.first_done = threading.Event()
        self._begun = self._ended = 0  # full scans; guarded by _wake
        self._steps = 0
        self._waits = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def request_rebuild(self) -> None:
        """The watcher may be deaf: arm it anew and scan everything."""
        self._request(rebuild=True, full=True)

    def request_scan(self) -> None:
        """Scan everything as soon as possible."""
        self._request(full=True)

    def dropped(self) -> None:
        """There was no room for changes that were reported: what the next scan finds, the watcher has not missed."""
        with self._wake:
            self._dropped = True

    def ask_scan(self) -> int:
        """Scan everything as soon as possible; returns what :meth:`scanned_since` takes."""
        with self._wake:
            self._full = True
            self._wake.notify_all()
            return self._begun

    def scanned_since(self, asked: int, seconds: float) -> Totals | None:
        """What the scan that was asked for has seen, if it ends within so many seconds."""
        with self._wake:
            return self.last_scan if self._wake.wait_for(lambda: self._ended > asked, seconds) else None

    def request_folders(self, folders: set[str]) -> None:
        """Scan what is below these folders."""
        with self._wake:
            self._folders |= folders
            self._wake.notify_all()

    def permitted(self, folders: set[str]) -> None:
        """These folders may be readable now: scan what is below them, and watch what could not be watched."""
        with self._wake:
            names = {
                name for name in self._forbidden if any(f"{self._root}/{name}".startswith(each) for each in folders)
            }
            self._forbidden -= names
            self._rebuild |= bool(names)
            self._full |= bool(names)
        self.request_folders(folders)

    def retime(self, scan_seconds: float, fallback_seconds: float) -> None:
        """Change how often it scans."""
        with self._wake:
            self._scan_seconds, self._fallback_seconds = scan_seconds, fallback_seconds
            self._wake.notify_all()

    def close(self, timeout: float) -> None:
        """Stop, and stop watching."""
        with self._wake:
            self._stop = True
            self._wake.notify_all()
        self._thread.join(timeout)

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def mark(self) -> int | None:
        """Changes with each folder that is walked; None while the thread waits for something to do."""
        return None if self._waits else self._steps

    def overdue(self, seconds: float) -> bool:
        """Whether the last full scan is that much older than it should be."""
        since = self.scanned_at or self._there_since
        return time.monotonic() - since > self._interval() + seconds

    def mode(self) -> str:
        """How changes are found: ``inotify``, ``scanning`` at a short interval, or ``waiting`` for the root."""
        return "waiting" if self._waiting else "scanning" if self._degraded else "inotify"

    def _request(self, *, rebuild: bool = False, full: bool = False) -> None:
        with self._wake:
            self._rebuild |= rebuild
            self._full |= full
            self._wake.notify_all()

    def _interval(self) -> float:
        return self._fallback_seconds if self._degraded else self._scan_seconds

    def _run(self) -> None:
        try:
            while self._next():
                pass
        except BaseException as error:  # noqa: BLE001  # whatever it is, the service has to learn of it
            self.failure = error
            self._events.part_failed("scanner", describe(error))
        finally:
            self._watch.disarm()

    def _next(self) -> bool:
        with self._wake:
            while not (self._stop or self._rebuild or self._full or self._folders):
                left = self.scanned_at + self._interval() - time.monotonic()
                self._full = left <= 0
                if not self._full:
                    self._pause(left)
            if self._stop:
                return False
            rebuild, full, folders = self._rebuild, self._full, self._folders
            self._rebuild, self._full, self._folders = False, False, set()
            self._begun += full
            if full and self._dropped:
                self._dropped = self._trusted = False
        if not self._root_is_there():
            with self._wake:
                self._begun -= full  # it was none
            return True
        if rebuild:
            self._arm()
        if full:
            self._scan_all()
        else:
            for folder in topmost(folders):
                scan(
                    self._root,
                    self._engine.needs,
                    self._engine.behind,
                    self._refused,
                    start=folder,
                    stop=self._stopped,
                )
            if not self._degraded and self._watch.misses(folders):
                self.request_scan()  # which finds what is in them, and sees what is to be done about the watches
        return True

    def _root_is_there(self) -> bool:
        if os.path.isdir(self._root):  # noqa: PTH112
            if self._waiting:
                self._waiting, self._there_since = False, time.monotonic()
            return True
        if not self._waiting:
            self._waiting = True
            self._watch.disarm()
            self._events.waiting_for_root(printable(self._root))
            self._armed()
        with self._wake:
            self._rebuild = self._full = True
            if not self._stop:
                self._pause(ROOT_POLL_SECONDS)
        return False

    def _arm(self) -> None:
        self._trusted = False
        self._armed_at = started = time.monotonic()
        try:
            watches = self._watch.arm()
        except OSError as error:
            self._degrade(f"the folders cannot be watched: {error.strerror}", _limit_hint())
        else:
            self._events.watch_armed(watches, time.monotonic() - started)
            self._degraded = False
            if is_remote(kind := kind_of(self._root) or ""):
                self._degrade(
                    f"the root is on {kind}, where changes by other hosts are not reported",
                    "run sessiond on the host that the files are written on",
                )
        self._armed()

    def _degrade(self, reason: str, hint: str) -> None:
        self._degraded = True
        if not self._told:
            self._told = True
            self._events.watch_degraded(reason, hint, self._fallback_seconds)

    def _scan_all(self) -> None:
        started = time.monotonic()
        auditing = self._trusted and self._watch.armed and not self._degraded
        suspects: list[str] = []

        def found(batch: Sequence[tuple[str, Signature]]) -> None:
            if auditing:
                suspects.extend(key for key, seen in batch if self._engine.unnoticed(key, hash(seen)))
            self._engine.behind(batch)

        self._watch.begin_audit()
        totals = scan(self._root, self._engine.needs, found, self._refused, stop=self._stopped)
        if suspects:
            self._wait(GRACE_SECONDS)
        heard = self._watch.end_audit()
        if not totals.complete:
            return
        with self._wake:
            self.last_scan, self.scanned_at, self.scanned_on = totals, time.monotonic(), utc_now()
            self.scan_seconds = self.scanned_at - started
            self._ended = self._begun
            self._wake.notify_all()
        self._events.scanned(totals.files, totals.folders, totals.found, self.scanned_at - started)
        self._check_watches(totals.folders)
        missed = [key for key in suspects if key not in heard]
        for key in missed:
            self._events.missed(printable(key))
        if missed:
            self.request_rebuild()
        self._trusted = self._watch.armed and not missed
        self.first_done.set()

    def _check_watches(self, folders: int) -> None:
        """A watch that the kernel refused is not reported by anyone: count them."""
        if not self._watch.armed:
            return
        if not folders:
            self._degrade("the root cannot be read", "give the daemon's user permission to")
            return
        watches = self._watch.watches()
        if watches < folders:
            # Folders may have come since they were watched; those are being added right now.
            self._wait(GRACE_SECONDS)
            watches = self._watch.watches()
        if watches >= folders:
            self._short = False
            self._told = self._degraded
        elif not self._short or time.monotonic() - self._armed_at > REARM_SECONDS:
            self._short = True  # it may have been for want of a permission that is there now
            self.request_rebuild()
        else:
            self._degrade(f"only {watches} of {folders} folders are watched", _limit_hint())

    def _wait(self, seconds: float) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._stop, seconds)

    def _pause(self, seconds: float) -> None:
        """Wait for something to do; with ``_wake`` held."""
        self._waits = True
        self._wake.wait(seconds)
        self._waits = False

    def _stopped(self) -> bool:
        self._steps += 1  # asked before each folder
        return self._stop

    def _refused(self, name: str, reason: str) -> None:
        if reason == "permission" and len(self._forbidden) < MAX_FORBIDDEN:
            with self._wake:
                self._forbidden.add(name)
        self._engine.refusals.tell(name, reason)


def _limit_hint() -> str:
    try:
        limit = Path("/proc/sys/fs/inotify/max_user_watches").read_text(encoding="ascii").strip()
    except OSError:
        limit = "unknown"
    return f"raise fs.inotify.max_user_watches (now {limit}) or max_user_instances with sysctl"
