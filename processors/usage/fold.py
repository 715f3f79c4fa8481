"""The fold itself: lines in, rows of four tables out."""

from collections.abc import Iterable

from processors.contract import ProcessorResult
from processors.prompts import is_prompt
from processors.turns import Turn
from processors.usage.events import EVENTS, Event, columns_of, command_events, tool_event
from processors.usage.messages import MESSAGES
from processors.usage.place import Place, place_of
from processors.usage.prompts import PROMPT_LINES
from processors.usage.summary import KNOWN_TYPES, SUMMARY, Summary, keep_newest, key_of, micros, short
from processors.usage.tokens import searches, tokens

MAX_OPEN_CALLS = 10_000
"""Calls of one session that still wait for their result; beyond that the oldest are given up."""

MAX_COPIES = 100
"""Of one call that waits."""

MAX_EARLY_RESULTS = 1_000
"""Results of one session whose call is not there; beyond that the oldest are given up."""

NEWS = ("event_number", "id", "occurred_at", "is_error", "finished_at", "duration_ms")
"""What a result changes in the row of its call, after the columns that name the row."""


ROLES = frozenset({"user", "assistant"})
"""Who speaks, in the flat shape of a line, which has no type."""


class Fold:
    """What one batch adds to a session's summary, and its new rows.

    An event's ``id`` is made of its line, call and time, so that a line that a resumed session has copied gives the
    same ids as the original, whoever's it is; of what is no more than a place in a file, where a line has no id.

    A file is one session. All its rows have the id that its name says, or else the first that its lines say: lines of
    another session in it are copies. If lines give rows before any says an id, it stays without one.
    """

    def __init__(self, session_key: str, summary: Summary) -> None:
        """``summary``: of the lines before."""
        self.summary = summary
        self._key = session_key
        session_id, agent_id = place_of(session_key)
        if summary.session_id is None:
            summary.session_id = session_id
        self._place = Place(summary.session_id, agent_id)
        self.events: list[Event] = []
        self.messages: list[tuple[object, ...]] = []
        self.prompts: list[tuple[object, ...]] = []
        self.settled: list[tuple[object, ...]] = []  # news about events of earlier batches
        self._events_before = summary.events
        self._events_above = summary.events  # on lines above the one that is looked at
        self._watched_before = summary.watched()

    def result(self, malformed_lines: int) -> ProcessorResult:
        """All that the batch gives; ``malformed_lines`` are not among those that were added."""
        self.summary.malformed_lines += malformed_lines
        self.summary.has_rows = self._has_rows()
        settled = dict(zip(NEWS, zip(*self.settled, strict=True), strict=True)) if self.settled else None
        before = self._watched_before
        return ProcessorResult(
            items_count=len(self.events) + len(self.messages),
            rows={
                EVENTS.name: columns_of(self.events),
                MESSAGES.name: self.messages,
                PROMPT_LINES.name: self.prompts,
                SUMMARY.name: [self.summary.row(self._place.agent_id)],
            },
            updates={EVENTS.name: settled} if settled else {},
            carry=self.summary,
            ratios={
                name: (part - before[name][0], whole - before[name][1])
                for name, (part, whole) in self.summary.watched().items()
            },
        )

    def add(self, turns: Iterable[Turn]) -> None:
        """Count lines, in order. Of most of them nothing matters but when they were written."""
        summary = self.summary
        times: list[int] = []
        lines = unknown = 0
        for turn in turns:
            lines += 1
            now = micros(turn.timestamp)
            if now is not None:
                times.append(now)
            if summary.session_id is None and turn.session_id and not self._has_rows():
                summary.session_id = turn.session_id
                self._place = Place(turn.session_id, self._place.agent_id)
            kind = turn.type
            if kind == "assistant":
                self._assistant(turn, now)
            elif kind == "user":
                self._user(turn, now)
            elif kind == "summary" and turn.summary is not None:
                summary.title = turn.summary
            elif kind not in KNOWN_TYPES and not (kind is None and turn.role in ROLES):
                unknown += 1
        summary.lines += lines
        summary.unknown_lines += unknown
        summary.see_times(times)

    def _has_rows(self) -> bool:
        return bool(self.summary.has_rows or self.events or self.messages or self.prompts)

    def _assistant(self, turn: Turn, now: int | None) -> None:
        message = turn.message
        if message is None:
            return
        self._events_above = self.summary.events
        usage = message.usage
        counts = None if usage is None else tokens(usage)
        self.summary.see_response(turn, message, counts)
        if isinstance(message.content, list):
            for block in message.content:
                if block.type == "tool_use":
                    self._call(turn, tool_event(turn, block, now, self._place))
        if usage is not None and counts is not None:
            self.messages.append(
                (
                    self._place.session_id,
                    message.id or None,  # an empty one would make one response of strangers' lines
                    turn.request_id or None,
                    message.model,
                    bool(turn.is_sidechain),
                    bool(turn.is_api_error_message),
                    usage.service_tier or None,
                    usage.speed or None,
                    *counts,
                    message.stop_reason,
                    now,
                    searches(usage),
                    turn.cwd,
                    turn.git_branch,
                    self._place.agent_id,
                    self._response_key(message.id or None),
                )
            )

    def _event(self, turn: Turn, event: Event) -> None:
        self.summary.see_event(event)
        if turn.uuid:
            what, number = event.tool_use_id or event.command_name, event.event_number - self._events_above
            event.id = key_of(f"{turn.uuid}\0{what}\0{event.occurred_at}\0{number}")
        else:  # nothing but its place tells it from others
            event.id = key_of(f"{self._key}\0{event.event_number}")
        self.events.append(event)

    def _response_key(self, message_id: str | None) -> int:
        if message_id is None:
            return key_of(f"{self._key}\0{self.summary.usage_lines}")
        return int.from_bytes(short(message_id), "big", signed=True)

    def _call(self, turn: Turn, event: Event) -> None:
        self._event(turn, event)
        if event.tool_use_id is None:
            return
        early = self.summary.early_results
        if early and (outcome := early.pop(short(event.tool_use_id), None)) is not None:
            self._settle((event.event_number, event.occurred_at, event.id), *outcome)
            return
        copies = self.summary.open_calls.setdefault(event.tool_use_id, [])
        if len(copies) == MAX_COPIES:
            del copies[0]
        copies.append((event.event_number, event.occurred_at, event.id))
        keep_newest(self.summary.open_calls, MAX_OPEN_CALLS)

    def _user(self, turn: Turn, now: int | None) -> None:
        message = turn.message
        if message is None:
            return
        self._events_above = self.summary.events
        if self._place.agent_id is None and is_prompt(turn):  # a subagent is asked by a model
            self._prompt(turn, now)
        if isinstance(message.content, str):
            texts = [message.content]
        else:
            blocks = message.content or []
            texts = [block.text for block in blocks if block.type == "text" and block.text is not None]
            for block in blocks:
                if block.type == "tool_result" and block.tool_use_id is not None:
                    self._result(block.tool_use_id, bool(block.is_error), now)
        for event in command_events(turn, texts, now, self._place):
            self._event(turn, event)

    def _prompt(self, turn: Turn, now: int | None) -> None:
        self.summary.user_messages += 1
        known_as = (
            f"prompt\0{turn.uuid}\0{now}" if turn.uuid else f"prompt\0{self._key}\0{self.summary.user_messages}"
        )
        self.prompts.append(
            (
                key_of(known_as),
                self._place.session_id,
                turn.uuid,
                turn.cwd,
                turn.git_branch,
                turn.version,
                now,
            )
        )

    def _result(self, tool_use_id: str, is_error: bool, now: int | None) -> None:
        calls = self.summary.open_calls.pop(tool_use_id, None)
        if calls is None:
            self.summary.early_results.setdefault(short(tool_use_id), (is_error, now))
            keep_newest(self.summary.early_results, MAX_EARLY_RESULTS)
            return
        for call in calls:
            self._settle(call, is_error, now)

    def _settle(self, call: tuple[int, int | None, int], is_error: bool, now: int | None) -> None:
        number, called_at, known_as = call
        self.summary.answered_calls += 1
        self.summary.tool_errors += is_error
        duration = None if now is None or called_at is None else max(0, now - called_at) // 1000
        if number > self._events_before:
            event = self.events[number - self._events_before - 1]
            event.is_error, event.finished_at, event.duration_ms = is_error, now, duration
        else:
            self.settled.append((number, known_as, called_at, is_error, now, duration))
