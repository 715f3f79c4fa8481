"""What a terminal shows of knowledge. Texts are other people's: they are shown as text, and nothing in them acts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column
from rich.table import Table as Grid
from rich.text import Text

from daemon.errors import printable
from processors.verification.questions import STATUSES

_WIDTHS = (len("kv_0123456789ab"), max(map(len, STATUSES)))
"""An id that is cut names nothing."""


def table_of(names: Sequence[str], rows: Sequence[Sequence[object]]) -> RenderableType:
    """Items, one a row, of which the first two columns are id and status."""
    whole = [Column(name, min_width=width) for name, width in zip(names, _WIDTHS, strict=False)]
    grid = Grid(*whole, *names[len(whole) :])
    for row in rows:
        grid.add_row(*map(_text, row))
    return grid


def screen_of(whole: Mapping[str, Any]) -> RenderableType:
    """One item with all that is known of it.

    Args:
        whole: a row of ``knowledge_items``, with ``evidence``, ``related``, ``contradictions`` and ``reviews``.

    """
    head = Grid.grid(padding=(0, 2))
    for name in ("id", "title", "content", "status", "confidence", "category", "domain", "entities", "created_at"):
        value = f"{whole[name]:.2f}" if name == "confidence" else whole[name]
        head.add_row(Text(name, style="bold"), _text(", ".join(value) if isinstance(value, list) else value))
    parts: list[RenderableType] = [head]
    for name, keys, text in (
        ("evidence", ("detection_type", "source_user", "created_at", "source_ref"), "user_quote"),
        ("related", ("id", "relation", "score", "reason", "counts_to"), "title"),
        ("contradictions", ("id", "severity", "title", "suggested_resolution"), "explanation"),
        ("reviews", ("action", "other_id", "reviewer", "reviewed_at"), "note"),
    ):
        if whole[name]:
            parts += ["", Text(name, style="bold")]
        for row in whole[name]:
            parts.append(Padding(_text(", ".join(_short(row[key]) for key in keys if row[key] is not None)), (0, 2)))
            if row[text]:
                parts.append(Padding(Text(printable(row[text]), style="dim"), (0, 4)))
    return Group(*parts)


def _text(value: object) -> Text:
    return Text("" if value is None else printable(value))


def _short(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
