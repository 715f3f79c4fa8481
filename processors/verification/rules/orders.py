"""Questions and orders, and where a statement ends that one follows in the same sentence."""

import re

from processors.verification.rules.words import words

_QUESTION = (
    r"(?:and\ |but\ |so\ |also\ |ok\ )?(?:what|why|how|where|who|whose|which|is|are|am|was|were|do|does"
    r"|did|can|could|would|will|should|shall"
    r"|has|have\ (?:you|we|i|they)|isn'?t|aren'?t|don'?t\ (?:we|you|they)|doesn'?t|didn'?t|won'?t|wie"
    r"|was\ ist|warum|wieso|wo|wer|kannst|k(?:ö|oe)nn\w+\ (?:sie|wir|du))\b"
)
QUESTION = re.compile(_QUESTION, re.VERBOSE)
_ORDERS = words(
    """
    use rename fix add remove delete change make put move run try show give tell write create keep check
    look do don't dont stop revert undo update set let let's lets go start please pls just instead
    return call pass skip ignore leave wait pull push commit merge compare build implement refactor
    generate explain find list get send open read test compute calculate plot split filter group sort
    drop replace convert ensure think verify double-check rerun redo rewrite include exclude deploy
    install upgrade switch draw summarize summarise translate draft break export import join load save
    print log render format clean extract combine limit round count assume suppose imagine pretend
    consider analyze analyse investigate debug help proceed continue apply configure convert bump wrap
    extend take turn document describe provide prepare propose suggest recommend simplify separate store
    sum treat pick follow avoid exclude restart rebuild rebase simulate model forecast estimate query
    select search grep inspect review nutze benutze verwende zeig zeige schreib schreibe mach mache
    erstelle ändere füge lösche bitte say respond reply answer stick never always only not
    """
)
_SUBJECT_FIRST = re.compile(
    r"\S+\s+(?:\S+\s+){0,3}?(?:is|are|was|means|=|needs?|must|has|have|refers?|counts?|excludes?|includes?"
    r"|goes|lives?)\b"
)
_MAY_BE_NOUNS = words(
    """
    test call list group set order return report log sort model forecast use start count document query
    format store round build
    """
)
_BARE_VERB = re.compile(
    r"(?!(?:for|in|on|at|of|to|by|with|from|and|or|but|nor|than|that|like|when|if|while|once|until|after"
    r"|before|because|since|not|all|both|half|only|as|over|under|above|below|within|without|into|is|are"
    r"|inside|outside|during|per|via|unlike|except"
    r"|the|a|an|our|indeed|internally|externally|here|today|what|between|across|against|toward|let|also"
    r"|even|just|then|so)\b)[a-z]+(?<!s)(?<!ing)(?<!ly)\s(?:me|us|it|them|the|an?|this|that|these|those|my"
    r"|your|every|each|all)\b"
)
"""A word that is no plural, and an object: what is no known verb is one here."""


def is_order(text: str, *, known_only: bool = False) -> bool:
    """Whether a plain sentence tells the assistant to do something.

    Args:
        text: the sentence, without what leads to it.
        known_only: whether the verb must be a known one; else a word with an object after it is enough.

    """
    first = re.match(r"[\w'-]+", text)
    if first is None or first[0] not in _ORDERS:
        if first is not None and not known_only and _BARE_VERB.match(text):
            return True
        return (
            re.match(
                r"(?:for|in|with|on|from|after|before)\s[^,]{2,40},\s(?:assume|suppose|imagine|pretend|use"
                r"|treat|please|show|make|add)\b",
                text,
            )
            is not None
        )
    if first[0] == "only":
        return re.match(r"only\s+\w+\s+(?!\w*s\b)", text) is None or first[0] in _MAY_BE_NOUNS
    if re.match(r"\S+\s+(?:is|are|means|=)\s", text):
        return False
    return not (first[0] in _MAY_BE_NOUNS and _SUBJECT_FIRST.match(text))


TAIL = re.compile(
    r"(?:so\ |and\ |then\ |but\ |or\ )*(?:(?:can|could|would|will)\ (?:you|u|we)|please|pls|plz"
    r"|you\ (?:got|can|can'?t|cannot|may|are|have|should|need|must|'?re)|you'?re|that'?s\ why|maybe"
    r"|perhaps|i\b|i'?m|i'?d|thanks|thx|thank\ you|let|lets|let'?s|what|how|why|who|ok\b|okay|now\b"
    r"|just\ \w+|it\ has\ to\ be|as\ discussed|remember\b|customers\ hate|otherwise\ (?:it|that|all"
    r"|everything)|the\ rest\ is\ (?:fine|right|ok|correct)|right\b\s*\?)"
)
"""What goes on after a statement in the same sentence, and is none."""
_NO_TAILS = words(
    """
    not never always only include exclude count sum treat store round test order set list report group build
    commit format turn start limit query separate model forecast import export load take follow avoid move
    save call open drop consider assume divide say think send log deploy
    """
)
CLAUSE = re.compile(
    r"[,;]\s+|\s-+\s+|\.{2,}\s*|\s+(?=(?:pls|please|thx|can\ (?:you|u)|could\ you|so\ (?:please|keep|use"
    r"|make|look|fix|filter|drop|add|change|leave))\b)|\s(?=and\s)",
    re.VERBOSE,
)
_FEWEST_LEFT = 4


def end_of(statement: str) -> int:
    """Where a plain statement ends, and goes on with what the assistant is to do or with chat."""
    for boundary in CLAUSE.finditer(statement):
        tail = re.sub(r"^(?:so|and|then|but)\s+", "", statement[boundary.end() : boundary.end() + 80])
        first = re.match(r"[\w'-]+", tail)
        orders = (
            first is not None
            and first[0] not in _NO_TAILS
            and first[0] not in _MAY_BE_NOUNS
            and is_order(tail, known_only=True)
        )
        if boundary[0].isspace() and statement[boundary.end() :].startswith("and ") and not orders:
            continue
        if orders or TAIL.match(tail):
            head = statement[: boundary.start()]
            return len(head) if len(head.split()) >= _FEWEST_LEFT else len(statement)
    return len(statement)


FORBIDS = re.compile(r"(?:always|never|only|not|avoid|don'?t)\b")
"""Orders that may be rules: "never commit to main in this repo"."""
ASKS = re.compile(r"\b(?:can|could|would|will)\ (?:you|we|u|i)\b|\b(?:why|how)\b", re.VERBOSE)
