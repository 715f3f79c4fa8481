"""Which pairs of items a judge of contradictions should see: few, and those that are about the same."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from processors.verification.canonical import Pair
from processors.verification.model import Domain, Item
from processors.verification.similarity import alike, lengths, names, normalised, nothing, paced

MOST_PAIRS = 8
"""Per new item."""

LEAST_SIMILARITY = 0.5
"""Below it, texts without a common entity are about different things: unrelated ones of one domain reach 0.45."""

SHARED = 0.25
"""What an entity in common weighs beside the similarity; at most two count. Chosen, not measured: a nearly identical
text, which differs in what contradicts, goes before one that has a single name in common."""


def pair(item_a: str, item_b: str) -> Pair:
    """Two ids as one pair, whichever comes first."""
    return min(item_a, item_b), max(item_a, item_b)


def pairs_to_judge(
    items: Iterable[Item],
    new: Collection[str],
    counts_to: Mapping[str, str],
    judged: Collection[Pair] = (),
    most: int = MOST_PAIRS,
    between: Callable[[], object] = nothing,
) -> list[Pair]:
    """The pairs to be judged, each once, in order of their ids; the same in whatever order the items come.

    Each new item is paired with those of its domain that are most related to it: that share entities, or whose texts
    are alike by :data:`LEAST_SIMILARITY` or more. Items that count to others have no pairs: those stand for them.
    What was judged takes its place among the ``most`` and is not replaced by the next best: an item that is given
    again as new costs no more than it did.

    Args:
        items: all that there are.
        new: ids of those that are new or changed, or whose pairs could not be judged before.
        counts_to: of :func:`processors.verification.canonical.canonical`; an item that is not in it counts to itself.
        judged: pairs, made by :func:`pair`, that were judged as they are. An id is made of title and content: a text
            that changed has another.
        most: pairs per new item.
        between: called every few milliseconds, which is the place to let other threads run.

    """
    by_domain: defaultdict[Domain, list[Item]] = defaultdict(list)
    for item in paced(items, between):
        if counts_to.get(item.id, item.id) == item.id:
            by_domain[item.domain].append(item)
    wanted, known = frozenset(new), frozenset(judged)
    found: set[Pair] = set()
    for domain in sorted(by_domain):
        if any(item.id in wanted for item in by_domain[domain]):
            shelf = _Shelf(by_domain[domain], between)
            for place, known_as in enumerate(shelf.ids):
                if known_as in wanted:
                    found |= {pair(known_as, other) for other in shelf.closest(place, most)} - known
    return sorted(found)


class _Shelf:
    """The items of one domain that stand for themselves, in order of the length of their texts and of their ids."""

    def __init__(self, items: Iterable[Item], between: Callable[[], object]) -> None:
        self._between = between
        by_length: defaultdict[int, list[tuple[str, str, Item]]] = defaultdict(list)
        for item in paced(items, between):
            text = normalised(item.content)
            by_length[len(text)].append((item.id, text, item))
        rows = [row for length in sorted(by_length) for row in sorted(by_length[length], key=lambda row: row[0])]
        self.ids = [known_as for known_as, _, _ in rows]
        self._texts = [text for _, text, _ in rows]
        self._names = [names(item.entities) for _, _, item in paced(rows, between)]
        self._lengths = [len(text) for text in self._texts]
        self._with: defaultdict[str, set[int]] = defaultdict(set)
        for place, of_item in enumerate(self._names):
            for name in of_item:
                self._with[name].add(place)

    def closest(self, place: int, most: int) -> list[str]:
        """The ids of those that are most related to the item at a place, the closest first.

        Of equals the shortest text goes first, then the lowest id.
        """
        once: set[int] = set()
        twice: set[int] = set()
        for name in self._names[place]:
            having = self._with[name]
            twice |= once & having
            once |= having
        shortest, longest = lengths(self._lengths[place], LEAST_SIMILARITY)
        window = range(bisect_left(self._lengths, shortest), bisect_right(self._lengths, longest))
        ranked = [
            (-score - shared * SHARED, other)
            for shared, places, least in (
                (0, window, LEAST_SIMILARITY),
                (1, sorted(once), 0.0),
                (2, sorted(twice), 0.0),
            )
            for other, score in self._alike(place, places, least, most + 1)
            if other != place
        ]
        ordered = dict.fromkeys(other for _, other in sorted(ranked))  # the first of each is with all that it shares
        return [self.ids[other] for other in islice(ordered, most)]

    def _alike(self, place: int, places: Sequence[int], least: float, most: int) -> Iterator[tuple[int, float]]:
        texts = [self._texts[other] for other in places]
        for index, score in alike(self._texts[place], texts, least, self._between, most=most):
            yield places[index], score
