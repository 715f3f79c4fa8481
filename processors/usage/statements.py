"""Reports as statements over the tables and views of usage."""

from processors.usage.blocks import blocks
from processors.usage.filters import Filters
from processors.usage.reports import TOKENS
from processors.usage.sums import CALLS_SUMS, SUMS, quarter

TOTAL = "is_total"
"""The column that is true in the last row, which holds the totals, where a report is exact."""

_SESSION = "coalesce(session_id, session_file)"
_CALLS_SQL = f"{CALLS_SUMS}, count(*) FILTER (is_error) / nullif(count(*), 0) AS error_share"
_ADDED = ", ".join(
    f"sum({name}) AS {name}" if kind == "usd" else f"sum({name})::BIGINT AS {name}" for name, kind in TOKENS.items()
)

_COUNTED = ", ".join(
    f"coalesce(sum({name}), 0)::BIGINT AS {name}"
    for name in ("calls", "errors", "prompts", *TOKENS)
    if name != "cost_usd"
)
_FILE = "hash(session_file) AS file"

_PERIODS = {
    "daily": ("day", "{}::DATE"),
    "weekly": ("week", "date_trunc('week', {})::DATE"),
    "monthly": ("month", "date_trunc('month', {})::DATE"),
}
_OF_CALLS = {
    "tools": ("tool_name", "event_type <> 'slash_command'"),
    "skills": ("skill_name, plugin", "skill_name IS NOT NULL"),
    "subagents": ("subagent_type, plugin", "event_type = 'subagent'"),
    "mcp": ("mcp_server, mcp_tool", "event_type = 'mcp_call'"),
    "commands": ("command_name, plugin", "event_type = 'slash_command'"),
}


def statement(name: str, filters: Filters) -> str:
    """The statement of one of :data:`REPORTS`; its result has the report's columns, and :data:`TOTAL` if it is exact.

    Everything in it that somebody has typed is quoted.
    """
    if name in _PERIODS:
        return _period_sql(*_PERIODS[name], filters)
    if name in _OF_CALLS:
        return _calls_sql(*_OF_CALLS[name], filters)
    special = {"sessions": _sessions_sql, "users": _users_sql, "blocks": _blocks_sql, "errors": _errors_sql}
    if name in special:
        return special[name](filters)
    columns, keys = {"models": ("model", "model"), "projects": ("cwd AS project, git_branch", "project, git_branch")}[
        name
    ]
    # First by session: to tell sessions apart takes more memory for each response than for each session.
    return f"""
        WITH each AS (
            SELECT {columns}, username, hash({_SESSION}) AS session, {SUMS}
            FROM usage_tokens WHERE {filters.where()} GROUP BY ALL
        )
        SELECT {keys}, {_ADDED}, count(DISTINCT username) AS users, count(DISTINCT session) AS sessions,
            grouping({keys.partition(",")[0]}) = 1 AS {TOTAL}
        FROM each GROUP BY GROUPING SETS (({keys}), ())
        ORDER BY {TOTAL}, cost_usd DESC NULLS LAST, responses DESC, {keys}"""


def _period_sql(key: str, period: str, filters: Filters) -> str:
    # Clocks are asked for each quarter of an hour instead of each response.
    return f"""
        WITH quarters AS (
            SELECT {quarter("occurred_at")} AS quarter, username, hash({_SESSION}) AS session,
                {SUMS}
            FROM usage_tokens WHERE {filters.where()} GROUP BY ALL
        ),
        periods AS (SELECT *, {period.format(filters.local("quarter"))} AS {key} FROM quarters)
        SELECT {key}, {_ADDED}, count(DISTINCT username) AS users, count(DISTINCT session) AS sessions,
            grouping({key}) = 1 AS {TOTAL}
        FROM periods GROUP BY GROUPING SETS (({key}), ()) ORDER BY {TOTAL}, {key}"""


def _calls_sql(keys: str, which: str, filters: Filters) -> str:
    times = ""
    if keys == "tool_name":
        times = ", quantile_cont(duration_ms, 0.5) AS p50_ms, quantile_cont(duration_ms, 0.95) AS p95_ms"
    return f"""
        SELECT {keys}, {_CALLS_SQL}, {filters.local("max(occurred_at)")} AS last_at{times},
            grouping({keys.partition(",")[0]}) = 1 AS {TOTAL}
        FROM usage_calls WHERE {which} AND {filters.where()} GROUP BY GROUPING SETS (({keys}), ())
        ORDER BY {TOTAL}, calls DESC, {keys}"""


