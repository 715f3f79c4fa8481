"""A million sessions known: memory after a cold start, a restart, a scan, and an hour's worth of scans."""

import time

from daemon.memory import QUIET_SECONDS
from tests.bench.report import Row
from tests.system.bounds import made
from tests.system.bounds.rig import Daemon, say

SESSIONS = 1_000_000
SCANS = 12
"""As many as an hour has by default."""

MOST_MB = 700
REST_SECONDS = QUIET_SECONDS + 5
"""After which the daemon has given back what it does not need."""


def many(place, options):
    """The row."""
    count = place.count(SESSIONS, 1_000)
    root, folder = place.folder / "many" / "root", place.folder / "many" / "state"
    if not root.exists():
        say(f"making {count:,} sessions")
        made.crowd(root, count)
    figures = {"sessions": count}
    if not (folder / "sessiond.duckdb").exists():
        with Daemon(root, folder) as daemon:
            figures["cold_ready_seconds"] = round(daemon.ready_seconds, 2)
            daemon.wait_idle(seconds=7200, every=1)
            figures["cold_seconds"] = round(time.monotonic() - daemon.began, 1)
            figures |= _memory(daemon, "cold")
            say(f"cold start: {figures}")
    with Daemon(root, folder) as daemon:
        figures["restart_ready_seconds"] = round(daemon.ready_seconds, 2)
        figures |= _memory(daemon, "ready")
        daemon.wait_idle(seconds=7200, every=1)
        figures["first_scan_seconds"] = daemon.status()["last_scan"]["seconds"]
        figures |= _memory(daemon, "restart")
        say(f"restart: {figures}")
        began, cpu = time.monotonic(), daemon.cpu()
        seconds = [daemon.scan()["seconds"] for _ in range(max(2, round(SCANS * min(1, place.scale * 10))))]
        figures["scan_seconds"] = round(sorted(seconds)[len(seconds) // 2], 2)
        figures["scans"] = len(seconds)
        figures["scans_cpu_share"] = round((daemon.cpu() - cpu) / (time.monotonic() - began), 2)
        figures |= _memory(daemon, "scans")
        figures["sessions_known"] = daemon.status()["sessions"]
    most = max(figures["restart_rss_mb"], figures["scans_rss_mb"], figures.get("cold_rss_mb", 0))
    return Row(
        "many",
        f"{count:,} sessions known: memory after the cold start, a restart, {len(seconds)} scans",
        f"{figures.get('cold_rss_mb', 0):.0f}, {figures['restart_rss_mb']:.0f}, {figures['scans_rss_mb']:.0f} MB",
        f"<= {MOST_MB} MB",
        most <= MOST_MB and figures["sessions_known"] == count,
        figures,
    )


def _memory(daemon, name):
    time.sleep(REST_SECONDS)
    return {
        f"{name}_rss_mb": round(daemon.memory("VmRSS"), 1),
        f"{name}_peak_mb": round(daemon.memory("VmHWM"), 1),
        f"{name}_pss_mb": round(daemon.pss(), 1),
    }
