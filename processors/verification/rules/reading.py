"""One sentence read: what it answers, what it states, and how sure it is that an organisation is spoken of."""

import re
from dataclasses import dataclass
from typing import Literal

from processors.verification.rules import barred, forms, leads, orders, practice
from processors.verification.rules.before import Before, stems
from processors.verification.rules.forms import Strength
from processors.verification.rules.lexicon import Noun, nouns
from processors.verification.rules.prose import Sentence, plain

Stance = Literal["correction", "confirmation"]

_MOST_LEADS = 6
_FEWEST_WORDS = 4
"""Of a statement."""
_FEWEST_OF_A_RULE = 5
_FIGURES = frozenset(
    name.strip()
    for name in [
        "\n    churn",
        " churn rate",
        " mrr",
        " arr",
        " nps",
        " csat",
        " revenue",
        " net revenue",
        " dau",
        " mau",
        " wau",
        " users",
        " user",
        " customers",
        "\n    customer",
        " orders",
        " sessions",
        " conversion",
        " conversion rate",
        " retention",
        " retention rate",
        " signups",
        " cac",
        "\n    ltv",
        " arpu",
        " margin",
        " gross margin",
        " profit",
        " headcount",
        " latency",
        " coverage",
        " test coverage",
        " clients",
        " rows",
        "\n    row",
        " deals\n    ",
    ]
)
"""What has another value each day."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sentence is.

    Attributes:
        stance: what it answers to what was said before, by its own first words.
        soft: whether that is no more than "actually" or "but".
        informs: whether it is announced: "for reference".
        topic: whether it goes over to something else: "by the way".
        begin, end: where the statement stands in the sentence, between what leads to it and what follows it.
        statement: in plain text.
        nouns: the names in it.
        strength: how sure it is a fact of an organisation.
        shared: how many of its words the assistant has used before.
        named: the statement with what the assistant spoke of in place of its "it"; empty if it has none.
        asks: whether a question follows in the same sentence.

    """

    stance: Stance | None
    soft: bool
    informs: bool
    topic: bool
    begin: int
    end: int
    statement: str
    nouns: tuple[Noun, ...]
    strength: Strength
    shared: int
    named: str
    asks: bool

    @property
    def lead_only(self) -> bool:
        """Whether the sentence does nothing but answer or announce."""
        return not re.search(r"\w", self.statement)


def read(sentence: Sentence, before: Before) -> Reading:
    """Read a sentence of a prompt, against what the assistant has said before."""
    stance, soft, informs, begin = _leads(sentence.plain, answers=before.said)
    end = begin + orders.end_of(sentence.plain[begin:])
    statement = sentence.plain[begin:end]
    text = sentence.text[begin:end]
    pronoun = _IT.match(statement)
    named = ""
    if stance is not None and not soft and pronoun and before.subject and not before.code and not before.acted:
        verb = {"'": "is" if statement.startswith("it") else "are"}.get((pronoun[1] or "")[:1], "")
        named = f"{before.subject[:1].upper()}{before.subject[1:]} {verb}".strip() + text[pronoun.end() :]
        text, statement = named, plain(named)
    found = tuple(nouns(text))
    shared = len(stems(statement) & before.stems)
    sarcastic = barred.SARCASM.search(sentence.plain) is not None
    return Reading(
        stance=stance,
        soft=soft,
        informs=informs,
        topic=leads.TOPIC.match(sentence.plain) is not None,
        begin=begin,
        end=end,
        statement=statement,
        nouns=found,
        strength=Strength.NONE if sarcastic else strength_of(statement, found, shared=shared),
        shared=shared,
        named=named,
        asks=sentence.plain[end:].rstrip("\"') ").endswith("?")
        or orders.ASKS.search(sentence.plain[end:]) is not None,
    )


def _leads(text: str, *, answers: bool) -> tuple[Stance | None, bool, bool, int]:
    """What leads to a statement: the stance, whether it is soft, whether it announces; where the statement begins."""
    stance: Stance | None = None
    soft = informs = False
    at = 0
    for _ in range(_MOST_LEADS):
        rest = text[at:]
        if found := leads.NEGATION.match(rest):
            stance, soft = "correction", False
        elif answers and (found := leads.ACTUALLY.match(rest) or leads.BUT.match(rest)):
            stance, soft = "correction", soft or stance is None
        elif found := leads.AFFIRMATION.match(rest):
            stance = stance or "confirmation"
        elif found := leads.INFORMATION.match(rest) or leads.ANNOUNCED.match(rest):
            informs = True
        elif not (found := leads.ASIDE.match(rest) or leads.PRAISE.match(rest) or leads.ACTUALLY.match(rest)):
            break
        if found.end() == 0:
            break
        at += found.end()
    return stance, soft, informs, at


