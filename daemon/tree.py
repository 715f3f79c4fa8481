"""Walking folders without being led astray: by descriptors, without following links, however deep they are.

Each folder is opened by its name in its parent, and no step follows a symbolic link: a user who swaps a folder for a
link while it is walked gets no folder outside the root listed. Neither the interpreter's stack nor the number of
descriptors grows with the depth.
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LONGEST = 4095
"""Bytes of a path that the system takes (PATH_MAX, without its NUL): a longer one can be told to nobody."""

MOST_OPEN = 64
"""Folders that are kept open for their children's sake; the others are opened again, from the nearest one that is."""


def above(root: str) -> int:
    """Bytes of a path that lead to what is in the root: by its own name or, where that is longer, without links."""
    return max(len(os.fsencode(root)), len(os.fsencode(os.path.realpath(root)))) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """A folder of a tree; ``path`` is below the root, with a slash at its end, and empty for the root itself."""

    parent: "Folder | None"
    name: str
    path: str
    bytes: int

    def inner(self, name: str) -> "Folder":
        """The folder of that name in it."""
        return Folder(self, name, f"{self.path}{name}/", self.bytes + len(os.fsencode(name)) + 1)


class Walk:
    """The folders below a root, parents first: iterate, and :meth:`add` those that are found in each. Use it once.

    Args:
        root: as a path; it may be a link itself.
        start: where to begin, below the root; empty for the root.
        failed: told the path below the root of what could not be opened, and why; not of what is gone, or is no
            folder any more.

    """

    def __init__(self, root: str, failed: Callable[[str, OSError], None], *, start: str = "") -> None:
        self._root = root
        self._failed = failed
        first = Folder(None, "", "", above(root))
        for name in filter(None, start.split("/")):
            first = first.inner(name)
        self._waiting = [first]
        self._current = first
        self._open: dict[Folder, int] = {}  # the oldest first

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Path and descriptor of each folder; the descriptor is good until the next one is asked for."""
        while self._waiting:
            self._current = self._waiting.pop()
            try:
                descriptor = self._descriptor(self._current)
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone since it was listed; what is new in its place is reported, or found next time
            except OSError as error:
                if error.errno != errno.ELOOP:  # a link by now
                    self._failed(self._current.path, error)
                continue
            yield self._current.path, descriptor

    def add(self, name: str) -> None:
        """There is a folder of that name in the one that was given last."""
        inner = self._current.inner(name)
        if inner.bytes > LONGEST:
            self._failed(inner.path, OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG)))
        else:
            self._waiting.append(inner)

    def _descriptor(self, folder: Folder) -> int:
        missing = []
        above: Folder | None = folder
        while above is not None and above not in self._open:
            missing.append(above)
            above = above.parent
        descriptor = None if above is None else self._open[above]
        for each in reversed(missing):
            if descriptor is None:
                opened = os.open(self._root, FOLDER & ~os.O_NOFOLLOW)
            elif each.name in {".", ".."}:
                raise OSError(errno.ELOOP, "not a path below the root")
            else:
                opened = os.open(each.name, FOLDER, dir_fd=descriptor)
            descriptor = self._open[each] = opened
            if len(self._open) > MOST_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
        assert descriptor is not None
        return descriptor


def topmost(folders: set[str]) -> list[str]:
    """Those that lie in none of the others: a scan of a folder is one of all that is below it."""
    made: list[str] = []
    for folder in sorted(f"{each}/" for each in folders):
        if not (made and folder.startswith(made[-1])):
            made.append(folder)
    return [folder[:-1] for folder in made]
