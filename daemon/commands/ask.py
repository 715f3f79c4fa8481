"""Commands that only read: status, top, query, quarantine, export."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from daemon.client import Client
from daemon.commands import screens
from daemon.commands.options import Config, Db, Json, RootOption, Socket, client_of
from daemon.errors import ConfigError, UnavailableError, printable
from daemon.output import show
from daemon.query.files import FORMATS, SUFFIXES, show_table, write_file

REFRESH_SECONDS = 1.0


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew each second, until Ctrl-C.")] = False,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """How the daemon is: what each processor has done and has to do, and how far behind it is.

    Without a daemon: what the database says. Exits with 1 if the daemon is not healthy.
    """
    client = client_of(root_option, db, config, socket)
    if watch and not json_output:
        _live(client, screens.status, screen=False)
        return
    told = client.status()
    if json_output:
        print(json.dumps(told, indent=2))  # noqa: T201
    elif sys.stdout.isatty():
        Console().print(screens.status(told))
    else:
        rows = [[lane.get(name) for name in lane] for lane in told["lanes"]]
        show(None, False, list(told["lanes"][0]) if told["lanes"] else [], rows)
    sys.exit(0 if told.get("healthy", True) else 1)


def top(root_option: RootOption = None, db: Db = None, config: Config = None, socket: Socket = None) -> None:
    """Watch the daemon at work: processors, throughput, the newest sessions, errors. Ctrl-C ends it."""
    if not sys.stdout.isatty():
        raise ConfigError("top needs a terminal", "sessiond status --json is for scripts")
    client = client_of(root_option, db, config, socket)
    if not client.running:
        raise UnavailableError("no daemon is running", "sessiond status says what the database knows")
    height = Console().size.height
    _live(client, lambda told: screens.top(told, height), screen=True)


def query(
    sql: Annotated[str, typer.Argument(help="One statement that reads; - takes it from standard input.")],
    output_format: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMATS)}.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help=f"A file: {', '.join(SUFFIXES)}.")
    ] = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Ask the database, whether the daemon runs or not: a table on a terminal, CSV elsewhere.

    For example: "SHOW TABLES"; "FROM usage_messages LIMIT 10"; "SELECT username, count(*) FROM usage_events GROUP BY
    ALL". It reads only; what is too slow or too large is ended with an error that names the setting.
    """
    wanted = output_format or ("json" if json_output else "table" if sys.stdout.isatty() else "csv")
    if wanted not in FORMATS:
        raise ConfigError(f"there is no format {printable(wanted)}", f"there are: {', '.join(FORMATS)}")
    if wanted in {"parquet", "arrow"} and output is None and sys.stdout.isatty():
        raise ConfigError(f"{wanted} is nothing for a terminal", "give a file with -o")
    if output is not None and output_format == "table":
        raise ConfigError("a table is for a terminal", f"there are: {', '.join(FORMATS[1:])}")
    if output is not None and output_format is None and output.suffix not in SUFFIXES:
        raise ConfigError(f"{printable(output)} says no format", f"end it with one of {', '.join(SUFFIXES)}")
    text = sys.stdin.read() if sql == "-" else sql
    table = client_of(None, db, config, socket).query(text)
    if output is not None:
        write_file(table, output, output_format or SUFFIXES[output.suffix])
        print(f"{table.num_rows:,} rows in {printable(output)}", file=sys.stderr)  # noqa: T201
    else:
        show_table(table, wanted)


def quarantine(
    retrying: Annotated[
        bool, typer.Option("--retrying", help="List what failed and is tried again, and when, instead.")
    ] = False,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """List what failed too often and is left alone, with the error of the last attempt.

    sessiond requeue gives it a new chance; sessiond run-processor makes the next try of what is retrying now.
    """
    client = client_of(None, db, config, socket)
    told = client.retrying() if retrying else client.quarantine()
    names = ["processor", "session_file", "attempts", "failed_at", *(["retry_at"] if retrying else []), "error"]
    show(told, json_output, names, [[failure[name] or "" for name in names] for failure in told])


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go.")],
    table: Annotated[
        list[str] | None, typer.Option("--table", "-t", metavar="NAME", help="Only this one; may be repeated.")
    ] = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Write tables as Parquet files: one folder each, with one below it per day where a table has days.

    All tables are as of one moment. A folder that is there already is replaced once the new one is complete.
    """
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("")

        def progress(name: str, rows: int) -> None:
            bar.update(task, description=escape(f"{printable(name)}: {rows:,} rows"))

        written = client_of(None, db, config, socket).export(folder, table or (), progress)
    show(written, json_output, ["table", "rows"], [[name, rows] for name, rows in written.items()])


def _live(client: Client, screen_of: Callable[[Any], RenderableType], *, screen: bool) -> None:
    with Live(console=Console(), screen=screen, auto_refresh=False) as live:
        try:
            while True:
                live.update(screen_of(client.status()), refresh=True)
                time.sleep(REFRESH_SECONDS)
        except KeyboardInterrupt:
            return
