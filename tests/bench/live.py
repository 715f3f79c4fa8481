"""Live: how long after an append its rows are committed, beyond the debounce that was asked for.

What "beyond the debounce" means: a commit covers some appends of its session, known exactly from their bytes. The
first of them makes the session due after the debounce; each further one before that moment puts it off, at most to
the first one's time plus the max delay. (One that came later than that and was taken along has put nothing off.)
Each append counts with the time from that moment to the ``processed`` event of its commit; too early counts as 0.
The time of an append is taken before its write.
"""

import bisect
import operator
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daemon.config import Settings
from tests.bench import corpus
from tests.bench.child import Commit, Daemon
from tests.bench.cold import cold_start
from tests.bench.crowd import LIVE, fill_state, unprocessed_crowd
from tests.bench.place import Place, fresh, percentile, written
from tests.bench.report import Row

SESSIONS = 100
PER_SECOND = 100.0
SECONDS = 65.0
"""Long enough to hold a fold, which the writer makes every minute under load."""

Append = tuple[float, int]
"""When, and the size that the file has after it."""


class Appender:
    """Appends lines to sessions at random times, and remembers when."""

    def __init__(self, root: Path, paths: Sequence[Path], *, seed: int = 3) -> None:
        self._rng = random.Random(seed)
        self.appends: dict[str, list[Append]] = {str(path.relative_to(root)): [] for path in paths}
        self.sizes = {str(path.relative_to(root)): path.stat().st_size for path in paths}
        self._keys = list(self.appends)
        self._files = {key: os.open(root / key, os.O_WRONLY | os.O_APPEND) for key in self._keys}
        self._lines = {key: corpus.lines(self._rng, Path(key).stem) for key in self._keys}

    def run(self, per_second: float, until: Callable[[float], bool]) -> None:
        """Append until ``until(seconds since the start)`` holds."""
        sizes = dict(self.sizes)
        began = time.monotonic()
        at = began
        while not until(at - began):
            key = self._rng.choice(self._keys)
            line = next(self._lines[key])
            at += self._rng.expovariate(per_second)
            time.sleep(max(0.0, at - time.monotonic()))
            now = time.monotonic()
            os.write(self._files[key], line)
            sizes[key] += len(line)
            self.appends[key].append((now, sizes[key]))

    def close(self) -> None:
        """Close the files."""
        for fd in self._files.values():
            os.close(fd)


def lateness(
    appends: Sequence[Append], commits: Sequence[tuple[float, int]], debounce: float, longest: float
) -> list[float]:
    """Of each append of one session, in order; ``commits``: when, and up to which size of the file."""
    late: list[float] = []
    for at, upto in commits:
        covered = bisect.bisect_right(appends, upto, key=operator.itemgetter(1))
        group = appends[len(late) : covered]
        if not group:
            continue
        first = group[0][0]
        due = first + min(debounce, longest)
        for appended, _ in group[1:]:
            if appended > due:
                break
            due = min(appended + debounce, first + longest)
        late += [max(0.0, at - due)] * len(group)
    return late


def measure(daemon: Daemon, appender: Appender, commits: Sequence[Commit], name: str, what: str) -> Row:
    """The figures of what was appended; ``commits``: all since the sizes that the appender began with."""
    by_key = defaultdict(list)
    for key, at, size in commits:
        if key in appender.sizes:
            appender.sizes[key] += size
            by_key[key].append((at, appender.sizes[key]))
    settings = Settings()
    times = (settings.debounce_ms / 1000, settings.max_delay_ms / 1000)
    late = [
        value * 1000 for key, appends in appender.appends.items() for value in lateness(appends, by_key[key], *times)
    ]
    made = sum(map(len, appender.appends.values()))
    if len(late) != made:
        raise RuntimeError(f"of {made} appends, {len(late)} were committed")
    state = daemon.state()
    p50, p99 = percentile(late, 0.5), percentile(late, 0.99)
    details = {
        "appends": made,
        "commits": len(commits),
        "p50_ms": p50,
        "p90_ms": percentile(late, 0.9),
        "p99_ms": p99,
        "max_ms": max(late),
        "folds_ms": state["folds_ms"],
        "troubles": state["troubles"][:10],
    }
    return Row(name, what, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(late):.0f} ms", "", None, details)


