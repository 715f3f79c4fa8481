"""Views: each response once, over all files; tokens by day, user and model."""

from processors.contract import View
from processors.usage.summary import SYNTHETIC

TOKENS = View(
    "usage_tokens",
    f"""
    WITH copies AS (
        SELECT *, cache_creation_5m_tokens + cache_creation_1h_tokens AS cache_creation_tokens,
            CASE WHEN message_id IS NULL THEN rowid END AS alone
        FROM usage_messages WHERE model IS DISTINCT FROM '{SYNTHETIC}'
    ),
    best AS (
        SELECT message_id, is_sidechain, arg_max(
            struct_pack(request_id, session_id, session_file, username, model, input_tokens, output_tokens,
                cache_creation_tokens, cache_read_tokens, occurred_at),
            row(input_tokens + output_tokens + cache_creation_tokens + cache_read_tokens, speed IS NOT NULL,
                -coalesce(epoch_us(occurred_at), 0), session_file)
        ) AS copy
        FROM copies
        GROUP BY message_id, is_sidechain, CASE WHEN NOT is_sidechain THEN request_id END, alone
    )
    SELECT message_id, copy.request_id, copy.session_id, copy.session_file, copy.username, copy.model, is_sidechain,
        copy.input_tokens, copy.output_tokens, copy.cache_creation_tokens, copy.cache_read_tokens, copy.occurred_at
    FROM best
    WHERE NOT is_sidechain OR message_id IS NULL OR message_id NOT IN (
        SELECT message_id FROM best WHERE NOT is_sidechain AND message_id IS NOT NULL
    )""",
)
"""One row per response over all files: a response is written as several lines, and a resumed session copies old ones.

Copies are one response if they have the same ``message_id`` and ``request_id``; if one of them is a sidechain's, the
same ``message_id`` is enough; without one, never. The copy that counts is one that is no sidechain's, then the one
with the largest total, then one that has a speed; among equals the earliest.
"""

DAILY = View(
    "usage_daily",
    """
    SELECT occurred_at::DATE AS day, username, model, count(*) AS responses, count(DISTINCT session_file) AS sessions,
        sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
        sum(cache_creation_tokens)::BIGINT AS cache_creation_tokens,
        sum(cache_read_tokens)::BIGINT AS cache_read_tokens
    FROM usage_tokens GROUP BY ALL""",
)
"""Tokens by day in UTC, user and model."""
