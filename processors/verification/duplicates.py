"""Which items say the same, likely.

Every pair of one domain that reaches a threshold is found: each text is compared with all whose length allows it, by
:class:`processors.verification.similarity.Texts`, once; later only what is new is compared. Filters by words or
pieces of words in common would be quicker, and lose pairs: two texts can be 82 % alike without one.
"""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from processors.verification.model import Domain, Item
from processors.verification.similarity import (
    Texts,
    alike,
    frequent,
    in_order,
    lengths,
    names,
    normalised,
    nothing,
    paced,
)

Reason = Literal["lexical", "entities"]

LEXICAL = 0.82
"""Texts that are so alike are duplicates, if both have at least :data:`LEAST_TEXT` characters."""

LEAST_TEXT = 40

WITH_ENTITIES = 0.65
"""Texts that are so alike are duplicates, if they share at least :data:`LEAST_ENTITIES` entities."""

LEAST_ENTITIES = 2

MOST_RELATIONS = 50
"""Per item, the closest: texts that are all alike would otherwise have relations by the square of their number."""

_MANY = 20
"""So many new items of a domain are worth the preparation of a quicker search."""

_MEASURE = 1
"""Raised whenever other relations would be found, so that nothing that was compared before counts as compared."""


@dataclass(frozen=True, slots=True)
class Relation:
    """Two items that are likely the same.

    Attributes:
        item_a: the lower id.
        item_b: the higher id.
        score: similarity of their texts, from 0 to 1.
        reason: ``entities``: they share entities, and their texts are alike by :data:`WITH_ENTITIES` or more;
            ``lexical``: they do not, and their texts are alike by :data:`LEXICAL` or more.

    """

    item_a: str
    item_b: str
    score: float
    reason: Reason


def find_relations(items: Iterable[Item], between: Callable[[], object] = nothing) -> list[Relation]:
    """Which of the items are likely the same, in order of their ids: see :class:`Duplicates`."""
    return Duplicates().update(items, between)


class Duplicates:
    """Relations of items that come, change and go.

    After each update they are what :func:`find_relations` gives of these items, whatever was there before. One thread
    at a time.

    Args:
        compared: what :attr:`compared` was, to go on after a restart.
        relations: what the last update gave then.

    Attributes:
        compared: for each item that was compared with all others, a digest of what that depends on.

    It holds an id and a digest per item, and for each its :data:`MOST_RELATIONS` closest relations. An update holds
    the normalised texts of one domain besides.

    """

    def __init__(self, compared: Mapping[str, str] | None = None, relations: Iterable[Relation] = ()) -> None:
        self.compared = dict(compared or {})
        self._closest: dict[str, list[tuple[float, str, Reason]]] = {}
        for relation in relations:
            if relation.item_a in self.compared and relation.item_b in self.compared:
                self._relate(relation.item_a, relation.item_b, relation.score, relation.reason)

    def update(self, items: Iterable[Item], between: Callable[[], object] = nothing) -> list[Relation]:
        """The relations of these items, in order of their ids; only what is new or changed is compared.

        Args:
            items: all that there are. Of two with one id the last counts.
            between: called every few milliseconds, which is the place to let other threads run. If it raises, the
                update ends with what has been compared so far, and the next one goes on from there.

        """
        by_id = {item.id: item for item in paced(items, between)}
        digests = {item.id: _digest(item) for item in paced(by_id.values(), between)}
        self._forget({known_as for known_as, digest in self.compared.items() if digests.get(known_as) != digest})
        by_domain: defaultdict[Domain, list[Item]] = defaultdict(list)
        for item in by_id.values():
            by_domain[item.domain].append(item)
        for domain in sorted(by_domain):
            if any(item.id not in self.compared for item in by_domain[domain]):
                shelf = _Shelf(by_domain[domain], self.compared, between)
                self._compare(shelf, digests)
        return self.relations(between)

    def relations(self, between: Callable[[], object] = nothing) -> list[Relation]:
        """What is known, in order of the ids."""
        rows = {
            (min(known_as, other), max(known_as, other), -distance, reason)
            for known_as, closest in self._closest.items()
            for distance, other, reason in closest
        }
        return [Relation(*row) for row in in_order(rows, between)]

    def _compare(self, shelf: "_Shelf", digests: Mapping[str, str]) -> None:
        for place, known_as in enumerate(shelf.ids):
            if known_as in self.compared:
                continue
            for other, score, reason in shelf.related(place):
                self._relate(known_as, other, score, reason)
            self.compared[known_as] = digests[known_as]

    def _relate(self, item_a: str, item_b: str, score: float, reason: Reason) -> None:
        for known_as, other in ((item_a, item_b), (item_b, item_a)):
            closest = self._closest.setdefault(known_as, [])
            entry = (-score, other, reason)
            if len(closest) == MOST_RELATIONS and entry >= closest[-1]:
                continue
            if closest and entry in closest:
                continue
            insort(closest, entry)
            del closest[MOST_RELATIONS:]

    def _forget(self, left: set[str]) -> None:
        """Items that are gone or not what they were; one that had more relations than it kept is compared anew."""
        for known_as in left:
            del self.compared[known_as]
            self._closest.pop(known_as, None)
        for known_as, closest in self._closest.items():
            staying = [entry for entry in closest if entry[1] not in left]
            if len(staying) < len(closest) == MOST_RELATIONS:
                self.compared.pop(known_as, None)
            closest[:] = staying


