"""The first minute for a newcomer: made-up sessions, written live, and the rows that come of them."""

import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.live import Live
from rich.table import Table as Grid

from daemon.config import load
from daemon.errors import ConfigError, printable
from daemon.events import Events
from daemon.service import Service
from processors.registry import register
from processors.usage import UsageProcessor

PEOPLE = ("ada", "grace", "linus")
TOOLS = ("Bash", "Read", "Edit", "Grep", "mcp__github__create_issue", "Task")
PAUSE_SECONDS = 0.15

_TOTALS = """
    SELECT count(*), sum(lines), sum(assistant_messages), sum(tool_calls), sum(tool_errors),
        sum(input_tokens + output_tokens) FROM usage_session_summary"""
_NEWEST = """
    SELECT username, event_type, tool_name, is_error FROM usage_events ORDER BY extracted_at DESC LIMIT 8"""


def run_demo(
    seconds: float, *, live: bool, root: Path | None = None, db: Path | None = None, config: Path | None = None
) -> dict[str, Any]:
    """Run a daemon on made-up sessions for some seconds.

    Args:
        seconds: how long.
        live: show what arrives on the terminal.
        root, db: where the sessions and the rows go, to stay there; None: to a temporary place.
        config: a file with settings.

    Returns:
        ``lines_written``, ``lines_counted`` and the other totals of the summaries.

    Raises:
        ConfigError: ``root`` or ``db`` holds something already.

    """
    for path in (root, db):
        if path is not None and path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise ConfigError(f"{printable(path)} holds something already", "the demo writes to a new place only")
    with tempfile.TemporaryDirectory(prefix="sessiond-demo-") as folder:
        places = {"root": root or Path(folder) / "user_sessions", "db": db or Path(folder) / "demo.duckdb"}
        settings = load(places, config)[0]
        root = settings.root
        root.mkdir(parents=True, exist_ok=True)
        service = Service(settings, [register(UsageProcessor)], Events())
        conn = service.engine.connect()
        daemon = threading.Thread(target=service.run, name="demo-daemon")
        daemon.start()
        try:
            written = _write_and_show(root, conn, seconds, live=live)
            _until(lambda: service.engine.idle() and _totals(conn)["lines"] >= written, 10)
            totals = _totals(conn)
        finally:
            conn.close()
            service.stop("the demo is over")
            daemon.join()
    if live:
        Console().print(
            f"{written:,} lines were appended, {totals['lines']:,} were counted. Now your own:\n"
            "  sessiond scan ~/.claude/projects    then    sessiond run ~/.claude/projects"
        )
    return {"lines_written": written, "lines_counted": totals.pop("lines"), **totals}


def _write_and_show(root: Path, conn: duckdb.DuckDBPyConnection, seconds: float, *, live: bool) -> int:
    script = _script(random.Random(7))  # noqa: S311  # a made-up conversation
    written, ends = 0, time.monotonic() + seconds
    with Live(console=Console(), refresh_per_second=8, transient=False, auto_refresh=live) as screen:
        while time.monotonic() < ends:
            for name, line in (next(script), next(script)):
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a", encoding="utf-8") as file:
                    file.write(line)
                written += 1
            if live:
                screen.update(_screen(conn, written))
            time.sleep(PAUSE_SECONDS)
        _until(lambda: _totals(conn)["lines"] >= written, 10)
        if live:
            screen.update(_screen(conn, written))
    return written


def _until(condition: Any, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(PAUSE_SECONDS / 3)


def _totals(conn: duckdb.DuckDBPyConnection) -> dict[str, int]:
    row = conn.execute(_TOTALS).fetchall()[0]
    names = ("sessions", "lines", "responses", "tool_calls", "tool_errors", "tokens")
    return {name: int(value or 0) for name, value in zip(names, row, strict=True)}


def _screen(conn: duckdb.DuckDBPyConnection, written: int) -> Grid:
    outer = Grid.grid(padding=(0, 4))
    totals = Grid("in the database", "", title=f"{written:,} lines appended")
    for name, value in _totals(conn).items():
        totals.add_row(name.replace("_", " "), f"{value:,}")
    newest = Grid("who", "what", "tool", "failed", title="newest usage_events")
    for username, kind, tool, is_error in conn.execute(_NEWEST).fetchall():
        newest.add_row(username, kind, tool, "yes" if is_error else "")
    outer.add_row(totals, newest)
    return outer


def _script(rng: random.Random) -> Iterator[tuple[str, str]]:
    """Endless lines of a few sessions side by side, as (key, line with newline)."""
    open_calls: dict[str, str] = {}
    number = 0
    while True:
        number += 1
        person = rng.choice(PEOPLE)
        key = f"{person}/{person}-{rng.randrange(2)}.jsonl"
        common = {
            "uuid": f"u{number}",
            "sessionId": key.partition(".")[0],
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "cwd": f"/home/{person}/project",
        }
        if key in open_calls:
            block = {
                "type": "tool_result",
                "tool_use_id": open_calls.pop(key),
                "is_error": rng.randrange(10) == 0,
            }
            line = common | {"type": "user", "message": {"role": "user", "content": [block]}}
        elif rng.random() < 0.25:  # noqa: PLR2004
            line = common | {"type": "user", "message": {"role": "user", "content": "Please go on."}}
        else:
            open_calls[key] = f"toolu_{number}"
            block = {"type": "tool_use", "id": open_calls[key], "name": rng.choice(TOOLS), "input": {}}
            usage = {"input_tokens": rng.randrange(2000), "output_tokens": rng.randrange(500)}
            message = {"id": f"msg_{number}", "model": "claude-demo", "content": [block], "usage": usage}
            line = common | {"type": "assistant", "requestId": f"req_{number}", "message": message}
        yield key, json.dumps(line) + "\n"
