"""Who may be under way together: after a crash, the runs that may have caused it go one at a time, alone.

So whoever crashes again is known, and those that were only near it are cleared.
"""

import threading
import time

ALONE_SECONDS = 10.0
"""The longest that a run has the process for itself, and the longest that it waits for that: one that hangs must not
hold up the others."""


class Gate:
    """Passed by every run of a processor, in any thread."""

    def __init__(self, alone_seconds: float = ALONE_SECONDS) -> None:
        self._alone_seconds = alone_seconds
        self._changed = threading.Condition()  # guards the rest
        self._inside: set[object] = set()
        self._alone: object | None = None  # who wants to be, or is
        self._alone_until = 0.0

    def enter(self, *, alone: bool = False) -> object:
        """Wait until the run may begin; returns what :meth:`leave` takes."""
        me = object()
        with self._changed:
            while self._alone is not None and (left := self._alone_until - time.monotonic()) > 0:
                self._changed.wait(left)
            if alone:
                self._alone, self._alone_until = me, time.monotonic() + 2 * self._alone_seconds
                self._changed.wait_for(lambda: not self._inside, self._alone_seconds)
                self._alone_until = time.monotonic() + self._alone_seconds
            self._inside.add(me)
        return me

    def leave(self, me: object) -> None:
        """The run has ended."""
        with self._changed:
            self._inside.discard(me)
            if self._alone is me:
                self._alone = None
            self._changed.notify_all()
