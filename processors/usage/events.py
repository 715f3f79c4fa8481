"""Events: a tool call, a subagent, an MCP call or a slash command, as one row each."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from processors.contract import Table
from processors.turns import Block, Turn
from processors.usage.place import Place

EVENTS = Table(
    "usage_events",
    {
        "id": "BIGINT",
        "session_id": "VARCHAR",
        "event_uuid": "VARCHAR",
        "parent_uuid": "VARCHAR",
        "event_type": "VARCHAR",
        "tool_name": "VARCHAR",
        "tool_use_id": "VARCHAR",
        "skill_name": "VARCHAR",
        "subagent_type": "VARCHAR",
        "command_name": "VARCHAR",
        "plugin": "VARCHAR",
        "mcp_server": "VARCHAR",
        "mcp_tool": "VARCHAR",
        "is_error": "BOOLEAN",
        "is_sidechain": "BOOLEAN",
        "model": "VARCHAR",
        "cwd": "VARCHAR",
        "git_branch": "VARCHAR",
        "client_version": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "finished_at": "TIMESTAMP",
        "duration_ms": "BIGINT",
        "agent_id": "VARCHAR",
        "event_number": "BIGINT",
    },
    key=("event_number", "id", "occurred_at"),
)
"""``is_error``, ``finished_at`` and ``duration_ms`` are NULL until the call's result is in the transcript. The
update that brings them finds its row by ``event_number``, unique in the session, and quickly by ``occurred_at``:
rows are stored about in the order of time. ``id`` says what happened, see :func:`processors.usage.fold.Fold`."""

# What a person types as /x is recorded as <command-name>/x</command-name>, the slash optional. No character is looked
# at more than twice, whatever a line says: a search holds the interpreter's lock until it ends.
_COMMAND = re.compile(r"<command-name>([^<]*+)</command-name>")
SUBAGENT_TOOLS = frozenset({"Task", "Agent"})


@dataclass(slots=True)
class Event:
    """One row of :data:`EVENTS`; times are microseconds since 1970."""

    session_id: str | None
    event_uuid: str | None
    parent_uuid: str | None
    event_type: str
    id: int = 0
    event_number: int = 0
    tool_name: str | None = None
    tool_use_id: str | None = None
    skill_name: str | None = None
    subagent_type: str | None = None
    command_name: str | None = None
    plugin: str | None = None
    mcp_server: str | None = None
    mcp_tool: str | None = None
    is_error: bool | None = None
    is_sidechain: bool = False
    model: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    client_version: str | None = None
    occurred_at: int | None = None
    finished_at: int | None = None
    duration_ms: int | None = None
    agent_id: str | None = None


_COLUMNS = {name: attrgetter(name) for name in EVENTS.columns}


def columns_of(events: Sequence[Event]) -> dict[str, list[object]]:
    """Events as columns of the table, which is quicker than as rows."""
    return {name: list(map(of, events)) for name, of in _COLUMNS.items()}


def _event(turn: Turn, event_type: str, now: int | None, place: Place) -> Event:
    return Event(
        place.session_id,
        turn.uuid,
        turn.parent_uuid,
        event_type,
        is_sidechain=bool(turn.is_sidechain),
        model=None if turn.message is None else turn.message.model,
        cwd=turn.cwd,
        git_branch=turn.git_branch,
        client_version=turn.version,
        occurred_at=now,
        agent_id=place.agent_id,
    )


def tool_event(turn: Turn, block: Block, now: int | None, place: Place) -> Event:
    """The event of a ``tool_use`` block of an assistant's line."""
    event = _event(turn, "tool_use", now, place)
    event.tool_name, event.tool_use_id = block.name, block.id
    name = block.name or ""
    if name.startswith("mcp__"):
        event.event_type = "mcp_call"
        server, _, tool = name.removeprefix("mcp__").partition("__")
        event.mcp_server, event.mcp_tool = server, tool
    elif name in SUBAGENT_TOOLS:
        event.event_type = "subagent"
        event.subagent_type = block.input.subagent_type if block.input else None
        event.plugin = _plugin(event.subagent_type)
    elif name == "Skill" and block.input:
        event.skill_name = block.input.skill or block.input.name
        event.plugin = _plugin(event.skill_name)
    return event


def command_events(turn: Turn, texts: Iterable[str], now: int | None, place: Place) -> Iterator[Event]:
    """One event for each slash command in the texts of a user's line."""
    for text in texts:
        if "<command-name>" not in text:
            continue
        for written in _COMMAND.finditer(text):
            name = written[1].strip().removeprefix("/").strip()
            if not name:
                continue
            event = _event(turn, "slash_command", now, place)
            event.command_name, event.plugin = name, _plugin(name)
            yield event


def _plugin(name: str | None) -> str | None:
    plugin, colon, _ = (name or "").partition(":")
    return plugin if colon else None
