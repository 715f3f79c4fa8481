"""Where events go: pretty lines on a terminal, JSON lines elsewhere, journald's own protocol under systemd."""

import os
import socket
import sys
from contextlib import suppress
from typing import Any, TextIO

import structlog

from daemon.errors import printable
from daemon.events import Level, Listener

_LEVELS: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_PRIORITIES: dict[Level, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
JOURNAL_SOCKET = "/run/systemd/journal/socket"
_FIELDS = {"session_file": "SESSION_FILE", "processor": "PROCESSOR"}


def listener(level: Level, *, as_json: bool = False, stream: TextIO | None = None) -> Listener:
    """A listener that writes events of at least ``level`` to where this process's log belongs.

    Args:
        level: the least level that is written.
        as_json: JSON lines on a terminal, too.
        stream: where the lines go; standard error if None.

    """
    stream = stream or sys.stderr
    if _is_journal(stream):
        return _Journald(level)
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
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
    )

    def write(of: Level, event: str, fields: dict[str, object]) -> None:
        getattr(logger, of)(event, **fields)

    return write


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


class _Journald:
    """Sends events by journald's native protocol, each field by its own name."""

    def __init__(self, level: Level) -> None:
        self._least = _LEVELS[level]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def __call__(self, level: Level, event: str, fields: dict[str, object]) -> None:
        if _LEVELS[level] < self._least:
            return
        shown = ", ".join(f"{name}={printable(value)}" for name, value in fields.items())
        entry = {"MESSAGE": f"{event}: {shown}", "PRIORITY": str(_PRIORITIES[level]), "EVENT": event}
        entry |= {"SYSLOG_IDENTIFIER": "sessiond"}
        entry |= {_FIELDS.get(name, f"SESSIOND_{name.upper()}"): printable(value) for name, value in fields.items()}
        # The journal may be full or restarting; the daemon's work does not depend on it.
        with suppress(OSError):
            lines = "".join(f"{name}={value}\n" for name, value in entry.items())
            self._socket.sendto(lines.encode(), JOURNAL_SOCKET)
