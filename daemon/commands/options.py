"""What several commands take."""

from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.client import Client, found
from daemon.config import Settings, load
from daemon.errors import ConfigError, printable
from processors.registry import Registered
from processors.registry import load as load_processors

Root = Annotated[
    Path | None,
    typer.Argument(metavar="[ROOT]", readable=False, help="Folder of the users' folders.", show_default=False),
]
RootOption = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", readable=False, help="Folder of the users' folders.")
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
Socket = Annotated[
    Path | None,
    typer.Option(
        "--socket", metavar="FILE", readable=False, help="Where the daemon is asked, if not beside FILE of --db."
    ),
]


def settings_of(
    root: Path | None, option: Path | None, db: Path | None, config: Path | None, **more: Any
) -> Settings:
    """The effective settings.

    Raises:
        ConfigError: one is wrong, or there are two roots.

    """
    check_roots(root, option)
    return load({"root": root or option, "db": db} | more, config)[0]


def check_roots(root: Path | None, option: Path | None) -> None:
    """Raises ConfigError if the argument and the option name different roots."""
    if root is not None and option is not None and root != option:
        raise ConfigError(f"two roots: {printable(root)} and {printable(option)}", "give one of them")


def client_of(root: Path | None, db: Path | None, config: Path | None, socket: Path | None) -> Client:
    """The daemon with these settings, or its database."""
    return found(*load({"root": root, "db": db, "socket": socket}, config))


def usable(settings: Settings) -> tuple[list[Registered], list[str]]:
    """The processors to run, and what is wrong with those that were wanted and cannot be, safe to show.

    Raises:
        ConfigError: there is none to run.

    """
    processors, errors = load_processors(settings.processors, settings.options)
    told = [printable(error) for error in errors]
    if not processors:
        raise ConfigError("there is no processor to run", "; ".join(told))
    return processors, told
