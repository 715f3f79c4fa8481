"""Commands that change what the daemon does: run-processor, requeue, reprocess."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from daemon.commands.options import Config, Db, Json, RootOption, Socket, client_of
from daemon.errors import printable
from daemon.output import show

Session = Annotated[str | None, typer.Option("--session", metavar="KEY", help="Only this session.")]


def run_processor(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The processor.")],
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Run a processor now on everything that it has not processed, whatever its cadence.

    Exits with 1 if it failed on a session, and names it.
    """
    console = Console(stderr=True)
    client = client_of(root_option, db, config, socket)
    if console.is_terminal:
        with console.status(escape(f"running {printable(name)}")):
            counts = client.run_processor(name)
    else:
        counts = client.run_processor(name)
    names = ["processor", "scanned", "processed", "skipped", "errors", "items_extracted"]
    show(counts, json_output, names, [[counts[each] for each in names]])
    for failure in counts["errors_detail"]:
        shown = f"sessiond: {printable(failure['session_file'])}: {printable(failure['error'])}"
        print(shown, file=sys.stderr)  # noqa: T201
    sys.exit(1 if counts["errors"] else 0)


def requeue(
    processor: Annotated[str | None, typer.Argument(help="Only of this processor.", show_default=False)] = None,
    session: Session = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Give quarantined sessions a new chance: the daemon tries them again at once, or when it runs next."""
    _show(client_of(root_option, db, config, socket).requeue(processor, session), json_output)


def reprocess(
    processor: Annotated[str, typer.Argument(help="The processor whose rows are made anew.")],
    session: Session = None,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Only this user's sessions.")] = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Have sessions processed from the start, by the daemon at once, or when it runs next; their rows are replaced.

    Sessions whose files are gone keep the rows that they have.
    """
    _show(client_of(root_option, db, config, socket).reprocess(processor, user, session), json_output)


def _show(done: list[dict[str, str]], json_output: bool) -> None:
    show(done, json_output, ["processor", "session"], [[each["processor"], each["session_file"]] for each in done])
