"""Many events of one kind in a short time: the first few are logged, the others are counted."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from daemon.events import Level, Listener

BURST = 20
"""So many of a kind are logged within a window; journald by itself drops what is beyond 10,000 in 30 seconds."""

WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class _Kind:
    level: Level
    began: float
    told: int = 0
    more: int = 0


class Repeats:
    """Passes events on to a listener, at most :data:`BURST` of a kind (event and processor) in a minute.

    How many more there were is told at the end of the minute. May be called by any thread.

    Args:
        listener: who is told.
        clock: seconds, never going back.

    """

    def __init__(self, listener: Listener, clock: Callable[[], float] = time.monotonic) -> None:
        self._listener = listener
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, object], _Kind] = {}

    def __call__(self, level: Level, event: str, fields: dict[str, object]) -> None:
        """Pass one on, or count it."""
        key = event, fields.get("processor")
        with self._lock:
            self._tell_ended()
            kind = self._kinds.setdefault(key, _Kind(level, self._clock()))
            if kind.told >= BURST:
                kind.more += 1
                return
            kind.told += 1
        self._listener(level, event, fields)

    def tick(self) -> None:
        """Tell of windows that have ended; called every second or so."""
        with self._lock:
            self._tell_ended()

    def flush(self) -> None:
        """Tell of all that was counted; no more comes."""
        with self._lock:
            self._tell_ended(everything=True)

    def _tell_ended(self, *, everything: bool = False) -> None:
        now = self._clock()
        ended = [key for key, kind in self._kinds.items() if everything or now - kind.began >= WINDOW_SECONDS]
        for key in ended:
            kind = self._kinds.pop(key)
            if kind.more:
                event, processor = key
                about: dict[str, object] = {} if processor is None else {"processor": processor}
                told = f"{kind.more} more like this in the last minute"
                self._listener(kind.level, event, about | {"repeats": kind.more, "note": told})
