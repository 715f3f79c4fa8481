"""How much is logged when much goes wrong: each kind of event is told a few times, and counted after that."""

import time

from tests.bench.report import Row
from tests.system.bounds.rig import Daemon, say, temporary

SESSIONS = 10_000
MALFORMED = 100_000
LINKS = 10_000
FLAPS = 600
MOST_A_MINUTE = 2_000_000
"""Bytes: 2,000 entries of each of a few kinds."""


def log(place, _options):
    """The row."""
    figures = {}
    with temporary(place.folder, "log") as folder:
        for name, measured in {
            "failing": _failing,
            "malformed": _malformed,
            "links": _links,
            "flapping": _flapping,
            "noisy": _noisy,
        }.items():
            say(f"log: {name}")
            root = folder / name / "root"
            (root / "alice").mkdir(parents=True)
            figures[name] = measured(place, root, folder / name / "state")
    # What a processor prints itself is its own matter.
    most = max(each["bytes_a_minute"] for name, each in figures.items() if name != "noisy")
    return Row(
        "log",
        f"{place.count(SESSIONS, 100):,} sessions fail at once, {place.count(MALFORMED, 1000):,} malformed lines,"
        f" {place.count(LINKS, 100):,} symbolic links, a file replaced {place.count(FLAPS, 40)} times, a processor"
        " that prints: log lines; bytes a minute",
        "; ".join(f"{name} {each['lines']:,}, {each['bytes_a_minute']:,}" for name, each in figures.items()),
        f"<= {MOST_A_MINUTE:,} a minute, but for the last",
        most <= MOST_A_MINUTE,
        figures,
    )


def _told(daemon, began):
    """Counts; a minute at least, as repeats are told of when one is over."""
    minutes = max(1.0, (time.monotonic() - began) / 60)
    events = daemon.events()
    return {
        "lines": events.total(),
        "bytes": daemon.log_bytes(),
        "bytes_a_minute": round(daemon.log_bytes() / minutes),
        "minutes": round(minutes, 2),
        "events": dict(events),
    }


def _failing(place, root, state):
    sessions = place.count(SESSIONS, 100)
    for number in range(sessions):
        folder = root / f"user{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.jsonl").write_text('{"type":"user"}\n')
    began = time.monotonic()
    with Daemon(root, state, "usage", "failing", backoff_seconds=0.5, max_attempts=3) as daemon:
        daemon.wait(lambda: daemon.lane("failing")["quarantined"] == sessions, "all to be in quarantine", 3600, 1)
        found = _told(daemon, began) | {"failed_runs": daemon.lane("failing")["errors"]}
        return found | {"rss_mb": round(daemon.memory())}


def _malformed(place, root, state):
    lines = place.count(MALFORMED, 1000)
    (root / "alice" / "odd.jsonl").write_bytes(b"{not json at all}\n" * lines)
    began = time.monotonic()
    with Daemon(root, state) as daemon:
        daemon.wait(lambda: daemon.lane()["malformed_lines"] == lines, "all to be counted")
        return _told(daemon, began)


def _links(place, root, state):
    began = time.monotonic()
    with Daemon(root, state) as daemon:
        for number in range(place.count(LINKS, 100)):
            (root / "alice" / f"{number}.jsonl").symlink_to("/etc/passwd")
        (root / "alice" / "real.jsonl").write_text('{"type":"user"}\n')
        daemon.wait(lambda: daemon.lane()["lines"] == 1, "the real one")
        daemon.wait_idle()
        for _ in range(3):
            daemon.scan()
        return _told(daemon, began) | {"sessions_known": daemon.status()["sessions"]}


def _flapping(place, root, state):
    began = time.monotonic()
    flaps = place.count(FLAPS, 40)
    with Daemon(root, state, debounce_ms=0, max_delay_ms=0) as daemon:
        for number in range(flaps):
            new = root / "alice" / "new"
            new.write_text(f'{{"type":"user","uuid":"{number}"}}\n')
            new.rename(root / "alice" / "flapping.jsonl")
            new_name = root / "alice" / f"moved-{number % 2}.jsonl"
            (root / "alice" / "flapping.jsonl").rename(new_name)
            runs = daemon.lane()["runs"]
            daemon.wait(lambda runs=runs: daemon.lane()["runs"] >= runs, "a run", every=0.02)
        daemon.wait_idle()
        return _told(daemon, began) | {"runs": daemon.lane()["runs"]}


def _noisy(place, root, state):
    lines = place.count(MALFORMED // 10, 100)
    (root / "alice" / "a.jsonl").write_bytes(b'{"type":"user"}\n' * lines)
    began = time.monotonic()
    with Daemon(root, state, "failing", env={"BOUNDS_NOISY": "1"}, backoff_seconds=0.1, max_attempts=3) as daemon:
        daemon.wait(lambda: daemon.lane("failing")["quarantined"], "quarantine")
        return _told(daemon, began)
