"""The benchmark: ``python -m tests.bench`` prints one table.

Each row is measured here and now, and stands beside what it must reach; a figure that is missed is printed like
any other. Exit code: 0 whatever the figures are, 1 if one could not be measured.
"""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.bench import asked, cold, duplicates, growth, live, reports, results, state, walk, ways
from tests.bench.place import Place, say
from tests.bench.report import Row, machine, show

# In the order of the table. Rows after each other share a corpus: "crowd" processes what the next two restart on.
ROWS = {
    "ceiling": cold.against_ceiling,
    "plain": cold.against_plain,
    "isolation": ways.isolated,
    "verification": ways.beside,
    "live": live.live,
    "million": live.live_with_a_million,
    "growth": growth.growth,
    "backlog": live.live_during_backlog,
    "restart": state.restart,
    "idle": state.idle,
    "scan": walk.full_scan,
    "queries": asked.queries,
    "reports": reports.reports,
    "results": results.results,
    "duplicates": duplicates.duplicates,
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=ROWS, metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--scale", type=float, default=1.0, help="shrink counts and durations for a trial")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in DIR, and leave everything there")
    parser.add_argument("--json", action="store_true", help="print JSON, with more figures")
    options = parser.parse_args()
    if not 0 < options.scale <= 1:
        parser.error("--scale is over 0 and at most 1")
    on = machine()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="sessiond-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(folder.resolve(), options.scale)
    try:
        rows = [_measure(name, place) for name in ROWS if not options.only or name in options.only]
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    show(rows, on, scale=options.scale, as_json=options.json)
    return 1 if any(row.met is None for row in rows) else 0


def _measure(name: str, place: Place) -> Row:
    say(f"measuring {name}")
    began = time.monotonic()
    try:
        row = ROWS[name](place)
    except Exception as error:  # noqa: BLE001  # the other rows are still worth measuring
        traceback.print_exc(file=sys.stderr)
        return Row(name, name, f"{type(error).__name__}: {error}", "", None)
    row.details["took_seconds"] = round(time.monotonic() - began, 1)
    say(f"{name}: {row.measured} ({'met' if row.met else 'not met'})")
    return row


if __name__ == "__main__":
    sys.exit(main())
