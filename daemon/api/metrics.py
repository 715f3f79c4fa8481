"""The daemon's figures for Prometheus: durations as they happen, everything else when it is asked for."""

from collections.abc import Callable, Iterator

import prometheus_client
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.engine import Engine
from daemon.health import Health
from daemon.meter import Meter
from daemon.ratios import Ratios

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_RUN_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_COMMIT_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
_STATES = ("live", "backlog", "running", "delayed", "retrying", "quarantined")

# Sums over the life of the process: name, what it says, event, field.
_TOTALS = (
    ("commits", "Groups of runs written in one transaction.", "committed", ""),
    ("commit_runs", "Runs in these groups.", "committed", "runs"),
    ("commit_rows", "Rows in these groups.", "committed", "rows"),
    ("scans", "Full scans of the root.", "scanned", ""),
    ("scanned_files", "Session files seen by full scans.", "scanned", "files"),
    ("missed_events", "Changes that a scan found and the watcher had not reported.", "missed", ""),
    ("queue_overflows", "Times that the kernel dropped events.", "overflowed", ""),
    ("refused_files", "Names that look like sessions and are none, or cannot be read.", "refused", ""),
)
_BY_PROCESSOR = (
    ("runs", "Runs that were committed.", "runs"),
    ("run_errors", "Runs that failed.", "errors"),
    ("items", "Items that the processor has counted.", "items"),
    ("read_bytes", "Bytes of sessions that were processed.", "bytes"),
    ("lines", "Well-formed lines that were processed.", "lines"),
    ("malformed_lines", "Lines that were skipped, because they are not well-formed.", "malformed_lines"),
)

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # each would be a series of its own


class Metrics(Collector):
    """What ``GET /metrics`` shows."""

    def __init__(
        self, engine: Engine, health: Health, meter: Meter, ratios: Ratios, queries: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._health = health
        self._meter = meter
        self._ratios = ratios
        self._queries = queries
        self._registry = CollectorRegistry()
        self._runs = Histogram(
            "sessiond_run_duration_seconds",
            "How long a processor takes for what is new in a session.",
            ["processor"],
            buckets=_RUN_BUCKETS,
            registry=self._registry,
        )
        self._commits = Histogram(
            "sessiond_commit_duration_seconds",
            "How long a transaction takes.",
            buckets=_COMMIT_BUCKETS,
            registry=self._registry,
        )
        for lane in engine.lanes:
            self._runs.labels(lane.spec.name)
        self._registry.register(self)
        meter.observe(self._observe)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return prometheus_client.generate_latest(self._registry)

    def _observe(self, event: str, fields: dict[str, object]) -> None:
        if event == "processed":
            self._runs.labels(fields["processor"]).observe(float(str(fields["run_ms"])) / 1000)
        elif event == "committed":
            self._commits.observe(float(str(fields["duration_ms"])) / 1000)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        status = self._health.status()
        yield InfoMetricFamily("sessiond_build", "The version that runs.", {"version": status["version"]})
        yield _gauge("healthy", "1 if all is well.", int(status["healthy"]))
        yield _gauge("uptime_seconds", "Since the daemon began.", status["uptime_seconds"])
        yield _gauge("queries_running", "Queries that are being answered.", self._queries())
        yield _gauge("watches", "Folders that the kernel watches.", status["watch"]["watches"])
        if status["watch"]["watch_limit"] is not None:
            yield _gauge("watches_allowed", "Folders that one user may watch.", status["watch"]["watch_limit"])
        yield _counter("watcher_rebuilds", "Times that the watcher was made anew.", status["watch"]["rebuilds"])
        if (last := status["last_scan"]) is not None:
            yield _gauge("last_scan_files", "Session files that the last full scan has seen.", last["files"])
            yield _gauge("last_scan_duration_seconds", "How long the last full scan took.", last["seconds"])
        for name, text, event, field in _TOTALS:
            yield _counter(name, text, self._meter.count(event, field))
        yield from self._lanes(status["lanes"])

    def _lanes(self, lanes: list[dict[str, object]]) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "sessiond_lane_sessions", "Sessions by what they wait for.", labels=["processor", "state"]
        )
        lag = GaugeMetricFamily(
            "sessiond_lane_lag_seconds", "Age of the oldest change that is not committed.", labels=["processor"]
        )
        paused = GaugeMetricFamily(
            "sessiond_lane_paused",
            "1 if the processor is not run, because too many of its runs hang.",
            labels=["processor"],
        )
        abandoned = GaugeMetricFamily(
            "sessiond_lane_abandoned",
            "Threads that hang in a run that was abandoned.",
            labels=["processor"],
        )
        sums = [
            (CounterMetricFamily(f"sessiond_{name}", text, labels=["processor"]), field)
            for name, text, field in _BY_PROCESSOR
        ]
        for lane in lanes:
            processor = str(lane["processor"])
            for state in _STATES:
                waiting.add_metric([processor, state], _number(lane[state]))
            lag.add_metric([processor], _number(lane["lag_seconds"]))
            paused.add_metric([processor], _number(lane["paused"]))
            abandoned.add_metric([processor], _number(lane["abandoned"]))
            for family, field in sums:
                family.add_metric([processor], _number(lane[field]))
        parts, wholes = (
            GaugeMetricFamily(f"sessiond_ratio_{name}", text, labels=["processor", "ratio"])
            for name, text in (
                ("parts", "What a processor has counted that stays a like share of sessiond_ratio_wholes."),
                ("wholes", "What sessiond_ratio_parts is a share of."),
            )
        )
        for labels, (part, whole) in self._ratios.sums().items():
            parts.add_metric(labels, max(0, part))
            wholes.add_metric(labels, whole)
        yield from (parts, wholes)
        files = GaugeMetricFamily(
            "sessiond_files",
            "Known sessions by the share of their bytes that was processed, in per cent.",
            labels=["processor", "ingested"],
        )
        for each in self._engine.lanes:
            for share, count in each.shares().items():
                files.add_metric([each.spec.name, share], count)
        yield from (waiting, lag, paused, abandoned, files, *(family for family, _ in sums))


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"sessiond_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"sessiond_{name}", text, value)


def _number(value: object) -> float:
    return float(str(int(value) if isinstance(value, bool) else value))
