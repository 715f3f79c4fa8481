"""A large session, all there and growing: memory must not grow with it, and its rows must be right."""

import itertools
import random
import time

from tests.bench import corpus
from tests.bench.report import Row
from tests.system.bounds.rig import Daemon, say, temporary

SIZE = 10_000_000_000
BLOCK_LINES = 20_000
MOST_MB = 800
"""What the database may take, twice 8 MB on their way through a processor, and the daemon itself."""


class Source:
    """Realistic lines, quickly: one block of them over and over, with other ids each time.

    ``lines``, ``events``, ``responses``: how many it has given, and what the usage processor has to find in them.
    """

    STEM = "5e5510d0"

    def __init__(self):
        lines = itertools.islice(corpus.lines(random.Random(4), f"{self.STEM}-0000"), BLOCK_LINES)
        self._block = b"".join(lines)
        self._each = (
            BLOCK_LINES,
            self._block.count(b'"type":"tool_use"') or self._block.count(b'"type": "tool_use"'),
        )
        self.lines = self.calls = 0
        self._number = 0

    def block(self):
        self._number += 1
        self.lines += self._each[0]
        self.calls += self._each[1]
        return self._block.replace(self.STEM.encode(), f"{self._number:08x}".encode())


def large(place, _options):
    """The row."""
    size = place.count(SIZE, 50_000_000)
    source, figures = Source(), {}
    with temporary(place.folder, "large") as folder:
        path = folder / "root" / "alice" / "large.jsonl"
        path.parent.mkdir(parents=True)
        say(f"writing {size / 2e9:.1f} GB, which is there at the start")
        written = _write(path, source, size / 2)
        with Daemon(folder / "root", folder / "state", "usage", "summary") as daemon:
            began = time.monotonic()
            _wait_lines(daemon, source.lines)
            figures["there_mb_per_second"] = round(written / 1e6 / (time.monotonic() - began), 1)
            figures["there_peak_mb"] = round(daemon.memory("VmHWM"))
            figures["there_pss_mb"] = round(daemon.watched.peak_pss())
            say(f"the second half is appended: {figures}")
            before, began = daemon.bytes_read(), time.monotonic()
            appended = _write(path, source, size / 2)
            _wait_lines(daemon, source.lines)
            figures["grown_mb_per_second"] = round(appended / 1e6 / (time.monotonic() - began), 1)
            figures["grown_read_ratio"] = round((daemon.bytes_read() - before) / appended, 2)
            figures["peak_mb"] = round(daemon.memory("VmHWM"))
            figures["pss_mb"] = round(daemon.watched.peak_pss())
            figures["slope_mb_per_minute"] = round(daemon.watched.slope(), 2)
            figures["threads"] = daemon.watched.peak("threads")
            figures["descriptors"] = daemon.watched.peak("descriptors")
            daemon.wait_idle()
            figures["settled_read_ratio"] = round((daemon.bytes_read() - before) / appended, 2)
        figures["database_mb"] = round(daemon.db.stat().st_size / 1e6)
        right = _right(daemon, source, path.stat().st_size)
        figures |= {"gb": round(path.stat().st_size / 1e9, 2), "lines": source.lines, "rows_right": right}
    return Row(
        "large",
        f"a session of {figures['gb']:g} GB, half of it there, half appended, for two processors: most memory; rate",
        f"{figures['peak_mb']} MB; {figures['there_mb_per_second']:.0f}, {figures['grown_mb_per_second']:.0f} MB/s"
        + ("" if right else "; ROWS WRONG"),
        f"<= {MOST_MB} MB",
        right and figures["peak_mb"] <= MOST_MB,
        figures,
    )


def _write(path, source, size):
    written = 0
    with path.open("ab", buffering=0) as file:
        while written < size:
            written += file.write(source.block())
    return written


def _wait_lines(daemon, lines):
    for processor in ("usage", "summary"):
        daemon.wait(lambda name=processor: daemon.lane(name)["lines"] >= lines, f"{lines:,} lines", 7200, 0.5)


def _right(daemon, source, size):
    """Against what was written, as counted there."""
    calls = daemon.rows("SELECT count(*) FROM usage_events")[0][0]
    states = daemon.rows("SELECT processor_name, lines, malformed_lines, position FROM session_positions ORDER BY 1")
    summary = daemon.rows("SELECT lines, bytes FROM summary")
    wanted = [(name, source.lines, 0, size) for name in ("summary", "usage")]
    found = (states == wanted, summary == [(source.lines, size)], calls == source.calls)
    if not all(found):
        say(f"rows: {states} {summary} {calls}, but {source.lines} lines, {source.calls} calls, {size} bytes")
    return all(found)
