"""From the turns of a session to windows: each prompt of a person, with what was said before it.

A window depends on the turns up to its own alone, never on where a run began: so any split of a session into runs
gives the same windows. Nothing of a prompt is cut off: a long one becomes several windows.
"""

import re
from collections.abc import Iterator

import msgspec

from processors.verification.model import Said, Window

MOST_PROMPT = 8_000
"""Characters of one window's prompt; about two pages."""

MOST_CONTEXT, MOST_TURNS, MOST_TURN = 6_000, 6, 2_000
"""Characters of a context in all, its turns, and characters of each of them: its end, which the prompt answers."""

_BREAKS = (re.compile(r"\n[ \t]*\n"), re.compile(r"\n"), re.compile(r"[.!?][\"')\]]*\s"), re.compile(r"\s"))
"""Where a long prompt is divided, the best first: between paragraphs, lines, sentences, words."""


class Context(msgspec.Struct, array_like=True):
    """What was said last, the oldest first; part of the carry. Secrets are redacted before they come in."""

    roles: list[str] = []
    texts: list[str] = []

    def add(self, role: str, text: str) -> None:
        """One more turn was said; those of one speaker after the other are one."""
        if self.roles and self.roles[-1] == role:
            self.texts[-1] = f"{self.texts[-1]}\n\n{text}"[-MOST_TURN:]
        else:
            self.roles.append(role)
            self.texts.append(text[-MOST_TURN:])
        while len(self.roles) > MOST_TURNS or sum(map(len, self.texts)) > MOST_CONTEXT:
            del self.roles[0], self.texts[0]

    def said(self) -> tuple[Said, ...]:
        """The turns."""
        pairs = zip(self.roles, self.texts, strict=True)
        return tuple(Said("person" if role == "person" else "assistant", text) for role, text in pairs)


def windows(context: tuple[Said, ...], prompt: str) -> Iterator[Window]:
    """The windows of one prompt: one, unless it is long; then each has the end of the one before as context."""
    for piece in pieces(prompt):
        yield Window(context, piece)
        context = (*context, Said("person", piece[-MOST_TURN:]))[-MOST_TURNS:]


def pieces(text: str, most: int = MOST_PROMPT) -> Iterator[str]:
    """The text in pieces of at most ``most`` characters, divided where it divides best; together they are it."""
    start = 0
    while len(text) - start > most:
        end = _division(text, start, start + most)
        yield text[start:end]
        start = end
    yield text[start:]


def _division(text: str, start: int, end: int) -> int:
    """Where to divide ``text[start:end]``: in its second half, at the last of the best breaks."""
    middle = (start + end) // 2
    for kind in _BREAKS:
        if ends := [found.end() for found in kind.finditer(text, middle, end)]:
            return ends[-1]
    return end
