"""Whether each part makes progress: what the ping to systemd's watchdog states.

A part that has something to do shows a mark that changes with each step. What counts is how long the main loop, which
comes round each second, has seen the same mark: so a process that was stopped for an hour has nothing to explain.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from daemon.engine import Engine
from daemon.lane import Lane
from daemon.survey import Survey
from daemon.watch import Watch

MOST_TICK_SECONDS = 2.0
"""What one round of the main loop may count as: beyond that, it was the loop itself that did not come round."""

WRITER_SECONDS = (30.0, 120.0)
"""When it is slow, which is told to those who ask; and when it hangs, which ends the process. A commit or a
checkpoint takes seconds; while the disk is full, each try is a step."""

LANE_SECONDS = (60.0, 120.0)
"""The same for a lane, beyond the budget of a run: then it is abandoned, which is a step."""

SCANNER_SECONDS = (120.0, 900.0)
"""The same for the scanner. Each folder is a step; but to watch the whole tree anew is a single one."""

WATCHER_SECONDS = (15.0, 60.0)
"""The same for the watcher, which has to report a change every five seconds. When it is slow, it is built anew."""


STOPPED = "has stopped"


@dataclass(slots=True, eq=False)
class Part:
    """A part of the daemon.

    Attributes:
        name: as a person is told of it.
        mark: changes with each step; None while there is nothing to do. Called by the main loop.
        slow, hung: seconds without a step until somebody should know, and until only a restart helps.
        alive: whether it runs.
        silent: seconds without a step, as the main loop saw it.

    """

    name: str
    mark: Callable[[], object | None]
    slow: float
    hung: float
    alive: Callable[[], bool] = lambda: True
    silent: float = 0.0
    _last: object | None = None

    def tick(self, passed: float) -> None:
        """So many seconds have passed since the last time."""
        mark = self.mark()
        self.silent = 0.0 if mark is None or mark != self._last else self.silent + passed
        self._last = mark

    def trouble(self, seconds: float) -> str | None:
        """What is wrong, if it is dead or has been silent for longer than that."""
        if not self.alive():
            return STOPPED
        return f"makes no progress for {self.silent:.0f} s" if self.silent > seconds else None


class Progress:
    """Watches parts. ``tick`` is called by the main loop, the rest by any thread."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._ticked = time.monotonic()

    def tick(self) -> None:
        """The main loop comes round."""
        now = time.monotonic()
        passed, self._ticked = min(now - self._ticked, MOST_TICK_SECONDS), now
        for part in self._parts:
            part.tick(passed)

    def slow(self) -> Iterator[str]:
        """What is wrong already."""
        for part in self._parts:
            if trouble := part.trouble(part.slow):
                yield f"{part.name} {trouble}"

    def hung(self) -> tuple[str, str] | None:
        """The part that only a restart helps, and what is wrong with it; None if all are well."""
        for part in self._parts:
            if trouble := part.trouble(part.hung):
                return part.name, trouble
        return None


def working_parts(engine: Engine) -> list[Part]:
    """The writer, the steps and the lanes."""
    writer = engine.writer
    write = Part("the writer", lambda: writer.persistence.busy_since, *WRITER_SECONDS, alive=writer.sound)
    steps = Part("the steps", lambda: None, *LANE_SECONDS, alive=engine.steps.sound)
    return [write, steps, *(_lane(engine, lane) for lane in engine.lanes)]


def scanner_part(survey: Survey) -> Part:
    """The scanner, with all that it has to do."""
    return Part("the scanner", survey.mark, *SCANNER_SECONDS, alive=survey.is_alive)


def watcher_part(watch: Watch, survey: Survey) -> Part:
    """The watcher. Its threads are the scanner's to begin and to end, who comes to it once its walk is over."""

    def mark() -> object | None:
        return watch.unanswered() if survey.mark() is None else None

    return Part("the watcher", mark, *WATCHER_SECONDS)


def _lane(engine: Engine, lane: Lane) -> Part:
    name, budget = lane.spec.name, lane.spec.budget_seconds

    def mark() -> object | None:
        # Runs wait for the writer while the disk is full; and a lane is paused because of runs that hang.
        waits = engine.writer.persistence.blocked_since is not None or name in engine.paused()
        return None if waits else lane.mark()

    slow, hung = LANE_SECONDS
    return Part(name, mark, budget + slow, budget + hung)
