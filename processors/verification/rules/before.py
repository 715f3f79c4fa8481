"""What the assistant said last, against which the sentences of a prompt are read."""

import re
from dataclasses import dataclass

from processors.verification.rules import barred
from processors.verification.rules.lexicon import nouns, subject_of
from processors.verification.rules.prose import plain
from processors.verification.rules.words import words

_STEM = 5
"""Letters, by which words are told apart."""
_CONTENT_WORD = re.compile(r"[a-z0-9äöüß_#-]*[a-zäöüß][a-z0-9äöüß_#-]*")
_NO_CONTENT = words(
    """
    the and for are was were has have had that this these those with from not but you your our its they
    them their there here will would should could can may might must does did done being been into onto
    over under than then when where what which who how why all any each every only also just more most
    some such very too yes yeah right correct exactly that's it's isn't don't doesn't we're i'm about
    after before because since until while use used using one two now new get got per monthly weekly
    daily quarterly annually yearly month week day quarter year rather instead always never calculate
    computed calculated compute count counted define defined measure measured make made take taken out
    off true false know like need needs und der die das ist nicht
    """
)


def stems(text: str) -> frozenset[str]:
    """The beginnings of the words of a plain text that say what it is about."""
    return frozenset(
        word[:_STEM]
        for word in _CONTENT_WORD.findall(text)
        if len(word) > 2 and word not in _NO_CONTENT  # noqa: PLR2004  # "is", "to"
    )


_LEADING = re.compile(
    r"^(?:so|ok|okay|then|i (?:assume|take it|believe|think|guess)(?: that)?|it (?:looks like|seems"
    r"|appears)(?: that)?|just to confirm|your)\b[\s,:-]*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Before:
    """What the assistant said last, as the next sentence is read against it."""

    stems: frozenset[str] = frozenset()
    code: bool = False
    acted: bool = False
    said: bool = False
    plan: bool = False
    subject: str = ""

    @classmethod
    def of(cls, text: str) -> "Before":
        """Of what was said; nothing if it is empty."""
        flat = plain(text)
        last = re.split(r"(?<=[.!?])\s+", text.strip())[-1]
        subject = next(iter(subject_of(_LEADING.sub("", last))), "")
        if not any(noun.domain not in {None, "engineering"} for noun in nouns(subject)):
            subject = ""
        return cls(
            stems(flat),
            barred.CODE.search(flat) is not None,
            barred.ACTED.match(flat) is not None,
            bool(flat.strip()),
            barred.PLAN.search(plain(last)) is not None,
            subject,
        )
