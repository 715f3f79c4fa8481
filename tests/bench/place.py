"""Where and how things are measured: temporary folders, fresh processes, medians and percentiles."""

import math
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from tests.bench import corpus

T = TypeVar("T")
SPAWN = multiprocessing.get_context("spawn")


@dataclass
class Place:
    """The folder of one benchmark and what rows share in it; ``scale`` shrinks counts and durations."""

    folder: Path
    scale: float = 1.0
    made: dict[str, Any] = field(default_factory=dict)

    def count(self, full: int, least: int = 1) -> int:
        """A number of things, at this scale."""
        return max(least, round(full * self.scale))

    def seconds(self, full: float, least: float = 5.0) -> float:
        """A duration, at this scale."""
        return max(least, full * self.scale) if self.scale < 1 else full

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, made by the first row that needs it."""
        if name not in self.made:
            say(f"preparing {name}")
            self.made[name] = make()
        return self.made[name]

    @contextmanager
    def temporary(self, name: str) -> Iterator[Path]:
        """A folder of this row alone."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sessions(self) -> list[Path]:
        """1 GB of transcripts in 2,000 sessions, below the folder ``sessions``."""
        count, size = self.count(2000, 20), self.count(1_000_000_000, 10_000_000)
        root = self.folder / "sessions"
        return self.once("the corpus", lambda: written(corpus.write(root, sessions=count, size=size)))


def written(paths: list[Path]) -> list[Path]:
    """Has the disk take what was written, so that it does not do so during a measurement."""
    os.sync()
    return paths


def fresh(work: Callable[..., T], *args: Any) -> T:
    """The result of a function in a new process, as a command of its own would run it."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        return pool.submit(work, *args).result()


def tree_size(paths: Sequence[Path]) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in paths)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not below ``share`` of all."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


median = statistics.median


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 600.0, every: float = 0.2) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}")
        time.sleep(every)


def utc_now() -> datetime:
    """As the database stores it."""
    return datetime.now(UTC).replace(tzinfo=None)


def say(text: str) -> None:
    """Tell whoever waits what goes on."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
