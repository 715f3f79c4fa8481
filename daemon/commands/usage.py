"""``sessiond usage``: reports of what was used, as a table, JSON, CSV or a chart."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import typer

from daemon.client import Client, found
from daemon.commands import charts, grids
from daemon.commands.options import Config, Db, Json, Socket
from daemon.config import load
from daemon.errors import ConfigError, SessiondError, UnknownNameError, printable
from daemon.query.files import show_table
from daemon.query.formats import rows_of
from processors.usage.filters import Filters, today
from processors.usage.options import UsageOptions, known_zone
from processors.usage.reports import REPORTS, shown, totals
from processors.usage.statements import statement, unpriced
from processors.usage.views import prices_of

_LIST = "; ".join(f"[bold]{name}[/bold]: {report.about}" for name, report in REPORTS.items()) + "."


def usage(
    report: Annotated[str, typer.Argument(metavar="[REPORT]", help=_LIST, show_default="daily")] = "daily",
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="First day: 2026-11-01, today, or 30d for the last 30 days.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="Last day, included.")] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Of this user only.")] = None,
    project: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="In this folder and below; or the last part of its name.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Of models with this in their name.")] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Where days begin and end, such as Europe/Berlin.")
    ] = None,
    limit: Annotated[int, typer.Option(help="The most rows of a table on a terminal.", min=1)] = 50,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Draw cost and tokens over time.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Draw them into a .svg or .png file.")
    ] = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """What people and their agents do, at what cost, and what fails.

    Each response and each call counts once, however many lines and files repeat it. Costs are list prices in US
    dollars; a response whose price is not known is counted, has no cost, and is named below the table.
    What something is not known of is left out: the time at work is that of whole sessions, so there is none of some
    days, of a project or a model; and prompts, commands and API errors are of no model.
    A table on a terminal, CSV elsewhere; the daemon may run or not.
    """
    if report not in REPORTS:
        raise UnknownNameError(f"there is no report {printable(report)}", f"there are: {', '.join(REPORTS)}")
    form = _form(report, json_output=json_output, as_csv=as_csv, plot=plot, output=output)
    settings, sources = load({"db": db, "socket": socket}, config)
    zone = _zone(timezone or str(settings.options.get("usage", {}).get("timezone", "UTC")))
    filters = Filters(_day(since, zone), _day(until, zone), user, project, model, zone)
    if report == "commands" and model is not None:
        raise ConfigError("commands have no model", "leave out --model")
    if filters.since and filters.until and filters.since > filters.until:
        raise ConfigError(f"{filters.since} is after {filters.until}", "see --since and --until")
    answer = _Answer(found(settings, sources), report, filters, settings.options.get("usage", {}))
    title = f"usage {report}, {answer.about()}"
    if form == "csv":
        show_table(answer.table, "csv")
    elif form == "json":
        print(json.dumps(answer.as_json(), indent=2, default=_iso))  # noqa: T201
    elif form == "chart":
        charts.draw(answer.rows, answer.report.keys[0], output, title=title)
    else:
        grids.show(answer.report, answer.rows, answer.totals, limit, title=title)
    for warning in answer.warnings():
        print(warning, file=sys.stderr)  # noqa: T201


def _form(report: str, *, json_output: bool, as_csv: bool, plot: bool, output: Path | None) -> str:
    """How the answer is given: json, csv, chart or grid."""
    drawn = plot or output is not None
    if json_output + as_csv + drawn > 1:
        raise ConfigError("a report is given in one form", "one of --json, --csv and --plot")
    if drawn and REPORTS[report].columns[REPORTS[report].keys[0]] != "day":
        raise ConfigError(f"{report} is no series over time", "daily, weekly and monthly can be drawn")
    if output is not None:
        charts.check_file(output)
    if json_output:
        return "json"
    if drawn:
        return "chart"
    return "grid" if sys.stdout.isatty() and not as_csv else "csv"


class _Answer:
    """What a report says, asked of the daemon or its database."""

    def __init__(self, client: Client, name: str, filters: Filters, options: Mapping[str, Any]) -> None:
        """``options``: of the processor, in the settings."""
        self._client, self._name, self._filters, self._options = client, name, filters, options
        self.report = report = shown(name, filters)
        table = self._ask(statement(name, filters))
        # The rows of totals are the last one, or none.
        exact = rows_of(table)[-1:] if report.exact else []
        self.table: pa.Table = table.slice(0, table.num_rows - len(exact)).select(list(report.columns))
        self.rows = rows_of(self.table)
        sums = exact[0] if exact and self.rows else totals(report, self.rows)
        self.totals = {
            column: sums[column]
            for column, kind in report.columns.items()
            if column in sums and column not in report.keys and kind not in {"text", "day"}
        }
        self.unpriced: list[dict[str, Any]] = []
        if self.totals.get("unpriced_responses"):
            self.unpriced = rows_of(self._ask(unpriced(filters)))

    def _ask(self, sql: str) -> pa.Table:
        try:
            return self._client.query(sql)
        except SessiondError as error:
            if "no table 'usage_" not in str(error):
                raise
            raise ConfigError(
                "this database has no usage of this version in it yet",
                "sessiond run, or sessiond scan, with the processor usage",
            ) from error

    def warnings(self) -> list[str]:
        """What is wrong with the costs that it says, if it says any."""
        if "cost_usd" not in self.report.columns:
            return []
        told = []
        if self.unpriced:
            models = ", ".join(map(_named, self.unpriced))
            hint = "give their prices as [options.usage.prices] of the configuration"
            told.append(f"no price is known for: {models}; they are in no cost ({hint})")
        if self._priced_otherwise():
            remedy = "restart the daemon" if self._client.running else "run sessiond scan with it"
            told.append(f"costs are of other prices than this configuration has now ({remedy} to have them anew)")
        return told

    def _priced_otherwise(self) -> bool:
        """Whether the database was made with other prices; a daemon's settings need not be those of who asks."""
        if self._client.running and not self._options.get("prices"):
            return False
        try:
            options = msgspec.convert(self._options, UsageOptions)
        except msgspec.ValidationError as error:
            raise ConfigError(f"options.usage: {printable(error)}", "see README") from error
        try:
            made_with = self._ask("SELECT prices FROM usage_settings").column("prices")[0].as_py()
        except ConfigError:  # a version before this one made it
            return True
        return bool(made_with != prices_of(options))

    def about(self) -> str:
        """What it is about, in words."""
        filters = self._filters
        days = f"{filters.since or 'the beginning'} to {filters.until or 'now'}, {filters.timezone}"
        named = {"user": filters.user, "project": filters.project, "model": filters.model}
        return ", ".join([days, *(f"{name} {printable(value)}" for name, value in named.items() if value)])

    def as_json(self) -> dict[str, Any]:
        """All of it, for scripts."""
        return {
            "report": self._name,
            **asdict(self._filters),
            "rows": self.rows,
            "totals": self.totals,
            "unpriced": self.unpriced,
        }


def _named(unpriced: Mapping[str, Any]) -> str:
    speed = f" at speed {printable(unpriced['speed'])}" if unpriced["speed"] else ""
    return f"{printable(unpriced['model'])}{speed} ({unpriced['responses']:,})"


def _iso(value: date | datetime) -> str:
    return value.isoformat()


def _zone(name: str) -> str:
    try:
        return known_zone(name)
    except ValueError as error:
        raise ConfigError(printable(error), "see --timezone") from error


def _day(text: str | None, zone: str) -> date | None:
    """A day as it is given: a date, ``today``, or ``30d`` for the first of the last 30 days."""
    if text is None:
        return None
    try:
        if text == "today":
            return today(zone)
        if text.endswith("d") and text[:-1].isdecimal():
            return today(zone) - timedelta(max(int(text[:-1]) - 1, 0))
        return date.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{printable(text)} is no day", "give it as 2026-11-01, as today, or as 30d for the last 30 days"
        ) from None
