"""What responses and calls add up to, and when: parts of the statements of views and reports."""

SUMS = """count(*) AS responses, sum(input_tokens)::BIGINT AS input_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(cache_creation_tokens)::BIGINT AS cache_creation_tokens, sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(cost_usd) AS cost_usd, count(*) FILTER (cost_usd IS NULL) AS unpriced_responses"""
"""What responses add up to. ``cost_usd`` is that of the responses whose price is known, NULL if there is none."""

CALLS_SUMS = """count(*) AS calls, count(*) FILTER (is_error) AS errors, count(DISTINCT username) AS users,
    count(DISTINCT hash(coalesce(session_id, session_file))) AS sessions"""


def quarter(moment: str) -> str:
    """The quarter of an hour of a moment: it is in one day, since in no time zone clocks change in between."""
    return f"time_bucket(INTERVAL 15 MINUTE, {moment})"


def local_time(zone: str, moment: str = "occurred_at") -> str:
    """A moment, which is in UTC, as the clocks of a time zone show it."""
    return moment if zone == "UTC" else f"timezone('{zone}', timezone('UTC', {moment}))"
