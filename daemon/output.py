"""What commands print, and how they end."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table as Grid
from typer.core import TyperGroup

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


class Commands(TyperGroup):
    """What is wrong with arguments quotes them, and they may be names of files: it is said harmlessly, too."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Read the arguments."""
        with _harmless():
            return super().make_context(*args, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run what they say."""
        with _harmless():
            return super().invoke(ctx)


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(said := getattr(error, "message", None), str):  # an error of typer's
            vars(error)["message"] = printable(said)
        raise
