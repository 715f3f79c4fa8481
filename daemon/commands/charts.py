"""Reports over time as charts of cost and tokens: on a terminal, or as a file."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from daemon.errors import ConfigError, StoreError, printable

SUFFIXES = (".svg", ".png")
MOST = 2_000
"""Days, weeks or months; a transcript may say that something happened in the year 1."""

_NO_COST = "n/a"
"""Of responses none of which has a price that is known."""

_TOKENS = ("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens")


def check_file(path: Path) -> None:
    """Raises ConfigError if nothing can be drawn into such a file."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{printable(path)} is no picture", f"end it with {' or '.join(SUFFIXES)}")
    _matplotlib()


def draw(rows: Sequence[Mapping[str, Any]], key: str, file: Path | None, *, title: str) -> None:
    """Draw rows of a report.

    Args:
        rows: in the order of time.
        key: the column with the day that a row begins with.
        file: where to; None: the terminal.
        title: what it shows.

    Raises:
        ConfigError: it is too long.
        StoreError: the file cannot be written.

    """
    known = {row[key]: row for row in rows if row[key] is not None}
    days = _without_gaps(sorted(known), key)
    costs = [known[day]["cost_usd"] if day in known else 0.0 for day in days]
    tokens = {name: [known[day][name] if day in known else 0 for day in days] for name in _TOKENS}
    if file is None:
        _on_the_terminal(days, costs, tokens, title)
    else:
        _into(file, days, costs, tokens, title)


def _without_gaps(days: Sequence[date], key: str) -> list[date]:
    """All days from the first to the last: one on which nothing happened is a part of the picture."""
    if not days:
        return []
    made = [days[0]]
    while made[-1] < days[-1]:
        if len(made) == MOST:
            raise ConfigError(
                f"from {days[0]} to {days[-1]} it is too long to be drawn",
                "give --since and --until, or draw monthly",
            )
        last = made[-1]
        if key == "month":
            made.append((last.replace(day=1) + timedelta(32)).replace(day=1))
        else:
            made.append(last + timedelta(7 if key == "week" else 1))
    return made


def _on_the_terminal(
    days: Sequence[date], costs: Sequence[float | None], tokens: Mapping[str, list[int]], title: str
) -> None:
    all_tokens = [sum(each) for each in zip(*tokens.values(), strict=True)]
    grid = Table(title=title, title_justify="left", box=None, expand=True)
    grid.add_column(no_wrap=True)
    for head in ("cost", "tokens"):
        grid.add_column(head, justify="right", no_wrap=True)
        grid.add_column(ratio=1)
    most = max((cost or 0.0 for cost in costs), default=0.0) or 1.0
    for day, cost, count in zip(days, costs, all_tokens, strict=True):
        grid.add_row(
            str(day),
            _NO_COST if cost is None else f"${cost:,.2f}",
            Bar(most, 0, cost or 0.0, color="green"),
            f"{count:,}",
            Bar(max(all_tokens) or 1, 0, count, color="blue"),
        )
    Console().print(grid)


def _into(
    file: Path, days: Sequence[date], costs: Sequence[float | None], tokens: Mapping[str, list[int]], title: str
) -> None:
    figure_class = _matplotlib()
    figure = figure_class(figsize=(10, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    figure.suptitle(title.replace("$", r"\$"))
    width = 0.8 * min((after - before for before, after in pairwise(days)), default=timedelta(1))
    above.bar(days, [cost or 0.0 for cost in costs], width=width)
    for day, cost in zip(days, costs, strict=True):
        if cost is None:
            above.text(day, 0, _NO_COST, ha="center", va="bottom", rotation="vertical")
    above.set_ylabel("US dollars")
    bottom = [0] * len(days)
    for name, counts in tokens.items():
        below.bar(days, counts, width=width, bottom=bottom, label=name.removesuffix("_tokens").replace("_", " "))
        bottom = [low + count for low, count in zip(bottom, counts, strict=True)]
    below.set_ylabel("tokens")
    below.legend()
    try:
        figure.savefig(file)
    except OSError as error:
        raise StoreError(
            f"cannot write {printable(file)}: {error.strerror}", "choose another file with -o"
        ) from error


def _matplotlib() -> Any:
    """Its class of figures, which need no screen; loaded when it is needed, since that takes a second."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError("drawing into a file needs matplotlib", "pip install 'sessiond[plot]'") from error
    return Figure
