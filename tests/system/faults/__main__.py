"""Kill a daemon again and again: ``python -m tests.system.faults --kills 1000``.

Prints the figures; exits with 1 if any row is wrong.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.system.faults.kills import Bench

parser = argparse.ArgumentParser(prog="python -m tests.system.faults", description=__doc__)
parser.add_argument("--kills", type=int, default=1000, help="how many in all; a third of them during checkpoints")
parser.add_argument("--seed", type=int, default=1, help="of the moments")
arguments = parser.parse_args()

folder = Path(tempfile.mkdtemp(prefix="sessiond-kills-"))
try:
    figures = Bench(folder, arguments.seed).run(
        arguments.kills, tell=lambda text: print(text, file=sys.stderr, flush=True)
    )
except BaseException:
    print(f"what was there is left in {folder}", file=sys.stderr)
    raise
print(json.dumps(asdict(figures), indent=2))
if wrong := figures.lost or figures.doubled or figures.torn:
    print(f"what was there is left in {folder}", file=sys.stderr)
else:
    shutil.rmtree(folder)
sys.exit(1 if wrong else 0)
