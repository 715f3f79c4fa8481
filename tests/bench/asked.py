"""Queries: what fifty clients that ask at once do to the appends that come meanwhile."""

import os
import random
import threading
import time
from collections import Counter
from multiprocessing.synchronize import Event
from pathlib import Path

from daemon.client import Remote
from daemon.config import Settings, socket_of
from daemon.errors import SessiondError
from tests.bench import corpus
from tests.bench.child import Daemon
from tests.bench.cold import cold_start
from tests.bench.live import PER_SECOND, SESSIONS, Appender, measure
from tests.bench.place import SPAWN, Place, fresh, written
from tests.bench.report import Row

CLIENTS = 50
SECONDS = 45.0
HISTORY_BYTES = 200_000_000
QUERIES = {
    "runaway": "SELECT count(*) FROM usage_events a, usage_events b, usage_events c WHERE a.cwd <> c.cwd",
    "sort": "SELECT * FROM usage_events ORDER BY md5(tool_use_id), event_uuid LIMIT 10",
    "group": "SELECT session_file, count(*), approx_count_distinct(event_uuid) FROM usage_events GROUP BY ALL",
    "large": "SELECT * FROM usage_messages LIMIT 50000",
    "small": "SELECT username, count(*) FROM usage_session_summary GROUP BY ALL",
}


def ask_all(path: Path, over: Event) -> None:
    """Ask with so many clients at once, again and again, until it is over."""
    answered: Counter[str] = Counter()

    def ask(number: int) -> None:
        rng = random.Random(number)
        remote = Remote(path)
        while not over.is_set():
            name = rng.choice(list(QUERIES))
            try:
                remote.query(QUERIES[name])
                answered[name] += 1
            except SessiondError as error:
                answered[f"{name}: {type(error).__name__}"] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def queries(place: Place) -> Row:
    """Row 10: quiet first, then beside the clients, in one run."""
    with place.temporary("asked") as folder:
        root, db = folder / "root", folder / "db"
        paths = written(corpus.write(root, sessions=SESSIONS, size=SESSIONS * 50_000, seed=4))
        corpus.write(root / "history", sessions=1_000, size=place.count(HISTORY_BYTES), seed=6)
        fresh(cold_start, root, db)
        rows = []
        with Daemon(root, db) as daemon:
            for name in ("quiet", "asked"):
                over = SPAWN.Event()
                clients = SPAWN.Process(target=ask_all, args=(socket_of(Settings(root=root, db=db)), over))
                if name == "asked":
                    clients.start()
                    time.sleep(3.0)  # for all of them to be at it
                daemon.settle()
                before = len(daemon.commits())
                appender = Appender(root, paths)
                appender.run(PER_SECOND, lambda elapsed: elapsed >= place.seconds(SECONDS))
                appender.close()
                time.sleep(1.0)
                daemon.settle()
                rows.append(measure(daemon, appender, daemon.commits()[before:], name, name))
                if name == "asked":
                    over.set()
                    clients.join(120)
    quiet, asked = (row.details for row in rows)
    ratio = asked["p99_ms"] / quiet["p99_ms"]
    debounce = Settings(root=root, db=db).debounce_ms
    whole = (debounce + asked["p99_ms"]) / (debounce + quiet["p99_ms"])
    what = f"live, beside {CLIENTS} clients whose queries never end: p99 against quiet"
    shown = f"{ratio:.2f} ({asked['p99_ms']:.1f} / {quiet['p99_ms']:.1f} ms; with the debounce {whole:.2f})"
    details = {"quiet": quiet, "asked": asked, "ratio": ratio, "ratio_with_debounce": whole, "cores": os.cpu_count()}
    return Row("queries", what, shown, "<= 2", ratio <= 2, details)
