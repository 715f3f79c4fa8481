"""Where events go: pretty lines on a terminal, JSON lines elsewhere, journald's own protocol under systemd."""

import os
import sys
from typing import Any, TextIO

import structlog

from daemon.errors import printable
from daemon.events import Level, Listener
from daemon.journald import Journald
from daemon.repeats import Repeats

_LEVELS: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Log:
    """Passes on events of at least a level. May be called by any thread."""

    def __init__(self, level: Level, write: Listener, folded: Level | None = "debug") -> None:
        """``folded``: the least level at which repeats are counted instead of written; None: at none."""
        self._least = _LEVELS[level]
        self._write = write
        self._repeats = Repeats(write)
        self._folded = max(_LEVELS.values()) + 1 if folded is None else _LEVELS[folded]

    def __call__(self, level: Level, event: str, fields: dict[str, object]) -> None:
        """Pass one on."""
        if _LEVELS[level] >= self._least:
            (self._repeats if self._least >= self._folded else self._write)(level, event, fields)

    def change(self, level: Level) -> None:
        """From now on, pass on events of at least this level."""
        self._least = _LEVELS[level]

    def tick(self) -> None:
        """Say what was left out a minute ago; called every second or so."""
        self._repeats.tick()

    def flush(self) -> None:
        """Say what was left out; no more events come."""
        self._repeats.flush()


def listener(level: Level, *, as_json: bool = False, stream: TextIO | None = None, goes_on: bool = False) -> Log:
    """A listener that writes events of at least ``level`` to where this process's log belongs.

    Args:
        level: the least level that is written.
        as_json: JSON lines on a terminal, too.
        stream: where the lines go; standard error if None.
        goes_on: for how long nobody knows, so that many of a kind are counted, unless at the level ``debug`` somebody
            looks on. In the journal, they always are.

    """
    stream = stream or sys.stderr
    if _is_journal(stream):
        return Log(level, Journald())
    renderer: Any = structlog.processors.JSONRenderer()
    if stream.isatty() and not as_json:
        renderer = structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ)
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _harmless,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS["debug"]),
    )

    def write(of: Level, event: str, fields: dict[str, object]) -> None:
        getattr(logger, of)(event, **fields)

    return Log(level, write, "info" if goes_on else None)


def _harmless(_logger: object, _method: str, fields: Any) -> Any:
    return {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream leads to journald: systemd says which device and inode it has connected."""
    wanted = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return wanted == f"{status.st_dev}:{status.st_ino}"
