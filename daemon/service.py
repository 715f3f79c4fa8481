"""The daemon: wires the parts, supervises them, and stops them in order.

The main thread runs :meth:`Service.run`. It owns nothing but the loop: it waits on a pipe that signal handlers
and the watcher write to, hands over what the watcher heard, and looks every second whether all parts are well.
A part that died or is stuck ends the process with an error, so that the supervisor starts it anew: nothing is
lost, because nothing is only in memory.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from daemon.api.app import Api
from daemon.api.metrics import Metrics
from daemon.api.server import Server
from daemon.config import Settings, socket_of
from daemon.control import Control
from daemon.engine import Engine
from daemon.errors import describe, printable
from daemon.events import Events
from daemon.health import Health
from daemon.memory import Leisure
from daemon.meter import Meter
from daemon.notify import Patience, notify, reloading
from daemon.progress import STOPPED, Progress, scanner_part, watcher_part, working_parts
from daemon.query.queries import Queries
from daemon.ratios import Ratios
from daemon.survey import Survey
from daemon.watch import Watch
from processors.registry import Registered

TICK_SECONDS = 1.0
RELOADED = {"scan_seconds", "fallback_scan_seconds", "log_level"}
"""Settings that SIGHUP changes; the others take a restart."""

QUERY_SECONDS = 3.0
"""A query that does not end so long after it was interrupted does not end."""

ORDER_SECONDS = 3.0
"""An order that waits for the database or a run hears of the stop within a second."""


class WakePipe:
    """Wakes the main loop from any thread and from signal handlers, which may not take locks."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def set(self) -> None:
        """Wake it."""
        with suppress(BlockingIOError):  # full of wake-ups already
            os.write(self._writer, b"\0")

    def wait(self, timeout: float) -> None:
        """Wait until it is set, at most ``timeout`` seconds, and clear it."""
        if select.select([self._reader], [], [], timeout)[0]:
            os.read(self._reader, 4096)

    def close(self) -> None:
        """Release the descriptors."""
        os.close(self._reader)
        os.close(self._writer)


