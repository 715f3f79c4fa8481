"""Which item each item counts to: what people decided, and else what the machine takes for the same."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from processors.verification.duplicates import Relation
from processors.verification.model import Item
from processors.verification.similarity import normalised

Pair = tuple[str, str]
"""Two ids."""

_WORDS = re.compile(r"\w+")
_PRECISE = re.compile(r"[\d_]")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nor|neither|cannot|without|except|exclud\w+|kein\w*|nicht|nie|ohne)\b|n['\u2019]t\b",
    re.IGNORECASE,
)


def canonical(
    items: Iterable[Item],
    relations: Iterable[Relation],
    human_merges: Sequence[Pair] = (),
    separations: Collection[Pair] = (),
) -> dict[str, str]:
    """The id of the item that each item counts to, which counts to itself.

    People come first: what they merged is one, whatever it is, and counts to what they merged it into. The machine
    then goes through what is left: the approved first, then the rejected, which do not come back by being stated once
    more, then the oldest, then the lowest id. An item becomes one that
    others count to, unless it is related to one that already is; it counts to the first of these in that order. So
    nothing counts to an item that it is not related to itself, however long a chain of relations is.

    The machine merges nothing

    - that was stated as a correction: it may overturn what it is nearly identical to. Nor does what was said before a
      correction count to it, for the same reason;
    - that people said is not the same, nor what else counts to the one with what counts to the other;
    - whose texts each have a number or a name like ``order_id`` that the other has not: "90 days" is not "30 days";
    - of which one has a negation and the other has none: what is not included is not what is.

    Args:
        items: all that there are. The order does not matter.
        relations: of :func:`processors.verification.duplicates.find_relations`; of items that are not there, nothing
            follows.
        human_merges: from and into, in the order of the decisions: the last one on an item counts. One that would
            close a circle is passed over. Where an item is not there any more, what was merged into it goes on to
            what it was merged into itself.
        separations: pairs in any order, each in any direction. A merge by people goes before it.

    """
    by_id = {item.id: item for item in items}
    roots = _decided(by_id, human_merges)
    members: defaultdict[str, list[Item]] = defaultdict(list)
    for known_as in sorted(by_id):
        members[roots[known_as]].append(by_id[known_as])
    related = _lifted(relations, by_id, roots)
    apart: defaultdict[str, set[str]] = defaultdict(set)
    for a, b in separations:
        if a in roots and b in roots:
            apart[roots[a]].add(roots[b])
            apart[roots[b]].add(roots[a])
    groups = {root: _Group.of(found) for root, found in members.items()}
    counts_to: dict[str, str] = {}
    for root in sorted(groups, key=lambda known_as: _rank(by_id[known_as])):
        group = groups[root]
        not_into = {counts_to[other] for other in apart[root] if other in counts_to}
        best = min(
            (
                (_rank(by_id[other]), other)
                for other in related[root]
                if counts_to.get(other) == other and other not in not_into and group.may_join(groups[other])
            ),
            default=None,
        )
        counts_to[root] = root if best is None else best[1]
    return {known_as: counts_to[root] for known_as, root in roots.items()}


@dataclass(frozen=True, slots=True)
class _Group:
    """What people made one."""

    said_first: datetime
    corrected_last: datetime | None

    @classmethod
    def of(cls, members: Sequence[Item]) -> "_Group":
        corrected = [item.created_at for item in members if item.corrects]
        return cls(min(item.created_at for item in members), max(corrected, default=None))

    def may_join(self, other: "_Group") -> bool:
        if self.corrected_last is not None:
            return False
        return other.corrected_last is None or other.corrected_last <= self.said_first


def precise(text: str) -> frozenset[str]:
    """The numbers in a text, and the names that nobody uses for two things: ``90``, ``order_id``, ``q3``."""
    return frozenset(word for word in _WORDS.findall(normalised(text)) if _PRECISE.search(word))


def is_negated(item: Item) -> bool:
    """Whether there is a negation in what an item says."""
    return _NEGATION.search(item.content) is not None


def _rank(item: Item) -> tuple[bool, bool, datetime, str]:
    return not item.approved, not item.rejected, item.created_at, item.id


def _lifted(
    relations: Iterable[Relation], by_id: Mapping[str, Item], roots: Mapping[str, str]
) -> defaultdict[str, dict[str, float]]:
    """For each item that others may count to, those that its own are related to, with the highest score."""
    related: defaultdict[str, dict[str, float]] = defaultdict(dict)
    exact: dict[str, frozenset[str]] = {}
    for relation in relations:
        a, b = relation.item_a, relation.item_b
        if a not in by_id or b not in by_id:
            continue
        for known_as in (a, b):
            if known_as not in exact:
                exact[known_as] = precise(by_id[known_as].content)
        if not (exact[a] <= exact[b] or exact[b] <= exact[a]) or is_negated(by_id[a]) != is_negated(by_id[b]):
            continue
        root_a, root_b = roots[a], roots[b]
        if root_a != root_b:
            score = max(relation.score, related[root_a].get(root_b, 0.0))
            related[root_a][root_b] = related[root_b][root_a] = score
    return related


def _decided(by_id: Mapping[str, Item], merges: Iterable[Pair]) -> dict[str, str]:
    """The item that each item counts to by what people decided; itself, if they decided nothing."""
    into: dict[str, str] = {}
    for source, target in merges:
        at: str | None = target
        while at is not None and at != source:  # ends: there is no circle so far
            at = into.get(at)
        if at is None:
            into[source] = target
    roots: dict[str, str] = {}
    for known_as in by_id:
        passed, at = known_as, into.get(known_as)
        while at is not None:
            passed = at if at in by_id else passed
            at = into.get(at)
        roots[known_as] = passed
    return roots
