"""A statement as an item has it: its content, and a title made of its words."""

import re

from processors.verification.model import MOST_CONTENT, MOST_TITLE

_SPACES = re.compile(r"\s+")
_OPENING = re.compile(
    r"^(?:(?:also|and|so|that|but|because|note that|yes|sorry|our|the|it's|its|that is|that's|this is"
    r"|there is|in fact)\b[\s,:-]*)+",
    re.IGNORECASE,
)
_LOOSE_ENDS = re.compile(
    r"(?:[\s,;:(\[\"'=/&\u2013\u2014-]|\b(?:and|or|of|the|a|an|in|on|at|by|to|for|from|with|is|are|as|not|that|which"
    r"|when|per|divided|who|we|our|but|than|into|over|be|und|oder|der|die|das|von|mit|als))+$",
    re.IGNORECASE,
)


def content_of(statement: str) -> str:
    """A statement on one line, its first letter a capital, cut at the end of a sentence or word where it is long."""
    return _capital(_cut(_SPACES.sub(" ", statement).strip(" \t\n-–—,;:*_"), MOST_CONTENT))  # noqa: RUF001


def title_of(statement: str) -> str:
    """The beginning of a statement, without what leads to it, cut at a word where it is long."""
    line = _SPACES.sub(" ", statement).strip(' -–—,;:*_.!"')  # noqa: RUF001
    first = re.split(r"(?<=\w)[.!?;]\s|\s[–—-]\s", line, maxsplit=1)[0]  # noqa: RUF001
    named = _OPENING.sub("", first)
    if len(named.split()) < 2:  # noqa: PLR2004  # one word says nothing of what it is
        named = first
    if len(named) > MOST_TITLE:
        named = named[: MOST_TITLE + 1]
        named = named.rsplit(" ", 1)[0] if " " in named else named[:MOST_TITLE]
        named = _LOOSE_ENDS.sub("", named) or named[:MOST_TITLE]
    return _capital(named.strip(" ,;:")[:MOST_TITLE])


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    head = text[: most - 1]
    stop = max(head.rfind(". "), head.rfind("! "))
    if stop > most // 2:
        return head[: stop + 1]
    return (head.rsplit(" ", 1)[0] if " " in head else head).rstrip(" ,;:") + "…"


def _capital(text: str) -> str:
    first = text.split(" ", 1)[0]
    named = "_" in first or "." in first or not first.isalpha() or first != first.lower()
    return text if named or first in {"dbt", "pnpm", "npm", "uv", "gRPC"} else text[:1].upper() + text[1:]
