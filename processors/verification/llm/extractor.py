"""An extractor that asks a language model."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from processors.verification.llm.asking import asking
from processors.verification.llm.model import ExtractionError
from processors.verification.llm.options import LlmOptions
from processors.verification.llm.prompts import Prompt, closed, element, prompt, unescaped
from processors.verification.model import (
    DETECTIONS,
    DOMAINS,
    MOST_CONTENT,
    MOST_TITLE,
    Candidate,
    Detection,
    Domain,
    Window,
)

_TEXT = {"type": "string"}
_ITEM = closed(
    {
        "detection_type": {"type": "string", "enum": list(DETECTIONS)},
        "title": _TEXT,
        "content": _TEXT,
        "user_quote": _TEXT,
        "domain": {"type": "string", "enum": list(DOMAINS)},
        "entities": {"type": "array", "items": _TEXT},
    }
)
_SCHEMA = closed({"items": {"type": "array", "items": _ITEM}})

_Some = Annotated[str, msgspec.Meta(pattern=r"\S")]
_Content = Annotated[str, msgspec.Meta(pattern=r"\S", max_length=MOST_CONTENT)]


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    detection_type: Detection
    title: _Some
    content: _Content
    user_quote: _Some
    domain: Domain
    entities: list[str]


class _Found(msgspec.Struct, forbid_unknown_fields=True):
    items: list[_Item]


_DECODE = msgspec.json.Decoder(_Found).decode


class LlmExtractor:
    """Finds what a prompt verifies by asking a language model; see :class:`processors.verification.model.Extractor`.

    The same window gives the same again while its answer is kept.

    Args:
        options: which model, and the limits; they are shared with all that have the same options in this process.

    """

    def __init__(self, options: LlmOptions) -> None:
        self._asking = asking(options)

    def extract(self, window: Window) -> Sequence[Candidate]:
        """What the prompt of a window verifies.

        Raises:
            processors.PauseError: nobody can say now: the provider, the key, the budget or the cache is to blame.
            ExtractionError: the model gives no valid answer to this window.

        """
        found = self._asking.ask(_prompt(), _data(window), _decoded)
        words = " ".join(window.prompt.split())
        return [
            Candidate(
                item.detection_type,
                shortened(item.title.strip()),
                item.content.strip(),
                _quote(item.user_quote, words),
                item.domain,
                tuple(entity for entity in (entity.strip() for entity in item.entities) if entity),
            )
            for item in found.items
        ]


_PROMPT: list[Prompt] = []


def _prompt() -> Prompt:
    if not _PROMPT:
        _PROMPT.append(prompt("extract", _SCHEMA, _data(Window((), "Hello."))))
    return _PROMPT[0]


def _data(window: Window) -> str:
    turns = [element("turn", said.text, role=said.role) for said in window.context]
    context = "".join(f"{turn}\n" for turn in turns)
    return f"<window>\n<context>\n{context}</context>\n{element('prompt', window.prompt)}\n</window>"


def _decoded(answer: str) -> _Found:
    try:
        return _DECODE(answer)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    # Outside of the handler: its error may repeat what the answer says.
    raise ExtractionError("the language model's answer is not as it has to be")


def shortened(title: str, most: int = MOST_TITLE) -> str:
    """A title of at most so many characters: one that is longer ends after a word, with an ellipsis."""
    if len(title) <= most:
        return title
    head = title[: most - 1]
    if not title[most - 1].isspace():
        words = head.rsplit(None, 1)
        head = words[0] if len(words) > 1 else head
    return f"{head.rstrip()}…"


def _quote(quote: str, words: str) -> str:
    """The quote, with what was escaped for the model as the person wrote it, if it left it so."""
    if " ".join(quote.split()) not in words and " ".join(unescaped(quote).split()) in words:
        return unescaped(quote)
    return quote
