"""Reports as tables that fit the terminal."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from daemon.errors import printable
from processors.usage.reports import Kind, Report

_WIDEST = 44
"""Of a text; what is longer is cut."""

_NARROWER = (28, 20, 12, 8)
"""Where there is no room for even the least columns with texts of that width."""

_ANSWERS = ("cost_usd", "calls", "errors")
"""What a report is asked for: the first of them that it has stays, however narrow the terminal is."""

_HEADS = {
    "cache_creation_tokens": "cache write",
    "cache_read_tokens": "cache read",
    "cost_usd": "cost",
    "unpriced_responses": "unpriced",
    "active_seconds": "active",
    "error_share": "failed",
}


_FORMATS: Mapping[Kind, str] = {"count": "{:,}", "usd": "${:,.2f}", "share": "{:.1%}", "day": "{}"}


def show(
    report: Report, rows: Sequence[Mapping[str, Any]], total: Mapping[str, Any], limit: int, *, title: str
) -> None:
    """Print a report; where it is too wide, with shorter numbers, without its last columns, with shorter texts."""
    console = Console()
    unbounded = console.options.update(max_width=10_000)
    for grid, last in _candidates(report, rows[:limit], total, title):
        if last or console.measure(grid, options=unbounded).maximum <= console.width:
            console.print(grid)
            break
    if len(rows) > limit:
        print(f"the first {limit:,} of {len(rows):,} rows; --limit shows more", file=sys.stderr)  # noqa: T201


def _candidates(
    report: Report, rows: Sequence[Mapping[str, Any]], total: Mapping[str, Any], title: str
) -> Iterator[tuple[Table, bool]]:
    """Tables, the widest first; and whether it is the last one."""
    columns = [
        name
        for name in report.columns
        if name != "unpriced_responses" or total.get(name)  # that is rare, and is said when it is so
    ]
    yield _grid(report, columns, rows, total, title, short=False), False
    answer = next(name for name in _ANSWERS if name in columns)
    spare = [name for name in columns if name not in report.keys and name != answer]
    yield _grid(report, columns, rows, total, title, short=True), False
    while spare:
        columns.remove(spare.pop())
        yield _grid(report, columns, rows, total, title, short=True), False
    for width in _NARROWER:
        yield _grid(report, columns, rows, total, title, short=True, widest=width), width == _NARROWER[-1]


def _grid(
    report: Report,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    total: Mapping[str, Any],
    title: str,
    *,
    short: bool,
    widest: int = _WIDEST,
) -> Table:
    grid = Table(title=title, title_justify="left", show_footer=bool(rows))
    for number, name in enumerate(columns):
        kind = report.columns[name]
        head = _HEADS.get(name, name.removesuffix("_tokens").removesuffix("_at").replace("_", " "))
        foot = "total" if number == 0 else _shown(total[name], kind, short=short) if name in total else ""
        grid.add_column(
            head,
            Text(foot),
            justify="left" if kind in {"text", "path", "day", "moment"} else "right",
            no_wrap=True,
            overflow="ellipsis",
            max_width=widest if kind in {"text", "path"} else None,
        )
    for row in rows:
        # As text, so that nothing of a transcript is taken for markup.
        grid.add_row(*(Text(_shown(row[name], report.columns[name], short=short, widest=widest)) for name in columns))
    return grid


def _shown(value: Any, kind: Kind, *, short: bool, widest: int = _WIDEST) -> str:
    if value is None:
        return "-" if kind in {"usd", "milliseconds", "share"} else ""
    if kind == "count" and short:
        return _short(value)
    if kind == "path" and len(value) > widest:
        return "…" + printable(value[1 - widest :])
    if kind in _FORMATS:
        return _FORMATS[kind].format(value)
    if kind in {"duration", "milliseconds"}:
        return _lasting(value / 1000 if kind == "milliseconds" else value)
    return str(value.isoformat(" ", "minutes")) if isinstance(value, datetime) else printable(value)


def _short(number: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.{0 if unit == 'k' else 1}f}{unit}"
    return f"{number:,}"


def _lasting(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes >= 60:  # noqa: PLR2004
        return f"{minutes // 60:,} h {minutes % 60:02}"
    if minutes:
        return f"{minutes} min"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
