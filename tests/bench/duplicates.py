"""Duplicates: what looking for them costs among many items, the first time and when a few are new."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

from processors.verification.duplicates import LEAST_TEXT, LEXICAL, WITH_ENTITIES, Duplicates
from processors.verification.model import DOMAINS, Item, item_id
from processors.verification.similarity import names, similarity
from tests.bench.place import Place, fresh, median, percentile
from tests.bench.report import Row

NEW = 10
ROUNDS = 5
SAMPLE = 10
VOCABULARY = 6_000
_LETTERS = "eeeeeeeeetttttttaaaaaaaooooooiiiiiinnnnnnsssssshhhhrrrrrddddlllluuucccmmmwwffggyyppbbvkjxqz"
_LITTLE = (
    *(
        "the",
        "of",
        "and",
        "is",
        "to",
        "in",
        "by",
        "we",
        "a",
        "for",
        "on",
        "as",
        "are",
        "at",
        "with",
        "not",
        "from",
        "per",
    ),
    *(
        "that",
        "each",
        "it",
        "only",
        "our",
        "or",
        "into",
        "before",
        "after",
        "which",
        "must",
        "all",
        "never",
        "no",
        "one",
    ),
    *("when", "its", "than", "be", "counts", "computed", "defined", "excluding", "including", "divided"),
)


def _word(rng: random.Random) -> str:
    return "".join(rng.choices(_LETTERS, k=min(12, max(3, round(rng.gauss(7, 2))))))


class Writer:
    """Writes items as people state them: most are their own, some reword another or differ in one name or number.

    The words of a text are drawn by Zipf's law, with little ones between, as in English; a text has 50 to 350
    characters, 150 in the middle.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.words = [_word(self.rng) for _ in range(VOCABULARY)]
        self.weights = [1 / (rank + 10) for rank in range(VOCABULARY)]
        self.entities = [_word(self.rng) for _ in range(2_000)]
        self.often = [1 / (rank + 5) for rank in range(len(self.entities))]
        self.frames = [self.sentence() for _ in range(20)]

    def sentence(self) -> list[str]:
        """Words of a text of its own."""
        count = round(min(55, max(8, self.rng.lognormvariate(3.15, 0.35))))
        great = iter(self.rng.choices(self.words, self.weights, k=count))
        return [self.rng.choice(_LITTLE) if self.rng.random() < 0.45 else next(great) for _ in range(count)]

    def reworded(self, words: list[str]) -> list[str]:
        """The same with a few words left out, put in, inflected or replaced."""
        changed = list(words)
        for _ in range(self.rng.randint(1, max(1, len(words) // 5))):
            place = self.rng.randrange(len(changed))
            match self.rng.randrange(4):
                case 0 if len(changed) > 6:
                    del changed[place]
                case 1:
                    changed.insert(place, self.rng.choice(_LITTLE))
                case 2:
                    changed[place] += self.rng.choice(("s", "ed", "ing"))
                case _:
                    changed[place] = self.rng.choice(self.words)
        return changed

    def items(self, count: int) -> Iterator[Item]:
        """So many items: 80 % of their own, 15 % reworded, 5 % that fill a name and a number into a common frame."""
        recent: list[tuple[list[str], tuple[str, ...], Any]] = []
        for number in range(count):
            chance = self.rng.random()
            domain = self.rng.choice(DOMAINS)
            about = tuple(self.rng.choices(self.entities, self.often, k=self.rng.randint(1, 4)))
            if chance < 0.15 and recent:
                words, about, domain = self.rng.choice(recent)
                words = self.reworded(words)
            elif chance < 0.20:
                frame = self.rng.choice(self.frames)
                words = [*frame[:2], self.rng.choice(self.entities), *frame[2:], str(self.rng.randrange(1000))]
            else:
                words = self.sentence()
                recent.append((words, about, domain))
            title, content = f"Statement {number}", f"{' '.join(words).capitalize()}."[:500]
            created_at = datetime.fromisoformat("2026-01-01") + timedelta(minutes=number)
            yield Item(item_id(title, content), title, content, domain, about, False, False, created_at)


def missed(items: list[Item], sample: list[Item], found: set[tuple[str, str]]) -> int:
    """How many pairs with one of a sample reach a threshold and were not found: each is compared with each."""
    count = 0
    for one in sample:
        for other in items:
            if other.domain != one.domain or other.id == one.id:
                continue
            score = similarity(one.content, other.content)
            long = min(len(one.content), len(other.content)) >= LEAST_TEXT
            shared = len(names(one.entities) & names(other.entities))
            if (score >= LEXICAL and long) or (score >= WITH_ENTITIES and shared >= 2):
                count += (min(one.id, other.id), max(one.id, other.id)) not in found
    return count


def _memory(what: str) -> float:
    """Of this process, in MB: what it has now (VmRSS), or had at most (VmHWM) since that was last reset."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{what}:")[2].split()[0]) / 1024


class Beside:
    """A thread that wants to do very little, every millisecond, and notes how late it gets to it."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.is_set():
            began = time.perf_counter()
            time.sleep(0.001)
            self.late_ms.append((time.perf_counter() - began) * 1000 - 1)


def compare(count: int) -> dict[str, Any]:
    """Look for duplicates among all, then several times with a few new items."""
    items = list(Writer(7).items(count + NEW * ROUNDS))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _memory("VmRSS")
    duplicates = Duplicates()
    began, cpu = time.perf_counter(), time.process_time()
    with Beside() as beside:
        duplicates.update(items[:count], partial(time.sleep, 0))
    first, first_cpu = time.perf_counter() - began, time.process_time() - cpu
    memory = _memory("VmHWM") - before
    later, later_cpu = [], []
    for number in range(ROUNDS):
        began, cpu = time.perf_counter(), time.process_time()
        relations = duplicates.update(items[: count + NEW * (number + 1)])
        later.append(time.perf_counter() - began)
        later_cpu.append(time.process_time() - cpu)
    found = {(relation.item_a, relation.item_b) for relation in relations}
    sample = random.Random(8).sample(items, SAMPLE)
    return {
        "first_seconds": first,
        "first_cpu_seconds": first_cpu,
        "later_seconds": median(later),
        "later_cpu_seconds": median(later_cpu),
        "memory_mb": memory,
        "beside_late_ms": {
            "p50": median(beside.late_ms),
            "p99": percentile(beside.late_ms, 0.99),
            "max": max(beside.late_ms),
        },
        "relations": dict(Counter(relation.reason for relation in relations)),
        "missed_in_sample": missed(items, sample, found),
        "median_characters": median([len(item.content) for item in items]),
    }


def duplicates(place: Place) -> Row:
    """Items and time."""
    count = place.count(100_000, 1000)
    found = fresh(compare, count)
    return Row(
        "duplicates",
        f"likely duplicates among {count:,} items of {len(DOMAINS)} domains: the first time; with {NEW} new ones",
        f"{found['first_seconds']:.0f} s ({found['first_cpu_seconds']:.0f} s of CPU); "
        f"{found['later_seconds']:.1f} s ({found['later_cpu_seconds']:.1f} s) "
        f"({sum(found['relations'].values()):,} found, {found['missed_in_sample']} missed in a sample, "
        f"{found['memory_mb']:.0f} MB)",
        "<= 300 s; <= 5 s; none missed",
        found["first_seconds"] <= 300 and found["later_seconds"] <= 5 and not found["missed_in_sample"],
        found,
    )
