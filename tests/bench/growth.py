"""Growth: how many bytes are read of a session that grows in small appends."""

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

from daemon.config import Settings
from daemon.engine import Engine
from daemon.events import Events
from processors.registry import load as load_processors
from tests.bench import corpus
from tests.bench.place import Place, fresh, wait_for
from tests.bench.report import Row

APPEND_BYTES = 2048
KEY = "user/session.jsonl"


def grow(root: Path, db: Path, size: int) -> dict[str, Any]:
    """Append and wait for the commit, without a debounce, which would only save reads; then let it settle."""
    path = root / KEY
    path.parent.mkdir(parents=True)
    path.touch()
    committed = threading.Event()

    def listen(_level: str, event: str, fields: dict[str, Any]) -> None:
        if event == "processed" and fields["bytes"]:
            committed.set()

    settings = Settings(root=root, db=db, debounce_ms=0, max_delay_ms=0)
    engine = Engine(settings, load_processors(["usage"])[0], Events(listen))
    engine.start()
    lines = corpus.lines(random.Random(6), path.stem)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    appended, number, began = 0, 0, time.monotonic()
    data = b""
    while appended < size:
        while len(data) < APPEND_BYTES:
            data += next(lines)
        end = data.rfind(b"\n", 0, APPEND_BYTES) + 1 or len(data)  # whole lines: half of one is no news
        committed.clear()
        os.write(fd, data[:end])
        appended, number, data = appended + end, number + 1, data[end:]
        engine.changed([KEY])
        if not committed.wait(60):
            raise TimeoutError(f"append {number} was not committed: {engine.lanes[0].failed()}")
    seconds, read = time.monotonic() - began, engine.transcripts.bytes_read
    time.sleep(settings.settle_seconds + 1)
    wait_for(engine.idle, "the session to settle")
    engine.close(60)
    os.close(fd)
    return {
        "appended_bytes": appended,
        "appends": number,
        "ratio": read / appended,
        "ratio_with_check": engine.transcripts.bytes_read / appended,
        "ms_per_append": seconds / number * 1000,
        "database_bytes": db.stat().st_size,
    }


def growth(place: Place) -> Row:
    """Row 5."""
    with place.temporary("growth") as folder:
        found = fresh(grow, folder / "root", folder / "db", place.count(50_000_000))
    return Row(
        "growth",
        f"a session growing to {found['appended_bytes'] / 1e6:.0f} MB in {found['appends']:,} appends, each "
        "committed: bytes read / appended",
        f"{found['ratio']:.2f} ({found['ratio_with_check']:.2f} with the check once it is quiet)",
        "<= 1.1",
        found["ratio"] <= 1.1,
        found,
    )
