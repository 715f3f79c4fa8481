"""Many events of one kind in a short time: the first few are logged, the others are counted."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from daemon.events import Level, Listener

BURST = 20
"""So many of one kind and session are logged within a window."""

MOST = 2000
"""So many of one kind are, whatever they are about; journald by itself drops what is beyond 10,000 in 30 seconds."""

WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class _Kind:
    level: Level
    began: float
    told: dict[object, int] = field(default_factory=dict)  # by session; at most MOST in all
    more: dict[object, int] = field(default_factory=dict)  # the same, for what was counted; None: of all sessions
    all: int = 0


class Repeats:
    """Passes events on to a listener: in a minute, at most :data:`BURST` of a kind about one session.

    A kind is an event and a processor; of one kind, there are at most :data:`MOST`. How many more there were is told
    at the end of the minute. May be called by any thread.

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
        key, session = (event, fields.get("processor")), fields.get("session_file")
        with self._lock:
            self._tell_ended()
            kind = self._kinds.setdefault(key, _Kind(level, self._clock()))
            if kind.all >= MOST:
                kind.more[None] = kind.more.get(None, 0) + 1
                return
            told = kind.told.get(session, 0)
            if told >= BURST:
                kind.more[session] = kind.more.get(session, 0) + 1
                return
            kind.told[session] = told + 1
            kind.all += 1
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
            event, processor = key
            for session, more in kind.more.items():
                about = {"processor": processor, "session_file": session}
                told = f"{more} more like this in the last minute"
                fields = {name: value for name, value in about.items() if value is not None}
                self._listener(kind.level, event, fields | {"repeats": more, "note": told})
