"""What commands print, and how they end."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table as Grid

from daemon.errors import printable


def show(data: Any, json_output: bool, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Data as JSON, or as a table on a terminal and tab-separated lines elsewhere."""
    if json_output:
        print(json.dumps(data, indent=2))  # noqa: T201
        return
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            print("\t".join(printable(value) for value in row))  # noqa: T201
        return
    grid = Grid(*columns)
    for row in rows:
        grid.add_row(*(f"{value:,}" if isinstance(value, int) else printable(value) for value in row))
    Console().print(grid, markup=False)


def leave(code: int, *, clean: bool) -> NoReturn:
    """End the process; not ``clean``: a thread of it does not end by itself."""
    if not clean:
        # Some thread still hangs in a processor; the interpreter would wait for it, or trip over it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def discard_output() -> None:
    """Let nothing more be printed: nobody reads it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
