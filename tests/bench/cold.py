"""Cold start: how quickly transcripts that were never processed get into the database."""

import os
import time
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from daemon.config import Settings
from daemon.once import scan_once
from daemon.store import open_database
from processors.batch import Batch
from processors.registry import load as load_processors
from processors.registry import register
from processors.turns import Turn
from processors.usage import UsageProcessor
from tests.bench.place import Place, fresh, median, tree_size
from tests.bench.plain import process_plainly
from tests.bench.report import Row

ROUNDS = 3


def ceiling(paths: list[Path]) -> float:
    """Seconds to read, hash and decode files in one thread, and to keep nothing."""
    decode = msgspec.json.Decoder(Turn).decode
    began = time.perf_counter()
    for path in paths:
        data = path.read_bytes()
        blake3(data).digest()
        for line in data.split(b"\n"):
            if line:
                decode(line)
    return time.perf_counter() - began


def usage_alone(paths: list[Path]) -> float:
    """Seconds of the processor ``usage`` over files, in one thread, without anything around it."""
    processor = register(UsageProcessor).processor
    datas = [path.read_bytes() for path in paths]
    began = time.perf_counter()
    for data in datas:
        processor.process(Batch("ada/a.jsonl", data[: data.rfind(b"\n") + 1], is_first=True))
    return time.perf_counter() - began


def cold_start(root: Path, db: Path) -> dict[str, Any]:
    """All of a root into a new database, as ``sessiond scan`` does it, until the database is closed again."""
    settings = Settings(root=root, db=db)
    before = os.times()
    outcome = scan_once(settings, load_processors(["usage"])[0], lambda *_: None, progress=False)
    after = os.times()
    outcome["cpu_seconds"] = after.user + after.system - before.user - before.system
    if outcome["failed"]:
        raise RuntimeError(f"a session failed: {outcome['failed'][0]}")
    return outcome


def rows_in(db: Path) -> dict[str, int]:
    """How many rows there are in the tables that everything is counted in."""
    tables = ("usage_events", "usage_messages", "usage_session_summary", "session_processor_state")
    with open_database(db) as conn:
        return {table: conn.sql(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in tables}


def against_ceiling(place: Place) -> Row:
    """Row 1: sessiond and the ceiling take turns."""
    paths = place.sessions()
    root, megabytes = place.folder / "sessions", tree_size(paths) / 1e6
    fresh(ceiling, paths)  # whatever is not in the page cache yet is read here
    ceilings, colds, cpu, shares = [], [], [], []
    for _ in range(ROUNDS):
        ceilings.append(megabytes / fresh(ceiling, paths))
        with place.temporary("cold") as folder:
            outcome = fresh(cold_start, root, folder / "db")
            found = rows_in(folder / "db")
        if found["session_processor_state"] != len(paths):
            raise RuntimeError(f"of {len(paths)} sessions, {found['session_processor_state']} were processed")
        colds.append(megabytes / outcome["seconds"])
        cpu.append(outcome["cpu_seconds"] / outcome["seconds"])
        shares.append(fresh(usage_alone, paths) / outcome["cpu_seconds"])
    ratio = median([cold / top for cold, top in zip(colds, ceilings, strict=True)])
    return Row(
        "ceiling",
        f"cold start of {megabytes / 1000:.1f} GB in {len(paths):,} sessions, against read + hash + decode",
        f"{ratio:.2f} ({median(colds):.0f} of {median(ceilings):.0f} MB/s; usage takes {median(shares):.0%} of it)",
        ">= 0.5",
        ratio >= 0.5,
        {
            "cold_mb_s": colds,
            "ceiling_mb_s": ceilings,
            "cores_busy": cpu,
            "usage_share_of_cpu": shares,
            "rows": found,
        },
    )


def against_plain(place: Place) -> Row:
    """Row 2: the same on a slice, which the plain way gets through in bearable time."""
    with place.temporary("plain") as folder:
        root = folder / "root"
        paths = []
        for path in place.sessions()[:: 10 if place.scale > 0.1 else 2]:
            link = root / path.relative_to(place.folder / "sessions")
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, link)
            paths.append(link)
        megabytes = tree_size(paths) / 1e6
        plains, colds = [], []
        for number in range(ROUNDS):
            plains.append(megabytes / fresh(process_plainly, root, paths, folder / f"plain-{number}"))
            colds.append(megabytes / fresh(cold_start, root, folder / f"cold-{number}")["seconds"])
    ratio = median([cold / plain for cold, plain in zip(colds, plains, strict=True)])
    return Row(
        "plain",
        f"the same against the plain way, on {megabytes:.0f} MB of it",
        f"{ratio:.1f}x ({median(colds):.0f} against {median(plains):.1f} MB/s)",
        ">= 8x",
        ratio >= 8,
        {"cold_mb_s": colds, "plain_mb_s": plains},
    )
