"""Everything that can happen, one method each. The core tells these and never logs or counts itself.

Listeners are called in the thread in which it happened; they have to be quick.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal

Level = Literal["debug", "info", "warning", "error"]
Listener = Callable[[Level, str, dict[str, object]], None]


class Events:
    """Tells listeners what happens: level, name of the event, fields. Values are safe to show."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)

    def listen(self, listener: Listener) -> None:
        """Tell one more listener; before the first thread begins."""
        self._listeners.append(listener)

    def _tell(self, level: Level, event: str, **fields: object) -> None:
        for listener in self._listeners:
            # A log that cannot be written, to a pipe that was closed for example, must not stop the work.
            with suppress(Exception):
                listener(level, event, fields)

    # The service

    def starting(self, version: str, root: str, database: str) -> None:
        """The daemon begins."""
        self._tell("info", "starting", version=version, root=root, database=database)

    def ready(self, sessions: int, processors: list[str], seconds: float) -> None:
        """Watches are armed and the state is loaded; the backlog may still be long."""
        self._tell("info", "ready", sessions=sessions, processors=processors, duration_ms=round(seconds * 1000))

    def waiting_for_root(self, root: str) -> None:
        """The root does not exist (any more)."""
        self._tell("warning", "waiting_for_root", root=root, hint="it is picked up when it appears")

    def stopping(self, reason: str) -> None:
        """A stop was asked for, or is necessary."""
        self._tell("info", "stopping", reason=reason)

    def stopped(self, *, clean: bool) -> None:
        """Everything that was done is committed. Not clean: a run was abandoned and will be done again."""
        self._tell("info" if clean else "warning", "stopped", clean=clean)

    def reloaded(self, changed: list[str], waiting: list[str]) -> None:
        """The configuration was read again; ``changed`` took effect, ``waiting`` will with the next start."""
        self._tell("info", "reloaded", changed=changed, after_restart=waiting)

    def reload_failed(self, error: str) -> None:
        """The new configuration is wrong; the old one stays."""
        self._tell("error", "reload_failed", error=error)

    def part_failed(self, part: str, error: str) -> None:
        """A part of the daemon died or hangs; the daemon stops so that its supervisor starts it anew."""
        self._tell("error", "part_failed", part=part, error=error)

    # Watching and scanning

    def watch_armed(self, folders: int, seconds: float) -> None:
        """All folders are watched."""
        self._tell("info", "watch_armed", folders=folders, duration_ms=round(seconds * 1000))

    def watch_doubted(self, reason: str) -> None:
        """The watcher may be deaf; it is rebuilt and everything is scanned."""
        self._tell("warning", "watch_doubted", reason=reason)

    def watch_degraded(self, reason: str, hint: str, interval: float) -> None:
        """There is no (complete) watching; scans at a short interval take its place."""
        self._tell("warning", "watch_degraded", reason=reason, hint=hint, interval_seconds=interval)

    def overflowed(self) -> None:
        """The kernel dropped events."""
        self._tell("warning", "overflowed", hint="raise fs.inotify.max_queued_events if this is frequent")

    def scanned(self, files: int, folders: int, found: int, seconds: float) -> None:
        """A full scan ended; ``found`` sessions were not as processed."""
        duration = round(seconds * 1000)
        self._tell(
            "info" if found else "debug",
            "scanned",
            files=files,
            folders=folders,
            found=found,
            duration_ms=duration,
        )

    def missed(self, session: str) -> None:
        """A scan found a change that the watcher had not reported."""
        self._tell("warning", "missed", session_file=session)

    def refused(self, name: str, reason: str) -> None:
        """Something that looks like a session is not read: a link, a device, no permission, no UTF-8, too deep."""
        self._tell("warning", "refused", session_file=name, reason=reason)

    # Runs. ``run`` is the same in all that is told of one of them.

    def processed(
        self,
        processor: str,
        session: str,
        *,
        run: str,
        complete: bool,
        lines: int,
        malformed: int,
        items: int,
        size: int,
        took: float,
        seconds: float,
    ) -> None:
        """A run is committed.

        ``complete``: up to the file's end. ``size``: bytes. ``took``: seconds in the processor.
        ``seconds``: since the change, 0 for backlog.
        """
        self._tell(
            "debug",
            "processed",
            processor=processor,
            session_file=session,
            run_id=run,
            sessions=int(complete),
            lines=lines,
            malformed=malformed,
            items=items,
            bytes=size,
            run_ms=round(took * 1000, 3),
            duration_ms=round(seconds * 1000, 1),
        )

    def measured(self, processor: str, ratios: Mapping[str, tuple[int, int]], *, live: bool) -> None:
        """What a run reports of parts and wholes; ``live``: of lines that were written just now."""
        self._tell("debug", "measured", processor=processor, ratios=ratios, live=live)

    def ratio_jumped(self, processor: str, ratio: str, was: float, now: float) -> None:
        """A share that stays about the same from day to day does not any more."""
        self._tell(
            "warning",
            "ratio_jumped",
            processor=processor,
            ratio=ratio,
            was=round(was, 3),
            now=round(now, 3),
            hint="the format of transcripts may have changed: look at the newest ones, and for a newer sessiond",
        )

    def rewritten(self, processor: str, session: str, *, run: str) -> None:
        """A file no longer begins with what was processed: its rows are replaced."""
        self._tell("info", "rewritten", processor=processor, session_file=session, run_id=run)

    def moved(self, processor: str, session: str, old: str, *, run: str) -> None:
        """A file has another name now: its rows are replaced under the new one."""
        self._tell("info", "moved", processor=processor, session_file=session, old=old, run_id=run)

    def run_failed(
        self, processor: str, session: str, *, run: str, attempt: int, retry_in: float, error: str
    ) -> None:
        """Nothing of the run is kept; it will be tried again."""
        self._tell(
            "warning",
            "run_failed",
            processor=processor,
            session_file=session,
            run_id=run,
            attempt=attempt,
            retry_seconds=round(retry_in, 1),
            error=error,
        )

    def quarantined(self, processor: str, session: str, *, run: str, attempts: int, error: str) -> None:
        """It failed too often; nothing is tried until the content changes or the operator requeues it."""
        self._tell(
            "error",
            "quarantined",
            processor=processor,
            session_file=session,
            run_id=run,
            attempts=attempts,
            error=error,
            hint="sessiond requeue, once the cause is gone",
        )

    def interrupted(self, processor: str, session: str, *, run: str, attempts: int, error: str) -> None:
        """The process died during this run; it counts as an attempt, for it may have been the cause."""
        self._tell(
            "warning",
            "interrupted",
            processor=processor,
            session_file=session,
            run_id=run,
            attempts=attempts,
            error=error,
        )

    def look_failed(self, processor: str, session: str, *, run: str, error: str) -> None:
        """The file could not be read for a reason that may pass."""
        self._tell("warning", "look_failed", processor=processor, session_file=session, run_id=run, error=error)

    def busy(self, processor: str, session: str, *, run: str) -> None:
        """Another run has to end first, on the same file under its other name or on the same rows."""
        self._tell("debug", "busy", processor=processor, session_file=session, run_id=run)

    def abandoned(self, processor: str, session: str, *, run: str, seconds: float) -> None:
        """A run is over its budget; whatever it returns later is dropped."""
        duration = round(seconds * 1000)
        self._tell("error", "abandoned", processor=processor, session_file=session, run_id=run, duration_ms=duration)

    def lane_paused(self, processor: str, reason: str) -> None:
        """A processor does not run any more until the daemon restarts."""
        self._tell("error", "lane_paused", processor=processor, reason=reason)

    def processor_waits(self, processor: str, reason: str, seconds: float) -> None:
        """A processor cannot run for a reason that has nothing to do with a session; no attempt is counted."""
        self._tell("warning", "processor_waits", processor=processor, reason=reason, retry_seconds=round(seconds, 1))

    def processor_goes_on(self, processor: str) -> None:
        """What a processor waited for is there again."""
        self._tell("info", "processor_goes_on", processor=processor)

    def step_taken(self, processor: str, step: str, seconds: float) -> None:
        """What follows from the rows of all sessions is up to date."""
        self._tell("debug", "step_taken", processor=processor, step=step, duration_ms=round(seconds * 1000))

    def step_failed(self, processor: str, error: str, seconds: float) -> None:
        """A step over all sessions failed, or waits for something; what was there stays, and it is tried again."""
        self._tell("warning", "step_failed", processor=processor, error=error, retry_seconds=round(seconds, 1))

    def removed(self, processor: str, table: str, rows: int) -> None:
        """Rows were removed, because the settings say that they must not be there."""
        self._tell("info", "removed", processor=processor, table=table, rows=rows)

    def odd_result(self, processor: str, kind: str) -> None:
        """A whole-session processor returned something that is no result; it counts as empty."""
        self._tell("warning", "odd_result", processor=processor, kind=kind)

    def processor_unusable(self, error: str) -> None:
        """A registered processor cannot be used; the others run."""
        self._tell("error", "processor_unusable", error=error)

    # Who asks

    def listening(self, address: str) -> None:
        """Questions are answered there."""
        self._tell("info", "listening", address=address)

    def asked(self, what: str, who: str, status: int, seconds: float, *, routine: bool) -> None:
        """Somebody has asked something; ``status`` is HTTP's. ``routine``: as monitors do."""
        duration = round(seconds * 1000, 1)
        self._tell("debug" if routine else "info", "asked", request=what, by=who, status=status, duration_ms=duration)

    def request_failed(self, address: str, error: str) -> None:
        """A request could not be answered because of an error in the daemon."""
        self._tell("error", "request_failed", address=address, error=error)

    def api_failed(self, error: str) -> None:
        """The thread that answers has died, and is started again; or it cannot be. The work goes on."""
        self._tell("error", "api_failed", error=error)

    def audit_failed(self, error: str) -> None:
        """An order was carried out, and could not be recorded."""
        self._tell("error", "audit_failed", error=error)

    # The database

    def committed(self, runs: int, rows: int, seconds: float) -> None:
        """A group of runs is durable."""
        self._tell("debug", "committed", runs=runs, rows=rows, duration_ms=round(seconds * 1000, 1))

    def folded(self, entries: int, seconds: float) -> None:
        """The log was moved into the settled tables."""
        self._tell("debug", "folded", entries=entries, duration_ms=round(seconds * 1000, 1))

    def fold_failed(self, error: str) -> None:
        """The log could not be folded; it grows until it can be, which is tried again and again."""
        self._tell("warning", "fold_failed", error=error, hint="free space, or raise memory_limit; nothing is lost")

    def note_failed(self, error: str) -> None:
        """Failed runs could not be recorded: they are known until the next restart only."""
        self._tell("error", "note_failed", error=error)

    def store_blocked(self, error: str) -> None:
        """The database cannot be written; everything waits and is tried again."""
        self._tell("error", "store_blocked", error=error, hint="free space or memory; nothing is lost meanwhile")

    def store_resumed(self, seconds: float) -> None:
        """The database can be written again."""
        self._tell("info", "store_resumed", duration_ms=round(seconds * 1000))
