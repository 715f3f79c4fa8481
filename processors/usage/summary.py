"""The summary of a session: one row, folded line by line. It is also what the processor carries."""

import functools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import Any

import msgspec

from processors.contract import Table
from processors.turns import Message, Turn
from processors.usage.events import Event
from processors.usage.tokens import NOTHING, Kinds, Tokens

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
        "agent_id": "VARCHAR",
        "usage_lines": "BIGINT",
        "lines_without_usage": "BIGINT",
        "unknown_lines": "BIGINT",
        "unanswered_calls": "BIGINT",
    },
    kind="one_per_session",
)

KNOWN_TYPES = frozenset({
    "ai-title", "assistant", "attachment", "file-history-snapshot", "last-prompt", "permission-mode", "progress",
    "queue-operation", "summary", "system", "tool_use_result", "user",
})  # fmt: skip
"""Types of lines that have been seen; many of another type mean that the format has changed."""

IDLE_MICROS = 600_000_000
"""A gap longer than this is not time at work."""

SYNTHETIC = "<synthetic>"
"""The model name that the client writes on messages of its own making."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EXACT = float(1 << 32)

MAX_RESPONSES = 10_000
"""So many are known at a time, the newest: a line that repeats an older one counts as a response of its own in the
summary (and not in ``usage_tokens``). Each commit writes all of them."""

_SIDECHAIN = b""
"""What stands for the request of all copies of a response that are in sidechains."""


def micros(timestamp: datetime | None) -> int | None:
    """A moment as microseconds since 1970 in UTC, which it is taken to be in if it does not say."""
    if timestamp is None:
        return None
    aware = timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
    # Three times quicker than the division, and a float has room for the microseconds of these years.
    if 0 <= (seconds := aware.timestamp()) < _EXACT:
        return round(seconds * 1e6)
    return (aware - _EPOCH) // _MICROSECOND


class Summary(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """The state of the fold.

    ``open_calls`` holds, by tool_use_id, number, time and id of each call whose result has not come yet (one may
    stand in a file twice); ``early_results``, by hashed tool_use_id, whether a result is an error, and its time, if
    the call has not come yet. ``responses`` holds, by hashed message id, the counts of each of its requests by hashed
    request id, as they were in the copy with the largest total: a response is several lines and counts once. What
    sidechains say of it stands there as one more request, until there is another. ``former_responses``: how many are
    not in there any more. ``has_rows``: there are rows with this ``session_id``, so that it stays what it is, known
    or not.
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
    events: int = 0
    open_calls: dict[str, list[tuple[int, int | None, int]]] = msgspec.field(default_factory=dict)
    responses: dict[bytes, dict[bytes, Kinds]] = msgspec.field(default_factory=dict)
    assistant_lines: int = 0
    usage_lines: int = 0
    unknown_lines: int = 0
    answered_calls: int = 0
    counted_responses: int = 0
    early_results: dict[bytes, tuple[bool, int | None]] = msgspec.field(default_factory=dict)
    has_rows: bool = False
    former_responses: int = 0

    def see_times(self, times: Iterable[int]) -> None:
        """Count the time between lines, in the order in which they stand in the file."""
        start, end, active = self.started_at, self.ended_at, self.active_micros
        for now in times:
            if start is None or end is None:
                start = end = now
            elif now > end:
                if now - end <= IDLE_MICROS:
                    active += now - end
                end = now
            elif now < start:
                start = now
        self.started_at, self.ended_at, self.active_micros = start, end, active

    def see_event(self, event: Event) -> None:
        """Number an event, and count it by its kind."""
        self.events += 1
        event.event_number = self.events
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

    def see_response(self, turn: Turn, message: Message, counts: Tokens | None) -> None:
        """Count a response once, however many lines repeat it; ``counts``: its tokens as of this line."""
        spent = None if message.model == SYNTHETIC else counts
        self.assistant_lines += message.model != SYNTHETIC
        self.usage_lines += spent is not None
        if not message.id:
            if spent is not None:
                self.counted_responses += 1
                self._add(spent.kinds(), NOTHING)
            return
        known = self._response(short(message.id))
        if not known and message.model is not None and message.model != SYNTHETIC:
            self.models[message.model] = self.models.get(message.model, 0) + 1
        if spent is None:
            return
        request = _SIDECHAIN if turn.is_sidechain else short(turn.request_id or "")
        if request == _SIDECHAIN and known and _SIDECHAIN not in known:
            return  # a copy of one that is no sidechain's
        if request != _SIDECHAIN and _SIDECHAIN in known:
            self.counted_responses -= 1
            self._add(NOTHING, known.pop(_SIDECHAIN))
        before = known.get(request, NOTHING)
        self.counted_responses += request not in known
        now = spent.kinds()
        if request not in known or sum(now) > sum(before):
            known[request] = now
            self._add(now, before)

    def _response(self, name: bytes) -> dict[bytes, Kinds]:
        """The requests of a response; the oldest are given up where there are too many."""
        known = self.responses.get(name)
        if known is None:
            known = self.responses[name] = {}
            self.former_responses += keep_newest(self.responses, MAX_RESPONSES)
        return known

    def _add(self, now: Kinds, before: Kinds) -> None:
        for kind in range(4):
            self.totals[kind] += now[kind] - before[kind]

    def row(self, agent_id: str | None) -> tuple[object, ...]:
        """The summary as a row of the table."""
        started, ended = self.started_at, self.ended_at
        return (
            self.session_id,
            started,
            ended,
            self.active_micros / 1e6,
            None if started is None or ended is None else (ended - started) / 1e6,
            self.user_messages,
            len(self.responses) + self.former_responses,
            self.tool_calls,
            self.tool_errors,
            self.skill_invocations,
            self.subagent_dispatches,
            self.mcp_calls,
            self.slash_commands,
            len(self.tools),
            len(self.skills),
            # The first of the most used: max() keeps the earliest, and a dict keeps the order of arrival.
            max(self.models, key=self.models.__getitem__, default=None),
            *self.totals,
            self.lines,
            self.malformed_lines,
            self.title,
            agent_id,
            self.usage_lines,
            self.assistant_lines - self.usage_lines,
            self.unknown_lines,
            self.tool_calls - self.answered_calls,
        )

    def watched(self) -> dict[str, tuple[int, int]]:
        """Parts of wholes that stay about the same for as long as the format of transcripts does."""
        return {
            "duplicate_responses": (self.usage_lines - self.counted_responses, self.usage_lines),
            "unknown_lines": (self.unknown_lines, self.lines),
            "unanswered_calls": (self.tool_calls - self.answered_calls, self.tool_calls),
            "lines_without_usage": (self.assistant_lines - self.usage_lines, self.assistant_lines),
        }


def keep_newest(kept: dict[Any, Any], most: int) -> int:
    """Give the oldest up where there are too many; a tenth at a time, since finding the oldest walks over gaps.

    Returns how many were.
    """
    if len(kept) <= most:
        return 0
    oldest = list(islice(kept, most // 10))
    for key in oldest:
        del kept[key]
    return len(oldest)


def key_of(text: str) -> int:
    """A number that stands for a text, the same on every machine: 64 bits, as a BIGINT has."""
    return int.from_bytes(_digest(text), "big", signed=True)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()


short = functools.lru_cache(maxsize=256)(_digest)
"""Eight bytes instead of some thirty: the carry of a long session holds thousands of identifiers, each of which is
on several lines in a row."""
