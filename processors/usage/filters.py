"""What a report is about: days, a user, a project, models; as conditions of SQL."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from processors.usage.sums import local_time


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

    def where(self, *, days: bool = True, models: bool = True) -> str:
        """A condition on the columns occurred_at, username, cwd and, if not without, model."""
        conditions = ["true"]
        if days and self.since is not None:
            conditions.append(f"occurred_at >= TIMESTAMP '{self._midnight(self.since)}'")
        if days and self.until is not None:
            conditions.append(f"occurred_at < TIMESTAMP '{self._midnight(self.until, days=1)}'")
        if self.user is not None:
            conditions.append(f"username = {quoted(self.user)}")
        if self.project is not None:
            folder = self.project.rstrip("/") or "/"
            below, last = quoted(f"{folder.rstrip('/')}/"), quoted(f"/{folder.lstrip('/')}")
            conditions.append(f"(cwd = {quoted(folder)} OR starts_with(cwd, {below}) OR ends_with(cwd, {last}))")
        if models and self.model is not None:
            conditions.append(f"contains(lower(model), {quoted(self.model.lower())})")
        return " AND ".join(conditions)

    def overlaps(self, start: str, end: str) -> str:
        """A condition: what lasts from one column to the other has a part in these days."""
        conditions = ["true"]
        if self.since is not None:
            conditions.append(f"{end} >= TIMESTAMP '{self._midnight(self.since)}'")
        if self.until is not None:
            conditions.append(f"{start} < TIMESTAMP '{self._midnight(self.until, days=1)}'")
        return " AND ".join(conditions)

    def local(self, column: str) -> str:
        """A moment as the clocks there show it."""
        return local_time(self.timezone, column)

    def _midnight(self, day: date, days: int = 0) -> str:
        """When a day begins, or the one so many ``days`` later, in UTC."""
        try:
            there = datetime.combine(day + timedelta(days), time(), ZoneInfo(self.timezone))
            return str(there.astimezone(UTC).replace(tzinfo=None))
        except OverflowError:  # the first or the last day that there is
            return "-infinity" if day.year == 1 else "infinity"


def quoted(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"
