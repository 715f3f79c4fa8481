"""Commands for the host's operator: install, uninstall."""

import os
from pathlib import Path
from typing import Annotated

import typer

from daemon.commands.options import Json
from daemon.errors import ConfigError
from daemon.install import plan
from daemon.install.files import CONFIG, STATE
from daemon.install.host import RUNS_SYSTEMD, UNIT, HostError
from daemon.install.plan import Action
from daemon.output import show

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]


def install(
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="DIR", readable=False, help="The users' folders, for a new config.toml."),
    ] = None,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Whether to start the service.")] = True,
    dry_run: DryRun = False,
    json_output: Json = False,
) -> None:
    """Make a service of this host of it: user, unit, settings, start.

    What is in place already stays as it is, so that this may be run at any time; after an upgrade of the package it
    brings the unit along and restarts the service. One that was stopped is started, too, unless you say --no-start.
    The database and /etc/sessiond/config.toml are never touched.
    """
    if root is not None:
        root = Path(os.path.abspath(root))  # noqa: PTH100  # resolve() would follow symbolic links
    _carry_out(plan.install(root, start=start), dry_run=dry_run, json_output=json_output)
    if not (dry_run or json_output):
        print(f"{UNIT} is {'in place and runs' if start else 'in place'}; settings: {CONFIG}, rows: {STATE}")  # noqa: T201
        print("sessiond status says how it is, sessiond doctor what is wrong with the host")  # noqa: T201


def uninstall(
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove the database, the settings and the user, too.")
    ] = False,
    dry_run: DryRun = False,
    json_output: Json = False,
) -> None:
    """Take the service off this host: stop it and remove what `sessiond install` has put there.

    The database and the settings stay, unless you say --purge. The package itself is pip's to remove.
    """
    _carry_out(plan.uninstall(purge=purge), dry_run=dry_run, json_output=json_output)


def _carry_out(actions: list[Action], *, dry_run: bool, json_output: bool) -> None:
    if not dry_run:
        _check_host()
    for action in actions:
        if not json_output:
            print(f"would {action.says}" if dry_run else action.says, flush=True)  # noqa: T201
        if not dry_run:
            _do(action)
    if json_output:
        show({"dry_run": dry_run, "actions": [action.says for action in actions]}, True, [], [])
    elif not actions:
        print("nothing to do")  # noqa: T201


def _check_host() -> None:
    if not RUNS_SYSTEMD.is_dir():
        raise ConfigError("systemd does not run this host", "have `sessiond run` supervised by something else")
    if os.geteuid():
        raise ConfigError("only root may do this", "sudo, or --dry-run to see what would be done")


def _do(action: Action) -> None:
    try:
        action.do()
    except OSError as error:
        raise HostError(f"{action.says}: {error.strerror}", "nothing after it was done; try again") from error
