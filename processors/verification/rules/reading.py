"""One sentence read: what it answers, what it states, and how sure it is that an organisation is spoken of."""

import re
from dataclasses import dataclass
from typing import Literal

from processors.verification.rules import signals
from processors.verification.rules.lexicon import Noun, nouns
from processors.verification.rules.prose import Sentence, plain
from processors.verification.rules.signals import Strength

Stance = Literal["correction", "confirmation"]

_MOST_LEADS = 6
_FEWEST_WORDS = 4
"""Of a statement; of a rule, see :data:`_FEWEST_OF_A_RULE`."""
_FEWEST_OF_A_RULE = 5
_NEAR = 70
"""Characters, within which a statement names what it is about."""

_FIGURES = frozenset(
    [
        "churn",
        "churn rate",
        "mrr",
        "arr",
        "nps",
        "csat",
        "revenue",
        "net revenue",
        "dau",
        "mau",
        "wau",
        "users",
        "user",
        "customers",
        "customer",
        "orders",
        "sessions",
        "conversion",
        "conversion rate",
        "retention",
        "retention rate",
        "signups",
        "cac",
        "ltv",
        "arpu",
        "margin",
        "gross margin",
        "profit",
        "headcount",
        "latency",
        "coverage",
        "test coverage",
        "clients",
        "rows",
        "row",
        "deals",
    ]  # a list of words
)
"""What has another value each day."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sentence is.

    Attributes:
        stance: what it answers to what was said before, by its own first words.
        soft: whether that is no more than "actually" or "but".
        informs: whether it is announced: "for reference".
        begin: where the statement begins in the sentence, after what leads to it.
        statement: the rest, in plain text.
        nouns: the names in it.
        strength: how sure it is a fact of an organisation.

    """

    stance: Stance | None
    soft: bool
    informs: bool
    topic: bool
    begin: int
    statement: str
    nouns: tuple[Noun, ...]
    strength: Strength

    @property
    def lead_only(self) -> bool:
        """Whether the sentence does nothing but answer or announce."""
        return not re.search(r"\w", self.statement)


