"""Files that go by another name now: whose rows a session new to the lane may have to take over."""

from collections import OrderedDict
from collections.abc import Sequence

from daemon.cursor import Signature

MOST_INODES = 10_000


class Moves:
    """Former names of sessions, and the moves under way. Not locked: guarded by the lane's condition."""

    def __init__(self) -> None:
        self._origins: dict[str, Sequence[str]] = {}  # of sessions new to the lane, from the database
        self._inodes: OrderedDict[tuple[int, int], str] = OrderedDict()  # the latest sessions, by device and inode
        self._under_way: dict[str, str] = {}  # new key to old, while a run takes over the old one's rows

    def may_have_been(self, key: str, old: Sequence[str]) -> None:
        """The file ``key`` is in an inode that these sessions were last seen in."""
        self._origins[key] = old

    def seen(self, key: str, signature: Signature) -> None:
        """A session was looked at. Its cursor may still be on its way to the database when it is moved."""
        inode = (signature.device, signature.inode)
        self._inodes[inode] = key
        self._inodes.move_to_end(inode)
        if len(self._inodes) > MOST_INODES:
            self._inodes.popitem(last=False)

    def candidates(self, key: str, signature: Signature | None) -> list[str]:
        """The keys that a file may have had before, with how it looks now."""
        lately = None if signature is None else self._inodes.get((signature.device, signature.inode))
        return [old for old in (*self._origins.get(key, ()), lately) if old is not None and old != key]

    def begin(self, key: str, old: str) -> None:
        """A run on ``key`` is about to take over what belongs to ``old``: nobody may run ``old`` meanwhile."""
        self._under_way[key] = old

    def is_taken_over(self, key: str) -> bool:
        """Whether a run under way takes over what belongs to this session."""
        return key in self._under_way.values()

    def end(self, key: str) -> None:
        """The run on ``key`` ended, or it is not the file that it might have been."""
        self._under_way.pop(key, None)

    def forget(self, key: str) -> None:
        """The session ``key`` is known from now on, or gone."""
        self._origins.pop(key, None)
