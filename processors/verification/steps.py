"""The steps over all items: which are likely the same, which item each counts to, and which contradict each other.

Both follow from what is in the database; what they remember only saves work.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from processors.contract import PauseError
from processors.overall import OverallTable, Step, StepResult, Stopped
from processors.verification.candidates import pair, pairs_to_judge
from processors.verification.canonical import Pair, canonical
from processors.verification.duplicates import Duplicates, Relation
from processors.verification.llm.judge import Contradiction, LlmJudge
from processors.verification.model import Domain, Item
from processors.verification.options import VerificationOptions
from processors.verification.reviews import DECIDED, decided
from processors.verification.tables import CANONICAL, CONTRADICTIONS, RELATIONS

COMPARED = OverallTable("knowledge_compared", {"item_id": "VARCHAR", "digest": "VARCHAR"})
"""What was compared with all others, so that a start does not compare it again."""

JUDGED = OverallTable("knowledge_judged", {"item_a": "VARCHAR", "item_b": "VARCHAR"})
"""Pairs that a language model has looked at."""

_ITEMS = """
SELECT id, title, content, domain, entities, corrects, approved, rejected, created_at
FROM knowledge_statements ORDER BY id"""

SLICE = 200
"""Rows that are converted in a millisecond or so."""


class _EndedError(Exception):
    """The daemon stops."""


class Judge(Protocol):
    """Says which items contradict an item."""

    def judge(self, item: Item, others: Sequence[Item]) -> list[Contradiction]:
        """Raises PauseError if it cannot be said now."""
        ...


def steps(options: VerificationOptions) -> tuple[Step, ...]:
    """The steps, in their order."""
    judge = LlmJudge(options.llm) if options.extractor == "llm" else None
    return (
        Step(
            "duplicates",
            {
                "items": _ITEMS,
                "decided": DECIDED,
                "compared": f"SELECT item_id, digest FROM {COMPARED.name}",
                "relations": f"SELECT item_a, item_b, score, reason FROM {RELATIONS.name}",
            },
            (CANONICAL, RELATIONS, COMPARED),
            DuplicatesStep().work,
        ),
        Step(
            "contradictions",
            {
                "items": _ITEMS,
                "canonical": f"SELECT item_id, canonical_id FROM {CANONICAL.name}",
                "judged": f"SELECT item_a, item_b FROM {JUDGED.name}",
                "known": f"SELECT {', '.join(CONTRADICTIONS.columns)} FROM {CONTRADICTIONS.name}",
            },
            (CONTRADICTIONS, JUDGED),
            ContradictionsStep(judge).work,
        ),
    )


class DuplicatesStep:
    """Likely duplicates, and which item each counts to. Called by one thread at a time."""

    def __init__(self) -> None:
        self._duplicates: Duplicates | None = None

    def work(self, given: Mapping[str, pa.Table], stopped: Stopped) -> StepResult:
        """See :class:`processors.overall.Step`."""
        between = _between(stopped)
        items = list(_items(given["items"], between))
        if self._duplicates is None:  # a start: what was compared before it is known
            compared = {row["item_id"]: row["digest"] for row in _rows(given["compared"], between)}
            relations = (Relation(**row) for row in _rows(given["relations"], between))
            self._duplicates = Duplicates(compared, relations)
        found = self._duplicates.update(items, between)
        rows = _rows(given["decided"], between)
        merges, separations = decided((row["item_id"], row["other_id"], row["action"]) for row in rows)
        counts_to = canonical(items, found, merges, separations)
        return StepResult(
            {
                CANONICAL.name: sorted(row for row in counts_to.items() if row[0] != row[1]),
                RELATIONS.name: [
                    (relation.item_a, relation.item_b, "likely_duplicate", relation.score, relation.reason)
                    for relation in found
                ],
                COMPARED.name: sorted(self._duplicates.compared.items()),
            }
        )


class ContradictionsStep:
    """Items that contradict each other, as a judge sees it. ``judge``: None if there is none."""

    def __init__(self, judge: Judge | None) -> None:
        self._judge = judge
        self._looked_at: set[tuple[str, Domain]] = set()  # since the start, with all that is related to them
        self._unclear: set[Pair] = set()  # the judge gives no valid answer: it is asked again after a start

    def work(self, given: Mapping[str, pa.Table], stopped: Stopped) -> StepResult:
        """See :class:`processors.overall.Step`; what is found before the judge has to pause is given, too."""
        between = _between(stopped)
        counts_to = {row["item_id"]: row["canonical_id"] for row in _rows(given["canonical"], between)}
        items = _items(given["items"], between, rejected=False)
        standing = {item.id: item for item in items if item.id not in counts_to}
        domains = {known_as: item.domain for known_as, item in standing.items()}
        judged = {
            pair(row["item_a"], row["item_b"])
            for row in _rows(given["judged"], between)
            # Both are there, and still of one domain.
            if row["item_a"] in domains and domains[row["item_a"]] == domains.get(row["item_b"])
        }
        known = {
            pair(row["item_a"], row["item_b"]): tuple(row.values())
            for row in given["known"].to_pylist()
            if pair(row["item_a"], row["item_b"]) in judged
        }
        pause = None
        if self._judge is not None:
            pause = self._look(self._judge, standing, judged, known, between)
        return StepResult({CONTRADICTIONS.name: sorted(known.values()), JUDGED.name: sorted(judged)}, pause)

    def _look(
        self,
        judge: Judge,
        standing: Mapping[str, Item],
        judged: set[Pair],
        known: dict[Pair, tuple[Any, ...]],
        between: Callable[[], None],
    ) -> PauseError | None:
        """Have the pairs judged that are not yet; returns why some still are not."""
        every = {(item.id, item.domain) for item in standing.values()}
        new = {known_as for known_as, _ in every - self._looked_at}
        left = pairs_to_judge(standing.values(), new, {}, judged | self._unclear, between=between)
        by_item: dict[str, list[str]] = {}
        for item_a, item_b in left:
            by_item.setdefault(item_a, []).append(item_b)
        for item_a, others in by_item.items():
            between()
            try:
                found = judge.judge(standing[item_a], [standing[other] for other in others])
            except PauseError as error:
                return error
            except Exception:  # noqa: BLE001  # of these alone: the others are not to wait for them
                self._unclear.update(pair(item_a, other) for other in others)
                continue
            judged.update(pair(item_a, other) for other in others)
            for each in found:
                known[pair(each.item_a, each.item_b)] = (
                    each.item_a,
                    each.item_b,
                    each.explanation,
                    each.severity,
                    each.suggested_resolution,
                )
        self._looked_at = every
        return None


def _rows(table: pa.Table, between: Callable[[], None]) -> Iterable[dict[str, Any]]:
    """Rows as dicts, in slices: one call for all of a large table would keep the interpreter for itself."""
    for batch in table.to_batches(SLICE):
        yield from batch.to_pylist()
        between()


def _items(rows: pa.Table, between: Callable[[], None], *, rejected: bool = True) -> Iterable[Item]:
    for row in _rows(rows, between):
        if rejected or not row["rejected"]:
            yield Item(
                row["id"],
                row["title"],
                row["content"],
                row["domain"],
                tuple(row["entities"] or ()),
                corrects=row["corrects"],
                approved=row["approved"],
                rejected=row["rejected"],
                created_at=row["created_at"] or datetime.max,  # noqa: DTZ901  # as in the database: without a zone
            )


def _between(stopped: Stopped) -> Callable[[], None]:
    """What is done every few milliseconds: others have their turn, and an end is heard of."""

    def between() -> None:
        time.sleep(0)
        if stopped():
            raise _EndedError

    return between