def read(sentence: Sentence, *, answers: bool) -> Reading:
    """Read a sentence.

    Args:
        sentence: of a prompt.
        answers: whether the assistant has said something before.

    """
    stance, soft, informs, begin = _leads(sentence.plain, answers=answers)
    statement = sentence.plain[begin:]
    found = tuple(nouns(sentence.text[begin:]))
    return Reading(
        stance=stance,
        soft=soft,
        informs=informs,
        topic=signals.TOPIC.match(sentence.plain) is not None,
        begin=begin,
        statement=statement,
        nouns=found,
        strength=strength_of(statement, found),
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
        elif found := signals.INFORMATION.match(rest):
            informs = True
        elif not (found := signals.ASIDE.match(rest) or signals.PRAISE.match(rest) or signals.ACTUALLY.match(rest)):
            break
        if found.end() == 0:
            break
        at += found.end()
    return stance, soft, informs, at


def strength_of(statement: str, found: tuple[Noun, ...]) -> Strength:
    """How sure it is that a plain statement with these nouns is a fact of an organisation."""
    if not found or len(statement.split()) < _FEWEST_WORDS or not is_said(statement):
        return Strength.NONE
    strength = _by_form(statement, found)
    if strength is Strength.NONE or strength is Strength.RULED:
        return strength
    if signals.PASSING.search(statement) or _is_figure(statement, found):
        return Strength.NONE
    business = any(noun.domain in {"finance", "product", "operations", "data"} for noun in found)
    if signals.CODE.search(statement) and not (business and strength >= Strength.DEFINED):
        return Strength.NONE
    return strength


def is_said(statement: str) -> bool:
    """Whether a plain statement is none of a question, an order, an errand, a guess, and what others have said."""
    if statement.rstrip("\"')] ").endswith("?") or signals.QUESTION.match(statement):
        return False
    if signals.is_order(statement) and not signals.RULED.search(statement):
        return False
    barred = (signals.GUESS, signals.RETOLD, signals.FOREIGN, signals.ERRAND)
    if any(pattern.search(statement) for pattern in barred):
        return False
    return not re.match(r"if\b", statement) or signals.CONDITION.match(statement) is not None


def _by_form(statement: str, found: tuple[Noun, ...]) -> Strength:
    if signals.RULED.search(statement) and len(statement.split()) >= _FEWEST_OF_A_RULE:
        return Strength.RULED
    if signals.DEFINED.search(statement):
        return Strength.DEFINED
    if signals.OURS.search(statement):
        return Strength.OURS
    if _is_stated(statement, found):
        return Strength.STATED
    return Strength.NONE


def _is_stated(statement: str, found: tuple[Noun, ...]) -> bool:
    """Whether one of the nouns, not of code alone, has a predicate."""
    if all(noun.domain in {None, "engineering"} for noun in found) and not (
        signals.CONTRAST.search(statement) and any(noun.domain is None for noun in found)
    ):
        return False
    if signals.IT_IS.match(statement) and signals.CONTRAST.search(statement):
        return True
    first = min(noun.begin for noun in found)
    return first <= _NEAR and signals.PREDICATE.search(statement, first) is not None


def _is_figure(statement: str, found: tuple[Noun, ...]) -> bool:
    return signals.VALUE.search(statement) is not None and any(noun.name.lower() in _FIGURES for noun in found)


def contrasts(statement: str) -> bool:
    """Whether a plain statement says what is so and what is not."""
    return signals.CONTRAST.search(statement) is not None


_ENDS_OF_QUESTIONS = re.compile(
    r"[\s,;.-]*(?:\b(?:is\ that|am\ i|did\ i\ get\ that|is\ this|does\ that\ (?:sound|look|match)|do\ i\ have\ that)\b[^?.]{0,40}|right|correct|yes|ja|richtig|oder)?\s*\?[\s*_]*$",
    re.VERBOSE,
)
_HEADS_OF_QUESTIONS = re.compile(
    r"(?:(?:just\ |quick\ )?(?:to\ )?(?:confirm(?:ing)?|double[-\ ]?check(?:ing)?|check(?:ing)?|verify|clarify|make\ sure|be\ sure)|so|ok(?:ay)?|got\ it|let\ me\ confirm|before\ i\ (?:start|continue)|understood"
    r"|(?:can|could)\ you\ confirm(?:\ that)?|am\ i\ right\ that|is\ it\ (?:right|correct|true)\ that|my\ understanding\ is\ that)[\s,.:;-]+(?:that\s+)?",
    re.VERBOSE,
)
_TURNED = re.compile(rf"(is|are)\s(.{{2,100}}?)\s({signals.DEFINED_BY}|the|always|only|not)\b", re.VERBOSE)
_DO_WE = re.compile(r"do(?:es)?\s(we|you|your\s\w+)\s")


def asked(text: str) -> str:
    """The fact that an assistant's question states: "so churn is computed monthly, right?"; empty if it states none."""
    last = text.rstrip()[-1500:]
    if not last.endswith("?"):
        return ""
    last = re.split(r"(?<=[.!?])\s+(?=\S)|\n+", last)
    question = last[-1]
    if len(question.split()) < _FEWEST_WORDS + 1 and len(last) > 1:
        question = f"{last[-2]} {question}"
    statement = question
    for _ in range(3):
        head = _HEADS_OF_QUESTIONS.match(plain(statement))
        if head is None:
            break
        statement = statement[head.end() :]
    tail = _ENDS_OF_QUESTIONS.search(plain(statement))
    statement = statement[: tail.start()] if tail else statement
    ours = re.sub(
        r"\byour\b", "our", re.sub(r"\byou\b(?!')", "we", statement, flags=re.IGNORECASE), flags=re.IGNORECASE
    )
    if turned := _TURNED.match(plain(ours)):
        begin, end = turned.span(2)
        ours = f"{ours[begin:end]} {turned[1]} {ours[turned.start(3) :]}"
    elif doing := _DO_WE.match(plain(ours)):
        ours = ours[doing.start(1) :]
    return ours if strength_of(plain(ours), tuple(nouns(ours))) >= Strength.OURS else ""
