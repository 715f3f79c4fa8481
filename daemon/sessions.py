"""What one processor knows of its sessions without asking the database."""

from collections.abc import Iterable, Mapping, Sequence

import duckdb

from daemon import positions
from daemon.cursor import Cursor, Signature, username_of
from daemon.cursor_cache import CursorCache
from daemon.failures import Failure


class Sessions:
    """The sessions of one lane. Not locked: changed only under the lane's condition; two look-ups take none.

    ``recorded`` holds the file hash of sessions that another tool has processed and this processor has not.
    """

    def __init__(self) -> None:
        self.recorded: dict[str, str] = {}
        # Hash of the signature under which a session needs no look; 0: it needs one. Absent: never seen.
        self._current: dict[str, int] = {}
        self._cursors = CursorCache()
        self.partial: dict[str, float] = {}
        """Sessions whose last look left something unread: which share of the bytes was processed."""

    def load(
        self,
        conn: duckdb.DuckDBPyConnection,
        processor: str,
        version: int,
        failures: Mapping[str, Failure],
        names: dict[str, str] | None = None,
    ) -> Iterable[tuple[str, int]]:
        """Take the state from the database; what is in quarantine is left alone until it looks different.

        ``names``: see :func:`positions.load`.

        Returns:
            Each session that was run, with the hash of its device and inode.

        """
        known = positions.load(conn, processor, version, names)
        self._current, self.recorded, self.partial = known.current, known.foreign, known.partial
        places = list(zip(known.current, known.inodes, strict=True))
        for key, failure in failures.items():
            if failure.quarantined and failure.signature and failure.content.startswith(f"{version}:"):
                self._current[key] = hash(failure.signature)
            elif key in self._current:
                self._current[key] = 0  # whether the run came to an end is seen by a look
        return places

    def __len__(self) -> int:
        return len(self._current)

    def needs(self, key: str, signature_hash: int) -> bool:
        """Whether a session that looks so needs a look."""
        return self._current.get(key) != signature_hash

    def was_run(self, key: str) -> bool:
        """Whether the processor may have a cursor for it."""
        return key in self._current

    def cursor(self, key: str) -> Cursor | None:
        """Its cursor, if it is at hand."""
        return self._cursors.get(key)

    def committed(self, key: str, cursor: Cursor, moved_from: Sequence[str]) -> None:
        """The session has this cursor now; others are known no more, because they go by this name now."""
        self._cursors.put(key, cursor)
        self.recorded.pop(key, None)
        if cursor.offset < cursor.signature.size and cursor.fingerprint != positions.ADOPTED:
            self.partial[key] = cursor.offset / cursor.signature.size
        else:
            self.partial.pop(key, None)
        for old in moved_from:
            self._current.pop(old, None)
            self.partial.pop(old, None)
            self._cursors.drop(old)

    def refused(self, key: str) -> bool:
        """It cannot be read; returns whether something of it was processed before."""
        if key not in self._current:
            self.partial[key] = 0.0
        return self.partial.get(key) != 0.0

    def gone(self, key: str) -> None:
        """There is no such file any more: if nothing of it was ever processed, it is not known any more."""
        if self.partial.pop(key, None) == 0.0 and self._cursors.get(key) is None:
            self._current.pop(key, None)

    def start_anew(self, keys: Iterable[str]) -> None:
        """What was known of these is to be forgotten: the database says what to do with them."""
        for key in keys:
            self._current[key] = 0
            self._cursors.drop(key)
            self.recorded.pop(key, None)

    def matching(self, username: str | None, key: str | None) -> list[str]:
        """The sessions of a user, or the one of that name; None: all."""
        if key is not None:
            return [key] if key in self._current or key in self.recorded else []
        known = [*self._current, *(other for other in self.recorded if other not in self._current)]
        return [each for each in known if username is None or username_of(each) == username]

    def looked_at(self, key: str, current: Signature | None) -> None:
        """The session needs no look while it looks so; None: it needs one."""
        if current is not None:
            self._current[key] = hash(current)
        else:
            self._current.setdefault(key, 0)
