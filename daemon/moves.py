"""Files that go by another name now: whose rows a session has to take over."""

from collections.abc import Iterable

from daemon.cursor import Signature


class Moves:
    """The names of one lane's files, and the moves under way. Not locked: guarded by the lane's condition.

    A name stays with an inode from before a run reads the file until it is certain that no rows from there are left
    under it. That is not so before another run has *committed*: one that fails leaves them where they were.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}  # by the hash of device and inode: the session last seen there
        self._former: dict[int, set[str]] = {}  # and those seen there before, if any
        self._under_way: dict[str, set[str]] = {}  # old keys by the new one, while a run takes over their rows

    def load(self, sessions: Iterable[tuple[str, int]]) -> None:
        """These are processed: key, and hash of device and inode."""
        for key, place in sessions:
            self._see(key, place)

    def seen(self, key: str, signature: Signature) -> list[str]:
        """A session was looked at; returns the other names that its file may have, or may have had."""
        place = hash(signature[:2])
        self._see(key, place)
        return sorted(self._former.get(place, ()))

    def _see(self, key: str, place: int) -> None:
        last = self._names.get(place)
        if last != key:
            self._names[place] = key
            if last is not None:
                self._former.setdefault(place, set()).add(last)
                self._former[place].discard(key)

    def left(self, key: str, signature: Signature) -> None:
        """No rows from this inode are left under this name."""
        place = hash(signature[:2])
        if self._names.get(place) == key:
            del self._names[place]
        if place in self._former:
            self._former[place].discard(key)
            if not self._former[place]:
                del self._former[place]

    def begin(self, key: str, old: str) -> None:
        """A run on ``key`` is about to take over what belongs to ``old``: nobody may run ``old`` meanwhile."""
        self._under_way.setdefault(key, set()).add(old)

    def is_taken_over(self, key: str) -> bool:
        """Whether a run under way takes over what belongs to this session."""
        return any(key in old for old in self._under_way.values())

    def end(self, key: str, old: str | None = None) -> None:
        """The run on ``key`` ended; or just ``old`` is none of its former names."""
        if old is None:
            self._under_way.pop(key, None)
        else:
            self._under_way[key].discard(old)
