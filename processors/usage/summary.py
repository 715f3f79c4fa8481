"""The summary of a session: one row, folded line by line. It is also what the processor carries."""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from processors.contract import Table
from processors.turns import Message, Turn, Usage
from processors.usage.events import Event

SUMMARY = Table(
    "usage_session_summary",
    {
        "session_id": "VARCHAR",
        "started_at": "TIMESTAMP",
        "ended_at": "TIMESTAMP",
        "active_seconds": "DOUBLE",
        "wall_seconds": "DOUBLE",
        "user_messages": "BIGINT",
        "assistant_messages": "BIGINT",
        "tool_calls": "BIGINT",
        "tool_errors": "BIGINT",
        "skill_invocations": "BIGINT",
        "subagent_dispatches": "BIGINT",
        "mcp_calls": "BIGINT",
        "slash_commands": "BIGINT",
        "distinct_tools": "BIGINT",
        "distinct_skills": "BIGINT",
        "primary_model": "VARCHAR",
        "input_tokens": "BIGINT",
        "output_tokens": "BIGINT",
        "cache_read_tokens": "BIGINT",
        "cache_creation_tokens": "BIGINT",
        "lines": "BIGINT",
        "malformed_lines": "BIGINT",
        "title": "VARCHAR",
    },
    kind="one_per_session",
)

IDLE_MICROS = 600_000_000
"""A gap longer than this is not time at work."""

