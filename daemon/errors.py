"""Errors that a person reads: what happened, to what, and what can be done about it."""

import os
import traceback
from pathlib import Path

from processors.contract import PauseError

OVER_BUDGET = "it took longer than its budget"
MOST_TOLD = 1_000
"""Characters of what somebody else's code says of an error."""


class SessiondError(Exception):
    """Base of all errors raised on purpose; ``hint`` says what the operator can do."""

    exit_code = 2

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint

    def __str__(self) -> str:
        what = super().__str__()
        return f"{what} ({self.hint})" if self.hint else what


class ConfigError(SessiondError):
    """A setting is wrong."""


class StoreError(SessiondError):
    """The database cannot be used."""


class OverMemoryError(SessiondError):
    """What one run gives needs more memory to write than the database may use."""


class StoreLockedError(StoreError):
    """Another process has the database open."""


class WatcherHungError(SessiondError):
    """A thread of the watcher hangs: only a new process gets rid of it."""


class RootMissingError(SessiondError):
    """The root folder of the transcripts does not exist."""


class QueryError(SessiondError):
    """A query cannot be asked: it is no SQL, or not allowed."""


class LimitError(QueryError):
    """A query is too slow or too large; ``limit`` is the setting that says so."""

    def __init__(self, what: str, limit: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.limit = limit


class CancelledError(QueryError):
    """Whoever asked has gone, or the daemon stops."""


class BusyError(SessiondError):
    """It cannot be done now, because something else is being done."""


class UnknownNameError(SessiondError):
    """There is no processor, or session, of that name."""


class UnavailableError(SessiondError):
    """The daemon cannot be asked, or cannot do it now."""


class ContractError(SessiondError):
    """A processor returned something that its contract does not allow."""


class NotStartedError(SessiondError):
    """A processor cannot be run at all: the process that it is to have cannot be started."""


class ProcessDiedError(SessiondError):
    """A processor's own process ended during a run."""


class OverBudgetError(SessiondError):
    """A run took longer than its budget, and was ended."""

    def __init__(self, seconds: float) -> None:
        super().__init__(OVER_BUDGET)
        self.seconds = seconds


class ReportedError(SessiondError):
    """A processor failed in its own process, which says how."""


class SessionError(SessiondError):
    """A session file cannot be read; ``reason`` is one word for counters."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.reason = reason


class SessionGoneError(SessionError):
    """There is no file of that name any more."""


class RootGoneError(SessionGoneError):
    """There is no root: nothing is known of the file."""


class SessionRefusedError(SessionError):
    """What is there is no session file, or may not be read: not looked at again until it changes."""


class SessionBusyError(Exception):
    """Another run on the same file, under its other name, has to end first."""


def printable(text: object) -> str:
    """``text`` with everything that could act on a terminal or break a line written as an escape.

    Names of files come from users of the host; they may hold newlines, escape sequences and bytes that
    are no UTF-8.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii")
        for char in shown
    )


def describe(error: BaseException) -> str:
    """What is safe to say about an error: its message if it is ours, else its type and where it was raised.

    The message of any other exception may quote a transcript, so it is never shown.
    """
    if isinstance(error, SessiondError):
        return printable(error)
    if isinstance(error, PauseError):  # whose reason is written for operators
        return printable(error.reason[:MOST_TOLD])
    name = type(error).__name__
    # A processor may raise one with other words than the system's.
    if isinstance(error, OSError) and error.errno and error.strerror == os.strerror(error.errno):
        return printable(f"{name}: {error.strerror}")
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return printable(name)
    return printable(f"{name} at {Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}")