def judged(row: Row, p50: float | None, p99: float) -> Row:
    """With what it must reach."""
    row.must_reach = ("" if p50 is None else f"p50 <= {p50:g} ms, ") + f"p99 <= {p99:g} ms"
    row.met = row.details["p99_ms"] <= p99 and (p50 is None or row.details["p50_ms"] <= p50)
    return row


def _appended(daemon: Daemon, root: Path, paths: Sequence[Path], seconds: float, name: str, what: str) -> Row:
    daemon.settle()
    before = len(daemon.commits())
    appender = Appender(root, paths)
    appender.run(PER_SECOND, lambda elapsed: elapsed >= seconds)
    return _settled(daemon, appender, before, name, what)


def _settled(daemon: Daemon, appender: Appender, before: int, name: str, what: str) -> Row:
    appender.close()
    time.sleep(1.0)  # the last appends are heard of by now, and idle means what it says
    daemon.settle()
    return measure(daemon, appender, daemon.commits()[before:], name, what)


def _live(place: Place, name: str, what: str, prepare: Callable[[Path, Path], Any]) -> Row:
    with place.temporary("live") as folder:
        root, db = folder / "root", folder / "db"
        paths = written(corpus.write(root, sessions=SESSIONS, size=SESSIONS * 50_000, seed=4))
        prepare(root, db)
        with Daemon(root, db) as daemon:
            return _appended(daemon, root, paths, place.seconds(SECONDS), name, what)


def live(place: Place) -> Row:
    """Row 3."""
    what = f"live: {SESSIONS} sessions, {PER_SECOND:g} appends/s: append to committed, beyond the debounce"
    return judged(_live(place, "live", what, lambda _root, _db: None), 10, 50)


def live_with_a_million(place: Place) -> Row:
    """Row 4: the other sessions' files are long gone, as they are once they are old."""
    count = place.count(1_000_000)
    what = f"live, with {count:,} sessions already in the state"
    row = _live(place, "million", what, lambda root, db: fresh(fill_state, root, db, count))
    return judged(row, 15, 100)


def live_during_backlog(place: Place) -> Row:
    """Row 6: the live sessions were processed before; a daemon starts on them and a crowd that was not."""
    crowd = unprocessed_crowd(place)
    paths = corpus.write(crowd.root / LIVE, sessions=SESSIONS, size=SESSIONS * 50_000, seed=5)
    with place.temporary("live") as folder:
        # Alone below a root for a moment, so that nothing of the crowd is processed with them.
        only_live = folder / "root"
        only_live.mkdir()
        (crowd.root / LIVE).rename(only_live / LIVE)
        fresh(cold_start, only_live, crowd.db)
        (only_live / LIVE).rename(crowd.root / LIVE)
    with Daemon(crowd.root, crowd.db) as daemon:
        appender = Appender(crowd.root, paths)
        asked = [0.0, 0]

        def drained(elapsed: float) -> bool:
            if elapsed < asked[0] + 1:
                return False
            asked[0], state = elapsed, daemon.state()
            asked[1] = max(asked[1], state["backlog"])
            return state["scanned"] and state["backlog"] == 0

        began = time.monotonic()
        appender.run(PER_SECOND, drained)
        seconds = time.monotonic() - began
        what = f"the same while a backlog of {crowd.sessions:,} files drains"
        row = _settled(daemon, appender, 0, "backlog", what)
        row.details |= {"drained_seconds": seconds, "largest_backlog_seen": asked[1]}
    crowd.is_processed = True
    return judged(row, None, 100)
