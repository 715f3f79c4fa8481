"""One sentence read: what it answers, what it states, and how sure it is that an organisation is spoken of."""

import re
from dataclasses import dataclass
from typing import Literal

from processors.verification.rules import signals
from processors.verification.rules.lexicon import Noun, nouns, subject_of
from processors.verification.rules.prose import Sentence, plain
from processors.verification.rules.signals import Strength

Stance = Literal["correction", "confirmation"]

_MOST_LEADS = 6
_FEWEST_WORDS = 4
"""Of a statement."""
_FEWEST_OF_A_RULE = 5
_FIGURES = frozenset(
    "churn,churn rate,mrr,arr,nps,csat,revenue,net revenue,dau,mau,wau,users,user,customers,customer,orders,sessions,conversion,conversion rate,"
    "retention,retention rate,signups,cac,ltv,arpu,margin,gross margin,profit,headcount,latency,coverage,test coverage,clients,rows,row,deals".split(
        ","
    )  # noqa: SIM905  # a list of words
)
"""What has another value each day."""


_STEM = 5
"""Letters, by which words are told apart."""
_CONTENT_WORD = re.compile(r"[a-z0-9äöüß_#-]*[a-zäöüß][a-z0-9äöüß_#-]*")
_NO_CONTENT = frozenset(
    """the and for are was were has have had that this these those with from not but you your our its they them their there here will would should could can
    may might must does did done being been into onto over under than then when where what which who how why all any each every only also just more most
    some such very too yes yeah right correct exactly that's it's isn't don't doesn't we're i'm about after before because since until while use used using
    one two now new get got per monthly weekly daily quarterly annually yearly month week day quarter year rather instead always never calculate computed
    calculated compute count counted define defined measure measured make made take taken out off true false know like need needs und der die das ist
    nicht""".split()  # noqa: SIM905  # a list of words
)


def stems(text: str) -> frozenset[str]:
    """The beginnings of the words of a plain text that say what it is about."""
    return frozenset(
        word[:_STEM]
        for word in _CONTENT_WORD.findall(text)
        if len(word) > 2 and word not in _NO_CONTENT  # noqa: PLR2004  # "is", "to"
    )


_LEADING = re.compile(
    r"^(?:so|ok|okay|then|i (?:assume|take it|believe|think|guess)(?: that)?|it (?:looks like|seems|appears)(?: that)?|just to confirm|your)\b[\s,:-]*",
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
            signals.CODE.search(flat) is not None,
            signals.ACTED.match(flat) is not None,
            bool(flat.strip()),
            signals.PLAN.search(plain(last)) is not None,
            subject,
        )


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
    end = begin + signals.end_of(sentence.plain[begin:])
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
    sarcastic = signals.SARCASM.search(sentence.plain) is not None
    return Reading(
        stance=stance,
        soft=soft,
        informs=informs,
        topic=signals.TOPIC.match(sentence.plain) is not None,
        begin=begin,
        end=end,
        statement=statement,
        nouns=found,
        strength=Strength.NONE if sarcastic else strength_of(statement, found, shared=shared),
        shared=shared,
        named=named,
        asks=sentence.plain[end:].rstrip("\"') ").endswith("?")
        or signals.ASKS.search(sentence.plain[end:]) is not None,
    )


def _leads(text: str, *, answers: bool) -> tuple[Stance | None, bool, bool, int]:
    """What leads to a statement: the stance, whether it is soft, whether it announces; and where the statement begins."""
    stance: Stance | None = None
    soft = informs = False
    at = 0
    for _ in range(_MOST_LEADS):
        rest = text[at:]
        if found := signals.NEGATION.match(rest):
            stance, soft = "correction", False
        elif answers and (found := signals.ACTUALLY.match(rest) or signals.BUT.match(rest)):
            stance, soft = "correction", soft or stance is None
        elif found := signals.AFFIRMATION.match(rest):
            stance = stance or "confirmation"
        elif found := signals.INFORMATION.match(rest) or signals.ANNOUNCED.match(rest):
            informs = True
        elif not (found := signals.ASIDE.match(rest) or signals.PRAISE.match(rest) or signals.ACTUALLY.match(rest)):
            break
        if found.end() == 0:
            break
        at += found.end()
    return stance, soft, informs, at