def _work(filters: Filters) -> str:
    """What was done in each session in which something was done; of whole sessions, in each that there is."""
    where, whole = filters.where(), filters.whole
    said = where if filters.model is None else "false"  # a prompt is of no model
    active = "coalesce(sum(active_seconds) FILTER (agent_id IS NULL), 0)" if whole else "NULL::DOUBLE"
    # First by file, by a number that stands for its name: all that is of a file is of one session of one user.
    return f"""
        WITH did AS (
            SELECT {_FILE}, {SUMS}, max(occurred_at) AS last_at FROM usage_tokens WHERE {where} GROUP BY ALL
            UNION ALL BY NAME
            SELECT {_FILE}, count(*) FILTER (event_type <> 'slash_command') AS calls,
                count(*) FILTER (is_error) AS errors, max(occurred_at) AS last_at
            FROM usage_calls WHERE {where} GROUP BY ALL
            UNION ALL BY NAME
            SELECT {_FILE}, count(*) AS prompts, max(occurred_at) AS last_at
            FROM usage_prompts WHERE {said} GROUP BY ALL
        ),
        sums AS (
            SELECT file, {_ADDED}, sum(calls)::BIGINT AS calls, sum(errors)::BIGINT AS errors,
                sum(prompts)::BIGINT AS prompts, max(last_at) AS last_at, true AS active
            FROM did GROUP BY file
        ),
        files AS (
            SELECT {_FILE}, {_SESSION} AS session_id, username, agent_id, title, ended_at, active_seconds
            FROM usage_session_summary WHERE {filters.of_user()}
        ),
        work AS (
            SELECT session_id, username, arg_max(title, ended_at) FILTER (agent_id IS NULL) AS title,
                {"greatest(max(last_at), max(ended_at))" if whole else "max(last_at)"} AS last_at,
                {active} AS active_seconds, count(agent_id) FILTER (active) AS subagents,
                {_COUNTED}, sum(cost_usd) AS cost_usd
            FROM files FULL JOIN sums USING (file) GROUP BY session_id, username
            {"" if whole else "HAVING bool_or(active)"}
        )"""


def _sessions_sql(filters: Filters) -> str:
    return f"""{_work(filters)}
        SELECT * REPLACE ({filters.local("last_at")} AS last_at)
        FROM work ORDER BY work.last_at DESC NULLS LAST, session_id, username"""


def _users_sql(filters: Filters) -> str:
    return f"""{_work(filters)}
        SELECT username, count(*) AS sessions, sum(active_seconds) AS active_seconds, sum(prompts)::BIGINT AS prompts,
            sum(calls)::BIGINT AS calls, sum(errors)::BIGINT AS errors, {_ADDED}
        FROM work GROUP BY username ORDER BY cost_usd DESC NULLS LAST, username"""


def _blocks_sql(filters: Filters) -> str:
    # Windows follow from all that a user has done, whatever of it is counted.
    tokens = "usage_tokens" if filters.user is None else f"(SELECT * FROM usage_tokens WHERE {filters.of_user()})"
    counted = "true" if filters.whole else filters.where()
    return f"""
        SELECT username, {filters.local("started_at")} AS started_at, {filters.local("ends_at")} AS ends_at,
            {", ".join(TOKENS)}
        FROM ({blocks(tokens, counted)}) AS found
        ORDER BY found.started_at DESC, username"""


def _errors_sql(filters: Filters) -> str:
    tools = f"""
        SELECT 'tool' AS kind, tool_name AS name, {_CALLS_SQL},
            {filters.local("max(occurred_at) FILTER (is_error)")} AS last_at
        FROM usage_calls WHERE event_type <> 'slash_command' AND {filters.where()}
        GROUP BY tool_name HAVING errors > 0"""
    requests = f"""
        UNION ALL BY NAME
        SELECT 'request' AS kind, 'API error' AS name, count(DISTINCT response_key) AS errors,
            count(DISTINCT username) AS users, count(DISTINCT {_SESSION}) AS sessions,
            {filters.local("max(occurred_at)")} AS last_at
        FROM usage_messages WHERE is_api_error AND {filters.where()} HAVING errors > 0"""
    # An error of the service is of no model.
    return f"{tools}{requests if filters.model is None else ''} ORDER BY errors DESC, name"


def unpriced(filters: Filters) -> str:
    """A statement: the models whose price is not known, at which speed, and how many responses each has given."""
    return f"""
        SELECT coalesce(model, 'no model') AS model, nullif(speed, 'standard') AS speed, count(*) AS responses
        FROM usage_tokens WHERE cost_usd IS NULL AND {filters.where()}
        GROUP BY ALL ORDER BY responses DESC, model, speed LIMIT 20"""
