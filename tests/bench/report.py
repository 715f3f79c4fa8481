"""The table: what was measured on which machine, and whether it reaches what it must."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

_HEADINGS = ("what", "measured", "must reach", "met")


@dataclass
class Row:
    """One row. ``met`` is None if it could not be measured; ``details`` are figures for ``--json``."""

    name: str
    what: str
    measured: str
    must_reach: str
    met: bool | None
    details: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> tuple[str, str, str, str]:
        """As the table shows it."""
        return (
            self.what,
            self.measured,
            self.must_reach,
            {True: "met", False: "NOT MET", None: "FAILED"}[self.met],
        )


def machine() -> dict[str, Any]:
    """What it was measured on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "load_before": round(os.getloadavg()[0], 2),
    }


def show(rows: Sequence[Row], on: dict[str, Any], *, scale: float, as_json: bool) -> None:
    """Print it: a table on a terminal, aligned text elsewhere, or JSON."""
    if as_json:
        print(json.dumps({"machine": on, "scale": scale, "rows": [asdict(row) for row in rows]}, indent=2))
        return
    print(
        f"{on['cpu']}, {on['cores']} cores, {on['memory_gb']} GB, Linux {on['kernel']}, "
        f"Python {on['python']}, DuckDB {on['duckdb']}; load before: {on['load_before']}"
    )
    if scale != 1:
        print(f"A quick trial at scale {scale:g}: counts and durations are not those of the table's words.")
    console = Console()
    if console.is_terminal:
        grid = Table(*_HEADINGS)
        for row in rows:
            style = {True: "green", False: "red", None: "red"}[row.met]
            *cells, met = row.cells()
            grid.add_row(*cells, f"[{style}]{met}")
        console.print(grid)
        return
    cells = [_HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
