"""The cursors of the sessions that one lane used last, bounded by their size in memory."""

from collections import OrderedDict

from daemon.cursor import Cursor

CURSOR_BYTES = 1_000
"""About what a cursor takes in memory without its carry."""


class CursorCache:
    """At most ``limit`` bytes of cursors, the least recently used dropped first. Not locked."""

    def __init__(self, limit: int = 16 << 20) -> None:
        self._limit = limit
        self._size = 0
        self._cursors: OrderedDict[str, Cursor] = OrderedDict()

    def get(self, key: str) -> Cursor | None:
        """The cursor of a session, if it is kept."""
        cursor = self._cursors.get(key)
        if cursor is not None:
            self._cursors.move_to_end(key)
        return cursor

    def put(self, key: str, cursor: Cursor) -> None:
        """Keep the cursor of a session."""
        self.drop(key)
        self._cursors[key] = cursor
        self._size += self._cost(cursor)
        while self._size > self._limit:
            self.drop(next(iter(self._cursors)))

    def drop(self, key: str) -> None:
        """Do not keep the cursor of a session."""
        cursor = self._cursors.pop(key, None)
        if cursor is not None:
            self._size -= self._cost(cursor)

    @staticmethod
    def _cost(cursor: Cursor) -> int:
        return CURSOR_BYTES + len(cursor.carry or b"")
