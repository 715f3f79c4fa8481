"""Labelled windows: those of the corpus beside the tests of verification, and those made of the shared fixtures."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.verification.model import Detection, Domain, Said, Window

CORPUS = Path(__file__).parent / "processors" / "verification" / "corpus"
FIXTURES = Path(__file__).parents[2] / "shared" / "data" / "verification"


@dataclass(frozen=True, slots=True)
class Expected:
    """An item as it was labelled; what it is called like is the same as in a candidate, but for ``quote``."""

    detection_type: Detection
    quote: str
    domain: Domain
    entities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A window, and what there is to be found in it."""

    id: str
    category: str
    window: Window
    expected: tuple[Expected, ...]


def corpus(split: str) -> list[Case]:
    """The windows of ``dev``, ``dev2`` or ``heldout``, in the order of the file."""
    with (CORPUS / f"{split}.jsonl").open(encoding="utf-8") as lines:
        return [_case(json.loads(line)) for line in lines]


def _case(row: dict[str, Any]) -> Case:
    said = tuple(Said(turn["role"], turn["text"]) for turn in row["context"])
    return Case(row["id"], row["category"], Window(said, row["prompt"]), _labels(row["expected"], "quote"))


def _labels(items: list[dict[str, Any]], quote: str) -> tuple[Expected, ...]:
    return tuple(
        Expected(item["detection_type"], item[quote], item["domain"], tuple(item["entities"])) for item in items
    )


def fixtures(folder: Path = FIXTURES) -> list[Case]:
    """Each prompt of the flat sessions, with all turns before it as context; a label goes to the prompt it quotes.

    Raises:
        FileNotFoundError: the folder is not there.
        ValueError: a label quotes no prompt of its session.

    """
    if not (folder / "sessions").is_dir():
        raise FileNotFoundError(f"{folder} is not there")
    return [case for path in sorted((folder / "sessions").glob("*.jsonl")) for case in _session(path, folder)]


def _session(path: Path, folder: Path) -> list[Case]:
    turns = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    said = [Said("person" if turn["role"] == "user" else "assistant", turn["content"]) for turn in turns]
    answer = json.loads((folder / "expected" / f"{path.stem}.json").read_text(encoding="utf-8"))
    left = list(_labels(answer["verifications"], "user_quote"))
    cases = []
    for number, turn in enumerate(said):
        if turn.role == "person":
            here = tuple(label for label in left if stands_in(label.quote, turn.text))
            left = [label for label in left if label not in here]
            window = Window(tuple(said[:number]), turn.text)
            cases.append(Case(f"{path.stem}-{number}", path.stem, window, here))
    if left:
        raise ValueError(f"{path.stem}: a label quotes no prompt of the session")
    return cases


def stands_in(quote: str, prompt: str) -> bool:
    """Whether somebody wrote this, word for word; white space may differ."""
    return bool(quote.strip()) and " ".join(quote.split()) in " ".join(prompt.split())
