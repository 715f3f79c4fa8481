"""Walking the tree: every session file and its signature, compared with what was processed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.cursor import Signature
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
    totals = Totals()
    batch: list[tuple[str, Signature]] = []
    skip = len(root) + 1
    folders = [start or root]
    while folders:
        folder = folders.pop()
        if stop():
            totals.complete = False
            break
        prefix = folder[skip:] + "/" if len(folder) >= skip else ""
        try:
            with os.scandir(folder) as entries:
                totals.folders += 1
                for entry in entries:
                    name = entry.name
                    if name.endswith(SUFFIX):
                        key = prefix + name
                        if not entry.is_file(follow_symlinks=False):
                            if prefix:
                                refused(key, "irregular")
                            continue
                        if not prefix:
                            continue  # a file directly in the root belongs to nobody
                        if not is_name(key):
                            refused(key, "name")
                            continue
                        status = entry.stat(follow_symlinks=False)
                        seen = (
                            status.st_dev,
                            status.st_ino,
                            status.st_size,
                            status.st_mtime_ns,
                            status.st_ctime_ns,
                        )
                        totals.files += 1
                        totals.bytes += status.st_size
                        if needs(key, hash(seen)):
                            batch.append((key, Signature(*seen)))
                            if len(batch) >= BATCH:
                                totals.found += len(batch)
                                found(batch)
                                batch = []
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except FileNotFoundError:
            continue  # gone since it was listed; what is new in its place is reported or found next time
        except OSError as error:
            refused(prefix or ".", "permission" if isinstance(error, PermissionError) else "unreadable")
    if batch:
        totals.found += len(batch)
        found(batch)
    return totals
