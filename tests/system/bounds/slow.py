"""A processor slower than the writers, for an hour: nothing may grow but what was written, and nobody else waits."""

import itertools
import random
import threading
import time

from tests.bench import corpus
from tests.bench.place import median, percentile
from tests.bench.report import Row
from tests.system.bounds.rig import Daemon, say, temporary

SESSIONS = 300
LINES_PER_SECOND = 400
SLEEP_SECONDS = 1.5
MOST_SLOPE = 1.0
"""MB per minute, over the last half."""

MOST_LAG = 2.0


class Writers:
    """Append to many sessions in turn, at a rate; counts the lines."""

    def __init__(self, root, sessions, rate):
        self._paths = [root / f"user{n % 20}" / "project" / f"{n:08x}.jsonl" for n in range(sessions)]
        for path in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._lines = [corpus.lines(random.Random(n), path.stem) for n, path in enumerate(self._paths)]
        self._rate = rate
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self.lines = self.bytes = self.late = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._ended.set()
        self._thread.join()

    def _write(self):
        began = time.monotonic()
        for number in itertools.cycle(range(len(self._paths))):
            wait = began + self.lines / self._rate - time.monotonic()
            if self._ended.wait(max(0.0, wait)):
                return
            self.late = max(self.late, -wait)
            with self._paths[number].open("ab", buffering=0) as file:
                self.bytes += file.write(next(self._lines[number]))
            self.lines += 1


def slow(place, options):
    """The row."""
    minutes = options.minutes
    sessions, rate = place.count(SESSIONS, 20), place.count(LINES_PER_SECOND, 50)
    lags, waiting = [], []
    with (
        temporary(place.folder, "slow") as folder,
        Daemon(
            folder / "root", folder / "state", "usage", "sleeper", env={"BOUNDS_SLEEP": str(SLEEP_SECONDS)}
        ) as daemon,
    ):
        with Writers(folder / "root", sessions, rate) as writers:
            ends, told = time.monotonic() + minutes * 60, 0.0
            while time.monotonic() < ends:
                time.sleep(1)
                lanes = {lane["processor"]: lane for lane in daemon.status()["lanes"]}
                lags.append(lanes["usage"]["lag_seconds"])
                slow = lanes["sleeper"]
                waiting.append(slow["live"] + slow["backlog"] + slow["running"] + slow["delayed"])
                if time.monotonic() - told > 120:
                    told = time.monotonic()
                    say(
                        f"{writers.lines:,} lines; {daemon.memory():.0f} MB; {waiting[-1]} wait; lag {lags[-1]:.1f} s"
                    )
        daemon.wait(lambda: daemon.lane()["lines"] >= writers.lines, "all lines", 60)
        watched = daemon.watched
        figures = {
            "minutes": minutes,
            "sessions": sessions,
            "lines": writers.lines,
            "written_mb": round(writers.bytes / 1e6, 1),
            "writer_late_seconds": round(writers.late, 2),
            "rss_mb": round(daemon.memory()),
            "peak_mb": round(daemon.memory("VmHWM")),
            "slope_mb_per_minute": round(watched.slope(), 3),
            "slope_descriptors_per_minute": round(watched.slope("descriptors"), 3),
            "most_descriptors": watched.peak("descriptors"),
            "most_threads": watched.peak("threads"),
            "most_waiting": max(waiting),
            "usage_lag_p50": median(lags),
            "usage_lag_p99": percentile(lags, 0.99),
            "usage_lag_max": max(lags),
            "usage_lines": daemon.lane()["lines"],
            "sleeper_lines": daemon.lane("sleeper")["lines"],
            "sleeper_lag": daemon.lane("sleeper")["lag_seconds"],
            "read_ratio": round(daemon.bytes_read() / writers.bytes, 2),
            "cpu_share": round(daemon.cpu() / (time.monotonic() - daemon.began), 3),
            "log_bytes_per_minute": round(daemon.log_bytes() / minutes),
        }
    right = figures["usage_lines"] == writers.lines
    return Row(
        "slow",
        f"{rate} lines/s to {sessions} sessions for {minutes:g} min, beside a processor that takes {SLEEP_SECONDS} s"
        " each time: memory over the last half; most of its runs that wait; p99 of the other one's lag",
        f"{figures['slope_mb_per_minute']:+.2f} MB/min, {figures['peak_mb']} MB at most; {figures['most_waiting']};"
        f" {figures['usage_lag_p99']:.2f} s",
        f"<= {MOST_SLOPE} MB/min; <= {sessions}; <= {MOST_LAG} s",
        right
        and figures["slope_mb_per_minute"] <= MOST_SLOPE
        and figures["most_waiting"] <= sessions
        and figures["usage_lag_p99"] <= MOST_LAG,
        figures,
    )
