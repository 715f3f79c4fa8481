"""A line without end, and several as long as a line may be: memory, and how often their bytes are read."""

import json
import time

from tests.bench.report import Row
from tests.system.bounds.rig import Daemon, say, temporary

SIZE = 2 << 30
PIECES = 64
LIMIT = 64 << 20
SMALL_PIECES = 256
"""A line that stays below the limit, in pieces that come one by one."""

LONG_LINES = 4
"""So many sessions get a line of nearly the limit at the same moment."""

MOST_MB = 900
MOST_READ = 2.5


def endless(place, _options):
    """The row."""
    size, limit = place.count(SIZE, 8 << 20), place.count(LIMIT, 1 << 20)
    figures = {}
    with temporary(place.folder, "endless") as folder:
        root = folder / "root"
        (root / "alice").mkdir(parents=True)
        settings = {"line_limit_bytes": limit, "chunk_bytes": min(8 << 20, limit), "settle_seconds": 600}
        say("a line without end")
        with Daemon(root, folder / "state", "usage", "summary", **settings) as daemon:
            figures["idle_mb"] = round(daemon.memory())
            _grow(daemon, root / "alice" / "endless.jsonl", size // 2, PIECES // 2, figures, "endless")
            figures["endless_peak_mb"] = round(daemon.memory("VmHWM"))
            daemon.kill()
        say(f"it goes on while the daemon restarts: {figures}")
        with (root / "alice" / "endless.jsonl").open("ab") as file:
            file.write(b"x" * (size // PIECES))
        with Daemon(root, folder / "state", "usage", "summary", **settings) as daemon:
            _seen(daemon, root / "alice" / "endless.jsonl")
            figures["restart_read_ratio"] = round(daemon.bytes_read() / (size // 2), 2)
            _grow(daemon, root / "alice" / "endless.jsonl", size // 2, PIECES // 2, figures, "resumed")
            with (root / "alice" / "endless.jsonl").open("ab") as file:
                file.write(b"\n" + _lines(5))
            daemon.wait(lambda: daemon.lane("summary")["lines"] >= 5, "the lines after it")
            figures["resumed_peak_mb"] = round(daemon.memory("VmHWM"))
            say(f"a line below the limit, piece by piece: {figures}")
            _grow(daemon, root / "alice" / "long.jsonl", limit - 1000, SMALL_PIECES, figures, "long")
        positions = "SELECT lines, malformed_lines, position FROM session_positions WHERE session_file = ?"
        found = daemon.rows(positions.replace("?", "'alice/endless.jsonl'"))
        figures["counted"] = found
        right = found == [(5, 1, (root / "alice" / "endless.jsonl").stat().st_size)] * 2
        say(f"{LONG_LINES} lines of nearly the limit at once: {figures}")
        with Daemon(root, folder / "state2", "usage", "summary", **settings) as daemon:
            daemon.wait_idle()
            before = daemon.memory("VmHWM")
            for number in range(LONG_LINES):
                _long_line(root / "alice" / f"at-once-{number}.jsonl", limit - 1000)
            daemon.wait(lambda: daemon.lane("summary")["lines"] >= LONG_LINES + 5, "the long lines")
            daemon.wait(lambda: daemon.lane("usage")["lines"] >= LONG_LINES + 5, "the long lines")
            figures |= {"before_mb": round(before), "at_once_peak_mb": round(daemon.memory("VmHWM"))}
    peak = max(value for name, value in figures.items() if name.endswith("peak_mb"))
    reads = [value for name, value in figures.items() if name.endswith("read_ratio")]
    return Row(
        "endless",
        f"a line of {size / 1e9:.1f} GB in {PIECES} pieces, one of {limit / 1e6:.0f} MB in {SMALL_PIECES}, and"
        f" {LONG_LINES} of these at once: most memory; bytes read / written",
        f"{peak} MB; {', '.join(map(str, reads))}" + ("" if right else "; COUNTED WRONG"),
        f"<= {MOST_MB} MB; <= {MOST_READ}",
        right and peak <= MOST_MB and max(reads) <= MOST_READ,
        figures,
    )


def _grow(daemon, path, size, pieces, figures, name):
    """Append to a line piece by piece, each once the one before was seen."""
    before, cpu, began = daemon.bytes_read(), daemon.cpu(), time.monotonic()
    piece = b"x" * (size // pieces)
    for _ in range(pieces):
        with path.open("ab") as file:
            file.write(piece)
        _seen(daemon, path)
    figures[f"{name}_read_ratio"] = round((daemon.bytes_read() - before) / (len(piece) * pieces), 2)
    figures[f"{name}_cpu_seconds"] = round(daemon.cpu() - cpu, 1)
    figures[f"{name}_seconds"] = round(time.monotonic() - began, 1)


def _seen(daemon, path):
    key, size = f"alice/{path.name}", path.stat().st_size
    sql = f"SELECT count(*) AS n FROM session_positions WHERE session_file = '{key}' AND size = {size}"
    daemon.wait(lambda: daemon.query(sql)[0]["n"] == 2, "the piece to be seen", every=0.02)


def _lines(count):
    return b"".join(json.dumps({"type": "user", "uuid": f"u{n}"}).encode() + b"\n" for n in range(count))


def _long_line(path, size):
    content = [{"type": "tool_use", "id": path.stem, "name": "Write", "input": {"content": "\u00e4" * (size // 2)}}]
    message = {"role": "assistant", "id": "m", "model": "m", "content": content}
    path.write_text(json.dumps({"type": "assistant", "message": message}, ensure_ascii=False) + "\n")
