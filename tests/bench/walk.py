"""The full scan, against the least that anyone has to do to see whether files changed."""

import os
import time
from pathlib import Path
from typing import Any

from daemon.config import Settings
from daemon.engine import Engine
from daemon.events import Events
from daemon.scan import scan
from processors.registry import load as load_processors
from tests.bench import corpus
from tests.bench.crowd import fill_cursors
from tests.bench.place import Place, fresh, median, written
from tests.bench.report import Row

ROUNDS = 5


def bare(root: str) -> int:
    """A walk that looks at each file once and compares nothing; returns the files seen."""
    files, folders = 0, [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
                    files += 1
    return files


def walks(root: Path, db: Path, files: int) -> list[tuple[float, float]]:
    """Seconds of the bare walk and of the scan by an engine that knows all files as they are, turn by turn."""
    engine = Engine(Settings(root=root, db=db), load_processors(["usage"])[0], Events())
    engine.start()
    taken: list[tuple[float, float]] = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        seen = bare(str(root))
        between = time.perf_counter()
        found: list[Any] = []
        totals = scan(str(root), engine.needs, found.extend, lambda *_: None)
        taken.append((between - began, time.perf_counter() - between))
        if (seen, totals.files, len(found)) != (files, files, 0):
            raise RuntimeError(f"of {files} files: {seen} seen, {totals.files} scanned, {len(found)} unknown")
    engine.close(60)
    return taken[1:]  # the first one has filled the kernel's caches


def full_scan(place: Place) -> Row:
    """Row 9."""
    count = place.count(200_000, 1000)
    with place.temporary("walk") as folder:
        root = folder / "root"
        paths = written(corpus.write_crowd(root, sessions=count, lines_each=1))
        fresh(fill_cursors, root, folder / "db", paths)
        taken = fresh(walks, root, folder / "db", count)
    ratio = median([scanned / plain for plain, scanned in taken])
    bare_s, scan_s = (median(column) for column in zip(*taken, strict=True))
    return Row(
        "scan",
        f"full scan of {count:,} files in {count // 100:,} folders, against bare scandir + stat",
        f"{ratio:.2f}x ({scan_s:.2f} against {bare_s:.2f} s)",
        "<= 2x",
        ratio <= 2,
        {"bare_and_scan_seconds": taken},
    )
