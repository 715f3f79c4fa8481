"""How the daemon is, for those who ask: from what its parts hold in memory, never from the database or the files."""

import os
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from daemon.config import Settings
from daemon.engine import Engine
from daemon.errors import printable
from daemon.meter import Meter
from daemon.progress import Progress
from daemon.survey import Survey
from daemon.watch import Watch
from daemon.worker import MAX_ABANDONED

LOOP_SECONDS = 15.0
"""The main loop comes round every second."""

SCAN_SECONDS = 120.0
WATCHES_SECONDS = 15.0


class Health:
    """Reads the parts. ``tick`` is called by the main loop, the rest by any thread."""

    def __init__(
        self, settings: Settings, engine: Engine, survey: Survey, watch: Watch, progress: Progress, meter: Meter
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._survey = survey
        self._watch = watch
        self._progress = progress
        self._meter = meter
        self._began = time.monotonic()
        self._began_at = time.time()
        self._doubt: str | None = None
        self._watches = (0.0, 0)  # when counted, and how many
        self._ticked = time.monotonic()
        self.stuck_queries: Callable[[], int] = lambda: 0
        """How many queries do not end although they were told to. Set before the first thread begins."""

    def tick(self, doubt: str | None) -> None:
        """The main loop comes round; ``doubt``: why the watcher may be deaf."""
        self._doubt = doubt
        self._meter.tick()
        self._ticked = time.monotonic()

    def reasons(self) -> list[str]:
        """What is wrong; nothing, if all is well."""
        return [*self._watching(), *self._writing(), *self._running()]

    def _watching(self) -> Iterator[str]:
        mode = self._survey.mode()
        if mode == "waiting":
            yield f"the root {printable(self._settings.root)} is not there"
        elif mode == "inotify" and self._doubt:
            yield f"the watcher may be deaf: {self._doubt}"
        elif mode == "inotify" and not self._watch.armed:
            yield "the folders are not watched yet"
        if self._survey.overdue(SCAN_SECONDS + 2 * self._survey.scan_seconds):
            yield "the full scan is overdue"

    def _writing(self) -> Iterator[str]:
        if (since := self._engine.writer.persistence.blocked_since) is not None:
            yield f"the database cannot be written since {time.monotonic() - since:.0f} s: is the disk full?"

    def _running(self) -> Iterator[str]:
        if (silent := time.monotonic() - self._ticked) > LOOP_SECONDS:
            yield f"the main loop has not come round for {silent:.0f} s"
        for name in self._engine.paused():
            yield f"{name} is paused: too many of its runs hang"
        yield from self._engine.troubles()
        yield from self._progress.slow()
        if stuck := self.stuck_queries():
            yield f"{stuck} queries do not end"

    def status(self) -> dict[str, Any]:
        """Everything that ``GET /status`` answers; README has what each field means."""
        reasons = self.reasons()
        history = self._meter.rates()
        last = history[-10:]
        return {
            "version": version("sessiond"),
            "pid": os.getpid(),
            "started_at": _iso(self._began_at),
            "uptime_seconds": round(time.monotonic() - self._began, 1),
            "healthy": not reasons,
            "reasons": reasons,
            "root": printable(self._settings.root),
            "db": printable(os.path.realpath(self._settings.db)),
            "watch": {
                "mode": self._survey.mode(),
                "watches": self._count_watches(),
                "watch_limit": watch_limit(),
                "missed": self._meter.count("missed"),
                "overflows": self._meter.count("overflowed"),
                "rebuilds": max(0, self._meter.count("watch_armed") - 1),
            },
            "sessions": max((lane.sessions() for lane in self._engine.lanes), default=0),
            "lag_seconds": round(max((lane.lag() for lane in self._engine.lanes), default=0.0), 3),
            "lanes": self.lanes(),
            "rates": {name: sum(each[name] for each in last) / len(last) for name in last[0]} if last else {},
            "history": history,
            "last_scan": self._last_scan(),
            "newest": self._meter.newest(),
            "troubles": [
                {name: getattr(each, name) for name in each.__slots__} for each in self._meter.troubles()[-20:]
            ],
        }

    def lanes(self) -> list[dict[str, Any]]:
        """What each processor has done, and has to do."""
        paused, abandoned = self._engine.paused(), self._engine.abandoned()
        return [
            {
                "processor": (name := lane.spec.name),
                "version": lane.spec.version,
                **lane.counts(),
                "lag_seconds": round(lane.lag(), 3),
                "isolation": lane.spec.isolation,
                "budget_seconds": lane.spec.budget_seconds,
                "abandoned": abandoned[name],
                "most_abandoned": MAX_ABANDONED,
                "paused": name in paused,
                "runs": self._meter.count("processed", processor=name),
                "errors": self._meter.errors(name),
                "items": self._meter.count("processed", "items", name),
                "lines": self._meter.count("processed", "lines", name),
                "malformed_lines": self._meter.count("processed", "malformed", name),
                "bytes": self._meter.count("processed", "bytes", name),
                "last_error": None
                if (last := self._meter.last_error(name)) is None
                else f"{last.event}: {last.text}",
                "last_error_at": None if last is None else last.at,
            }
            for lane in self._engine.lanes
        ]

    def failures(self) -> dict[str, list[dict[str, Any]]]:
        """What is left alone because it failed too often, ``quarantine``; and what is tried again, ``retrying``."""
        told: dict[str, list[dict[str, Any]]] = {"quarantine": [], "retrying": []}
        for lane in self._engine.lanes:
            retries, now = lane.retries(), time.time()
            for failure in sorted(lane.failures(), key=lambda failure: failure.session_key):
                row = {
                    "processor": failure.processor,
                    "session_file": failure.session_key,
                    "attempts": failure.attempts,
                    "error": failure.error,
                    "failed_at": failure.failed_at.isoformat(timespec="seconds") + "Z",
                }
                if failure.quarantined:
                    told["quarantine"].append(row)
                else:
                    told["retrying"].append(row | {"retry_at": _iso(now + retries.get(failure.session_key, 0.0))})
        return told

    def _count_watches(self) -> int:
        """Counting takes a millisecond per 2,000 folders, so it is not done each time."""
        at, watches = self._watches
        if not watches or time.monotonic() - at > WATCHES_SECONDS:
            watches = self._watch.watches()
            self._watches = (time.monotonic(), watches)
        return watches

    def _last_scan(self) -> dict[str, Any] | None:
        totals, at = self._survey.last_scan, self._survey.scanned_on
        if totals is None or at is None:
            return None
        return {
            "at": at.isoformat(timespec="seconds") + "Z",
            "files": totals.files,
            "folders": totals.folders,
            "bytes": totals.bytes,
            "found": totals.found,
            "seconds": round(self._survey.scan_seconds, 3),
        }


def watch_limit() -> int | None:
    """How many folders one user may watch, by the kernel's setting."""
    try:
        return int(Path("/proc/sys/fs/inotify/max_user_watches").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
