"""The command that makes a new database in place of a damaged one: rebuild."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from daemon.commands.options import Config, Db, Json, Processors, Root, RootOption, settings_of, usable
from daemon.journal import listener
from daemon.output import show
from daemon.rebuild import plan, rebuild
from daemon.salvage import UNREADABLE, WHOLE

COLUMNS = ("old database", "read", "sessions", "rows")


def rebuild_command(
    root: Root = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what can be read and what would be kept.")
    ] = False,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    processor: Processors = None,
    json_output: Json = False,
) -> None:
    """Make the database anew from the transcripts, and set the old one aside.

    For a database that cannot be opened or read; any other may be made anew, too. Stop the daemon first
    (systemctl stop sessiond), and start it again afterwards.

    All sessions are processed as by `sessiond scan`. Of sessions whose files are gone, what the old database still
    gives is copied, with who has processed what, the audit log, and tables of other processors; what lies in
    damaged parts of it is lost, and is named. The old files get the ending .set-aside-<time>; nothing is ever
    deleted. The new database takes the old one's place when it is complete: whatever ends this before, call it again.

    It takes as much disk space again as the database. Exits with 1 if a session failed or something was lost.
    """
    settings = settings_of(root, root_option, db, config, processors=processor or None)
    if dry_run:
        planned = plan(settings)
        rows = [[old["file"], old["read"], old["gone"]] for old in planned["old"]]
        show({"dry_run": True, **planned}, json_output, ["old database", "read", "sessions without a file"], rows)
        if not json_output:
            _say(f"{planned['files']:,} session files would be processed; nothing was changed")
            _name(planned["old"])
        return
    processors, errors = usable(settings)
    for error in errors:
        print(f"sessiond: {error}", file=sys.stderr)  # noqa: T201
    outcome = rebuild(settings, processors, listener("warning", as_json=json_output), progress=not json_output)
    scan = outcome["scan"] or {"failed": [], "unusable": []}
    scan["unusable"] += errors
    rows = [[old["file"], old["read"], old["sessions"], old["rows"]] for old in outcome["old"]]
    show({"dry_run": False, **outcome}, json_output, COLUMNS, rows)
    if not json_output:
        _summary(outcome)
    for failure in scan["failed"]:
        print(f"sessiond: {failure['session_file']}: {failure['error']}", file=sys.stderr)  # noqa: T201
    lost = any(old["lost"] or old["left"] or old["read"] != WHOLE for old in outcome["old"])
    sys.exit(1 if lost or scan["failed"] or scan["unusable"] else 0)


def _summary(outcome: dict[str, Any]) -> None:
    if scan := outcome["scan"]:
        _say(f"{scan['files']:,} session files, {scan['bytes'] / 1e6:,.1f} MB, in {scan['seconds']:.1f} s")
    else:
        _say("an earlier rebuild had made the new database; it is in its place now")
    _name(outcome["old"])
    for path in outcome["set_aside"]:
        _say(f"the old database is {path}")


def _name(olds: list[dict[str, Any]]) -> None:
    for old in olds:
        if old["read"] != WHOLE:
            how = "not at all" if old["read"] == UNREADABLE else f"only {old['read']}"
            _say(f"{old['file']} could be read {how}: {old['why']}")
        for kind, what in (("lost", "lost"), ("left", "not copied")):
            for each in old[kind]:
                _say(f"{what}: {each['what']}: {each['why']}")


def _say(text: str) -> None:
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)
