"""What a check finds, and how it says that it cannot look."""

import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from daemon.audit import Peer
from daemon.errors import SessiondError, printable

Level = Literal["ok", "warning", "error", "skipped"]

NAMED = 3
"""Of what is wrong with many files, so many are named."""

ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says.

    Attributes:
        check: its name.
        level: ``error``: sessiond does not do its work, or soon will not; ``warning``: it does, and something is to
            be done all the same; ``skipped``: it could not be looked at.
        says: what was found, in one line.
        fix: what can be done, in one line; empty if there is nothing to do.

    """

    check: str
    level: Level
    says: str
    fix: str = ""


class SkipError(SessiondError):
    """A check cannot look, because something that it needs is not there."""


def some(names: Collection[str]) -> str:
    """A few names, safe to show, and how many more there are."""
    shown = ", ".join(printable(name) for name in islice(names, NAMED))
    more = len(names) - NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown


def counted(number: int, what: str) -> str:
    """A number of things: ``1 file``, ``1,200 files``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def span(seconds: float) -> str:
    """A time in words: ``3 h``."""
    for name, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {name}"
    return f"{seconds:.0f} s"


def me() -> str:
    """The user who asks."""
    return printable(Peer.myself().username)


def output_of(*command: str) -> str | None:
    """What a program of the host prints; None if it is not there, fails, or does not end."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  # names of programs and units, none of them from outside
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
