"""The fold itself: lines in, rows of three tables out."""

from collections.abc import Iterable

from processors.contract import Batch, ProcessorResult, Table
from processors.turns import Block, Turn
from processors.usage.events import EVENTS, Event, command_events, row_of, tool_event
from processors.usage.summary import SUMMARY, Summary, micros, tokens
from processors.usage.views import DAILY, TOKENS

MESSAGES = Table(
    "usage_messages",
    {
        "session_id": "VARCHAR",
        "message_id": "VARCHAR",
        "request_id": "VARCHAR",
        "model": "VARCHAR",
        "is_sidechain": "BOOLEAN",
        "is_api_error": "BOOLEAN",
        "service_tier": "VARCHAR",
        "speed": "VARCHAR",
        "input_tokens": "BIGINT",
        "output_tokens": "BIGINT",
        "cache_creation_5m_tokens": "BIGINT",
        "cache_creation_1h_tokens": "BIGINT",
        "cache_read_tokens": "BIGINT",
        "stop_reason": "VARCHAR",
        "occurred_at": "TIMESTAMP",
    },
)
"""One row per assistant line with usage, as it stands there: a response is several lines, see the README."""

MAX_OPEN_CALLS = 10_000
"""Calls of one session that still wait for their result; beyond that the oldest is given up."""


NEWS = ("event_number", "occurred_at", "is_error", "finished_at", "duration_ms")
"""What a result changes in the row of its call, after the columns that name the row."""


class UsageProcessor:
    """Counts what was used. Each table's rows follow from the session's lines alone."""

    name = "usage"
    version = 1
    cadence_minutes = 0
    tables = (EVENTS, MESSAGES, SUMMARY)
    views = (TOKENS, DAILY)
    carry_type = Summary

    def process(self, batch: Batch) -> ProcessorResult:
        """Rows for the new lines; a result that comes later than its call becomes an update of its row."""
        fold = _Fold(batch.carry or Summary())
        fold.add(batch.turns())
        summary = fold.summary
        summary.malformed_lines += batch.malformed_lines
        return ProcessorResult(
            items_count=len(fold.events) + len(fold.messages),
            rows={
                EVENTS.name: [row_of(event) for event in fold.events],
                MESSAGES.name: fold.messages,
                SUMMARY.name: [summary.row()],
            },
            updates={EVENTS.name: dict(zip(NEWS, zip(*fold.settled, strict=True), strict=True))}
            if fold.settled
            else {},
            carry=summary,
        )


class _Fold:
    """What one batch adds to a session's summary, and its new rows."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self.events: list[Event] = []
        self.messages: list[tuple[object, ...]] = []
        self.settled: list[tuple[object, ...]] = []  # news about events of earlier batches
        self._before = summary.events

    def add(self, turns: Iterable[Turn]) -> None:
        """Count lines, in order. Of most of them nothing matters but when they were written."""
        summary = self.summary
        times: list[int] = []
        lines = 0
        for turn in turns:
            lines += 1
            now = micros(turn.timestamp)
            if now is not None:
                times.append(now)
            kind = turn.type
            if kind == "assistant":
                self._assistant(turn, now)
            elif kind == "user":
                self._user(turn, now)
            elif kind == "summary" and turn.summary is not None:
                summary.title = turn.summary
            if summary.session_id is None:
                summary.session_id = turn.session_id
        summary.lines += lines
        summary.see_times(times)

    def _assistant(self, turn: Turn, now: int | None) -> None:
        message = turn.message
        if message is None:
            return
        usage = message.usage
        counts = None if usage is None else tokens(usage)
        self.summary.see_response(turn, message, counts)
        if isinstance(message.content, list):
            for block in message.content:
                if block.type == "tool_use":
                    self._call(tool_event(turn, block, now))
        if usage is not None and counts is not None:
            self.messages.append(
                (
                    turn.session_id,
                    message.id,
                    turn.request_id,
                    message.model,
                    bool(turn.is_sidechain),
                    bool(turn.is_api_error_message),
                    usage.service_tier,
                    usage.speed,
                    *counts,
                    message.stop_reason,
                    now,
                )
            )

    def _call(self, event: Event) -> None:
        self.summary.see_event(event)
        self.events.append(event)
        if event.tool_use_id is not None:
            open_calls = self.summary.open_calls
            open_calls.setdefault(event.tool_use_id, []).append((event.event_number, event.occurred_at))
            if len(open_calls) > MAX_OPEN_CALLS:
                del open_calls[next(iter(open_calls))]

    def _user(self, turn: Turn, now: int | None) -> None:
        message = turn.message
        if message is None:
            return
        self.summary.see_prompt(turn)
        if isinstance(message.content, str):
            texts = [message.content]
        else:
            blocks = message.content or []
            texts = [block.text for block in blocks if block.type == "text" and block.text is not None]
            for block in blocks:
                if block.type == "tool_result" and block.tool_use_id is not None:
                    self._result(block.tool_use_id, block, now)
        for event in command_events(turn, texts, now):
            self.summary.see_event(event)
            self.events.append(event)

    def _result(self, tool_use_id: str, block: Block, now: int | None) -> None:
        is_error = bool(block.is_error)
        for number, called_at in self.summary.open_calls.pop(tool_use_id, ()):
            self.summary.tool_errors += is_error
            duration = None if now is None or called_at is None else max(0, now - called_at) // 1000
            if number > self._before:
                event = self.events[number - self._before - 1]
                event.is_error, event.finished_at, event.duration_ms = is_error, now, duration
            else:
                self.settled.append((number, called_at, is_error, now, duration))
