"""The fact that an assistant's question states, which a bare "yes" confirms."""

import re

from processors.verification.rules import barred, forms, practice
from processors.verification.rules.forms import DEFINED_BY
from processors.verification.rules.lexicon import nouns
from processors.verification.rules.prose import plain
from processors.verification.rules.reading import is_said

_MOST = 1500
_FEWEST_WORDS = 5
_FEWEST_OF_A_FACT = 3

_TAIL = re.compile(
    r"[\s,;.-]*(?:\b(?:is\ (?:that|this)|am\ i|did\ i\ get\ that|does\ that\ (?:sound|look|match)"
    r"|do\ i\ have\ that|as\ well|too)\b[^?.]{0,40}|right|correct|yes|ja|richtig|oder)?\s*\?[\s*_]*$",
    re.VERBOSE,
)
_HEAD = re.compile(
    r"(?:(?:just\ |quick\ )?(?:to\ )?(?:confirm(?:ing)?|double[-\ ]?check(?:ing)?|check(?:ing)?|verify"
    r"|clarify|make\ sure|be\ sure)|so|ok(?:ay)?|got\ it|let\ me\ confirm|before\ (?:i|we)\ (?:start"
    r"|continue|go\ on)|understood|then"
    r"|(?:can|could)\ you\ confirm(?:\ that)?|am\ i\ right\ (?:that|in\ (?:thinking|assuming)(?:\ that)?)"
    r"|is\ it\ (?:right|correct|true)\ that|(?:do|did)\ i\ understand\ (?:correctly|you\ correctly"
    r"|right(?:ly)?)\ that|my\ understanding\ is\ that)[\s,.:;-]+(?:that\s+)?",
    re.VERBOSE,
)
_TURNED = re.compile(rf"(is|are)\s(.{{2,100}}?)\s({DEFINED_BY}|the|always|only|not|[a-z]{{3,}}ed)\b", re.VERBOSE)
_DO_WE = re.compile(r"do(?:es)?\s(?=(?:we|you|your|the|our|an?|any|each|all|every)\b)")
_SHORT = re.compile(r"(?:is|are|am|did|does|do|right|correct|ok)\b")


def asked(text: str) -> str:
    """The fact that the last question of a text states: "so churn is computed monthly, right?"; empty if none.

    A plan is none: "shall I compute it monthly?".
    """
    end = text.rstrip()[-_MOST:]
    if not end.endswith("?"):
        return ""
    said = [sentence for sentence in re.split(r"(?<=[.!?])\s+(?=\S)|\n+", end) if sentence.strip()]
    statement = said[-1]
    if len(said) > 1 and _SHORT.match(plain(statement)) and len(statement.split()) <= _FEWEST_WORDS + 1:
        statement = said[-2].rstrip(" .")
    if barred.PLAN.search(plain(said[-1])) or barred.PLAN.search(plain(statement)):
        return ""
    for _ in range(3):
        head = _HEAD.match(plain(statement))
        if head is None:
            break
        statement = statement[head.end() :]
    tail = _TAIL.search(plain(statement))
    statement = _ours(statement[: tail.start()] if tail else statement)
    if turned := _TURNED.match(plain(statement)):
        begin, stop = turned.span(2)
        statement = f"{statement[begin:stop]} {turned[1]} {statement[turned.start(3) :]}"
    elif doing := _DO_WE.match(plain(statement)):
        statement = statement[doing.end() :]
    return statement if _is_fact(statement) else ""


def _ours(statement: str) -> str:
    """What the assistant says of "you", as those say it who are meant."""
    ours = re.sub(
        r"\byour\b", "our", re.sub(r"\byou\b(?!')", "we", statement, flags=re.IGNORECASE), flags=re.IGNORECASE
    )
    return ours.strip()


def _is_fact(statement: str) -> bool:
    flat = plain(statement)
    if (
        len(flat.split()) < _FEWEST_OF_A_FACT
        or not is_said(flat)
        or barred.CODE.search(flat)
        or barred.PASSING.search(flat)
    ):
        return False
    stated = forms.PREDICATE.search(flat) or forms.OURS.search(flat) or forms.DEFINED.search(flat)
    if practice.HABITUAL.search(flat):
        return stated is not None
    return stated is not None and any(noun.domain is not None or "_" in noun.name for noun in nouns(statement))
