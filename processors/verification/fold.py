"""The fold: turns in, facts out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from processors.contract import ProcessorResult
from processors.prompts import answered_text, written_text
from processors.turns import Turn
from processors.verification.model import (
    DETECTIONS,
    DOMAINS,
    MOST_CONTENT,
    MOST_TITLE,
    Candidate,
    Extractor,
    Window,
    item_id,
)
from processors.verification.options import VerificationOptions
from processors.verification.redaction import redact
from processors.verification.tables import FACTS, SESSIONS
from processors.verification.windows import Context, windows

MOST_ENTITIES, MOST_ENTITY = 20, 60
"""How many an item has, and characters of each."""

MOST_UUID, MOST_FOLDER = 100, 4096
"""Characters. Each row of a turn has both: longer ones, which no client writes, would be copied as often."""


class Carry(msgspec.Struct, array_like=True):
    """What is known of a session between two runs.

    Attributes:
        lines: how many turns there were; names a turn without a uuid.
        folder: where the session works, as it said last.
        context: what was said last.
        prompts, windows, facts, dropped: see the table of sessions.
        left_out: the marker was found.

    """

    lines: int = 0
    folder: str | None = None
    context: Context = msgspec.field(default_factory=Context)
    prompts: int = 0
    windows: int = 0
    facts: int = 0
    dropped: int = 0
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What a person wrote in a turn, and its windows."""

    uuid: str
    at: datetime | None
    project: str | None
    windows: tuple[Window, ...]


@dataclass(slots=True)
class Fold:
    """One run over new turns.

    Args:
        options: the settings.
        carry: of the run before; it is changed.

    """

    options: VerificationOptions
    carry: Carry
    _prompts: list[_Prompt] = field(default_factory=list)

    def read(self, turns: Iterable[Turn]) -> None:
        """Take the prompts and their context from turns; nothing is extracted yet."""
        self._is_left_out()
        for turn in turns:
            self.carry.lines += 1
            self.carry.folder = (turn.cwd or "")[:MOST_FOLDER] or self.carry.folder
            left_out = self._is_left_out()
            if text := written_text(turn):
                # The marker counts wherever it stands.
                self.carry.left_out |= self._has_marker(text)
                if not left_out:
                    self._person(turn, redact(text))
            elif not left_out and (text := answered_text(turn)):
                self.carry.context.add("assistant", redact(text))

    def _is_left_out(self) -> bool:
        """Whether what is said here is left out; then nothing of what was said before is context any more.

        It may have been said here, before the settings left that out.
        """
        left_out = self.options.leave_out.project(self.carry.folder)
        if left_out:
            self.carry.context = Context()
        return left_out

    def _has_marker(self, text: str) -> bool:
        marker = self.options.marker.strip().casefold()
        return any(line.strip().casefold() == marker for line in text.splitlines())

    def _person(self, turn: Turn, text: str) -> None:
        uuid = turn.uuid if turn.uuid and len(turn.uuid) <= MOST_UUID else f"line-{self.carry.lines}"
        found = tuple(windows(self.carry.context.said(), text))
        self._prompts.append(_Prompt(uuid, _utc(turn.timestamp), self.carry.folder, found))
        self.carry.context.add("person", text)

    def result(self, extractor: Extractor, *, is_first: bool) -> ProcessorResult:
        """Extract what the prompts hold.

        Args:
            extractor: what looks at their windows; whatever it raises is raised.
            is_first: the session has no rows yet.

        """
        carry = self.carry
        if carry.left_out:
            # Nothing more of it is carried, either.
            self.carry = carry = Carry(lines=carry.lines, left_out=True)
            return ProcessorResult(rows={SESSIONS.name: [_summary(carry)]}, replaces=not is_first, carry=carry)
        rows: list[tuple[Any, ...]] = []
        telling = 0
        for prompt in self._prompts:
            before = len(rows)
            rows += self._facts(extractor, prompt)
            telling += len(rows) > before
        carry.prompts += len(self._prompts)
        carry.facts += len(rows)
        ratios = {"prompts_with_facts": (telling, len(self._prompts))} if self._prompts else {}
        return ProcessorResult(
            items_count=len(rows),
            rows={FACTS.name: rows, SESSIONS.name: [_summary(carry)]},
            carry=carry,
            ratios=ratios,
        )

    def _facts(self, extractor: Extractor, prompt: _Prompt) -> Sequence[tuple[Any, ...]]:
        """The rows of one prompt: one for each item in it, however often it is found there."""
        rows: dict[str, tuple[Any, ...]] = {}
        for window in prompt.windows:
            self.carry.windows += 1
            for candidate in extractor.extract(window):
                fact = checked(candidate, window)
                if fact is None:
                    self.carry.dropped += 1
                    continue
                name = item_id(fact.title, fact.content)
                rows.setdefault(
                    name,
                    (
                        name,
                        prompt.uuid,
                        prompt.at,
                        prompt.project,
                        fact.detection_type,
                        fact.title,
                        fact.content,
                        fact.user_quote,
                        fact.domain,
                        list(fact.entities),
                    ),
                )
        return list(rows.values())


def checked(candidate: Candidate, window: Window) -> Candidate | None:
    """The candidate in its final form; None if it is no item, or its quote does not stand in the prompt.

    White space in the quote may differ. Titles and contents that are too long are cut at a word.
    """
    quote = _spaced(candidate.user_quote)
    title, content = _shortened(candidate.title, MOST_TITLE), _shortened(candidate.content, MOST_CONTENT)
    if not (quote and title and content) or quote not in _spaced(window.prompt):
        return None
    if candidate.detection_type not in DETECTIONS or candidate.domain not in DOMAINS:
        return None
    entities: dict[str, str] = {}
    for entity in candidate.entities:
        name = _shortened(entity, MOST_ENTITY)
        if name:
            entities.setdefault(name.casefold(), name)
    kept = tuple(entities.values())[:MOST_ENTITIES]
    return Candidate(candidate.detection_type, title, content, quote, candidate.domain, kept)


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _shortened(text: str, most: int) -> str:
    text = _spaced(text)
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    return (cut.rpartition(" ")[0] or cut) + "…"


def _utc(time: datetime | None) -> datetime | None:
    """A time as the database has it: UTC, without a zone; none where there is no such time."""
    try:
        return time.astimezone(UTC).replace(tzinfo=None) if time is not None and time.tzinfo else time
    except OverflowError:  # in the first year, or the last
        return None


def _summary(carry: Carry) -> tuple[int, int, int, int, bool]:
    return carry.prompts, carry.windows, carry.facts, carry.dropped, carry.left_out
