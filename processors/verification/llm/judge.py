"""Contradictions between pieces of knowledge, as a language model sees them."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from processors.verification.llm.asking import asking
from processors.verification.llm.model import ExtractionError
from processors.verification.llm.options import LlmOptions
from processors.verification.llm.prompts import Prompt, closed, element, prompt
from processors.verification.model import Item

Severity = Literal["hard", "soft"]

AT_ONCE = 40
"""Known statements in one request."""

_TEXT = {"type": "string"}
_SCHEMA = closed(
    {
        "contradictions": {
            "type": "array",
            "items": closed(
                {
                    "id": _TEXT,
                    "explanation": _TEXT,
                    "severity": {"type": "string", "enum": ["hard", "soft"]},
                    "suggested_resolution": _TEXT,
                }
            ),
        }
    }
)

_Some = Annotated[str, msgspec.Meta(pattern=r"\S", max_length=2_000)]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two items that do not go together.

    Attributes:
        item_a, item_b: their ids, the lower one first: a pair has one order, whichever came later.
        explanation: what they say differently.
        severity: ``hard``: both cannot be true. ``soft``: they can, under conditions that neither states.
        suggested_resolution: what a curator could do.

    """

    item_a: str
    item_b: str
    explanation: str
    severity: Severity
    suggested_resolution: str


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    explanation: _Some
    severity: Severity
    suggested_resolution: _Some


class _Found(msgspec.Struct, forbid_unknown_fields=True):
    contradictions: list[_Entry]


_DECODE = msgspec.json.Decoder(_Found).decode


class LlmJudge:
    """Finds contradictions by asking a language model.

    Args:
        options: which model, and the limits; they are shared with all that have the same options in this process.

    """

    def __init__(self, options: LlmOptions) -> None:
        self._asking = asking(options)
        self._lock = threading.Lock()
        self.dropped = 0
        """Entries of answers that were about no item that was given, since the start."""

    def judge(self, item: Item, others: Sequence[Item]) -> list[Contradiction]:
        """What contradicts an item among others; each of them at most once, and never the item itself.

        Raises:
            processors.PauseError: nobody can say now: the provider, the key, the budget or the cache is to blame.
            ExtractionError: the model gives no valid answer; nothing is known of any of them then.

        """
        known = {other.id: other for other in others if other.id != item.id}
        ordered = [known[key] for key in sorted(known)]  # the same question for the same items
        found: dict[str, Contradiction] = {}
        for start in range(0, len(ordered), AT_ONCE):
            given = ordered[start : start + AT_ONCE]
            answer = self._asking.ask(_prompt(), _data(item, given), _decoded)
            for entry in self._about({other.id for other in given}, answer.contradictions):
                low, high = sorted((item.id, entry.id))
                pair = Contradiction(low, high, entry.explanation, entry.severity, entry.suggested_resolution)
                found.setdefault(entry.id, pair)
        return list(found.values())

    def _about(self, given: set[str], entries: Sequence[_Entry]) -> Iterator[_Entry]:
        for entry in entries:
            if entry.id in given:
                yield entry
            else:
                with self._lock:
                    self.dropped += 1


_PROMPT: list[Prompt] = []


def _prompt() -> Prompt:
    if not _PROMPT:
        probe = f"<statements>\n{element('new', 'Hello.')}\n</statements>"
        _PROMPT.append(prompt("contradict", _SCHEMA, probe))
    return _PROMPT[0]


def _data(item: Item, others: Sequence[Item]) -> str:
    known = "".join(f"{element('known', f'{other.title}: {other.content}', id=other.id)}\n" for other in others)
    return f"<statements>\n{element('new', f'{item.title}: {item.content}')}\n{known}</statements>"


def _decoded(answer: str) -> _Found:
    try:
        return _DECODE(answer)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    raise ExtractionError("the language model's answer on contradictions is not as it has to be")
