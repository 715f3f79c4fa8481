"""How alike two pieces of knowledge are: the measure, and a quick way to all texts that reach a threshold.

The measure is the normalised indel similarity: twice the length of the longest common subsequence of characters, over
the length of both texts. Of those that RapidFuzz has, it is taken because

- it is symmetric, and a short text within a long one is not the same as it (``token_set_ratio``,
  ``partial_ratio`` and ``WRatio`` say 100 % of "X is computed monthly" and any text with these words);
- the order of words counts: who pays whom, or what is divided by what, is a matter of nothing else
  (``token_sort_ratio`` says 100 %);
- a word that is inflected costs its ending, not the word (a measure on whole words does not know better);
- what it can be at most follows from the lengths alone, so that a search that leaves out texts of other lengths
  loses nothing.

The texts are compared as they stand, but for case and white space: "N-1" is not "N+1", and 3.5 is not 35.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import merge
from itertools import islice
from math import ceil, floor
from typing import TypeVar

from rapidfuzz import process
from rapidfuzz.distance import Indel

T = TypeVar("T")
R = TypeVar("R", bound=tuple[object, ...])

SLICE_NS = 1_000_000
"""About so long, in nanoseconds, one call into native code keeps the interpreter for itself."""

_WORD_BITS = 64
_PAIR_NS = 100


_FEW = 500
_SAMPLE = 100
_ROUNDING = 1e-6

LEFT_OUT = 0.6
"""Measured on English-like texts of 140 to 175 characters at 0.82: with 0.6 left out, 0.4 % of unrelated pairs get
a second look and a pair takes 0.10 µs instead of 0.34; with 0.7 left out it is 32 %."""


def nothing() -> None:
    """What is done between two slices of work, where nobody waits."""


def paced(rows: Iterable[T], between: Callable[[], object]) -> Iterator[T]:
    """The rows as they are, and now and then what is done between two slices of work."""
    for number, row in enumerate(rows):
        if number % _FEW == 0:
            between()
        yield row


def in_order(rows: Iterable[R], between: Callable[[], object]) -> list[R]:
    """The rows sorted, and never so many in one call into native code that it takes milliseconds."""
    left = iter(rows)
    parts = []
    while part := list(islice(left, _FEW)):
        part.sort()
        parts.append(part)
        between()
    return list(paced(merge(*parts), between))


def normalised(text: str) -> str:
    """A text as it is compared: composed characters, folded case, single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.casefold().split())


def names(entities: Iterable[str]) -> frozenset[str]:
    """Entities as they are compared."""
    return frozenset(map(_name, entities)) - {""}


@lru_cache(maxsize=4096)
def _name(entity: str) -> str:
    return normalised(entity)


def similarity(a: str, b: str) -> float:
    """How alike two texts are, from 0 to 1."""
    return Indel.normalized_similarity(normalised(a), normalised(b))


def lengths(length: int, least: float) -> tuple[int, int]:
    """The shortest and the longest text that a text of this length can be alike by ``least``, which is over 0.

    A common subsequence is no longer than the shorter text: the similarity of texts of lengths s <= l is at most
    2s / (s + l), which is ``least`` or more only if s >= l * least / (2 - least). Rounded to the safe side.
    """
    share = least / (2 - least)
    return floor(length * share), ceil(length / share)


def alike(
    text: str,
    others: Sequence[str],
    least: float,
    between: Callable[[], object] = nothing,
    most: int | None = None,
) -> Iterator[tuple[int, float]]:
    """Which of the others are alike to a text, as places among them with their similarity of at least ``least``.

    All texts are normalised. The work is done in slices: ``between`` is called after each, which is the place to let
    other threads run. An exception of it ends the search.

    Args:
        text: what is looked for.
        others: what is looked at, in order of length.
        least: 0: all of them.
        between: called between two slices.
        most: no more than so many of each slice: the most alike, of equals the first.

    """
    for start, stop in _slices(text, others, 0, len(others)):
        found = process.extract(
            text, others[start:stop], scorer=Indel.normalized_similarity, score_cutoff=least, limit=most
        )
        between()
        for _, score, place in found:
            yield start + place, score


class Texts:
    """Normalised texts in order of length, to find those that are alike to many others, each in turn.

    A first look is at the rarer letters alone, which are so few that it takes a third of the time and hardly any pair
    needs the second one. It loses nothing: from a longest common subsequence of two texts, leave out the letters that
    are not looked at; what remains is one of what remains of the texts, and the letters that are not in it were not
    in the longer one either. So the indel distance of what remains is at most that of the texts, and texts that are
    alike have at most (1 - ``least``) times the sum of their lengths.

    Args:
        texts: in order of length.
        left_out: of :func:`frequent`; nothing: the first look is not worth its while.

    """

    def __init__(self, texts: Sequence[str], left_out: Mapping[int, None]) -> None:
        self._texts = texts
        self._left_out = left_out
        self._rare = [text.translate(left_out) for text in texts] if left_out else []

    def alike(
        self, text: str, least: float, between: Callable[[], object], start: int, stop: int
    ) -> Iterator[tuple[int, float]]:
        """What :func:`alike` finds among the texts from one place to before another, with their places."""
        if not self._left_out:
            for place, score in alike(text, self._texts[start:stop], least, between):
                yield start + place, score
            return
        rare = text.translate(self._left_out)
        for first, last in _slices(rare, self._rare, start, stop):
            farthest = ceil((1 - least) * (len(text) + len(self._texts[last - 1])) + _ROUNDING)
            found = process.extract(
                rare, self._rare[first:last], scorer=Indel.distance, score_cutoff=farthest, limit=None
            )
            between()
            for _, _, index in found:
                place = first + index
                score = Indel.normalized_similarity(text, self._texts[place], score_cutoff=least)
                if score >= least:
                    yield place, score


def frequent(texts: Sequence[str]) -> dict[int, None]:
    """The most frequent characters, up to :data:`LEFT_OUT` of a sample of the texts, as a table that drops them."""
    counts = Counter("".join(texts[:: max(1, len(texts) // _SAMPLE)]))
    left = LEFT_OUT * counts.total()
    found: dict[int, None] = {}
    for character, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        left -= count
        if left < 0:
            break
        found[ord(character)] = None
    return found


def _slices(text: str, others: Sequence[str], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Bounds of slices that take about :data:`SLICE_NS` to be compared with a text; the last text is the longest."""
    if start >= stop:
        return
    step = max(1, SLICE_NS // (_PAIR_NS + len(others[stop - 1]) * (len(text) // _WORD_BITS + 1)))
    for at in range(start, stop, step):
        yield at, min(at + step, stop)
