"""What the daemon takes when there is too much of something: ``python -m tests.system.bounds`` prints one table.

Each row is measured here and now on a real daemon, from outside. Exit code: 0 whatever the figures are, 1 if one
could not be measured. All of it takes about two hours, 30 GB of disk and a million inodes; ``--scale`` shrinks it.
"""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.bench.place import Place
from tests.bench.report import Row, machine, show
from tests.system.bounds import descriptors, endless, large, log, many, slow
from tests.system.bounds.rig import say

ROWS = {
    "large": large.large,
    "many": many.many,
    "endless": endless.endless,
    "slow": slow.slow,
    "descriptors": descriptors.descriptors,
    "log": log.log,
}


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.bounds", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=ROWS, metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--scale", type=float, default=1.0, help="shrink counts and sizes for a trial")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the row slow")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="work in DIR, and leave there what took long to make"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with more figures")
    options = parser.parse_args()
    if not 0 < options.scale <= 1:
        parser.error("--scale is over 0 and at most 1")
    on = machine()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="sessiond-bounds-"))
    folder.mkdir(parents=True, exist_ok=True)
    place = Place(folder.resolve(), options.scale)
    try:
        rows = [_measure(name, place, options) for name in ROWS if not options.only or name in options.only]
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    show(rows, on, scale=options.scale, as_json=options.json)
    return 1 if any(row.met is None for row in rows) else 0


def _measure(name, place, options):
    say(f"measuring {name}")
    began = time.monotonic()
    try:
        row = ROWS[name](place, options)
    except Exception as error:  # noqa: BLE001  # the other rows are still worth measuring
        traceback.print_exc(file=sys.stderr)
        return Row(name, name, f"{type(error).__name__}: {error}", "", None)
    row.details["took_seconds"] = round(time.monotonic() - began, 1)
    say(f"{name}: {row.measured} ({'met' if row.met else 'not met'})")
    return row


if __name__ == "__main__":
    sys.exit(main())
