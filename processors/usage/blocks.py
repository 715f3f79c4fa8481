"""Five-hour billing windows."""

from processors.usage.sums import SUMS


def blocks(tokens: str, counted: str = "true") -> str:
    """A statement: the five-hour billing windows of each user over a relation with the columns of usage_tokens.

    Windows follow from all of its responses; those are counted in them for which the condition ``counted`` holds.

    A window begins with the hour of its first response; a response more than five hours after that begins a new one.
    (One that comes more than five hours after the last response does so too, by the same rule.) Hours are looked at
    instead of responses, each with its end and without its beginning, since windows end with an hour. Time without a
    response for over five hours cuts them into runs, within which windows are found one after the other.
    """
    everything = counted == "true"
    sums, parts, found = f", {SUMS}", "", "windows"
    if not everything:
        parts = f"""
        parts AS (
            SELECT username, date_trunc('hour', occurred_at - INTERVAL 1 MICROSECOND) AS hour,
                min(occurred_at) AS first_at, max(occurred_at) AS last_at{sums}
            FROM {tokens} WHERE occurred_at IS NOT NULL AND {counted} GROUP BY ALL
        ),"""
        found = "parts JOIN (SELECT username, hour, start FROM windows) USING (username, hour)"
    return f"""
        WITH hours AS (
            SELECT username, date_trunc('hour', occurred_at - INTERVAL 1 MICROSECOND) AS hour,
                min(occurred_at) AS first_at, max(occurred_at) AS last_at{sums if everything else ""}
            FROM {tokens} WHERE occurred_at IS NOT NULL GROUP BY ALL
        ),{parts}
        runs AS (
            SELECT username, hour, first_at,
                count(*) FILTER (gap > INTERVAL 5 HOUR) OVER (PARTITION BY username ORDER BY hour) AS run
            FROM (
                SELECT *, first_at - lag(last_at) OVER (PARTITION BY username ORDER BY hour) AS gap FROM hours
            )
        ),
        starts AS (
            SELECT username, unnest(list_reduce(
                list([first_at] ORDER BY hour),
                lambda found, next: CASE
                    WHEN next[1] > date_trunc('hour', found[-1]) + INTERVAL 5 HOUR THEN list_append(found, next[1])
                    ELSE found END
            )) AS first_at
            FROM runs GROUP BY username, run
        ),
        windows AS (
            SELECT hours.*,
                last_value(starts.first_at IGNORE NULLS) OVER (PARTITION BY username ORDER BY hour) AS start
            FROM hours LEFT JOIN starts USING (username, first_at)
        )
        SELECT username, date_trunc('hour', start) AS started_at,
            date_trunc('hour', start) + INTERVAL 5 HOUR AS ends_at,
            min(first_at) AS first_at, max(last_at) AS last_at, sum(responses)::BIGINT AS responses,
            sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
            sum(cache_creation_tokens)::BIGINT AS cache_creation_tokens,
            sum(cache_read_tokens)::BIGINT AS cache_read_tokens, sum(cost_usd) AS cost_usd,
            sum(unpriced_responses)::BIGINT AS unpriced_responses
        FROM {found} GROUP BY username, start"""
