"""The watcher: watchdog's observer, with what is known to go wrong with it supervised.

Three threads of watchdog: one reads the kernel's events, one pairs moves, one calls the handler, which does
nothing but add to a set. The set is emptied by the service's main loop, which ``wake`` wakes. ``arm`` and
``disarm`` are called by the scanner's thread only.
"""

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from watchdog.events import (
    DirAttribEvent,
    DirCreatedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, WatchDescriptor
from watchdog.observers.inotify_move_event_grouper import PathedInotifyEvent

from daemon.errors import WatcherHungError
from daemon.inotify import Observer
from daemon.opening import key_of

# Our own reads must not come back as events; folders must, or a moved-in folder stays deaf.
_FILTER: list[type[FileSystemEvent]] = [
    FileModifiedEvent,
    FileAttribEvent,
    FileCreatedEvent,
    FileMovedEvent,
    DirAttribEvent,
    DirCreatedEvent,
    DirMovedEvent,
]

# Watchdog asks the kernel for changes of attributes only where modifications are wanted, too.
_CANARY_FILTER: list[type[FileSystemEvent]] = [FileModifiedEvent, FileAttribEvent]

CANARY_SECONDS = 5.0
PROOF_SECONDS = 1.0
"""A thousand times as long as it takes until the first change of the canary is reported, where it ever is."""

STOP_SECONDS = 30.0
"""The threads of the watcher end within a second for 100,000 folders, unless one of them hangs."""


@dataclass(slots=True)
class Heard:
    """What was reported since the last time.

    Keys of sessions; folders that are new in their place, and such as may have become readable.
    """

    keys: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    modes: set[str] = field(default_factory=set)
    overflowed: bool = False

    def anything(self) -> bool:
        """Whether a session or a folder was reported."""
        return bool(self.keys or self.folders or self.modes)


class Watch(FileSystemEventHandler):
    """Watches a folder with all that is below it."""

    def __init__(self, root: Path, wake: Callable[[], None], canary: Path | None = None) -> None:
        """``canary``: a file to be made and changed now and then, to see whether that is reported."""
        self._root = str(root)
        self._probe = f"{root}/.sessiond"  # a name in an event of our own; there is no such file
        self._canary = None if canary is None else str(canary)
        self._touched = 0.0  # when the canary was changed; the main loop's
        self._asked: dict[str, float] = {}  # since when which probe waits to be reported
        self._canary_works = threading.Event()  # it was reported once
        self._path = self._root  # the same without links: a link itself would be watched, not what it leads to
        self._wake = wake
        self._lock = threading.Lock()  # guards the next three
        self._heard = Heard()
        self._before: set[str] = set()
        self._audit: set[str] | None = None
        self._observer: Observer | None = None
        self._identity: tuple[int, int] | None = None
        self._trouble: str | None = None
        self._ear = _Ear(self)

    def arm(self) -> int:
        """Watch the root as it is now; returns the number of watches.

        Raises:
            OSError: the root is missing or unreadable, or the kernel's limits are reached.

        """
        self.disarm()
        self._trouble = None
        self._path = os.path.realpath(self._root)
        status = os.stat(self._path)  # noqa: PTH116
        # Its text for a race between mkdir and watching is 90 KB long, and nothing is wrong.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.|daemon\.inotify")
        logger = logging.getLogger("watchdog")
        logger.propagate = False
        logger.addHandler(self._ear)
        observer = Observer()
        self._asked = {}
        try:
            observer.schedule(self, self._path, recursive=True, event_filter=_FILTER)
            if self._canary is not None:
                Path(self._canary).touch(0o600)
                observer.schedule(self, self._canary, event_filter=_CANARY_FILTER)
            observer.start()
        except BaseException:
            self._stop(observer)
            raise
        if self._canary is not None and not self._canary_works.is_set():
            with suppress(OSError):
                os.utime(self._canary)
            self._canary_works.wait(PROOF_SECONDS)
        self._observer = observer
        self._identity = (status.st_dev, status.st_ino)
        return self.watches()

    def disarm(self) -> None:
        """Watch nothing."""
        observer, self._observer = self._observer, None
        if observer is not None:
            self._stop(observer)
        if self._canary is not None:
            Path(self._canary).unlink(missing_ok=True)
        logging.getLogger("watchdog").removeHandler(self._ear)

    @staticmethod
    def _stop(observer: Observer) -> None:
        """Raises WatcherHungError: a thread of it does not end, or holds its lock."""

        def stop() -> None:
            if observer.is_alive():
                observer.stop()
                observer.join()
            else:
                observer.on_thread_stop()  # it could not start, or died: its helpers still run

        stopping = threading.Thread(target=stop, name="disarm", daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)
        if stopping.is_alive():
            raise WatcherHungError("the watcher does not end", "the daemon has to be started anew")

    @property
    def armed(self) -> bool:
        """Whether there is an observer, whatever its state."""
        return self._observer is not None

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called by watchdog's thread for each event. It must not raise: that would kill the thread."""
        if event.src_path in {self._canary, self._probe}:
            self._asked.pop(os.fsdecode(event.src_path), None)
            if event.src_path == self._canary:
                self._canary_works.set()
            return
        with self._lock:
            quiet = not self._heard.anything()
            folders = self._heard.modes if isinstance(event, DirAttribEvent) else self._heard.folders
            for path in (event.src_path, event.dest_path):
                name = os.fsdecode(path)
                if event.is_directory:
                    if name.startswith(self._path):
                        folders.add(self._root + name[len(self._path) :])
                elif (key := key_of(self._path, name)) is not None:
                    self._heard.keys.add(key)
                    if self._audit is not None:
                        self._audit.add(key)
            noisy = self._heard.anything()
        if quiet and noisy:
            self._wake()

    def take(self) -> Heard:
        """What was reported since the last call."""
        with self._lock:
            heard, self._heard = self._heard, Heard()
            self._before = heard.keys
            return heard

    def begin_audit(self) -> None:
        """From now on keep what is reported, for :meth:`end_audit`."""
        with self._lock:
            self._audit = self._heard.keys | self._before

    def end_audit(self) -> set[str]:
        """The keys that were reported since :meth:`begin_audit`, and those just before it."""
        with self._lock:
            audit, self._audit = self._audit or set(), None
            return audit

    def overflow(self) -> None:
        """The kernel has dropped events."""
        with self._lock:
            self._heard.overflowed = True
        self._wake()

    def doubt(self) -> str | None:
        """Why the watcher may be deaf, or None. Cheap: call it about every second."""
        observer = self._observer
        if observer is None:
            return None
        threads = [observer, *observer.emitters, observer._inotify_fd]  # noqa: SLF001  # no public way to it
        if not observer.emitters or not all(thread.is_alive() for thread in threads):
            return "a thread of the watcher is dead"
        try:
            status = os.stat(self._root)  # noqa: PTH116
        except OSError as error:
            return f"the root cannot be reached: {error.strerror}"
        if (status.st_dev, status.st_ino) != self._identity:
            return "the root was replaced"
        return self._trouble

    def probe(self) -> None:
        """Ask whether changes are reported, if it is time. Called by the main loop.

        The canary is changed, which the kernel has to report; and an event of our own goes the way of those of the
        root, whose thread is another one than the canary's.
        """
        now, observer = time.monotonic(), self._observer
        if self._canary is None or observer is None or now - self._touched < CANARY_SECONDS:
            return
        self._touched = now
        self._asked.setdefault(self._probe, now)  # first, as the report may come at once
        for emitter in list(observer.emitters):  # the scanner may be ending them just now
            group = emitter._inotify  # type: ignore[attr-defined]  # noqa: SLF001  # no public way in
            if emitter.watch.is_recursive and group is not None:
                event = InotifyEvent(WatchDescriptor(0), InotifyConstants.IN_ATTRIB, 0, b"")
                group._move_event_grouper.put_event(PathedInotifyEvent(event, os.fsencode(self._probe)))  # noqa: SLF001
        with suppress(OSError):  # it was removed: it says nothing until the watches are armed the next time
            os.utime(self._canary)
            if self._canary_works.is_set():
                self._asked.setdefault(self._canary, now)

    def unanswered(self) -> float | None:
        """Since when a question waits for its answer; None if none does.

        A canary that was never reported says something about its file system, and nothing about the watcher.
        """
        return min(self._asked.values(), default=None) if self._observer is not None else None

    def troubled(self, reason: str) -> None:
        """Watchdog has logged an error: it may be deaf in part."""
        self._trouble = reason
        self._wake()

    def misses(self, folders: Iterable[str]) -> bool:
        """Whether one of these new folders is not watched, which watchdog does not tell: a limit is reached, say."""
        observer = self._observer
        if observer is None:
            return False
        groups = [emitter._inotify for emitter in observer.emitters]  # type: ignore[attr-defined]  # noqa: SLF001
        watched = [group._active_callbacks_by_path for group in groups if group is not None]  # noqa: SLF001
        for folder in folders:
            path = self._path + folder[len(self._root) :]
            if not any(os.fsencode(path) in paths for paths in watched) and os.path.isdir(path):  # noqa: PTH112
                return True
        return False

    def watches(self) -> int:
        """How many folders the kernel watches for us, by the kernel's own account."""
        observer = self._observer
        if observer is None:
            return 0
        fd = observer._inotify_fd._inotify_fd  # noqa: SLF001  # watchdog's own count misses what failed
        try:
            with Path(f"/proc/self/fdinfo/{fd}").open(encoding="ascii") as lines:
                return sum(line.startswith("inotify ") for line in lines) - (self._canary is not None)
        except OSError:
            return 0


class _Ear(logging.Handler):
    """Hears watchdog's log: the only place where it says that events were lost."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.WARNING)
        self._watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on as what it means."""
        if "overflow" in str(record.msg):
            self._watch.overflow()
        elif record.levelno >= logging.ERROR:
            self._watch.troubled("the watcher reported an error")
