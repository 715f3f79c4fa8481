"""Results: how long it takes to bring the results of calls into a table of many calls of many live sessions."""

import time
from pathlib import Path
from typing import Any

from daemon.store import open_database, transaction
from daemon.tables import make_tables
from processors.registry import load as load_processors
from tests.bench.place import Place, fresh, median
from tests.bench.report import Row

CALLS = 10_000_000
SESSIONS = 1_000
"""That write in turns, so that rows of one session are all over the table."""
BATCH = 10
ROUNDS = 30
LIMIT_MS = 3.0
AGES = {"seconds": 20_000, "hours": 500_000}
"""How many calls ago those were made whose results arrive."""


def settle(db: Path, calls: int) -> dict[str, Any]:
    """Milliseconds of each update of so many rows, by how long ago the calls were."""
    (spec,) = load_processors(["usage"])[0]
    key = f"printf('user%02d/%04d.jsonl', i % 50, i % {SESSIONS})"
    took: dict[str, Any] = {}
    with open_database(db, memory_limit="512MB", threads=1) as conn:
        table = make_tables(conn, spec.tables, spec.views)["usage_events"]
        columns = (
            f"hash(i)::HUGEINT - 9223372036854775808 AS id, i // {SESSIONS} AS event_number, {key} AS session_file,"
            " 'toolu_' || i AS tool_use_id, 'Bash' AS tool_name, 'tool_use' AS event_type,"
            " TIMESTAMP '2026-01-01' + to_milliseconds(i * 100) AS occurred_at"
        )
        conn.execute(f"INSERT INTO usage_events BY NAME SELECT {columns} FROM range({calls}) AS r(i)")
        conn.execute("CHECKPOINT")
        for age, ago in AGES.items():
            took[age] = []
            for number in range(ROUNDS):
                first = max(0, calls - ago - number * 997)
                rows = conn.execute(
                    "SELECT event_number, id, occurred_at, session_file FROM usage_events"
                    f" WHERE rowid BETWEEN {first} AND {first + BATCH - 1}"
                ).fetchall()
                news = [
                    part
                    for n, i, at, session in rows
                    for part in table.updates(
                        [{"event_number": n, "id": i, "occurred_at": at, "is_error": False, "finished_at": at}],
                        session,
                    )
                ]
                began = time.perf_counter()
                with transaction(conn):
                    table.update(conn, news, number + 1)
                took[age].append((time.perf_counter() - began) * 1000)
        (changed,) = conn.execute("SELECT count(*) FROM usage_events WHERE finished_at IS NOT NULL").fetchall()
        if changed[0] < BATCH * ROUNDS:
            raise RuntimeError(f"only {changed[0]} rows have their result")
    return took


def results(place: Place) -> Row:
    """Row 12: batches of results, of calls some seconds and some hours ago."""
    calls = place.count(CALLS, 100_000)
    with place.temporary("results") as folder:
        took = fresh(settle, folder / "db", calls)
    worst = max(median(each) for each in took.values())
    shown = ", ".join(f"{median(each):.1f} ms for calls {age} ago" for age, each in took.items())
    what = f"{BATCH} results of calls of as many sessions, among {calls:,} calls of {SESSIONS:,} live sessions"
    return Row("results", what, shown, f"<= {LIMIT_MS:.0f} ms", worst <= LIMIT_MS, {"ms": took})
