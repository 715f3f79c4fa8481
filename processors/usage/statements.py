"""Reports as statements over the tables and views of usage."""

from processors.usage.blocks import blocks
from processors.usage.filters import Filters, quoted
from processors.usage.reports import TOKENS
from processors.usage.sums import CALLS_SUMS, SUMS

TOTAL = "is_total"
"""The column that is true in the last row, which holds the totals, where a report is exact."""

_SESSION = "coalesce(session_id, session_file)"
_CALLS_SQL = f"{CALLS_SUMS}, count(*) FILTER (is_error) / nullif(count(*), 0) AS error_share"
_ADDED = ", ".join(
    f"sum({name}) AS {name}" if kind == "usd" else f"sum({name})::BIGINT AS {name}" for name, kind in TOKENS.items()
)

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
    # Clocks are asked for each quarter of an hour instead of each response: no zone changes between two of them.
    return f"""
        WITH quarters AS (
            SELECT time_bucket(INTERVAL 15 MINUTE, occurred_at) AS quarter, username, hash({_SESSION}) AS session,
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
    """What each session of these days spent and called, and what was done in it on the whole."""
    narrowed = filters.project is not None or filters.model is not None
    join = "SEMI JOIN (SELECT session_id, username FROM spent UNION SELECT session_id, username FROM called)"
    return f"""
        WITH spent AS (
            SELECT {_SESSION} AS session_id, username, {SUMS} FROM usage_tokens WHERE {filters.where()} GROUP BY ALL
        ),
        called AS (
            SELECT {_SESSION} AS session_id, username, count(*) AS calls, count(*) FILTER (is_error) AS errors
            FROM usage_calls WHERE event_type <> 'slash_command' AND {filters.where()} GROUP BY ALL
        ),
        done AS (
            SELECT {_SESSION} AS session_id, username, any_value(title) AS title, max(ended_at) AS last_at,
                coalesce(sum(active_seconds) FILTER (agent_id IS NULL), 0) AS active_seconds,
                coalesce(sum(user_messages) FILTER (agent_id IS NULL), 0)::BIGINT AS prompts,
                count(*) FILTER (agent_id IS NOT NULL) AS subagents
            FROM usage_session_summary
            WHERE {"true" if filters.user is None else f"username = {quoted(filters.user)}"}
            GROUP BY ALL HAVING {filters.overlaps("min(started_at)", "max(ended_at)")}
        ),
        work AS (
            SELECT * FROM done {f"{join} USING (session_id, username)" if narrowed else ""}
            LEFT JOIN spent USING (session_id, username) LEFT JOIN called USING (session_id, username)
        )"""


_COUNTED = ", ".join(f"coalesce({name}, 0) AS {name}" for name in ("calls", "errors", *TOKENS) if name != "cost_usd")


def _sessions_sql(filters: Filters) -> str:
    return f"""{_work(filters)}
        SELECT session_id, username, title, {filters.local("last_at")} AS last_at, active_seconds, prompts, subagents,
            {_COUNTED}, cost_usd
        FROM work ORDER BY work.last_at DESC NULLS LAST, session_id, username"""


def _users_sql(filters: Filters) -> str:
    return f"""{_work(filters)}
        SELECT username, count(*) AS sessions, sum(active_seconds) AS active_seconds, sum(prompts)::BIGINT AS prompts,
            coalesce(sum(calls), 0)::BIGINT AS calls, coalesce(sum(errors), 0)::BIGINT AS errors, {_ADDED}
        FROM (SELECT username, active_seconds, prompts, {_COUNTED}, cost_usd FROM work) GROUP BY username
        ORDER BY cost_usd DESC NULLS LAST, username"""


def _blocks_sql(filters: Filters) -> str:
    # Windows follow from all that a user has done, also before these days.
    spent = f"(SELECT * FROM usage_tokens WHERE {filters.where(days=False)})"
    return f"""
        SELECT username, {filters.local("started_at")} AS started_at, {filters.local("ends_at")} AS ends_at,
            {", ".join(TOKENS)}
        FROM ({blocks(spent)}) AS found
        WHERE {filters.overlaps("found.started_at", "found.ends_at - INTERVAL 1 MICROSECOND")}
        ORDER BY found.started_at DESC, username"""


def _errors_sql(filters: Filters) -> str:
    return f"""
        SELECT 'tool' AS kind, tool_name AS name, {_CALLS_SQL},
            {filters.local("max(occurred_at) FILTER (is_error)")} AS last_at
        FROM usage_calls WHERE event_type <> 'slash_command' AND {filters.where()}
        GROUP BY tool_name HAVING errors > 0
        UNION ALL BY NAME
        SELECT 'request' AS kind, 'API error' AS name, count(DISTINCT response_key) AS errors,
            count(DISTINCT username) AS users, count(DISTINCT {_SESSION}) AS sessions,
            {filters.local("max(occurred_at)")} AS last_at
        FROM usage_messages WHERE is_api_error AND {filters.where(models=False)} HAVING errors > 0
        ORDER BY errors DESC, name"""


def unpriced(filters: Filters) -> str:
    """A statement: the models whose price is not known, and how many responses each has given."""
    return f"""
        SELECT coalesce(model, 'no model') AS model, count(*) AS responses
        FROM usage_tokens WHERE cost_usd IS NULL AND {filters.where()}
        GROUP BY ALL ORDER BY responses DESC, model LIMIT 20"""