class _Shelf:
    """The items of one domain, in order of the length of their texts.

    Each pair is looked at once if all are new: an item is compared with those before it, and with those after it that
    need no comparison of their own.
    """

    def __init__(self, items: Iterable[Item], compared: Mapping[str, str], between: Callable[[], object]) -> None:
        self._between = between
        by_length: defaultdict[int, list[tuple[str, Item]]] = defaultdict(list)
        for item in paced(items, between):
            text = normalised(item.content)
            by_length[len(text)].append((text, item))
        rows = [row for length in sorted(by_length) for row in by_length[length]]
        self._texts = [text for text, _ in rows]
        self._lengths = [len(text) for text in self._texts]
        self.ids = [item.id for _, item in rows]
        self._names = [names(item.entities) for _, item in paced(rows, between)]
        self._settled = [place for place, known_as in enumerate(self.ids) if known_as in compared]
        self._settled_set = frozenset(self._settled)
        self._settled_lengths = [self._lengths[place] for place in self._settled]
        settled_texts = [self._texts[place] for place in self._settled]
        left_out = frequent(self._texts) if len(rows) - len(self._settled) >= _MANY else {}
        self._all = Texts(self._texts, left_out)
        self._others = Texts(settled_texts, left_out)
        self._with: defaultdict[str, set[int]] = defaultdict(set)
        for place, found in enumerate(self._names):
            for name in found:
                self._with[name].add(place)

    def related(self, place: int) -> Iterable[tuple[str, float, Reason]]:
        """The ids of those that the item at a place is related to, with score and reason."""
        sharing = self._sharing(place)
        for other, score in self._lexical(place):
            if other not in sharing:
                yield self.ids[other], score, "lexical"
        shortest, longest = lengths(self._lengths[place], WITH_ENTITIES)
        looked_at = sorted(
            other
            for other in sharing
            if shortest <= self._lengths[other] <= longest and (other < place or other in self._settled_set)
        )
        texts = [self._texts[other] for other in looked_at]
        for index, score in alike(self._texts[place], texts, WITH_ENTITIES, self._between):
            yield self.ids[looked_at[index]], score, "entities"

    def _lexical(self, place: int) -> Iterable[tuple[int, float]]:
        length, text = self._lengths[place], self._texts[place]
        if length < LEAST_TEXT:
            return
        shortest, longest = lengths(length, LEXICAL)
        start = bisect_left(self._lengths, max(shortest, LEAST_TEXT))
        yield from self._all.alike(text, LEXICAL, self._between, start, place)
        start, stop = bisect_right(self._settled, place), bisect_right(self._settled_lengths, longest)
        for index, score in self._others.alike(text, LEXICAL, self._between, start, stop):
            yield self._settled[index], score

    def _sharing(self, place: int) -> frozenset[int] | set[int]:
        """The places of the items that share enough entities with that at a place.

        The rarest entities go first: what has only the most frequent one in common is not looked at.
        """
        found: Sequence[set[int]] = sorted((self._with[name] for name in self._names[place]), key=len)
        if len(found) < LEAST_ENTITIES:
            return frozenset()
        once = set(found[0])
        twice: set[int] = set()
        for number, having in enumerate(found[1:], start=2):
            twice |= once & having
            if number < len(found):
                once |= having
        twice.discard(place)
        return twice


def _digest(item: Item) -> str:
    depends_on = repr((_MEASURE, item.domain, item.content, item.entities))  # no text of one is another's
    return blake2b(depends_on.encode(), digest_size=12).hexdigest()
