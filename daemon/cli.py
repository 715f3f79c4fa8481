"""The command line: what it takes, what it prints, and how it exits.

Exit codes: 0 all is well; 1 it ran, and something failed that is named; 2 it could not run.
Data goes to standard output (with ``--json``, nothing else does); logs, progress and errors to standard error.
"""

import faulthandler
import json
import logging
import sys
import threading
import warnings
from importlib.metadata import version
from typing import Annotated

import duckdb
import typer
from rich.console import Console

from daemon.commands import ask, change, host, knowledge
from daemon.commands.doctor import doctor
from daemon.commands.options import (
    Config,
    Db,
    Json,
    LogLevel,
    Processors,
    Root,
    RootOption,
    Socket,
    check_roots,
    settings_of,
    usable,
)
from daemon.commands.rebuild import rebuild_command
from daemon.commands.usage import usage
from daemon.config import Settings, load
from daemon.demo import run_demo
from daemon.errors import ConfigError, SessiondError, describe, printable
from daemon.events import Events
from daemon.journal import listener
from daemon.once import scan_once
from daemon.output import Commands, discard_output, leave, show
from daemon.service import Service
from processors.registry import Registered
from processors.registry import load as load_processors

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Session transcripts of Claude Code into DuckDB: every complete line exactly once, a moment after it "
    "was written.\n\nA root is a folder of users' folders with *.jsonl files in them, such as "
    "/data/user_sessions or ~/.claude/projects.",
)


def main() -> None:
    """Entry point: runs the command line and turns errors into one line each."""
    try:
        app()
    except SessiondError as error:
        # What is wrong with a query takes several lines, and may quote what a session says.
        told = "\n".join(printable(line) for line in str(error).split("\n"))
        print(f"sessiond: {told}", file=sys.stderr)  # noqa: T201  # the one place where errors are printed
        sys.exit(error.exit_code)
    except duckdb.Error as error:
        print(f"sessiond: the database: {describe(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except (ValueError, OverflowError, NotImplementedError) as error:  # values that no file or terminal can hold
        print(f"sessiond: {describe(error)}", file=sys.stderr)  # noqa: T201
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


def _chosen(settings: Settings, events: Events) -> tuple[list[Registered], list[str]]:
    """The same, with the word to whoever reads the log."""
    try:
        processors, errors = usable(settings)
    except ConfigError as error:
        events.processor_unusable(error.hint)
        raise
    for told in errors:
        events.processor_unusable(told)
    return processors, errors


@app.command()
def run(
    root: Root = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    processor: Processors = None,
    socket: Socket = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="Answer what only reads there too; on loopback only."),
    ] = None,
    log_level: LogLevel = None,
    json_output: Json = False,
) -> None:
    """Run the daemon in the foreground until SIGTERM or Ctrl-C.

    It processes what is there, then each change a moment after it was written. SIGHUP reads the
    configuration again. The log goes to standard error: readable on a terminal, JSON lines elsewhere,
    to the journal under systemd.
    """
    more = {"processors": processor or None, "socket": socket, "listen": listen, "log_level": log_level}
    flags = {"root": root or root_option, "db": db, **more}
    settings = settings_of(root, root_option, db, config, **more)
    log = listener(settings.log_level, as_json=json_output, goes_on=True)
    events = Events(log)
    events.starting(version("sessiond"), printable(settings.root), printable(settings.db))

    def reload() -> Settings:
        new = load(flags, config)[0]
        log.change(new.log_level)
        return new

    service = Service(
        settings,
        _chosen(settings, events)[0],
        events,
        reload=reload,
        every_second=log.tick,
    )
    service.handle_signals()
    # Where each thread was, when systemd aborts the process or native code crashes it: no values are shown.
    faulthandler.enable()
    # What processors warn of or log by themselves may quote a transcript.
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    # Python's own way to tell of a thread that died would print what the error says, which may quote a transcript.
    threading.excepthook = lambda died: events.part_failed(
        died.thread.name if died.thread else "thread", describe(died.exc_value) if died.exc_value else "unknown"
    )
    code = service.run()
    log.flush()
    leave(code, clean=service.clean and code == 0)


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
    settings = settings_of(root, root_option, db, config, processors=processor or None)
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
    check_roots(root, root_option)
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
    settings = settings_of(root, root_option, db, config)
    found, errors = load_processors(settings.processors, settings.options, settings.isolation)
    rows = [
        {
            "name": spec.name,
            "version": spec.version,
            "form": "incremental" if spec.incremental else "whole-session",
            "cadence_minutes": spec.cadence_seconds / 60,
            "isolation": spec.isolation,
            "tables": [table.name for table in spec.tables],
            "source": spec.source,
        }
        for spec in found
    ]
    shown = [
        [*list(row.values())[:5], ", ".join(table.name for table in spec.tables), spec.source]
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


@app.command(name="check-config")
def check_config(
    root: Root = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is wrong.")] = False,
    json_output: Json = False,
) -> None:
    """Check the settings and show the effective ones, with where each is from.

    Flags go before the environment (SESSIOND_<NAME>, and SESSION_DATA_DIR for the root), before the file
    (--config, SESSIOND_CONFIG, /etc/sessiond/config.toml or ~/.config/sessiond/config.toml), before defaults.
    """
    check_roots(root, root_option)
    settings, sources = load({"root": root or root_option, "db": db}, config)
    for error in usable(settings)[1]:
        print(f"sessiond: {error}", file=sys.stderr)  # noqa: T201
    if quiet:
        return
    values = settings.model_dump(mode="json")
    rows = [
        [name, json.dumps(value), sources[name], Settings.model_fields[name].description or ""]
        for name, value in values.items()
    ]
    data = {name: {"value": value, "source": sources[name]} for name, value in values.items()}
    show(data, json_output, ["setting", "value", "from", "what it is"], rows)


for _command in (ask.status, ask.top, ask.query, ask.quarantine, ask.export, usage, change.requeue, change.reprocess):
    app.command()(_command)
for _on_host in (host.install, host.uninstall):
    app.command()(_on_host)
app.command()(doctor)
app.add_typer(knowledge.app, name="knowledge")
app.command(name="run-processor")(change.run_processor)
app.command(name="rebuild")(rebuild_command)

if __name__ == "__main__":
    main()
