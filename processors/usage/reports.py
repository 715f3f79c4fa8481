"""Reports: the questions that are asked most, and what the answers look like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from processors.usage.filters import Filters

Kind = Literal["text", "path", "count", "usd", "share", "day", "moment", "duration", "milliseconds"]


TOKENS: Mapping[str, Kind] = {
    "responses": "count",
    "input_tokens": "count",
    "output_tokens": "count",
    "cache_creation_tokens": "count",
    "cache_read_tokens": "count",
    "cost_usd": "usd",
    "unpriced_responses": "count",
}
_CALLS: Mapping[str, Kind] = {
    "calls": "count",
    "errors": "count",
    "error_share": "share",
    "users": "count",
    "sessions": "count",
}


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Attributes:
        about: one line that says what it shows.
        keys: columns that name a row.
        columns: all of them in order, with the kind of what is in them; the least important last.
        exact: the statement gives a row of totals, too, since some columns do not add up: users, sessions, medians.

    """

    about: str
    keys: tuple[str, ...]
    columns: Mapping[str, Kind] = field(default_factory=dict)
    exact: bool = True


def _periods(about: str, key: str) -> Report:
    return Report(about, (key,), {key: "day", **TOKENS, "users": "count", "sessions": "count"})


def _calls(about: str, *keys: str, **more: Kind) -> Report:
    columns: dict[str, Kind] = dict.fromkeys(keys, "text")
    return Report(about, keys, {**columns, **_CALLS, **more, "last_at": "moment"})


REPORTS: Mapping[str, Report] = {
    "daily": _periods("tokens and cost by day", "day"),
    "weekly": _periods("the same by week, each named by its Monday", "week"),
    "monthly": _periods("the same by month, each named by its first day", "month"),
    "sessions": Report(
        "each session, its subagents included, the latest first",
        ("session_id",),
        {
            "session_id": "text",
            "username": "text",
            "last_at": "moment",
            "active_seconds": "duration",
            "prompts": "count",
            "calls": "count",
            "errors": "count",
            "title": "text",
            "subagents": "count",
            **TOKENS,
        },
        exact=False,
    ),
    "models": Report("models", ("model",), {"model": "text", **TOKENS, "users": "count", "sessions": "count"}),
    "tools": _calls(
        "tools, how often they fail, how long they take", "tool_name", p50_ms="milliseconds", p95_ms="milliseconds"
    ),
    "skills": _calls("skills", "skill_name", "plugin"),
    "subagents": _calls("subagents by type", "subagent_type", "plugin"),
    "mcp": _calls("tools of MCP servers", "mcp_server", "mcp_tool"),
    "commands": _calls("slash commands", "command_name", "plugin"),
    "users": Report(
        "users",
        ("username",),
        {
            "username": "text",
            "sessions": "count",
            "active_seconds": "duration",
            "prompts": "count",
            "calls": "count",
            "errors": "count",
            **TOKENS,
        },
        exact=False,
    ),
    "projects": Report(
        "projects by folder and branch",
        ("project", "git_branch"),
        {"project": "path", "git_branch": "text", **TOKENS, "users": "count", "sessions": "count"},
    ),
    "blocks": Report(
        "five-hour billing windows of each user, the latest first",
        ("username", "started_at"),
        {"username": "text", "started_at": "moment", "ends_at": "moment", **TOKENS},
        exact=False,
    ),
    "errors": Report(
        "what fails: tools, and requests to the service",
        ("kind", "name"),
        {
            "kind": "text",
            "name": "text",
            "errors": "count",
            "calls": "count",
            "error_share": "share",
            "users": "count",
            "sessions": "count",
            "last_at": "moment",
        },
        exact=False,
    ),
}


def shown(name: str, filters: Filters) -> Report:
    """A report with the columns that can be told of what is asked for.

    Of time at work it is only known how much there was in a whole session, and a prompt is of no model.
    """
    report = REPORTS[name]
    hidden = set() if filters.whole else {"active_seconds"}
    if filters.model is not None:
        hidden.add("prompts")
    columns = {column: kind for column, kind in report.columns.items() if column not in hidden}
    return replace(report, columns=columns)


def totals(report: Report, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """What the rows of a report that is not exact add up to."""
    found: dict[str, object] = {}
    for name, kind in report.columns.items():
        distinct = name == "users" or (name == "sessions" and "users" in report.columns)
        if name in report.keys or distinct or kind not in {"count", "usd", "duration"}:
            continue
        values = [value for row in rows if isinstance(value := row[name], int | float)]
        found[name] = sum(values) if values or kind != "usd" else None
    return found