def strength_of(statement: str, found: tuple[Noun, ...], *, shared: int = 0) -> Strength:
    """How sure it is that a plain statement with these nouns is a fact of an organisation."""
    if len(statement.split()) < _FEWEST_WORDS or not is_said(statement):
        return Strength.NONE
    unnamed = not found and not shared and len(stems(statement)) < _FEWEST_OF_CONTENT
    if unnamed or (barred.is_of_the_world(statement) and not any("_" in noun.name for noun in found)):
        return Strength.NONE
    strength = _by_form(statement, found, shared=shared)
    if Strength.NONE < strength < Strength.RULED and _is_of_the_work(statement, found, strength):
        return Strength.NONE
    return strength


def _is_of_the_work(statement: str, found: tuple[Noun, ...], strength: Strength) -> bool:
    """Whether a plain statement is about the work at hand: how it stands, figures of the day, code."""
    if barred.PASSING.search(statement) or _is_figure(statement, found):
        return True
    business = any(noun.domain in {"finance", "product", "operations", "data"} for noun in found)
    if barred.CODE.search(statement) and not (business and strength >= Strength.DEFINED):
        return True
    return not business and strength < Strength.OURS and barred.SOFT_CODE.search(statement) is not None


def is_said(statement: str) -> bool:
    """Whether a plain statement is none of a question, an order, an errand, a guess, and what others have said."""
    if statement.rstrip("\"')] ").endswith("?") or orders.QUESTION.match(statement):
        return False
    if orders.is_order(statement) and not (orders.FORBIDS.match(statement) and forms.RULED.search(statement)):
        return False
    if any(pattern.search(statement) for pattern in _NO_STATEMENTS):
        return False
    return not re.match(r"if\b", statement) or forms.CONDITION.match(statement) is not None


_NO_STATEMENTS = (barred.GUESS, barred.RETOLD, barred.FOREIGN, barred.ERRAND)


def _by_form(statement: str, found: tuple[Noun, ...], *, shared: int) -> Strength:
    for strength, form in _FORMS:
        if form.search(statement) and (strength < Strength.RULED or len(statement.split()) >= _FEWEST_OF_A_RULE):
            return strength
    ours = barred.US.search(statement) is not None
    habit = practice.HABITUAL.search(statement) is not None
    unclear = _PRONOUN.match(statement) and not (found and contrasts(statement))
    if unclear or not (habit or ours or _is_known(statement, found, shared=shared)):
        return Strength.NONE
    if shared < _MANY_SHARED and forms.PREDICATE.search(statement) is None:
        return Strength.NONE
    return Strength.OURS if ours and (habit or contrasts(statement)) else Strength.STATED


_FORMS = ((Strength.RULED, forms.RULED), (Strength.DEFINED, forms.DEFINED), (Strength.OURS, forms.OURS))


def _is_known(statement: str, found: tuple[Noun, ...], *, shared: int) -> bool:
    """Whether a plain statement is about something that organisations or the assistant have spoken of."""
    if shared or any(noun.domain not in {None, "engineering"} for noun in found):
        return True
    return bool(found) and contrasts(statement)


_IT = re.compile(r"(?:it|they)('?s|'?re)?(?=\s)")
_PRONOUN = re.compile(r"(?:it|this|that|these|those|he|she|you|i|they|there|it'?s|that'?s|they'?re)\b")
_MANY_SHARED = 2
"""Words that a statement shares with what it answers, so that it needs no known verb."""
_FEWEST_OF_CONTENT = 3
"""Words that say what a statement without known nouns is about."""


def _is_figure(statement: str, found: tuple[Noun, ...]) -> bool:
    return barred.VALUE.search(statement) is not None and any(noun.name.lower() in _FIGURES for noun in found)


def contrasts(statement: str) -> bool:
    """Whether a plain statement says what is so and what is not."""
    return forms.CONTRAST.search(statement) is not None


def is_habitual(reading: Reading, *, answers: bool = False) -> bool:
    """Whether a statement is about what is so each time, and not what a program is to do.

    Args:
        reading: of the sentence.
        answers: whether it takes up what the assistant said, or is announced: then it is about no program.

    """
    if not any(form.search(reading.statement) for form in (practice.HABITUAL, practice.KINDS, forms.CONTRAST)):
        return False
    if answers or practice.MODAL.search(reading.statement) is None:
        return True
    people = (
        is_of_people(reading.statement)
        or practice.MONEY.search(reading.statement) is not None
        or any(noun.domain in {"finance", "operations", "infrastructure"} for noun in reading.nouns)
    )
    return barred.US.search(reading.statement) is not None or (
        people and practice.FOR_ALL.search(reading.statement) is not None
    )


def is_of_people(statement: str) -> bool:
    """Whether a plain statement says who does, owns or approves something."""
    return practice.OWNS.search(statement) is not None or practice.APPROVES.search(statement) is not None
