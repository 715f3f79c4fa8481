"""Reports: how long ``sessiond usage`` waits for each of its answers, over the usage of many sessions."""

import time
from pathlib import Path

from daemon.client import Remote
from daemon.commit import fold_all
from daemon.config import Settings, socket_of
from daemon.store import open_database
from daemon.tables import make_tables
from processors.registry import load as load_processors
from processors.usage.filters import Filters
from processors.usage.reports import REPORTS
from processors.usage.statements import statement
from tests.bench.child import Daemon
from tests.bench.place import Place, fresh, median
from tests.bench.report import Row

SESSIONS = 100_000
RESPONSES, LINES, CALLS, PROMPTS = 20, 2, 30, 9
"""Of each session: responses, lines of each of them, calls, and prompts."""
ROUNDS = 3
LIMIT_SECONDS = 1.0
ZONE = "Europe/Berlin"


_PROMPT = "hash(i)::HUGEINT - 9223372036854775808 AS id, 'p' || i AS event_uuid"

_MESSAGE = f"""
    md5((i // {LINES})::VARCHAR) AS message_id, 'r' || md5((i // {LINES})::VARCHAR) AS request_id,
    hash(i // {LINES})::HUGEINT - 9223372036854775808 AS response_key, 'standard' AS speed, false AS is_sidechain,
    false AS is_api_error, 'standard' AS service_tier, i % 50 AS input_tokens, i % 700 AS output_tokens,
    i % 3000 AS cache_creation_5m_tokens, 0 AS cache_creation_1h_tokens, i % 90000 AS cache_read_tokens,
    0 AS web_searches"""
_EVENT = """
    hash(i)::HUGEINT - 9223372036854775808 AS id, i AS event_number, 'u' || i AS event_uuid, false AS is_sidechain,
    i % 20 = 0 AS is_error, 'toolu_' || i AS tool_use_id,
    CASE i % 9 WHEN 0 THEN 'slash_command' WHEN 1 THEN 'mcp_call' WHEN 2 THEN 'subagent' ELSE 'tool_use' END
        AS event_type,
    CASE WHEN i % 9 > 0 THEN printf('Tool%d', i % 23) END AS tool_name,
    CASE WHEN i % 9 = 3 THEN printf('skill-%d', i % 40) END AS skill_name,
    CASE WHEN i % 9 = 0 THEN printf('command-%d', i % 30) END AS command_name,
    CASE WHEN i % 9 = 1 THEN printf('server-%d', i % 7) END AS mcp_server, i % 5000 AS duration_ms,
    now()::TIMESTAMP AS finished_at"""
_SUMMARY = """
    occurred_at AS started_at, occurred_at + INTERVAL 1 HOUR AS ended_at, 900.0 AS active_seconds, 9 AS user_messages,
    'A title' AS title"""


def fill(db: Path, sessions: int) -> dict[str, int]:
    """Rows of the usage of so many sessions over one year, brought up to date; returns how many rows there are."""
    (spec,) = load_processors(["usage"])[0]
    session = "i // {each}"
    key = f"printf('user%02d/project-%d/%08x.jsonl', {session} % 50, {session} // 50 % 4, {session})"
    common = (
        f"{key} AS session_file, printf('user%02d', {session} % 50) AS username, {spec.version} AS processor_version,"
        f" now()::TIMESTAMP AS extracted_at, md5(({session})::VARCHAR) AS session_id,"
        f" printf('/home/user%02d/project-%d', {session} % 50, {session} // 50 % 4) AS cwd, 'main' AS git_branch,"
        " TIMESTAMP '2026-01-01' + to_microseconds((i * 31536000.0 / ({each} * {sessions}) * 1e6)::BIGINT)"
        " AS occurred_at"
    )
    models = (
        "['claude-opus-4-6', 'claude-sonnet-4-5-20250929', 'claude-haiku-4-5-20251001'][1 + i // 40 % 3] AS model"
    )
    with open_database(db, memory_limit="2GB") as conn:
        make_tables(conn, spec.tables)
        for table, each, columns in (
            ("usage_messages", RESPONSES * LINES, f"{_MESSAGE}, {models}"),
            ("usage_events", CALLS, f"{_EVENT}, {models}"),
            ("usage_prompt_lines", PROMPTS, _PROMPT),
            ("usage_session_summary_settled", 1, _SUMMARY),
        ):
            source = f"SELECT {common.format(each=each, sessions=sessions)}, i FROM range({each * sessions}) AS r(i)"
            drop = "i, occurred_at, cwd, git_branch" if table.endswith("settled") else "i"
            conn.execute(f"INSERT INTO {table} BY NAME SELECT * EXCLUDE ({drop}), {columns} FROM ({source})")
        fold_all(conn, {spec.name: make_tables(conn, spec.tables, spec.views)})
        return {
            name: conn.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0]
            for name in (
                "usage_messages",
                "usage_events",
                "usage_tokens_kept",
                "usage_calls_kept",
                "usage_prompts_kept",
            )
        }


def reports(place: Place) -> Row:
    """Row 11: each report in UTC and in another zone, asked of a daemon; the slowest counts."""
    with place.temporary("reports") as folder:
        root, db = folder / "root", folder / "db"
        root.mkdir()
        found = fresh(fill, db, place.count(SESSIONS, 1_000))
        took = {}
        with Daemon(root, db) as daemon:
            daemon.settle()
            remote = Remote(socket_of(Settings(root=root, db=db)))
            for name in REPORTS:
                for zone in ("UTC", ZONE):
                    sql, seconds = statement(name, Filters(timezone=zone)), []
                    for _ in range(ROUNDS):
                        began = time.perf_counter()
                        remote.query(sql)
                        seconds.append(time.perf_counter() - began)
                    took[f"{name} {zone}"] = median(seconds)
    slowest = max(took, key=took.__getitem__)
    what = f"each report over {found['usage_tokens_kept']:,} responses and {found['usage_calls_kept']:,} calls"
    shown = f"{median(list(took.values())):.2f} s, {took[slowest]:.2f} s at most ({slowest})"
    return Row("reports", what, shown, "< 1 s", took[slowest] < LIMIT_SECONDS, {"seconds": took, "rows": found})
