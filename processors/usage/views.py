"""Views: each response and each event once, over all files; and what they add up to by day, project and window."""

from processors.contract import View
from processors.usage import prices
from processors.usage.blocks import blocks
from processors.usage.events import EVENTS
from processors.usage.messages import MESSAGES
from processors.usage.options import UsageOptions
from processors.usage.prompts import PROMPT_LINES
from processors.usage.summary import SYNTHETIC, key_of
from processors.usage.sums import CALLS_SUMS, SUMS, local_time


def views(options: UsageOptions) -> tuple[View, ...]:
    """All views, in the order in which they build on each other."""
    day = f"{local_time(options.timezone)}::DATE AS day"
    return (
        _tokens(options),
        _CALLS,
        _PROMPTS,
        View("usage_settings", f"SELECT '{options.timezone}' AS timezone, '{prices_of(options)}' AS prices"),
        View("usage_daily", f"SELECT {day}, username, model, {SUMS} FROM usage_tokens GROUP BY ALL"),
        View(
            "usage_tool_daily",
            f"""
            SELECT {day}, tool_name, {CALLS_SUMS}, quantile_cont(duration_ms, 0.5) AS p50_duration_ms,
                quantile_cont(duration_ms, 0.95) AS p95_duration_ms
            FROM usage_calls WHERE event_type <> 'slash_command' GROUP BY ALL""",
        ),
        View(
            "usage_skill_daily",
            f"""
            SELECT {day}, skill_name, plugin, {CALLS_SUMS}
            FROM usage_calls WHERE skill_name IS NOT NULL GROUP BY ALL""",
        ),
        View("usage_blocks", blocks("usage_tokens")),
        View(
            "usage_projects",
            f"""
            SELECT cwd, git_branch, count(DISTINCT username) AS users,
                count(DISTINCT coalesce(session_id, session_file)) AS sessions, min(occurred_at) AS first_at,
                max(occurred_at) AS last_at, {SUMS}
            FROM usage_tokens GROUP BY cwd, git_branch""",
        ),
    )


def _tokens(options: UsageOptions) -> View:
    """One row per response over all files.

    A response is written as several lines, and a resumed session copies old ones. Copies are one response if they
    have the same ``message_id`` and ``request_id``; if one of them is a sidechain's, the same ``message_id`` is
    enough; without one, never. The copy that counts is one that is no sidechain's, then the one with the largest
    total, then one that has a speed; among equals the earliest, in the file whose name comes first, as with calls.
    """
    columns = """request_id, session_id, session_file, username, model, input_tokens, output_tokens,
        cache_creation_tokens, cache_read_tokens, occurred_at, service_tier, speed, cwd, git_branch, agent_id"""
    price = "CASE WHEN {0} = 0 THEN 0 ELSE {0} * {1} END"
    parts = " + ".join(
        price.format(f"copy.{count}", f"rate.{rate}")
        for count, rate in (
            ("input_tokens", "input"),
            ("output_tokens", "output"),
            ("cache_creation_5m_tokens", "cache_5m"),
            ("cache_creation_1h_tokens", "cache_1h"),
            ("cache_read_tokens", "cache_read"),
        )
    )
    own = options.prices
    sql = f"""
        WITH copies AS (
            SELECT *, cache_creation_5m_tokens + cache_creation_1h_tokens AS cache_creation_tokens
            FROM usage_messages WHERE model IS DISTINCT FROM '{SYNTHETIC}'
        ),
        best AS (
            SELECT response_key, message_id, is_sidechain, arg_min(
                struct_pack({columns}, cache_creation_5m_tokens, cache_creation_1h_tokens, web_searches),
                row(-(input_tokens + output_tokens + cache_creation_tokens + cache_read_tokens), speed IS NULL,
                    coalesce(occurred_at, TIMESTAMP 'infinity'), session_file)
            ) AS copy
            FROM copies
            GROUP BY response_key, message_id, is_sidechain, CASE WHEN NOT is_sidechain THEN request_id END
        ),
        responses AS (
            SELECT *, {prices.day("copy.occurred_at")} AS priced_at FROM best
            WHERE NOT is_sidechain OR message_id IS NULL OR message_id NOT IN (
                SELECT message_id FROM best WHERE NOT is_sidechain AND message_id IS NOT NULL
            )
        ),
        rates({", ".join(prices.RATE_COLUMNS)}) AS ({prices.values(own)}),
        models AS (
            SELECT *, {prices.tier()} AS tier FROM (
                SELECT model, speed, service_tier, {prices.named(own)} AS price FROM (
                    SELECT DISTINCT copy.model AS model, copy.speed AS speed, copy.service_tier AS service_tier,
                        {prices.BARE.replace("model", "copy.model")} AS bare
                    FROM responses
                )
            )
        )
        SELECT message_id, copy.request_id, copy.session_id, copy.session_file, copy.username, copy.model,
            is_sidechain, copy.input_tokens, copy.output_tokens, copy.cache_creation_tokens, copy.cache_read_tokens,
            ({parts}) / 1e6 + copy.web_searches * rate.search / 1e3 AS cost_usd,
            copy.occurred_at, copy.service_tier, copy.speed, copy.cwd, copy.git_branch, copy.agent_id, response_key
        FROM responses
        LEFT JOIN models ON copy.model IS NOT DISTINCT FROM models.model
            AND copy.speed IS NOT DISTINCT FROM models.speed
            AND copy.service_tier IS NOT DISTINCT FROM models.service_tier
        LEFT JOIN rates AS rate ON rate.price = models.price AND rate.tier = models.tier
            AND priced_at >= rate.since AND priced_at < rate.until
            AND copy.input_tokens + copy.cache_creation_tokens + copy.cache_read_tokens > rate.over
            AND copy.input_tokens + copy.cache_creation_tokens + copy.cache_read_tokens <= rate.upto"""
    return View("usage_tokens", sql, table=MESSAGES.name, key="response_key")


def prices_of(options: UsageOptions) -> str:
    """What tells the prices in the views from others, and is the same on every machine."""
    return str(key_of(_tokens(options).sql))


_CALLS = View(
    "usage_calls",
    f"""
    SELECT id, copy.* EXCLUDE (id, event_number, processor_version, extracted_at) REPLACE (
            result.is_error AS is_error, result.finished_at AS finished_at, result.duration_ms AS duration_ms
        )
    FROM (
        SELECT id, arg_min(event, row(event.session_file, event.event_number)) AS copy, arg_min(
            struct_pack(event.is_error, event.finished_at, event.duration_ms),
            row(event.is_error IS NULL, event.session_file, event.event_number)
        ) AS result
        FROM {EVENTS.name} AS event GROUP BY id
    )""",
    table=EVENTS.name,
    key="id",
)
"""One row per event over all files: the copy in the file whose name comes first, and the result that any copy has."""

_PROMPTS = View(
    "usage_prompts",
    f"""
    SELECT id, copy.* EXCLUDE (id, processor_version, extracted_at) FROM (
        SELECT id, arg_min(line, line.session_file) AS copy FROM {PROMPT_LINES.name} AS line GROUP BY id
    )""",
    table=PROMPT_LINES.name,
    key="id",
)
"""One row per prompt over all files: the copy in the file whose name comes first."""
