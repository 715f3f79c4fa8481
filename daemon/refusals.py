"""What looks like a session and is not read: each is said once, whoever finds it, however often."""

import threading

from daemon.errors import printable
from daemon.events import Events

MOST = 10_000
"""So many names are kept; more are not told."""


class Refusals:
    """Tells of each name once. May be called from any thread."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._lock = threading.Lock()
        self._told: set[int] = set()  # hashes: a name may be 4 KB long

    def tell(self, name: str, reason: str) -> None:
        """The session or folder ``name``, below the root, is refused."""
        with self._lock:
            if hash(name) in self._told or len(self._told) >= MOST:
                return
            self._told.add(hash(name))
        self._events.refused(printable(name), reason)
