"""A processor that says that it cannot run now, for a reason that has nothing to do with any session."""

import math

LONGEST_SECONDS = 86_400.0
"""A processor cannot be sure of anything for longer: it is asked again after a day."""


def bounded(seconds: float) -> float:
    """As long as may be waited of what a processor says: it may say anything."""
    return LONGEST_SECONDS if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_SECONDS)


class Pause:
    """Whether one lane waits, and for what. Not locked: guarded by the lane.

    Once the time is over, one run at a time is let through, until one shows that the pause is over.
    """

    def __init__(self) -> None:
        self.reason = ""
        """Safe to show; empty: there is no pause."""
        self._until = -math.inf
        self._runs = 0

    def begin(self, reason: str, seconds: float, now: float, runs: int = 0) -> bool:
        """Wait for so long from now on; returns whether that is news, and not the same once more.

        ``runs``: how many have begun by now. They may have had what is missing now.
        """
        news = reason != self.reason
        self.reason, self._until, self._runs = reason, max(self._until, now + bounded(seconds)), runs
        return news

    def end(self, run: int) -> bool:
        """The run of that number has shown that what was waited for is there; returns whether that ends a pause."""
        ends = bool(self.reason) and run > self._runs
        if ends:
            self.reason, self._until = "", -math.inf
        return ends

    def left(self, now: float, *, running: bool) -> float:
        """Seconds until a run may begin; infinite while the one that was let through is ``running``."""
        if not self.reason:
            return 0.0
        left = max(0.0, self._until - now)
        return math.inf if running and not left else left
