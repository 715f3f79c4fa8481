"""The words of verification: what is read, what is found in it, and who finds it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, get_args

Detection = Literal["correction", "confirmation", "unprompted_definition"]
Domain = Literal["finance", "engineering", "product", "data", "operations", "infrastructure"]

DETECTIONS: tuple[Detection, ...] = get_args(Detection)
DOMAINS: tuple[Domain, ...] = get_args(Domain)

MOST_TITLE = 60
MOST_CONTENT = 500
"""Characters."""


@dataclass(frozen=True, slots=True)
class Said:
    """A turn before: context for what comes after it. ``text`` may be its end only."""

    role: Literal["person", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Window:
    """What an extractor looks at: one prompt of a person, or a piece of a long one.

    Attributes:
        context: what was said before, the oldest first, of bounded size.
        prompt: what the person wrote; only this can hold a verification. Secrets are redacted in both.

    """

    context: tuple[Said, ...]
    prompt: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """What an extractor has found; its quote is still to be checked.

    Attributes:
        title: at most 60 characters.
        content: the knowledge as a statement, at most 500 characters.
        user_quote: what the person wrote of it, word for word; only white space may differ.
        entities: what it is about: names of metrics, tables, systems.

    """

    detection_type: Detection
    title: str
    content: str
    user_quote: str
    domain: Domain
    entities: tuple[str, ...] = ()


class Extractor(Protocol):
    """Finds candidates in a window: the same for the same window, whoever asks and however often."""

    def extract(self, window: Window) -> Sequence[Candidate]:
        """What the prompt of a window verifies; empty: nothing, which a failure never is.

        Raises:
            processors.PauseError: it cannot be said now, for a reason that has nothing to do with this window.
            Exception: it cannot be said; the run is tried again.

        """
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of knowledge, as the steps after extraction see it.

    Attributes:
        id: see :func:`item_id`.
        corrects: whether somebody stated it as a correction.
        approved: whether a person has approved it.
        created_at: when it was first stated; UTC, without a zone.
        rejected: whether a person has rejected it.

    """

    id: str
    title: str
    content: str
    domain: Domain
    entities: tuple[str, ...]
    corrects: bool
    approved: bool
    created_at: datetime
    rejected: bool = False


def item_id(title: str, content: str) -> str:
    """The id of an item: ``kv_`` and 12 hexadecimal digits, of its title and content alone."""
    digest = hashlib.sha256(f"{title}:{content}".encode()).hexdigest()
    return f"kv_{digest[:12]}"
