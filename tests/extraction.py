"""What an extractor finds of what people labelled: ``python -m tests.extraction [--split dev] [--show]``.

Prints precision, recall and F1, of everything, by detection type and by category. An item that was labelled is found
if the quote of a candidate is at the same place of the prompt: the shorter of the two quotes shares at least
60 % of its words with the other. One candidate finds one item; every other candidate is a false one, even if it is a
second part of an item that was found already (these are counted besides). As whole prompts overlap with everything
in them, it is told besides how much of the quotes is in the labels: quote precision, by words.

A detection type's recall is the part of its labelled items that was found, as whatever type; its precision the part
of the candidates said to be of that type that are items. How often the type is the right one is told besides, as are
domains and entities, over what was found.

Exit code: 0 whatever the figures are; 2 if nothing could be measured.
"""

import argparse
import importlib
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from processors.verification.model import DETECTIONS, Candidate, Extractor
from tests.labelled import Case, Expected, corpus, fixtures, stands_in

SPLITS = ("dev", "dev2", "heldout", "fixtures")
EXTRACTORS = {"rules": "processors.verification.rules:RulesExtractor"}

LEAST_OVERLAP = 0.6
COLUMNS = {"windows": 9, "expected": 9, "found": 9, "false": 9, "precision": 11, "recall": 11, "f1": 11}
"""Of the table, with their widths."""

_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class Score:
    """Counts of labelled items, of those found, of candidates, and of those that are items."""

    windows: int = 0
    expected: int = 0
    found: int = 0
    candidates: int = 0
    right: int = 0

    def figures(self) -> dict[str, float | int | None]:
        """The counts, and what follows of them; None where there is nothing to divide by."""
        precision = _part(self.right, self.candidates)
        recall = _part(self.found, self.expected)
        both = None if precision is None or recall is None else precision + recall
        return {
            "windows": self.windows,
            "expected": self.expected,
            "found": self.found,
            "false": self.candidates - self.right,
            "precision": precision,
            "recall": recall,
            "f1": 2 * (precision or 0) * (recall or 0) / both if both else both,
        }


@dataclass(slots=True)
class Outcome:
    """What came out for one split.

    Attributes:
        lines: each miss and each false candidate, for a person to read.
        counts: of what was found: types, domains and entities that are right; of the false: parts of items that were
            found already, and quotes that do not stand in the prompt; windows without an item that were left alone.

    """

    total: Score = field(default_factory=Score)
    types: dict[str, Score] = field(default_factory=lambda: {name: Score() for name in DETECTIONS})
    categories: dict[str, Score] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Everything but the lines, for JSON."""
        counts = self.counts
        return {
            "total": self.total.figures(),
            "types": {name: score.figures() for name, score in self.types.items()},
            "categories": {name: score.figures() for name, score in self.categories.items()},
            "type_accuracy": _part(counts["type"], self.total.found),
            "domain_accuracy": _part(counts["domain"], self.total.found),
            "entity_recall": _part(counts["entities_named"], counts["entities"]),
            "quote_precision": _part(counts["words_labelled"], counts["words"]),
            "windows_without_item": counts["empty"],
            "left_alone": _part(counts["left_alone"], counts["empty"]),
            "false_parts_of_found": counts["part"],
            "false_not_in_prompt": counts["invented"],
        }


def overlap(first: str, second: str, prompt: str) -> float:
    """Which part of the shorter quote's words is in both, at the same place of the prompt; 0 to 1."""
    shorter = min(len(_words(first)), len(_words(second)))
    return shared(first, second, prompt) / shorter if shorter else 0.0


def shared(first: str, second: str, prompt: str) -> int:
    """How many words are in both quotes, at the same place of the prompt."""
    one, two = _words(first), _words(second)
    words = _words(prompt)
    starts = [(start, other) for start in _places(one, words) for other in _places(two, words)]
    ends = (min(start + len(one), other + len(two)) - max(start, other) for start, other in starts)
    return max(0, *ends, 0)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _places(quote: list[str], words: list[str]) -> list[int]:
    if not quote:
        return []
    return [at for at in range(len(words) - len(quote) + 1) if words[at : at + len(quote)] == quote]


def match(case: Case, candidates: list[Candidate]) -> dict[int, int]:
    """Labelled item → candidate, by their numbers: as many as can be, then of the same type, then by overlap."""
    prompt = case.window.prompt
    near = {
        (item, number): share
        for item, label in enumerate(case.expected)
        for number, candidate in enumerate(candidates)
        if (share := overlap(label.quote, candidate.user_quote, prompt)) >= LEAST_OVERLAP
    }

    def best(item: int, taken: frozenset[int]) -> tuple[int, int, float, dict[int, int]]:
        if item == len(case.expected):
            return 0, 0, 0.0, {}
        top = best(item + 1, taken)
        for number in range(len(candidates)):
            if number not in taken and (item, number) in near:
                count, same, share, pairs = best(item + 1, taken | {number})
                same += candidates[number].detection_type == case.expected[item].detection_type
                share += near[item, number]
                if (count + 1, same, share) > top[:3]:
                    top = (count + 1, same, share, {item: number, **pairs})
        return top

    return best(0, frozenset())[3]


