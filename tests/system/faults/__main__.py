"""Kill a daemon again and again: ``python -m tests.system.faults --kills 1000``.

Prints the figures; exits with 1 if any row is wrong.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.system.faults.kills import Bench

parser = argparse.ArgumentParser(prog="python -m tests.system.faults", description=__doc__)
parser.add_argument("--kills", type=int, default=1000, help="how many in all; a third of them during checkpoints")
parser.add_argument("--seed", type=int, default=1, help="of the moments")
arguments = parser.parse_args()

with tempfile.TemporaryDirectory(prefix="sessiond-kills-") as folder:
    bench = Bench(Path(folder), arguments.seed)
    figures = bench.run(arguments.kills, tell=lambda text: print(text, file=sys.stderr, flush=True))
print(json.dumps(asdict(figures), indent=2))
sys.exit(1 if figures.lost or figures.doubled or figures.torn else 0)
