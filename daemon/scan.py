"""Walking the tree: every session file and its signature, compared with what was processed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.cursor import LATEST_NS, Signature
from daemon.opening import SUFFIX, is_name

BATCH = 1000

Found = Callable[[Sequence[tuple[str, Signature]]], None]


@dataclass(slots=True)
class Totals:
    """What a walk has seen: session files and their bytes, folders, and how many files need a run."""

    files: int = 0
    folders: int = 0
    found: int = 0
    bytes: int = 0
    complete: bool = True  # False: it was stopped


def scan(
    root: str,
    needs: Callable[[str, int], bool],
    found: Found,
    refused: Callable[[str, str], None],
    *,
    start: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> Totals:
    """Walk the root, or the folder ``start`` below it, without following links.

    Args:
        root: as an absolute path.
        needs: whether a session with that hash of its signature needs a run.
        found: told in batches which do.
        refused: told names (below the root) that look like sessions but are none, or cannot be listed, and why.
        start: path of a folder below the root.
        stop: asked now and then whether to give up.

    """
    walk = _Walk(root, needs, found, refused)
    folders = [start or root]
    while folders:
        if stop():
            walk.totals.complete = False
            break
        walk.folder(folders.pop(), folders)
    walk.flush()
    return walk.totals


class _Walk:
    """The state of one walk."""

    def __init__(
        self, root: str, needs: Callable[[str, int], bool], found: Found, refused: Callable[[str, str], None]
    ) -> None:
        self.totals = Totals()
        self._skip = len(root) + 1
        self._needs = needs
        self._found = found
        self._refused = refused
        self._batch: list[tuple[str, Signature]] = []

    def folder(self, path: str, folders: list[str]) -> None:
        """List one folder and add those in it to ``folders``."""
        prefix = path[self._skip :] + "/" if len(path) >= self._skip else ""
        try:
            with os.scandir(path) as entries:
                self.totals.folders += 1
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)  # whatever its name: sessions may be in it
                    if entry.name.endswith(SUFFIX) and prefix:  # a file directly in the root belongs to nobody
                        self._file(prefix + entry.name, entry)
        except FileNotFoundError:
            pass  # gone since it was listed; what is new in its place is reported, or found next time
        except OSError as error:
            self._refused(prefix or ".", "permission" if isinstance(error, PermissionError) else "unreadable")
        if len(self._batch) >= BATCH:
            self.flush()

    def _file(self, key: str, entry: os.DirEntry[str]) -> None:
        if not entry.is_file(follow_symlinks=False):
            self._refused(key, "irregular")
        elif not is_name(key):
            self._refused(key, "name")
        else:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                return
            except OSError:
                self._refused(key, "unreadable")
                return
            # As a plain tuple: its hash is that of the signature, which is only made where it is needed.
            mtime_ns = status.st_mtime_ns
            if not -LATEST_NS <= mtime_ns <= LATEST_NS:
                mtime_ns = Signature.of(status).mtime_ns
            seen = (status.st_dev, status.st_ino, status.st_size, mtime_ns, status.st_ctime_ns)
            totals = self.totals
            totals.files += 1
            totals.bytes += status.st_size
            if self._needs(key, hash(seen)):
                self._batch.append((key, Signature(*seen)))

    def flush(self) -> None:
        """Hand over what was found."""
        if self._batch:
            self.totals.found += len(self._batch)
            self._found(self._batch)
            self._batch = []