def strength_of(statement: str, found: tuple[Noun, ...], *, shared: int = 0) -> Strength:
    """How sure it is that a plain statement with these nouns is a fact of an organisation."""
    if len(statement.split()) < _FEWEST_WORDS or not is_said(statement):
        return Strength.NONE
    if not found and not shared and len(stems(statement)) < _FEWEST_OF_CONTENT:
        return Strength.NONE
    if not any("_" in noun.name for noun in found) and signals.is_of_the_world(statement):
        return Strength.NONE
    strength = _by_form(statement, found, shared=shared)
    if strength is Strength.NONE or strength is Strength.RULED:
        return strength
    if signals.PASSING.search(statement) or _is_figure(statement, found):
        return Strength.NONE
    business = any(noun.domain in {"finance", "product", "operations", "data"} for noun in found)
    if signals.CODE.search(statement) and not (business and strength >= Strength.DEFINED):
        return Strength.NONE
    if signals.SOFT_CODE.search(statement) and not business and strength < Strength.OURS:
        return Strength.NONE
    return strength


def is_said(statement: str) -> bool:
    """Whether a plain statement is none of a question, an order, an errand, a guess, and what others have said."""
    if statement.rstrip("\"')] ").endswith("?") or signals.QUESTION.match(statement):
        return False
    if signals.is_order(statement) and not (signals.FORBIDS.match(statement) and signals.RULED.search(statement)):
        return False
    barred = (signals.GUESS, signals.RETOLD, signals.FOREIGN, signals.ERRAND)
    if any(pattern.search(statement) for pattern in barred):
        return False
    return not re.match(r"if\b", statement) or signals.CONDITION.match(statement) is not None


def _by_form(statement: str, found: tuple[Noun, ...], *, shared: int) -> Strength:
    if signals.RULED.search(statement) and len(statement.split()) >= _FEWEST_OF_A_RULE:
        return Strength.RULED
    if signals.DEFINED.search(statement):
        return Strength.DEFINED
    if signals.OURS.search(statement):
        return Strength.OURS
    known = shared or any(noun.domain not in {None, "engineering"} for noun in found)
    if not known:
        known = bool(found) and signals.CONTRAST.search(statement) is not None
    ours = signals.US.search(statement) is not None
    if not (known or ours or signals.HABITUAL.search(statement)) or (
        _PRONOUN.match(statement) and not (found and contrasts(statement))
    ):
        return Strength.NONE
    habit = signals.HABITUAL.search(statement) is not None
    if shared < _MANY_SHARED and signals.PREDICATE.search(statement) is None:
        return Strength.NONE
    if ours and (habit or contrasts(statement)):
        return Strength.OURS
    return Strength.STATED


_IT = re.compile(r"(?:it|they)('?s|'?re)?(?=\s)")
_PRONOUN = re.compile(r"(?:it|this|that|these|those|he|she|you|i|they|there|it'?s|that'?s|they'?re)\b")
_MANY_SHARED = 2
"""Words that a statement shares with what it answers, so that it needs no known verb."""
_FEWEST_OF_CONTENT = 3
"""Words that say what a statement without known nouns is about."""


def _is_figure(statement: str, found: tuple[Noun, ...]) -> bool:
    return signals.VALUE.search(statement) is not None and any(noun.name.lower() in _FIGURES for noun in found)


def contrasts(statement: str) -> bool:
    """Whether a plain statement says what is so and what is not."""
    return signals.CONTRAST.search(statement) is not None


def is_habitual(reading: Reading, *, answers: bool = False) -> bool:
    """Whether a statement is about what is so each time, and not what a program is to do.

    Args:
        reading: of the sentence.
        answers: whether it takes up what the assistant said, or is announced: then it is about no program.

    """
    forms = (signals.HABITUAL, signals.KINDS, signals.CONTRAST)
    if not any(form.search(reading.statement) for form in forms):
        return False
    if answers or signals.MODAL.search(reading.statement) is None:
        return True
    people = (
        is_of_people(reading.statement)
        or signals.MONEY.search(reading.statement) is not None
        or any(noun.domain in {"finance", "operations", "infrastructure"} for noun in reading.nouns)
    )
    return signals.US.search(reading.statement) is not None or (
        people and signals.FOR_ALL.search(reading.statement) is not None
    )


def is_of_people(statement: str) -> bool:
    """Whether a plain statement says who does, owns or approves something."""
    return signals.OWNS.search(statement) is not None or signals.APPROVES.search(statement) is not None
