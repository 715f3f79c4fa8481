"""Verifications found by rules: no key, no network, the same for the same window."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from processors.verification.model import Candidate, Detection, Window
from processors.verification.rules import barred, leads, orders, practice
from processors.verification.rules.asked import asked
from processors.verification.rules.before import Before
from processors.verification.rules.forms import Strength
from processors.verification.rules.lexicon import Noun, domain_of, entities, nouns
from processors.verification.rules.orders import is_order
from processors.verification.rules.prose import Sentence, plain, sentences
from processors.verification.rules.reading import (
    Reading,
    Stance,
    contrasts,
    is_habitual,
    is_of_people,
    is_said,
    read,
    strength_of,
)
from processors.verification.rules.titles import content_of, title_of

_MOST_BEFORE = 2000
"""Characters of what the assistant said last that are looked at."""
_MOST_ADDED = 3
"""Sentences that may add to a statement."""
_HELD = 2
"""Sentences, for which a "No." counts, where the first after it states nothing."""


@dataclass(slots=True)
class _Pending:
    """An answer that waits for its statement, or an announcement that waits for what it announces."""

    stance: Stance | None = None
    begin: int = 0
    end: int = 0
    left: int = 0
    informs: bool = False


class RulesExtractor:
    """Finds corrections, confirmations and definitions by the phrases that people use for them.

    A candidate is a sentence that states something of an organisation's nouns in one of the known forms, with what
    leads to it ("No, that's wrong.") and the sentences that add to it. It is a correction or a confirmation if it
    answers the assistant, else a definition. What is asked, ordered, guessed, retold, pasted, or about code is none.
    """

    def extract(self, window: Window) -> Sequence[Candidate]:
        """The candidates of a window, in the order of their quotes; never raises for what a text holds."""
        last = next((said.text for said in reversed(window.context) if said.role == "assistant"), "")[-_MOST_BEFORE:]
        before = Before.of(last)
        said = [part for sentence in sentences(window.prompt) for part in _parted(sentence)]
        readings = [read(sentence, before) for sentence in said]
        context = nouns(last)
        found: dict[str, Candidate] = {}
        for piece in _pieces(window.prompt, said, readings, before):
            candidate = _candidate(window.prompt, piece, context)
            found.setdefault(candidate.content.casefold(), candidate)
        if not found and before.said:
            return _agreed(said, readings, last)
        return list(found.values())


_MOST_CLAUSES = 4


def _parted(sentence: Sentence) -> Iterator[Sentence]:
    """A sentence; or two, where an order goes before a statement: "add the column, stock is always net of …"."""
    answers = leads.NEGATION.match(sentence.plain) is not None
    if not answers and (is_order(sentence.plain) or barred.ERRAND.match(sentence.plain)):
        for boundary in islice(orders.CLAUSE.finditer(sentence.plain), _MOST_CLAUSES):
            start = boundary.end()
            if ":" in sentence.plain[:start]:
                break  # what follows is what the order is about: "rewrite this: …"
            flat = sentence.plain[start : start + orders.end_of(sentence.plain[start:])]
            strength = strength_of(flat, tuple(nouns(sentence.text[start:])))
            if strength >= Strength.OURS or (strength and practice.EACH_TIME.search(flat)):
                head = sentence.text[: boundary.start()]
                yield replace(sentence, text=head, plain=sentence.plain[: len(head)], end=sentence.begin + len(head))
                yield replace(
                    sentence,
                    text=sentence.text[start:],
                    plain=sentence.plain[start:],
                    begin=sentence.begin + start,
                    item=False,
                )
                return
    yield sentence


@dataclass(frozen=True, slots=True)
class _Piece:
    """A statement: which sentences it is made of, and where its quote begins."""

    detection: Detection
    begin: int
    sentences: list[Sentence]
    readings: list[Reading]


def _pieces(prompt: str, said: list[Sentence], readings: list[Reading], before: Before) -> Iterator[_Piece]:
    pending = _Pending()
    at = 0
    while at < len(said):
        sentence, reading = said[at], readings[at]
        if reading.lead_only:
            if reading.stance or reading.informs:
                _hold(prompt, pending, sentence, reading)
            at += 1
            continue
        heading = sentence.plain.endswith(":") and (reading.informs or leads.HEADING.search(sentence.plain))
        stance = reading.stance or (pending.stance if pending.left else None)
        detection = _detection(reading, stance, before, informed=reading.informs or pending.informs)
        if detection is None or heading:
            pending.left -= 1
            if heading:
                pending.informs = True
            elif not sentence.item:
                pending.informs = False
            at += 1
            continue
        near = not prompt[pending.end : sentence.begin].strip(" \t\r\n-*•")
        begin = pending.begin if pending.left and near else sentence.begin
        after = _end_of(said, readings, at)
        yield _Piece(detection, begin, said[at:after], readings[at:after])
        pending.left = 0
        pending.informs = pending.informs and sentence.item
        at = after


def _hold(prompt: str, pending: _Pending, sentence: Sentence, reading: Reading) -> None:
    near = pending.left and not prompt[pending.end : sentence.begin].strip()
    pending.begin = pending.begin if near else sentence.begin
    pending.stance = (pending.stance if near else None) or reading.stance
    pending.informs = reading.informs
    pending.end, pending.left = sentence.end, _HELD


def _detection(reading: Reading, stance: Stance | None, before: Before, *, informed: bool) -> Detection | None:
    """What a statement is, given what it answers; None where its form is too weak for that."""
    if reading.strength is Strength.NONE:
        return None
    known = is_of_people(reading.statement) or any(noun.domain not in {None, "engineering"} for noun in reading.nouns)
    if before.said and stance is not None:
        answer: Detection = "correction" if reading.soft else stance
        return answer if _answers(reading, stance, before, known=known) else None
    if _takes_up(reading, before, informed=informed, known=known):
        return "correction"
    return "unprompted_definition" if _defines(reading, informed=informed, known=known) else None


def _answers(reading: Reading, stance: Stance, before: Before, *, known: bool) -> bool:
    """Whether a statement after a "no" or "yes" is one of an organisation."""
    habitual = is_habitual(reading, answers=True)
    named = known or reading.shared > 0
    soft = reading.soft and not contrasts(reading.statement) and not (habitual and named)
    weak = (
        (before.code and not (known and habitual))
        or soft
        or (before.plan and stance == "confirmation")
        or not (named or habitual)
        or (before.acted and not (known and (habitual or reading.shared > 1)))
    )
    return reading.strength >= (Strength.OURS if weak else Strength.STATED)


def _takes_up(reading: Reading, before: Before, *, informed: bool, known: bool) -> bool:
    """Whether a statement says otherwise than the assistant did, without a "no" before it."""
    strength = reading.strength
    if not before.said or not reading.shared or informed or reading.topic or before.code:
        return False
    if before.acted and strength < Strength.OURS and not known:
        return False
    plainly = known and practice.MODAL.search(reading.statement) is None
    plainly = plainly and not (before.acted or before.plan or reading.asks)
    asks = reading.asks and strength < Strength.DEFINED and not practice.LASTING.search(reading.statement)
    against = is_habitual(reading, answers=True) or strength >= Strength.DEFINED or contrasts(reading.statement)
    return plainly or (against and not asks)


def _defines(reading: Reading, *, informed: bool, known: bool) -> bool:
    """Whether a statement is one of an organisation, with nothing that it answers."""
    statement, strength = reading.statement, reading.strength
    if strength >= Strength.DEFINED:
        return True
    if reading.asks and not practice.LASTING.search(statement):
        return False
    habitual = is_habitual(reading, answers=informed)
    if strength is Strength.OURS:
        return informed or habitual
    named = known or practice.IS_WHEN.search(statement) is not None or practice.GENERIC.search(statement) is not None
    return (informed and (known or habitual)) or (named and habitual)


def _end_of(said: list[Sentence], readings: list[Reading], at: int) -> int:
    """After which sentence a statement ends: what adds to it belongs to it."""
    names = {noun.name.lower() for noun in readings[at].nouns}
    end = at + 1
    while end < len(said) and end - at <= _MOST_ADDED and said[end].paragraph == said[at].paragraph:
        if not _adds(readings[end], names):
            break
        names |= {noun.name.lower() for noun in readings[end].nouns}
        end += 1
    return end


_MODIFIES = re.compile(
    r"(?:we|they|it)\ (?:also\ |always\ |never\ |only\ |don'?t\ |do\ not\ |explicitly\ )*(?:exclude"
    r"|include|count|treat|call|ignore|round|use|do|don'?t|refresh|report|consider|leave|subtract|add"
    r"|apply)",
    re.VERBOSE,
)
_REFERS = re.compile(
    r"(?:and\ |so\ |but\ )?(?:it|it'?s|its|this|that|that'?s|they|these|those|both|each|the\ (?:current"
    r"|same|other|rest|only|target|reason|idea|goal|exception)"
    r"|exclu\w+|includ\w+|internal\w*|so|not|das|es|dies\w*)\b|.*\b(?:it|them|that|those)\b",
    re.VERBOSE,
)


def _adds(reading: Reading, names: set[str]) -> bool:
    """Whether a sentence adds to a statement about these names."""
    statement = reading.statement
    if reading.stance or reading.topic or reading.informs or reading.lead_only or not is_said(statement):
        return False
    if barred.PASSING.search(statement) or barred.CODE.search(statement):
        return False
    shared = names & {noun.name.lower() for noun in reading.nouns}
    if shared:
        return True
    if _REFERS.match(statement):
        return reading.strength < Strength.RULED
    return _MODIFIES.match(statement) is not None


def _candidate(prompt: str, piece: _Piece, context: list[Noun]) -> Candidate:
    first, last = piece.sentences[0], piece.sentences[-1]
    end = last.begin + piece.readings[-1].end
    statement = prompt[first.begin + piece.readings[0].begin : end]
    if named := piece.readings[0].named:
        statement = named + prompt[first.begin + piece.readings[0].end : end]
    found = nouns(statement)
    return Candidate(
        detection_type=piece.detection,
        title=title_of(statement),
        content=content_of(statement),
        user_quote=prompt[piece.begin : end].rstrip(),
        domain="operations" if practice.OWNS.search(plain(statement)) else domain_of(found, context),
        entities=entities(found, statement),
    )


_MOST_AGREED = 9
"""Words of an answer that adds to a yes: "yes, always on the parent account"."""


def _agreed(said: list[Sentence], readings: list[Reading], before: str) -> list[Candidate]:
    """A bare "Yes, exactly." to a question that states a fact: the fact, as the assistant put it."""
    if not said or readings[0].stance != "confirmation" or leads.PRAISE.match(said[0].plain):
        return []
    if any(reading.stance == "correction" for reading in readings):
        return []
    answer = readings[0].statement
    unsaid = not is_said(re.sub(r"^(?:always|only|never)\s", "", answer))
    if not readings[0].lead_only and (unsaid or len(answer.split()) > _MOST_AGREED or barred.CODE.search(answer)):
        return []
    statement = asked(before)
    if not statement:
        return []
    found = nouns(statement)
    return [
        Candidate(
            detection_type="confirmation",
            title=title_of(statement),
            content=content_of(statement),
            user_quote=said[0].text,
            domain=domain_of(found, nouns(before)),
            entities=entities(found, statement),
        )
    ]
