"""Walking the tree: every session file and its signature, compared with what was processed."""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.cursor import LATEST_NS, Signature
from daemon.opening import SUFFIX, is_name
from daemon.tree import LONGEST, Walk, above

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
    seen = _Seen(above(root), needs, found, refused)
    with Walk(root, seen.failed, start=start[len(root) + 1 :]) as walk:
        for path, descriptor in walk:
            if stop():
                seen.totals.complete = False
                break
            seen.folder(path, descriptor, walk.add)
    seen.flush()
    return seen.totals


class _Seen:
    """What one walk has seen."""

    def __init__(
        self, skip: int, needs: Callable[[str, int], bool], found: Found, refused: Callable[[str, str], None]
    ) -> None:
        """``skip``: bytes of a path that lead to the root."""
        self.totals = Totals()
        self._skip = skip
        self._needs = needs
        self._found = found
        self._refused = refused
        self._batch: list[tuple[str, Signature]] = []

    def folder(self, path: str, descriptor: int, add: Callable[[str], None]) -> None:
        """List one folder; ``add`` is told the folders in it."""
        try:
            with os.scandir(descriptor) as entries:
                self.totals.folders += 1
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        add(entry.name)  # whatever its name: sessions may be in it
                    if entry.name.endswith(SUFFIX) and path:  # a file directly in the root belongs to nobody
                        self._file(path + entry.name, entry)
        except FileNotFoundError:
            pass  # gone since it was opened
        except OSError as error:
            self.failed(path, error)
        if len(self._batch) >= BATCH:
            self.flush()

    def failed(self, path: str, error: OSError) -> None:
        """A folder could not be opened or listed."""
        if error.errno == errno.ENAMETOOLONG:
            reason = "too_long"
        else:
            reason = "permission" if isinstance(error, PermissionError) else "unreadable"
        self._refused(path or ".", reason)

    def _file(self, key: str, entry: os.DirEntry[str]) -> None:
        if not entry.is_file(follow_symlinks=False):
            self._refused(key, "irregular")
        elif not is_name(key):
            self._refused(key, "name")
        elif self._skip + 4 * len(key) > LONGEST and self._skip + len(key.encode()) > LONGEST:
            self._refused(key, "too_long")
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