SYNTHETIC = "<synthetic>"
"""The model name that the client writes on messages of its own making."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Beyond this no counter is real, and sums stay inside BIGINT whatever a transcript claims.
_MAX_TOKENS = 2**40


def micros(timestamp: str | None) -> int | None:
    """An ISO 8601 timestamp as microseconds since 1970 in UTC; None if it is no timestamp."""
    if timestamp is None:
        return None
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


class Tokens(NamedTuple):
    """Token counts of one response, never NULL and never negative."""

    input: int
    output: int
    cache_5m: int
    cache_1h: int
    cache_read: int


def tokens(usage: Usage) -> Tokens:
    """Counts as billed; the split of the cache creation, where present, adds up to its total."""
    created = usage.cache_creation
    in_5m = _count(created.ephemeral_5m_input_tokens if created else None)
    in_1h = _count(created.ephemeral_1h_input_tokens if created else None)
    if in_5m + in_1h == 0:
        in_5m = _count(usage.cache_creation_input_tokens)
    return Tokens(
        _count(usage.input_tokens), _count(usage.output_tokens), in_5m, in_1h, _count(usage.cache_read_input_tokens)
    )


def _count(value: int | None) -> int:
    return value if value is not None and 0 <= value <= _MAX_TOKENS else 0


class Summary(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """The state of the fold.

    ``responses`` holds, by hashed message id, the counts of each of its requests by hashed request id, as
    they were in the copy with the largest total: a response is written as several lines and counts once.
    """

    lines: int = 0
    malformed_lines: int = 0
    session_id: str | None = None
    title: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    active_micros: int = 0
    user_messages: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    skill_invocations: int = 0
    subagent_dispatches: int = 0
    mcp_calls: int = 0
    slash_commands: int = 0
    totals: list[int] = msgspec.field(default_factory=lambda: [0] * 4)
    tools: dict[str, None] = msgspec.field(default_factory=dict)
    skills: dict[str, None] = msgspec.field(default_factory=dict)
    models: dict[str, int] = msgspec.field(default_factory=dict)
    open_calls: dict[str, int | None] = msgspec.field(default_factory=dict)
    responses: dict[bytes, dict[bytes, tuple[int, int, int, int]]] = msgspec.field(default_factory=dict)

    def see(self, turn: Turn, now: int | None) -> None:
        """Count a line's time, title and, if a person wrote it, its prompt."""
        if self.session_id is None:
            self.session_id = turn.session_id
        if turn.type == "summary" and turn.summary is not None:
            self.title = turn.summary
        if now is not None:
            if self.started_at is None or self.ended_at is None:
                self.started_at = self.ended_at = now
            gap = now - self.ended_at
            if 0 < gap <= IDLE_MICROS:
                self.active_micros += gap
            self.started_at = min(self.started_at, now)
            self.ended_at = max(self.ended_at, now)
        if turn.type == "user" and _is_prompt(turn):
            self.user_messages += 1

    def see_event(self, event: Event) -> None:
        """Count an event by its kind."""
        if event.event_type == "slash_command":
            self.slash_commands += 1
            return
        self.tool_calls += 1
        self.mcp_calls += event.event_type == "mcp_call"
        self.subagent_dispatches += event.event_type == "subagent"
        if event.tool_name is not None:
            self.tools[event.tool_name] = None
        if event.skill_name is not None:
            self.skill_invocations += 1
            self.skills[event.skill_name] = None

    def see_response(self, turn: Turn, message: Message) -> None:
        """Count a response once, however many lines repeat it."""
        counts = tokens(message.usage) if message.usage else None
        if message.id is None:
            if counts is not None:
                self._add(counts, (0, 0, 0, 0))
            return
        known = self.responses.setdefault(_short(message.id), {})
        if not known and message.model is not None and message.model != SYNTHETIC:
            self.models[message.model] = self.models.get(message.model, 0) + 1
        if counts is None or message.model == SYNTHETIC:
            return
        request = _short(turn.request_id or "")
        before = known.get(request, (0, 0, 0, 0))
        if request not in known or sum(counts) > sum(before):
            known[request] = self._add(counts, before)

    def _add(self, counts: Tokens, before: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        now = (counts.input, counts.output, counts.cache_read, counts.cache_5m + counts.cache_1h)
        self.totals = [total + new - old for total, new, old in zip(self.totals, now, before, strict=True)]
        return now

    def row(self) -> dict[str, object]:
        """The summary as a row of the table."""
        started, ended = self.started_at, self.ended_at
        wall = None if started is None or ended is None else (ended - started) / 1e6
        return {
            "session_id": self.session_id,
            "started_at": started,
            "ended_at": ended,
            "active_seconds": self.active_micros / 1e6,
            "wall_seconds": wall,
            "user_messages": self.user_messages,
            "assistant_messages": len(self.responses),
            "tool_calls": self.tool_calls,
            "tool_errors": self.tool_errors,
            "skill_invocations": self.skill_invocations,
            "subagent_dispatches": self.subagent_dispatches,
            "mcp_calls": self.mcp_calls,
            "slash_commands": self.slash_commands,
            "distinct_tools": len(self.tools),
            "distinct_skills": len(self.skills),
            # The first of the most used: max() keeps the earliest, and a dict keeps the order of arrival.
            "primary_model": max(self.models, key=self.models.__getitem__, default=None),
            "input_tokens": self.totals[0],
            "output_tokens": self.totals[1],
            "cache_read_tokens": self.totals[2],
            "cache_creation_tokens": self.totals[3],
            "lines": self.lines,
            "malformed_lines": self.malformed_lines,
            "title": self.title,
        }


def _is_prompt(turn: Turn) -> bool:
    """Whether a person wrote this line: no tool result, no meta line, no output of a local command."""
    message = turn.message
    if message is None or turn.is_meta or turn.is_compact_summary or turn.is_visible_in_transcript_only:
        return False
    if isinstance(message.content, str):
        return bool(message.content.strip()) and not message.content.startswith("<local-command-")
    blocks = message.content or []
    if any(block.type == "tool_result" for block in blocks):
        return False
    texts = [block.text or "" for block in blocks if block.type == "text"]
    said = any(text.strip() and not text.startswith("<local-command-") for text in texts)
    return said or any(block.type in {"image", "document"} for block in blocks)


def _short(identifier: str) -> bytes:
    # Eight bytes instead of some thirty: the carry of a long session holds thousands of them.
    return blake2b(identifier.encode("utf-8", "replace"), digest_size=8).digest()
