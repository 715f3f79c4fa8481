"""What is drawn on a terminal: status and top. Everything shown was made harmless before."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from daemon.errors import printable

BARS = "▁▂▃▄▅▆▇█"
ROWS = 12
_SHORT = {"retrying": "retry", "quarantined": "quarant."}
_LANE = ("live", "backlog", "running", "delayed", "retrying", "quarantined", "runs", "errors", "items")


def status(told: Mapping[str, Any]) -> RenderableType:
    """The answer of ``status`` as a table of lanes with a few lines above it."""
    return Group(_head(told), lanes(told["lanes"]), *_errors(told["lanes"]))


def top(told: Mapping[str, Any], height: int) -> RenderableType:
    """Lanes, throughput, the newest sessions and the latest troubles, on a screen of so many lines."""
    rows = max(3, (height - 16 - 2 * len(told["lanes"])) // 2)
    return Group(
        _head(told),
        lanes(told["lanes"]),
        Panel(_throughput(told), title="throughput, last minute"),
        Panel(_newest(told["newest"][-rows:]), title="newest sessions"),
        Panel(_troubles(told["troubles"][-rows:]), title="warnings and errors"),
    )


def lanes(told: Sequence[Mapping[str, Any]]) -> Table:
    """One row per processor."""
    names = [name for name in _LANE if any(name in lane for lane in told)]
    headers = [_SHORT.get(name, name) for name in names]
    last_header = "lag" if told and "lag_seconds" in told[0] else "last run"
    grid = Table("processor", *headers, last_header, box=None, padding=(0, 1, 0, 0))  # fits into 80 columns
    for column in grid.columns[1:-1]:
        column.justify = "right"
    for lane in told:
        last = f"{lane['lag_seconds']:.1f} s" if "lag_seconds" in lane else printable(lane.get("last_run") or "")
        name = printable(lane["processor"]) + (" (paused)" if lane.get("paused") else "")
        if lane.get("abandoned"):
            name += f" ({lane['abandoned']} of {lane['most_abandoned']} hang)"
        grid.add_row(name, *(f"{lane.get(column) or 0:,}" for column in names), last)
    return grid


def sparkline(values: Sequence[float]) -> str:
    """Values as bars, the largest one full."""
    most = max(values, default=0.0)
    if most <= 0:
        return BARS[0] * len(values)
    return "".join(BARS[min(len(BARS) - 1, int(value / most * len(BARS)))] for value in values)


def _head(told: Mapping[str, Any]) -> RenderableType:
    lines = []
    if told["running"]:
        health = Text("healthy", "green") if told["healthy"] else Text("not healthy", "bold red")
        lines.append(
            Text.assemble(
                f"sessiond {told['version']}, process {told['pid']}, up {_duration(told['uptime_seconds'])}, ", health
            )
        )
        lines += [Text(f"  {printable(reason)}", "red") for reason in told["reasons"]]
        watch, scan = told["watch"], told["last_scan"]
        lines.append(
            Text(
                f"{told['sessions']:,} sessions below {printable(told['root'])}, lag {told['lag_seconds']:.1f} s; "
                f"{watch['mode']}, {watch['watches']:,} folders, {watch['missed']} missed; "
                + (f"last scan {scan['at']}, {scan['files']:,} files" if scan else "not scanned yet")
            )
        )
    else:
        lines.append(Text("no daemon is running; this is what the database says", "yellow"))
        lines.append(Text(f"{told['sessions']:,} sessions in {printable(told['db'])}"))
    return Group(*lines)


def _errors(told: Sequence[Mapping[str, Any]]) -> list[Text]:
    return [
        Text(f"{printable(lane['processor'])}: {lane['last_error_at']} {printable(lane['last_error'])}", "red")
        for lane in told
        if lane.get("last_error")
    ]


def _throughput(told: Mapping[str, Any]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    rates, history = told["rates"], told["history"]
    for name, shown in (
        ("bytes_per_second", "bytes/s"),
        ("rows_per_second", "rows/s"),
        ("runs_per_second", "runs/s"),
    ):
        grid.add_row(shown, f"{rates.get(name, 0):>12,.0f}", sparkline([each[name] for each in history]))
    return grid


def _newest(told: Sequence[Mapping[str, Any]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for run in reversed(told):
        grid.add_row(
            str(run["at"])[11:19],
            printable(run["processor"]),
            Text(printable(run["session_file"]), overflow="ellipsis", no_wrap=True),
            f"{run['lines']:,} lines",
            f"{run['duration_ms']:,.0f} ms",
        )
    return grid


def _troubles(told: Sequence[Mapping[str, Any]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for trouble in reversed(told):
        style = "red" if trouble["level"] == "error" else "yellow"
        text = Text(f"{printable(trouble['event'])} {printable(trouble['text'])}", overflow="ellipsis", no_wrap=True)
        grid.add_row(str(trouble["at"])[11:19], Text(printable(trouble["processor"]), style), text)
    return grid


def _duration(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s"))
    return " ".join([f"{number} {unit}" for number, unit in parts if number][:2]) or "0 s"
