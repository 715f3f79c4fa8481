"""What a report is about: days, a user, a project, models; as conditions of SQL."""

from dataclasses import dataclass
from datetime import date

import duckdb

from processors.usage.sums import local_time, quarter


@dataclass(frozen=True, slots=True)
class Filters:
    """What a report is about.

    Attributes:
        since, until: days, both included; None: all.
        user, model: part of a model's name, or a user's whole name.
        project: a folder and all below it, or the last part of its name.
        timezone: where days begin and end, and in which moments are shown.

    """

    since: date | None = None
    until: date | None = None
    user: str | None = None
    project: str | None = None
    model: str | None = None
    timezone: str = "UTC"

    @property
    def whole(self) -> bool:
        """Whether whole sessions are asked for, at most of one user."""
        return self.since is None and self.until is None and self.project is None and self.model is None

    def where(self) -> str:
        """A condition on the columns occurred_at, username, cwd and model; "true" if there is none."""
        conditions = [*self._of_days("occurred_at"), *self._of_user()]
        if self.project is not None:
            folder = self.project.rstrip("/") or "/"
            below, last = quoted(f"{folder.rstrip('/')}/"), quoted(f"/{folder.lstrip('/')}")
            conditions.append(f"(cwd = {quoted(folder)} OR starts_with(cwd, {below}) OR ends_with(cwd, {last}))")
        if self.model is not None:
            conditions.append(f"contains(lower(model), {quoted(self.model.lower())})")
        return " AND ".join(conditions) or "true"

    def of_user(self) -> str:
        """A condition on the column username alone."""
        return " AND ".join(self._of_user()) or "true"

    def local(self, column: str) -> str:
        """A moment as the clocks there show it."""
        return local_time(self.timezone, column)

    def _of_user(self) -> list[str]:
        return [] if self.user is None else [f"username = {quoted(self.user)}"]

    def _of_days(self, column: str) -> list[str]:
        """Conditions on days: those of the clocks that tell the days in reports.

        In some zones a day begins twice, or not at midnight, so that no moment in UTC tells it from the one before.
        The clocks are asked for what is near to such a moment alone.
        """
        conditions = []
        there = self.local(quarter(column))
        if self.since is not None:
            first = f"TIMESTAMP '{self.since}'"
            conditions.append(f"{column} >= {first} - INTERVAL 1 DAY")
            conditions.append(f"({column} >= {first} + INTERVAL 1 DAY OR {there} >= {first})")
        if self.until is not None:
            after = f"TIMESTAMP '{self.until}' + INTERVAL 1 DAY"
            conditions.append(f"{column} < {after} + INTERVAL 1 DAY")
            conditions.append(f"({column} < {after} - INTERVAL 1 DAY OR {there} < {after})")
        return conditions


def today(zone: str) -> date:
    """The day that it is in a time zone, by the clocks of the database."""
    with duckdb.connect(":memory:") as clock:
        day = clock.execute("SELECT timezone(?, get_current_timestamp())::DATE", [zone]).fetchall()[0][0]
    assert isinstance(day, date)
    return day


def quoted(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"
