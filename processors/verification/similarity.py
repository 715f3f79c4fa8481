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
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    return frozenset(map(normalised, entities)) - {""}


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
    *,
    start: int = 0,
    stop: int | None = None,
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
        start: the first place that is looked at.
        stop: the place after the last one.
        most: no more than so many of each slice: the most alike, of equals the first.

    """
    stop = len(others) if stop is None else stop
    if start >= stop:
        return
    step = max(1, SLICE_NS // (_PAIR_NS + len(others[stop - 1]) * (len(text) // _WORD_BITS + 1)))
    for at in range(start, stop, step):
        found = process.extract(
            text,
            others[at : min(at + step, stop)],
            scorer=Indel.normalized_similarity,
            score_cutoff=least,
            limit=most,
        )
        between()
        for _, score, place in found:
            yield at + place, score
