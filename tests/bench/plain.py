"""The plain way, to compare with: the same rows, made as one would write it down at first.

Each session: the whole file, an MD5, stdlib ``json`` line by line, one INSERT per row, one upsert for the state.
It is given one transaction per session; with one per row it would be several times slower still.
"""

import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from processors.usage.events import EVENTS
from processors.usage.processor import MESSAGES
from processors.usage.summary import SUMMARY

_STATE = """CREATE TABLE session_processor_state (
    processor_name VARCHAR, session_file VARCHAR, username VARCHAR, processed_at TIMESTAMP,
    items_extracted INTEGER, file_hash VARCHAR, PRIMARY KEY (processor_name, session_file))"""


def process_plainly(root: Path, paths: list[Path], database: Path) -> float:
    """Process sessions into a new database; returns the seconds it took."""
    began = time.perf_counter()
    with duckdb.connect(str(database)) as conn:
        conn.execute(_STATE)
        for table in (EVENTS, MESSAGES, SUMMARY):
            columns = ", ".join(f'"{name}" {kind}' for name, kind in table.columns.items())
            key = ", PRIMARY KEY (session_file)" if table is SUMMARY else ""
            conn.execute(f'CREATE TABLE "{table.name}" (session_file VARCHAR, username VARCHAR, {columns}{key})')
        for path in paths:
            _session(conn, str(path.relative_to(root)), path)
    return time.perf_counter() - began


def _session(conn: duckdb.DuckDBPyConnection, key: str, path: Path) -> None:
    data = path.read_bytes()
    file_hash = hashlib.md5(data, usedforsecurity=False).hexdigest()
    user = key.partition("/")[0]
    turns = [json.loads(line) for line in data.decode("utf-8", "replace").split("\n") if line]
    events: dict[str, dict] = {}
    messages: list[dict] = []
    times: list[datetime] = []
    prompts = errors = 0
    for turn in turns:
        now = None
        if "timestamp" in turn:
            now = datetime.fromisoformat(turn["timestamp"]).astimezone(UTC).replace(tzinfo=None)
            times.append(now)
        content = turn.get("message", {}).get("content")
        if turn["type"] == "assistant":
            messages.append(_message(turn, turn["message"], now))
            events |= {block["id"]: _event(turn, block, now) for block in content if block["type"] == "tool_use"}
        elif isinstance(content, str):
            prompts += 1
        elif turn["type"] == "user":
            errors += sum(_result(events, block, now) for block in content)
    conn.begin()
    for event in events.values():
        _insert(conn, EVENTS.name, key, user, event)
    for row in messages:
        _insert(conn, MESSAGES.name, key, user, row)
    _insert(conn, SUMMARY.name, key, user, _summary(path, times, events, messages, (len(turns), prompts, errors)))
    conn.execute(
        "INSERT OR REPLACE INTO session_processor_state VALUES ('usage', ?, ?, now()::TIMESTAMP, ?, ?)",
        [key, user, len(events) + len(messages), file_hash],
    )
    conn.commit()


def _result(events: dict[str, dict], block: dict, now: datetime) -> bool:
    event = events[block["tool_use_id"]]
    duration = int((now - event["occurred_at"]).total_seconds() * 1000)
    event |= {"is_error": block["is_error"], "finished_at": now, "duration_ms": duration}
    return block["is_error"]


def _insert(conn: duckdb.DuckDBPyConnection, table: str, key: str, user: str, row: dict) -> None:
    row = {"session_file": key, "username": user} | row
    names = ", ".join(row)
    conn.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


def _event(turn: dict, block: dict, now: datetime | None) -> dict:
    name = block["name"]
    server, _, tool = name.removeprefix("mcp__").partition("__") if name.startswith("mcp__") else (None, "", None)
    return {
        "session_id": turn["sessionId"],
        "event_uuid": turn["uuid"],
        "parent_uuid": turn["parentUuid"],
        "event_type": "mcp_call" if server else "subagent" if name == "Task" else "tool_use",
        "tool_name": name,
        "tool_use_id": block["id"],
        "subagent_type": block["input"].get("subagent_type"),
        "mcp_server": server,
        "mcp_tool": tool,
        "is_sidechain": turn["isSidechain"],
        "model": turn["message"]["model"],
        "cwd": turn["cwd"],
        "git_branch": turn["gitBranch"],
        "client_version": turn["version"],
        "occurred_at": now,
    }


def _message(turn: dict, message: dict, now: datetime | None) -> dict:
    usage = message["usage"]
    return {
        "session_id": turn["sessionId"],
        "message_id": message["id"],
        "request_id": turn["requestId"],
        "model": message["model"],
        "is_sidechain": turn["isSidechain"],
        "service_tier": usage["service_tier"],
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "cache_creation_5m_tokens": usage["cache_creation_input_tokens"],
        "cache_read_tokens": usage["cache_read_input_tokens"],
        "stop_reason": message["stop_reason"],
        "occurred_at": now,
    }


def _summary(
    path: Path, times: list[datetime], events: dict[str, dict], messages: list[dict], counts: tuple[int, int, int]
) -> dict:
    lines, prompts, errors = counts
    responses = {row["message_id"]: row for row in messages}  # a response's lines repeat its counts
    kinds = [event["event_type"] for event in events.values()]
    return {
        "session_id": path.stem,
        "started_at": min(times),
        "ended_at": max(times),
        "wall_seconds": (max(times) - min(times)).total_seconds(),
        "user_messages": prompts,
        "assistant_messages": len(responses),
        "tool_calls": len(events),
        "tool_errors": errors,
        "mcp_calls": kinds.count("mcp_call"),
        "subagent_dispatches": kinds.count("subagent"),
        "distinct_tools": len({event["tool_name"] for event in events.values()}),
        "input_tokens": sum(row["input_tokens"] for row in responses.values()),
        "output_tokens": sum(row["output_tokens"] for row in responses.values()),
        "cache_read_tokens": sum(row["cache_read_tokens"] for row in responses.values()),
        "lines": lines,
    }
