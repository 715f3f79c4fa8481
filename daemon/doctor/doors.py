"""The sockets at which a daemon may be asked, and what comes of asking there."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from daemon.client import Remote
from daemon.config import SYSTEM_SOCKET, Settings, socket_of
from daemon.errors import SessiondError, printable

State = Literal["answers", "barred", "dead", "mute", "closed", "none"]


@dataclass(frozen=True, slots=True)
class Door:
    """A socket, and what came of asking there.

    Attributes:
        path: of the socket.
        state: ``barred``: whoever asks may not; ``dead``: a socket on which nobody listens; ``mute``: somebody takes
            the connection, and does not answer as a daemon does; ``closed``: what is there is no socket.
        status: what the daemon answered, see ``GET /status``; empty if it did not.

    """

    path: Path
    state: State
    status: Mapping[str, Any]


def places(settings: Settings | None, given: Path | None) -> list[Path]:
    """Where a daemon with these settings may be asked; if they are wrong, where it was ``given``, or the system's."""
    if settings is None:
        return [given or SYSTEM_SOCKET]
    first = socket_of(settings)
    return [first] if settings.socket is not None or first == SYSTEM_SOCKET else [first, SYSTEM_SOCKET]


def knock(path: Path) -> Door:
    """Ask there."""
    try:
        status = Remote(path).status()
    except SessiondError as error:
        return Door(path, _state(path, error.__cause__), {})
    except (ValueError, TypeError):  # no JSON, or no object
        return Door(path, "mute", {})
    return Door(path, "answers", status) if {"db", "root", "lanes"} <= status.keys() else Door(path, "mute", {})


def _state(path: Path, cause: BaseException | None) -> State:
    if isinstance(cause, PermissionError):
        return "barred"
    try:
        mode = path.lstat().st_mode
    except OSError:
        return "none"
    if not stat.S_ISSOCK(mode):
        return "closed"
    return "dead" if isinstance(cause, ConnectionRefusedError) else "mute"


def own(doors: Sequence[Door], settings: Settings | None, sources: Mapping[str, str]) -> Door | None:
    """The door at which the daemon of these settings answers, by the rule of :func:`daemon.client.found`."""
    for door in doors:
        if door.state != "answers":
            continue
        if settings is None or settings.socket is not None or sources["db"] == "default":
            return door
        if door.status["db"] == printable(os.path.realpath(settings.db)):
            return door
    return None