def evaluate(cases: list[Case], extractor: Extractor) -> Outcome:
    """Ask for each window, and count."""
    outcome = Outcome()
    for case in cases:
        _count(case, list(extractor.extract(case.window)), outcome)
    return outcome


def _count(case: Case, candidates: list[Candidate], outcome: Outcome) -> None:
    pairs = match(case, candidates)
    right = set(pairs.values())
    category = outcome.categories.setdefault(case.category, Score())
    for score in (outcome.total, category):
        score.windows += 1
        score.expected += len(case.expected)
        score.found += len(pairs)
        score.candidates += len(candidates)
        score.right += len(right)
    counts = outcome.counts
    counts["empty"] += not case.expected
    counts["left_alone"] += not case.expected and not candidates
    for item, label in enumerate(case.expected):
        of_type = outcome.types[label.detection_type]
        of_type.expected += 1
        if item in pairs:
            of_type.found += 1
            _compare(label, candidates[pairs[item]], case.window.prompt, counts)
        else:
            outcome.lines.append(f"missed {case.id} {label.detection_type}: {label.quote!a}")
    for number, candidate in enumerate(candidates):
        of_type = outcome.types[candidate.detection_type]
        of_type.candidates += 1
        of_type.right += number in right
        if number not in right:
            quote, prompt = candidate.user_quote, case.window.prompt
            found = (case.expected[item].quote for item in pairs)
            counts["part"] += any(overlap(label, quote, prompt) >= LEAST_OVERLAP for label in found)
            counts["invented"] += not stands_in(quote, prompt)
            outcome.lines.append(f"false  {case.id} {candidate.detection_type}: {quote!a}")


def _compare(label: Expected, candidate: Candidate, prompt: str, counts: Counter[str]) -> None:
    counts["type"] += label.detection_type == candidate.detection_type
    counts["domain"] += label.domain == candidate.domain
    named = {entity.casefold() for entity in candidate.entities}
    counts["entities"] += len(label.entities)
    counts["entities_named"] += sum(entity.casefold() in named for entity in label.entities)
    counts["words"] += len(_words(candidate.user_quote))
    counts["words_labelled"] += shared(label.quote, candidate.user_quote, prompt)


def _part(some: int, of: int) -> float | None:
    return some / of if of else None


def load(name: str) -> Extractor:
    """An extractor by its short name, or as ``module:class``.

    Raises:
        LookupError: there is none of that name.

    """
    module, _, attribute = EXTRACTORS.get(name, name).partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise LookupError(f"there is no module {module}") from None
    if not hasattr(found, attribute):
        raise LookupError(f"there is no class {attribute!r} in {module}")
    extractor: Extractor = getattr(found, attribute)()
    return extractor


def _table(outcome: Outcome) -> str:
    rows = [f"  {'':<44}" + "".join(f"{name:>{width}}" for name, width in COLUMNS.items())]
    rows += [_row("all", outcome.total), *(_row(name, score) for name, score in outcome.types.items())]
    rows += ["", *(_row(name, score) for name, score in outcome.categories.items()), ""]
    besides = {name: value for name, value in outcome.figures().items() if not isinstance(value, dict)}
    return "\n".join(rows + [f"  {name.replace('_', ' '):<44}{_shown(value, 9)}" for name, value in besides.items()])


def _row(name: str, score: Score) -> str:
    figures = score.figures()
    return f"  {name:<44}" + "".join(_shown(figures[column], width) for column, width in COLUMNS.items())


def _shown(value: float | None, width: int) -> str:
    text = "-" if value is None else f"{value:.1%}" if isinstance(value, float) else str(value)
    return f"{text:>{width}}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.extraction", description=__doc__.partition("\n")[0])
    parser.add_argument("--split", choices=(*SPLITS, "all"), default="dev")
    parser.add_argument("--extractor", default="rules", help="rules, or module:class")
    parser.add_argument("--show", action="store_true", help="each miss and each false candidate")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    try:
        extractor = load(asked.extractor)
    except LookupError as error:
        print(f"NOT MEASURED: {error}", file=sys.stderr)
        return 2
    outcomes = {}
    for split in SPLITS if asked.split == "all" else (asked.split,):
        try:
            cases = fixtures() if split == "fixtures" else corpus(split)
        except FileNotFoundError as error:
            print(f"SKIPPED {split}: {error}", file=sys.stderr)
            continue
        outcomes[split] = evaluate(cases, extractor)
    lines = {name: {"lines": outcome.lines} if asked.show else {} for name, outcome in outcomes.items()}
    if asked.json:
        print(json.dumps({name: outcome.figures() | lines[name] for name, outcome in outcomes.items()}, indent=2))
    else:
        for name, outcome in outcomes.items():
            print("\n".join([name, _table(outcome), *lines[name].get("lines", [])]))
    return 0 if outcomes else 2


if __name__ == "__main__":
    raise SystemExit(main())
