"""What it costs that a processor runs in processes of its own."""

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


def scanned(root: Path, db: Path, way: str) -> dict[str, float]:
    """All of a root into a new database, with usage run one way; seconds, and those of CPU of all processes."""
    settings = Settings(root=root, db=db, isolation={"usage": way})
    before = os.times()
    outcome = scan_once(
        settings, load_processors(["usage"], isolation=settings.isolation)[0], _nobody, progress=False
    )
    after = os.times()
    if outcome["failed"] or outcome["unusable"]:
        raise RuntimeError(f"not all was processed: {outcome['failed'][:1]} {outcome['unusable']}")
    cpu = sum(after[:4]) - sum(before[:4])
    return {"seconds": outcome["seconds"], "cpu": cpu, "lines": outcome["processors"][0]["lines"]}


def _nobody(*_heard: object) -> None:
    """Hears nothing."""


def isolated(place: Place) -> Row:
    """Recorded sessions, or made-up ones where there are none, in threads and in processes, in turn."""
    with place.temporary("isolation") as folder:
        root = folder / "root"
        if RECORDED.is_dir():
            what = "recorded"
            for copy in range(COPIES):
                shutil.copytree(RECORDED, root / f"copy{copy}")
        else:
            what = "made-up"
            shutil.copytree(place.sessions()[0].parents[1], root)
        megabytes = tree_size(sorted(root.rglob("*.jsonl"))) / 1e6
        found: dict[str, list[dict[str, float]]] = {"thread": [], "process": []}
        rows = []
        for number in range(ROUNDS):
            for way in ("thread", "process") if number % 2 else ("process", "thread"):
                db = folder / f"{way}-{number}"
                found[way].append(fresh(scanned, root, db, way))
                rows.append(rows_in(db))
        if any(each != rows[0] for each in rows):
            raise RuntimeError("there are not as many rows in both ways")
    pairs = list(zip(found["thread"], found["process"], strict=True))
    ratio = median([process["seconds"] / thread["seconds"] for thread, process in pairs])
    cpu = median([process["cpu"] / thread["cpu"] for thread, process in pairs])
    seconds = {way: median([each["seconds"] for each in found[way]]) for way in found}
    return Row(
        "isolation",
        f"scan of {megabytes:.0f} MB of {what} sessions with usage in its own processes, against threads",
        f"{ratio:.2f} times ({seconds['process']:.2f} / {seconds['thread']:.2f} s); CPU {cpu:.2f} times",
        "<= 2",
        ratio <= 2,
        {"runs": found, "cpu_ratio": cpu},
    )
