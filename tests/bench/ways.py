"""What it costs to do more than usage in threads: usage in processes of its own, and verification beside it."""

import os
import shutil
from pathlib import Path

from daemon.config import Settings
from daemon.once import scan_once
from processors.registry import load as load_processors
from tests.bench.cold import rows_in
from tests.bench.place import Place, fresh, median, tree_size
from tests.bench.report import Row

ROUNDS = 3
RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "sessions"
COPIES = 24
"""Of the recorded sessions, so that a scan takes seconds and the start of a process does not count for much."""

Runs = dict[str, list[dict[str, float]]]


def scanned(root: Path, db: Path, names: tuple[str, ...], way: str) -> dict[str, float]:
    """All of a root into a new database, with processors run one way; seconds, and those of CPU of all processes."""
    settings = Settings(root=root, db=db, isolation=dict.fromkeys(names, way))
    before = os.times()
    outcome = scan_once(
        settings, load_processors(names, isolation=settings.isolation)[0], lambda *_heard: None, progress=False
    )
    after = os.times()
    if outcome["failed"] or outcome["unusable"]:
        raise RuntimeError(f"not all was processed: {outcome['failed'][:1]} {outcome['unusable']}")
    cpu = sum(after[:4]) - sum(before[:4])
    return {"seconds": outcome["seconds"], "cpu": cpu, "lines": outcome["processors"][0]["lines"]}


def isolated(place: Place) -> Row:
    """Usage in threads, and in processes."""
    ways = {"threads": (("usage",), "thread"), "processes": (("usage",), "process")}
    return _row(place, "isolation", "usage in its own processes, against threads", ways, most=2.0)


def beside(place: Place) -> Row:
    """Usage alone, and with verification by rules beside it."""
    ways = {"alone": (("usage",), "thread"), "both": (("usage", "verification"), "thread")}
    return _row(place, "verification", "usage and verification, against usage alone", ways, most=2.0)


def _row(place: Place, name: str, what: str, ways: dict[str, tuple[tuple[str, ...], str]], *, most: float) -> Row:
    """One scan after the other, in turn: the second way against the first."""
    (first, second), found = ways, {way: [] for way in ways}
    with place.temporary(name) as folder:
        root, corpus = _corpus(place, folder)
        megabytes = tree_size(sorted(root.rglob("*.jsonl"))) / 1e6
        rows = []
        for number in range(ROUNDS):
            for way in (first, second) if number % 2 else (second, first):
                db = folder / f"{way}-{number}"
                found[way].append(fresh(scanned, root, db, *ways[way]))
                rows.append({table: count for table, count in rows_in(db).items() if table.startswith("usage")})
        if any(each != rows[0] for each in rows):
            raise RuntimeError("there are not as many rows in both ways")
    ratio, cpu = (_ratio(found, first, second, measure) for measure in ("seconds", "cpu"))
    seconds = {way: median([each["seconds"] for each in found[way]]) for way in found}
    return Row(
        name,
        f"scan of {megabytes:.0f} MB of {corpus} sessions with {what}",
        f"{ratio:.2f} times ({seconds[second]:.2f} / {seconds[first]:.2f} s); CPU {cpu:.2f} times",
        f"<= {most:g}",
        ratio <= most,
        {"runs": found, "cpu_ratio": cpu},
    )


def _corpus(place: Place, folder: Path) -> tuple[Path, str]:
    """Recorded sessions, or made-up ones where there are none."""
    root = folder / "root"
    if not RECORDED.is_dir():
        shutil.copytree(place.sessions()[0].parents[1], root)
        return root, "made-up"
    for copy in range(COPIES):
        shutil.copytree(RECORDED, root / f"copy{copy}")
    return root, "recorded"


def _ratio(found: Runs, first: str, second: str, measure: str) -> float:
    pairs = zip(found[first], found[second], strict=True)
    return median([after[measure] / before[measure] for before, after in pairs])