class Service:
    """The daemon over one root and one database.

    Args:
        settings: as loaded.
        processors: what to run.
        events: where it tells what happens.
        reload: gives the new settings on SIGHUP, the log having taken its own; raises if they are wrong.
        every_second: called by the main loop.

    Raises (on creation):
        StoreError: the database cannot be opened.

    """

    def __init__(
        self,
        settings: Settings,
        processors: Sequence[Registered],
        events: Events,
        *,
        reload: Callable[[], Settings] | None = None,
        every_second: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._events = events
        self._reload = reload
        self._every_second = every_second
        self._began = time.monotonic()
        self._starting = Patience()
        self._starting.begin()
        self._meter = Meter()
        events.listen(self._meter)
        self._ratios = Ratios(events)
        events.listen(self._ratios)
        self.engine = Engine(settings, processors, events)
        self._pipe = WakePipe()
        self._watch = Watch(settings.root, self._pipe.set, Path(f"{socket_of(settings)}.canary"))
        self.survey = Survey(
            settings.root,
            self._watch,
            self.engine,
            events,
            scan_seconds=settings.scan_seconds,
            fallback_seconds=settings.fallback_scan_seconds,
            armed=self._on_armed,
        )
        self._watcher = watcher_part(self._watch, self.survey)
        self._progress = Progress([*working_parts(self.engine), scanner_part(self.survey), self._watcher])
        self._health = Health(settings, self.engine, self.survey, self._watch, self._progress, self._meter)
        self._queries = Queries(self.engine.connect, settings)
        self._health.stuck_queries = self._queries.watch.stuck
        self.engine.writer.persistence.relieve = self._queries.relieve
        self._leisure = Leisure(
            self.engine.give_back,
            lambda: (self.engine.writer.groups, self._queries.asked),
            lambda: bool(self._queries.watch.running()) or self.engine.has_backlog(),
        )
        try:
            self._server = self._api(settings)
        except BaseException:
            self._queries.close(1.0)
            self.engine.close(1.0)
            raise
        self._stop_reason: str | None = None  # set by a signal handler or another thread, read by the loop
        self._failed = False
        self._hangup = False
        self._armed_once = False
        self._is_ready = False
        self._ticked = 0.0
        self._doubted = False  # by the tick before this one
        self._swamped = False  # changes were not noted, and no scan was asked for since
        self.clean = True
        """After :meth:`run`: whether all threads have ended."""

    def stop(self, reason: str) -> None:
        """Ask the daemon to stop; may be called from any thread and from a signal handler."""
        self._stop_reason = self._stop_reason or reason
        self._pipe.set()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reloads. Main thread only."""

        def on_signal(number: int, _frame: FrameType | None) -> None:
            if number == signal.SIGHUP:
                self._hangup = True
                self._pipe.set()
            else:
                self.stop(signal.Signals(number).name)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, on_signal)

    def _api(self, settings: Settings) -> Server:
        control = Control(str(settings.root), self.engine, self.survey)
        metrics = Metrics(self.engine, self._health, self._meter, self._ratios, self._queries.watch.running)
        self._asked = Api(control, self._health, self._queries, metrics, self._events, settings.listen)
        return Server(socket_of(settings), settings.listen, self._asked.app, self._events)

    def run(self) -> int:
        """Run until stopped; returns the exit code: 0, or 1 if a part failed and a restart is wanted."""
        self.engine.start()
        self.survey.start()
        self._queries.start()
        self._server.start()
        try:
            while self._stop_reason is None:
                self._pipe.wait(TICK_SECONDS)
                self._pass_on()
                if time.monotonic() - self._ticked >= TICK_SECONDS:
                    self._ticked = time.monotonic()
                    self._tick()
                if self._armed_once and not self._is_ready:
                    self._ready()
                if self._hangup:
                    self._hangup = False
                    self._do_reload()
        except Exception as error:  # noqa: BLE001  # whatever it is, the process ends in order and says why
            self._failed = True
            self._events.part_failed("main", describe(error))
        finally:
            self._shut_down()
        return 1 if self._failed else 0

    def _on_armed(self) -> None:
        """In the scanner's thread: the watches are armed, or it is known that they cannot be."""
        self._armed_once = True
        self._pipe.set()

    def _ready(self) -> None:
        self._is_ready = True
        sessions = max((lane.sessions() for lane in self.engine.lanes), default=0)
        names = [lane.spec.name for lane in self.engine.lanes]
        self._events.ready(sessions, names, time.monotonic() - self._began)
        self._starting.end()
        notify("READY=1", self._status())

    def _pass_on(self) -> None:
        heard = self._watch.take()
        if heard.keys and not self.engine.changed(heard.keys):
            self._swamped = True
            self.survey.dropped()
        if heard.folders:
            self.survey.request_folders(heard.folders)
        if heard.modes:
            self.survey.permitted(heard.modes)
        if heard.overflowed:
            self._events.overflowed()
            self.survey.request_rebuild()

    def _tick(self) -> None:
        self._every_second()
        self._progress.tick()
        if trouble := self._progress.hung():
            self._failed = True
            if trouble[1] != STOPPED:  # a part that died has said so itself
                self._events.part_failed(*trouble)
            self.stop(" ".join(trouble))
            return  # without a sound part nothing can be replaced, either
        self.engine.tick()
        self._server.tick()
        self._queries.tick()
        self._leisure.tick()
        if self._swamped and self.engine.has_room():
            self._swamped = False
            self.survey.request_scan()
        self._watch.probe()
        doubt = self._watch.doubt() or (
            "it does not report what was changed for it to see" if self._watcher.trouble(self._watcher.slow) else None
        )
        if self.engine.transcripts.root_was_gone():
            doubt = doubt or "the root was not there for a moment"
        self._health.tick(doubt)
        if doubt:
            if not self._doubted:
                self._events.watch_doubted(doubt)
            self.survey.request_rebuild()
        self._doubted = bool(doubt)
        notify("WATCHDOG=1", self._status())

    def _status(self) -> str:
        counts = [lane.counts() for lane in self.engine.lanes]
        total = {name: sum(count[name] for count in counts) for name in ("backlog", "quarantined")}
        lag = max((lane.lag() for lane in self.engine.lanes), default=0.0)
        root = "" if Path(self._settings.root).is_dir() else f"waiting for {printable(self._settings.root)}; "
        paused = "".join(f"{name} is paused; " for name in self.engine.paused())
        return f"STATUS={root}{paused}lag {lag:.1f} s, backlog {total['backlog']}, quarantine {total['quarantined']}"

    def _do_reload(self) -> None:
        if self._is_ready:
            reloading()
        try:
            if self._reload is not None:
                new = self._reload()
                changed = {name: value for name, value in new if value != getattr(self._settings, name)}
                now = {name: value for name, value in changed.items() if name in RELOADED}
                self.survey.retime(new.scan_seconds, new.fallback_scan_seconds)
                self._settings = self._settings.model_copy(update=now)
                self._events.reloaded(list(now), [name for name in changed if name not in now])
        except Exception as error:  # noqa: BLE001  # the old settings stay, and the operator is told why
            self._events.reload_failed(describe(error))
        if self._is_ready:  # before that, systemd would take it for the end of the start
            notify("READY=1", self._status())

    def _shut_down(self) -> None:
        self._events.stopping(self._stop_reason or "an error")
        self._starting.end()
        notify("STOPPING=1")
        (stopping := Patience()).begin()
        deadline = time.monotonic() + self._settings.stop_seconds
        self._asked.orders.close()
        self._server.stop()
        self.survey.close(self._settings.stop_seconds)
        answered = self._queries.close(QUERY_SECONDS) and self._server.close(QUERY_SECONDS)
        answered &= self._asked.orders.wait(ORDER_SECONDS)
        self.clean = self.engine.close(max(0.0, deadline - time.monotonic())) and answered
        self.clean &= not self.survey.is_alive()
        self._events.stopped(clean=self.clean)
        stopping.end()
        self._pipe.close()
