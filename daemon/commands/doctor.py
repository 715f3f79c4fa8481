"""``sessiond doctor``: what usually goes wrong, each with what can be done about it."""

import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from daemon.commands.options import Config, Db, Json, Root, RootOption, Socket, check_roots
from daemon.doctor import EXIT_CODES, Finding, Level, examine, gather, worst
from daemon.errors import printable
from daemon.output import show

_SYMBOLS: dict[Level, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "error": ("✗", "bold red"),
    "skipped": ("-", "dim"),
}
_COLUMNS = ("check", "level", "says", "fix")


def doctor(
    root: Root = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Check what usually goes wrong, and say what to do about it.

    Settings, root, files that cannot be read, inotify's limits, file systems,
    clock, disk, database, state, socket, keys of language models, time zones.
    Nothing is changed, whether the daemon runs or not. Best run as root: what
    other users may not see is skipped, with the reason.

    It opens each file and reads the whole database: seconds, on a large host a
    minute. Exits with 0 if all is well, 1 with warnings, 2 with errors.
    """
    check_roots(root, root_option)
    flags = {"root": root or root_option, "db": db, "socket": socket}
    console = Console(stderr=True)
    with console.status("") as status:  # drawn on a terminal only
        patient = gather(flags, config, lambda text: status.update(escape(printable(text))))
        try:
            findings = list(examine(patient))
        finally:
            patient.close()
    level = worst(findings)
    if json_output or not sys.stdout.isatty():
        told = {"findings": [asdict(finding) for finding in findings], "worst": level}
        rows = [[getattr(finding, name) for name in _COLUMNS] for finding in findings]
        show(told, json_output, _COLUMNS, rows)
    else:
        Console().print(_listed(findings))
    sys.exit(EXIT_CODES[level])


def _listed(findings: Sequence[Finding]) -> Group:
    """A line or more for each finding, with what to do about it below; fits any width."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    before = ""
    for finding in findings:
        symbol, style = _SYMBOLS[finding.level]
        name = finding.check if finding.check != before else ""
        before = finding.check
        says = Text(finding.says, "dim" if finding.level == "skipped" else "")
        if finding.fix:
            says.append(f"\n→ {finding.fix}", "cyan")
        grid.add_row(Text(symbol, style), Text(name), says)
    counts = [
        f"{number} {level}s" if number != 1 else f"1 {level}"
        for level in ("error", "warning")
        if (number := sum(finding.level == level for finding in findings))
    ]
    return Group(grid, Text(", ".join(counts) or "all is well", _SYMBOLS[worst(findings)][1]))
