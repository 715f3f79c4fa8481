"""Everything once: a walk, and all that it finds processed, with progress for whoever waits."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

from daemon.config import Settings
from daemon.cursor import Signature
from daemon.engine import Engine
from daemon.errors import RootMissingError, SessiondError, printable
from daemon.events import Events, Level, Listener
from daemon.meter import Meter
from daemon.progress import Progress, working_parts
from daemon.scan import scan
from processors.registry import Registered

POLL_SECONDS = 0.05
STEPS_SECONDS = 3600.0


def scan_once(
    settings: Settings, processors: Sequence[Registered], listener: Listener, *, progress: bool
) -> dict[str, Any]:
    """Process all sessions as they are now.

    Args:
        settings: as loaded.
        processors: what to run.
        listener: told what happens.
        progress: show it on standard error, if that is a terminal.

    Returns:
        ``files``, ``bytes``, ``seconds``; ``processors``: a list of ``processor``, ``sessions``, ``lines``,
        ``malformed``, ``items``, ``failed``; ``unusable``: processors that could not run;
        ``failed``: a list of ``processor``, ``session_file``, ``error``; ``clean``: no thread hangs in a processor.

    Raises:
        RootMissingError: there is no root, or it cannot be read.
        SessiondError: the database cannot be used.

    """
    if not settings.root.is_dir():
        raise RootMissingError(
            f"there is no folder {printable(settings.root)}", "give the folder of the users' folders as ROOT"
        )
    started = time.monotonic()
    meter, unread = Meter(), _Unread()
    events = Events(meter, unread, listener)
    # Whoever asks for everything once does not want to wait for a cadence.
    engine = Engine(settings, [replace(spec, cadence_seconds=0.0) for spec in processors], events)
    found: list[tuple[str, Signature]] = []
    totals = scan(
        str(settings.root),
        engine.needs,
        found.extend,
        engine.refusals.tell,
    )
    engine.start()
    engine.behind(found)
    try:
        _wait(engine, meter, files=len(found), size=sum(seen.size for _, seen in found), progress=progress)
        waits = engine.troubles()  # what a processor waited for may be there by now: it was not waited for
        for lane in engine.lanes:
            engine.steps.ask(lane.spec.name, STEPS_SECONDS)
        failed = unread.files + [
            {
                "processor": lane.spec.name,
                "session_file": printable(failure.session_key),
                "error": failure.error,
            }
            for lane in engine.lanes
            for failure in lane.failures()
        ]
        troubles = list(dict.fromkeys([*waits, *engine.troubles()]))
    finally:
        clean = engine.close(settings.stop_seconds)
    per_processor = [
        {
            "processor": lane.spec.name,
            **{
                name: meter.count("processed", name, lane.spec.name)
                for name in ("sessions", "lines", "malformed", "items")
            },
            "failed": sum(1 for failure in failed if failure["processor"] == lane.spec.name),
        }
        for lane in engine.lanes
    ]
    return {
        "files": totals.files,
        "bytes": totals.bytes,
        "seconds": time.monotonic() - started,
        "processors": per_processor,
        "failed": failed,
        "clean": clean,
        "unusable": [
            *(spec.name for spec in processors if spec.name not in {lane.spec.name for lane in engine.lanes}),
            *troubles,
        ],
    }


def _wait(engine: Engine, meter: Meter, *, files: int, size: int, progress: bool) -> None:
    lanes = max(1, len(engine.lanes))
    columns = (
        TextColumn("{task.fields[done]:,} of {task.fields[all]:,} files"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Bars(*columns, console=console, disable=not progress or not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=size * lanes, done=0, all=files * lanes)
        working = Progress(working_parts(engine))
        while not engine.drained():
            time.sleep(POLL_SECONDS)
            engine.tick()
            working.tick()
            if trouble := working.hung():
                raise SessiondError(" ".join(trouble), "see the messages above")
            bar.update(task, completed=meter.count("processed", "bytes"), done=meter.count("processed", "sessions"))


class _Unread:
    """A listener that collects the files that could not be read."""

    def __init__(self) -> None:
        self.files: list[dict[str, str]] = []

    def __call__(self, _level: Level, event: str, fields: dict[str, object]) -> None:
        """Keep it if it is one."""
        if event == "refused" and fields["reason"] in {"permission", "unreadable"}:
            self._add(fields, fields["reason"])
        elif event == "look_failed":
            self._add(fields, fields["error"])

    def _add(self, fields: dict[str, object], error: object) -> None:
        name = str(fields.get("processor", ""))
        self.files.append({"processor": name, "session_file": str(fields["session_file"]), "error": str(error)})
