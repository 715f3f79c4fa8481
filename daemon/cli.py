"""The command line: what it takes, what it prints, and how it exits.

Exit codes: 0 all is well; 1 it ran, and something failed that is named; 2 it could not run.
Data goes to standard output (with ``--json``, nothing else does); logs, progress and errors to standard error.
"""

import json
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import duckdb
import typer
from rich.console import Console

from daemon.config import Settings, load
from daemon.demo import run_demo
from daemon.errors import ConfigError, SessiondError, describe, printable
from daemon.events import Events
from daemon.failures import requeue as requeue_failures
from daemon.journal import listener
from daemon.once import scan_once
from daemon.output import discard_output, leave, show
from daemon.positions import invalidate
from daemon.service import Service
from daemon.store import open_database, transaction
from processors.registry import Registered
from processors.registry import load as load_processors

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Session transcripts of Claude Code into DuckDB: every complete line exactly once, a moment after it "
    "was written.\n\nA root is a folder of users' folders with *.jsonl files in them, such as "
    "/data/user_sessions or ~/.claude/projects.",
)

Root = Annotated[
    Path | None,
    typer.Argument(metavar="[ROOT]", readable=False, help="Folder of the users' folders.", show_default=False),
]
RootOption = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", readable=False, help="The same as the argument ROOT.")
]
Db = Annotated[Path | None, typer.Option("--db", metavar="FILE", readable=False, help="The DuckDB file.")]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", readable=False, help="A TOML file with settings.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
LogLevel = Annotated[str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")]
Processors = Annotated[
    list[str] | None,
    typer.Option("--processor", "-p", metavar="NAME", help="Only this one; may be repeated."),
]


def main() -> None:
    """Entry point: runs the command line and turns errors into one line each."""
    try:
        app()
    except SessiondError as error:
        print(f"sessiond: {error}", file=sys.stderr)  # noqa: T201  # the one place where errors are printed
        sys.exit(error.exit_code)
    except duckdb.Error as error:
        print(f"sessiond: the database: {describe(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except BrokenPipeError:
        # Whoever read the output has had enough; without this, Python would complain about it once more.
        discard_output()
        sys.exit(1)
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            discard_output()


def _settings(root: Path | None, option: Path | None, db: Path | None, config: Path | None, **more: Any) -> Settings:
    _check_roots(root, option)
    return load({"root": root or option, "db": db} | more, config)[0]


def _check_roots(root: Path | None, option: Path | None) -> None:
    if root is not None and option is not None and root != option:
        raise ConfigError(f"two roots: {printable(root)} and {printable(option)}", "give one of them")


def _chosen(settings: Settings, events: Events) -> tuple[list[Registered], list[str]]:
    """The processors to run, and what is wrong with those that were wanted and cannot be."""
    processors, errors = load_processors(settings.processors)
    for error in errors:
        events.processor_unusable(printable(error))
    if not processors:
        raise ConfigError("there is no processor to run", "; ".join(printable(error) for error in errors))
    return processors, [printable(error) for error in errors]


@app.command()
def run(
    root: Root = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    processor: Processors = None,
    log_level: LogLevel = None,
    json_output: Json = False,
) -> None:
    """Run the daemon in the foreground until SIGTERM or Ctrl-C.

    It processes what is there, then each change a moment after it was written. SIGHUP reads the
    configuration again. The log goes to standard error: readable on a terminal, JSON lines elsewhere,
    to the journal under systemd.
    """
    flags = {"root": root or root_option, "db": db, "processors": processor or None, "log_level": log_level}
    settings = _settings(root, root_option, db, config, processors=processor or None, log_level=log_level)
    events = Events(listener(settings.log_level, as_json=json_output))
    events.starting(version("sessiond"), printable(settings.root), printable(settings.db))
    service = Service(settings, _chosen(settings, events)[0], events, reload=lambda: load(flags, config)[0])
    service.handle_signals()
    # Python's own way to tell of a thread that died would print what the error says, which may quote a transcript.
    threading.excepthook = lambda died: events.part_failed(
        died.thread.name if died.thread else "thread", describe(died.exc_value) if died.exc_value else "unknown"
    )
    leave(service.run(), clean=service.clean)


@app.command()
def scan(
    root: Root = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    processor: Processors = None,
    json_output: Json = False,
) -> None:
    """Process everything that is there once, then exit.

    Exits with 1 if a session failed, and names it. A failed session is tried again by the next scan.
    """
    settings = _settings(root, root_option, db, config, processors=processor or None)
    log = listener("warning", as_json=json_output)
    chosen, unusable = _chosen(settings, Events(log))
    outcome = scan_once(settings, chosen, log, progress=not json_output)
    outcome["unusable"] += unusable
    clean = outcome.pop("clean")
    rows = [list(row.values()) for row in outcome["processors"]]
    show(outcome, json_output, ["processor", "sessions", "lines", "malformed", "items", "failed"], rows)
    if not json_output:
        Console(stderr=True).print(
            f"{outcome['files']:,} session files, {outcome['bytes'] / 1e6:,.1f} MB, in {outcome['seconds']:.1f} s"
        )
    for failure in outcome["failed"]:
        print(f"sessiond: {failure['session_file']}: {failure['error']}", file=sys.stderr)  # noqa: T201
    leave(1 if outcome["failed"] or outcome["unusable"] else 0, clean=clean)


@app.command()
def demo(
    root: Root = None,
    seconds: Annotated[float, typer.Option(help="How long it runs.", min=2, max=600)] = 12,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    json_output: Json = False,
) -> None:
    """See it work: made-up sessions are written live to a temporary folder, and rows arrive.

    Leaves nothing behind, unless you name a new place for the sessions (ROOT) or the rows (--db) to stay.
    """
    _check_roots(root, root_option)
    outcome = run_demo(seconds, live=not json_output, root=root or root_option, db=db, config=config)
    if json_output:
        show(outcome, json_output, [], [])


@app.command()
def processors(
    root: Root = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    json_output: Json = False,
) -> None:
    """List the processors that are registered, and what is wrong with those that cannot be used."""
    settings = _settings(root, root_option, db, config)
    found, errors = load_processors(settings.processors)
    rows = [
        {
            "name": spec.name,
            "version": spec.version,
            "form": "incremental" if spec.incremental else "whole-session",
            "cadence_minutes": spec.cadence_seconds / 60,
            "tables": [table.name for table in spec.tables],
            "source": spec.source,
        }
        for spec in found
    ]
    shown = [
        [*list(row.values())[:4], ", ".join(table.name for table in spec.tables), spec.source]
        for row, spec in zip(rows, found, strict=True)
    ]
    show(
        {"processors": rows, "errors": [str(error) for error in errors]},
        json_output,
        list(rows[0]) if rows else [],
        shown,
    )
    for error in errors:
        print(f"sessiond: {printable(error)}", file=sys.stderr)  # noqa: T201
    sys.exit(1 if errors else 0)


@app.command()
def requeue(
    processor: Annotated[str | None, typer.Argument(help="Only of this processor.", show_default=False)] = None,
    session: Annotated[str | None, typer.Option("--session", metavar="KEY", help="Only this session.")] = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    json_output: Json = False,
) -> None:
    """Give quarantined sessions a new chance: the next run of the daemon, or scan, tries them again."""

    def work(conn: Any) -> list[tuple[str, str]]:
        return requeue_failures(conn, processor, session)

    _change_state(_settings(None, root_option, db, config), work, json_output)


@app.command()
def reprocess(
    processor: Annotated[str, typer.Argument(help="The processor whose rows are made anew.")],
    session: Annotated[str | None, typer.Option("--session", metavar="KEY", help="Only this session.")] = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    json_output: Json = False,
) -> None:
    """Have sessions processed from the start: the next run of the daemon, or scan, replaces their rows.

    Sessions whose files are gone keep the rows that they have.
    """
    names = [spec.name for spec in load_processors()[0]]
    if processor not in names:
        raise ConfigError(f"there is no processor {printable(processor)}", f"there are: {', '.join(names)}")

    def work(conn: Any) -> list[tuple[str, str]]:
        return invalidate(conn, processor, session)

    settings = _settings(None, root_option, db, config)
    if not _change_state(settings, work, json_output) and session is not None:
        raise ConfigError(
            f"{processor} has not processed a session {printable(session)}", "a key is like alice/x.jsonl"
        )


@app.command(name="check-config")
def check_config(
    root: Root = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    json_output: Json = False,
) -> None:
    """Check the settings and show the effective ones, with where each is from.

    Flags go before the environment (SESSIOND_<NAME>, and SESSION_DATA_DIR for the root), before the file
    (--config, SESSIOND_CONFIG, /etc/sessiond/config.toml or ~/.config/sessiond/config.toml), before defaults.
    """
    _check_roots(root, root_option)
    settings, sources = load({"root": root or root_option, "db": db}, config)
    values = settings.model_dump(mode="json")
    rows = [
        [name, json.dumps(value), sources[name], Settings.model_fields[name].description or ""]
        for name, value in values.items()
    ]
    data = {name: {"value": value, "source": sources[name]} for name, value in values.items()}
    show(data, json_output, ["setting", "value", "from", "what it is"], rows)


def _change_state(
    settings: Settings, work: Callable[[Any], list[tuple[str, str]]], json_output: bool
) -> list[tuple[str, str]]:
    if not settings.db.exists():
        raise ConfigError(f"there is no database {printable(settings.db)}", "give the one that is meant with --db")
    with open_database(settings.db) as conn, transaction(conn):
        done = work(conn)
    rows = [[name, printable(key)] for name, key in sorted(done)]
    data = [{"processor": name, "session_file": key} for name, key in sorted(done)]
    show(data, json_output, ["processor", "session"], rows)
    return done


if __name__ == "__main__":
    main()
