"""What a person wrote in a prompt, sentence by sentence: without what was pasted into it.

Everything is linear in the length of the prompt; a sentence beyond :data:`MOST_SENTENCE` is no statement of a
person, and is passed over, so that what looks at sentences may take its time with each.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

MOST_SENTENCE = 1200
"""Characters."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the prompt.

    Attributes:
        text: as it stands there.
        plain: the same, of the same length: lower case, with straight quotes, hyphens and spaces.
        begin, end: where it stands in the prompt.
        paragraph: number of the paragraph; items of a list have one each.
        item: whether it begins an item of a list.

    """

    text: str
    plain: str
    begin: int
    end: int
    paragraph: int
    item: bool = False


_PLAIN = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÜ‘’‚‛`´ʼ“”„‟«»‐‑‒–—―−\u00a0\u2009\u202f\t\n\r",  # noqa: RUF001
    "abcdefghijklmnopqrstuvwxyzäöü'''''''\"\"\"\"\"\"-------      ",
)


def plain(text: str) -> str:
    """A text in lower case with straight quotes, hyphens and spaces; character by character."""
    if text.isascii():  # nearly all texts, and much quicker
        return text.lower().translate(_PLAIN_ASCII)
    return text.translate(_PLAIN)


_PLAIN_ASCII = str.maketrans("`\t\n\r", "'   ")


_FENCE = re.compile(r"[ \t]{0,8}(?:```|~~~)")
_TAG = re.compile(r"<(/?)([a-z][a-z0-9_-]{0,40})(?:\s[^<>\n]{0,200})?>")
_LIST_ITEM = re.compile(r"[ \t]{0,12}(?:[-*•+]|\(?[0-9]{1,3}[.)]|\(?[a-z][.)])[ \t]{1,4}")
_INDENTED = re.compile(r"(?: {4}|\t)\s*\S")
_PASTED_LINE = re.compile(
    r"""\s*(?:
        >|\||\#{1,6}\s|[$%]\s\S|[{}\[\]()]|@@|diff\s--git|[+-]{3}\s|//|/\*|\*/|<\?|<!
        |\[?[0-9]{4}-[0-9]{2}-[0-9]{2}[T\s][0-9:]{5}|\[?[0-9]{1,2}:[0-9]{2}:[0-9]{2}|\[[A-Za-z0-9 _.:-]{1,40}\]
        |(?:DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL|TRACE|FAILED|PASSED|npm\ ERR!|E\s{2,})[\s:\]]
        |Traceback\s|File\s"|at\s[\w.$<>]{1,80}\(|[\w.]{0,60}(?:Error|Exception|Warning):\s
        |(?:def|class|import|from|return|const|let|var|function|public|private|SELECT|INSERT|UPDATE|CREATE|WITH|FROM|WHERE|JOIN
           |GROUP\ BY|ORDER\ BY|export|async\ def|fn|func|package|struct)\s[^.]{0,200}[;({:=,)*\w]\s*$(?<![.!?])
        |(?:Subject|Betreff|Cc|Bcc|Date|Sent|To|From|Von|An|Gesendet):\s
        |[\w.-]{1,60}\s*=\s*[\[\{\("'0-9]
        )""",
    re.VERBOSE,
)
_CODE_WORD = re.compile(
    r"\s*(?:def|class|import|from|return|const|let|var|function|public|private|export|fn|func|struct)\b"
)
_CODE_END = re.compile(r"[;{}(),]\s*$")
_QUOTED_FROM_HERE = re.compile(
    r"""\s*(?:
        -{2,}\s?(?:Original\ Message|Forwarded\ message|Ursprüngliche\ Nachricht)
        |On\s.{4,120}\swrote:\s*$|Am\s.{4,120}\sschrieb.{0,80}:\s*$|Begin\ forwarded\ message
        |(?:From|Von):\s.{3,200}$
        )""",
    re.VERBOSE | re.IGNORECASE,
)
_HANDED_OVER = re.compile(
    r"""(?:\b(?:summari[sz]e|translate|proofread|rewrite|rephrase|shorten|paraphrase|format|review|edit|polish|analy[sz]e
            |explain|classify|extract|parse|convert|improve|check|fix|grammar|reply\ to|respond\ to|answer
            |critique|debug|read|spellcheck|turn\ this|make\ this|put\ this)\b
          |\b(?:here(?:'?s|\ is|\ are)|this\ is|below\ is|following\ is|see|got|received)\b.{0,40}
            \b(?:e-?mail|message|transcript|article|text|paragraph|doc|document|draft|page|ticket|notes?|log|logs|output|error|post
            |review|snippet|conversation|thread|comment|response|copy|abstract|memo|report|passage|excerpt|prompt|quote|slack)\b
          |\b(?:following|below|pasted)\b.{0,40}\b(?:e-?mail|message|text|paragraph|document|article|log|output|snippet|passage)\b
          |\b(?:e-?mail|message|article|doc|docs|wiki|readme|competitor|vendor|they|he|she|error|output|ticket|page)\s
           (?:says?|said|wrote|reads?|states?)\b
        ).{0,100}:\s*$""",
    re.VERBOSE,
)
"""A line that hands a text of somebody else over: what follows is not what this person states."""

_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]{1,40}+[\"')\]*_]{0,4}(?=\s|$)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|vs|etc|approx|cf|incl|excl|ca|resp|mr|mrs|dr|st|z\.b|d\.h|bzw|usw"
    r"|no(?=\.\s\d)|fig|inc|ltd|max|min)$"
)


_ASIDE_WITHIN = re.compile(
    r"(?<=[\s,;])(?:btw|by\ the\ way,|fyi|remember(?:\ that)?\ (?!to\b)|note\ that|keep\ in\ mind"
    r"|bear\ in\ mind|for\ context,|unrelated\b|legal\ told|finance\ told|(?:since|because|as)\ (?=(?:our"
    r"|we\ (?:always|never|only|use|count|bill|report|define|treat|measure))\b))",
    re.VERBOSE,
)
"""Words that begin a statement in the middle of a sentence."""


def sentences(prompt: str) -> list[Sentence]:
    """The sentences of a prompt that the person wrote: without code, logs, quotes, mails, tables and headings."""
    found: list[Sentence] = []
    quoted = False
    for paragraph, (begin, end, item) in enumerate(_paragraphs(prompt)):
        for sentence in _sentences_in(prompt, begin, end, paragraph, item=item):
            odd = sentence.plain.count('"') % 2 == 1
            wholly = (
                sentence.plain.startswith('"')
                and sentence.plain.rstrip(".!?, ").endswith('"')
                and sentence.plain.count('"') == _PAIR
            )
            code = sentence.text.count("`") % 2 == 1
            if not (quoted or odd or wholly or code):
                found.append(sentence)
            quoted = quoted != odd
        quoted = False
    return found


_PAIR = 2
_MOST_ASIDES = 3
_WORD = re.compile(r"[^\W\d_]{2}")


def _sentences_in(prompt: str, begin: int, end: int, paragraph: int, *, item: bool) -> Iterator[Sentence]:
    start = begin
    for stop in _SENTENCE_END.finditer(prompt, begin, end):
        if stop[0][0] == "." and _ABBREVIATION.search(
            plain(prompt[max(start, stop.start() - 12) : stop.start() + 3]).rstrip(" .")
        ):
            continue
        yield from _sentence(prompt, start, stop.end(), paragraph, item=item and start == begin)
        start = stop.end()
    yield from _sentence(prompt, start, end, paragraph, item=item and start == begin)


def _sentence(prompt: str, begin: int, end: int, paragraph: int, *, item: bool) -> Iterator[Sentence]:
    """The sentence between two places; more than one where another begins in its middle."""
    if end - begin > 4 * MOST_SENTENCE:
        return
    text = prompt[begin:end]
    begin += len(text) - len(text.lstrip())
    text = text.strip()
    if not text or len(text) > MOST_SENTENCE:
        return
    starts = [0, *(aside.start() for aside in islice(_ASIDE_WITHIN.finditer(plain(text)), _MOST_ASIDES)), len(text)]
    for start, stop in pairwise(starts):
        part = text[start:stop].rstrip()
        if _WORD.search(part):
            yield Sentence(
                part, plain(part), begin + start, begin + start + len(part), paragraph, item and start == 0
            )


def _paragraphs(prompt: str) -> Iterator[tuple[int, int, bool]]:
    """Where paragraphs stand, and whether one is an item of a list."""
    begin, end, item = 0, 0, False
    for start, stop, kind in _kinds(prompt):
        if kind == "more" and end > begin:
            end = stop
            continue
        if end > begin:
            yield begin, end, item
        begin, end, item = 0, 0, False
        if kind in {"item", "text", "more"}:
            begin, end, item = start, stop, kind == "item"
    if end > begin:
        yield begin, end, item


def _kinds(prompt: str) -> Iterator[tuple[int, int, str]]:
    """The lines of a prompt, without their ends: what is ``text`` of its own, goes on with ``more``, or is none."""
    fence, tag, before = False, "", ""
    for start, stop in _lines(prompt):
        line = prompt[start:stop]
        if tag:
            if f"</{tag}>" in line:
                tag = ""
            yield start, stop, "none"
            continue
        opened = _opened(line)
        if _QUOTED_FROM_HERE.match(line[:300]):
            return
        if opened is not None and not fence:
            tag = opened
        fenced = _FENCE.match(line) is not None
        fence = fence != fenced
        if fence or fenced or opened is not None or _is_pasted(line, before):
            before = ""
            yield start, stop, "none"
            continue
        bullet = _LIST_ITEM.match(line)
        if bullet:
            yield start + bullet.end(), stop, "item"
        else:
            yield start, stop, "more" if _goes_on(before, line) else "text"
        before = line
        if _HANDED_OVER.search(plain(line[-300:])):
            return


def _opened(line: str) -> str | None:
    """The tag that a line opens for those after it; empty if it closes one, or its own; None: there is none."""
    found = _TAG.match(line.lstrip()[:300])
    if found is None:
        return None
    return "" if found[1] or f"</{found[2]}>" in line else found[2]


def _lines(prompt: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start <= len(prompt):
        stop = prompt.find("\n", start)
        stop = len(prompt) if stop < 0 else stop
        yield start, stop
        start = stop + 1


_WRAPPED = 50
"""Characters, from which on a line may be one that an editor has wrapped."""


def _goes_on(before: str, line: str) -> bool:
    """Whether a line goes on with the sentence, or at least the paragraph, of the line before."""
    before = before.rstrip()
    if not before or before.endswith(":"):
        return False
    return before.endswith((",", ".", "!", "?")) or (len(before) >= _WRAPPED and line.lstrip()[:1].islower())


def _is_pasted(line: str, before: str) -> bool:
    """Whether a line is blank, or none that a person writes."""
    if not line.strip():
        return True
    head = line[:400]
    if _PASTED_LINE.match(head) or (_INDENTED.match(head) and not before and not _LIST_ITEM.match(head)):
        return True
    return _CODE_END.search(line[-40:]) is not None and _CODE_WORD.match(head) is not None
