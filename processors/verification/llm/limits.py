"""How quickly requests may follow each other, and how long to wait after failures."""

import threading
import time
from collections import deque
from collections.abc import Callable

from processors.contract import PauseError

MINUTE = 60.0
PATIENCE = 20.0
"""Seconds that a thread may wait within a run. A longer wait is the processor's: it holds up no thread then, and the
time that a run may take goes on."""

SHORTEST_PAUSE, LONGEST_PAUSE = 30.0, 600.0

Clock = Callable[[], float]
Sleep = Callable[[float], None]


class Rate:
    """At most so many requests in any minute, over all threads.

    Args:
        per_minute: requests.
        clock: seconds that only go forward.
        sleep: waits for so many.

    """

    def __init__(self, per_minute: int, clock: Clock = time.monotonic, sleep: Sleep = time.sleep) -> None:
        self._latest: deque[float] = deque(maxlen=per_minute)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Take a place, and wait for its time.

        Raises:
            PauseError: its time is too far off; no place is taken.

        """
        with self._lock:
            now = self._clock()
            full = len(self._latest) == self._latest.maxlen
            due = max(now, self._latest[0] + MINUTE) if full else now
            if due - now > PATIENCE:
                raise PauseError("requests_per_minute is used up for now", due - now)
            self._latest.append(due)
        if due > now:
            self._sleep(due - now)


class Backoff:
    """How long to wait after failures that follow each other: 30 seconds, twice as long each time, 600 at most.

    What fails during such a wait, in another thread, failed for the same reason, and makes it no longer.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pause = 0.0
        self._until = 0.0

    def failed(self) -> float:
        """Something has failed: the seconds to wait."""
        with self._lock:
            now = self._clock()
            if now >= self._until:
                self._pause = min(max(2 * self._pause, SHORTEST_PAUSE), LONGEST_PAUSE)
                self._until = now + self._pause
            return self._pause

    def succeeded(self) -> None:
        """An answer has come."""
        with self._lock:
            self._pause = self._until = 0.0
