"""Coverage-guided fuzzing by atheris: ``python -m tests.fuzz [--target lines] [--minutes 5]``.

Each target compares what the daemon makes of any bytes with a plain reference. Needs: pip install -e '.[fuzz]'.
Exit code: 0 if nothing failed. What fails is left in the folder of kept inputs, which the tests replay.
"""

import argparse
import importlib.util
import random
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
WORDS = Path(__file__).parent / "words.dict"
LONGEST = {"lines": 4096, "chunks": 512, "appends": 256}
"""Of an input, in bytes: short ones are tried more often."""

GRACE_SECONDS = 60


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one; may be repeated")
    parser.add_argument("--runs", type=int, default=0, help="of each target; 0: as many as there is time for")
    parser.add_argument("--minutes", type=float, default=5, help="for all targets together")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true", help="keep the shortest inputs that reach new code, too")
    asked = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("NOT TESTED: atheris is not installed: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    targets = asked.target or list(TARGETS)
    seed = random.randrange(1, 2**31) if asked.seed is None else asked.seed
    return max(_one(name, asked, asked.minutes * 60 / len(targets), seed) for name in targets)


def _one(name, asked, seconds, seed):
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    known = set(kept.iterdir())
    with tempfile.TemporaryDirectory(prefix="sessiond-fuzz-") as folder:
        found, counts, again = (Path(folder) / each for each in ("found", "counts", "again"))
        found.mkdir()
        counts.write_bytes(bytes(16))
        command = [sys.executable, "-m", "tests.fuzz.child", name, str(again), str(counts)]
        again.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        again.chmod(0o700)
        began = time.monotonic()
        options = [f"-max_total_time={seconds:.0f}", f"-runs={asked.runs or -1}", f"-seed={seed}"]
        options += [f"-max_len={LONGEST[name]}", f"-dict={WORDS}", f"-artifact_prefix={kept}/failed-"]
        code, told = _child(again, [*options, "-timeout=30", str(found), str(kept)], seconds + GRACE_SECONDS)
        runs, lines = struct.unpack("QQ", counts.read_bytes())
        features = re.findall(r"cov: (\d+) ft: (\d+)", told)
        cov, ft = features[-1] if features else ("?", "?")
        if asked.keep and code == 0:
            _child(again, ["-set_cover_merge=1", f"-dict={WORDS}", str(kept), str(found)], 600)
    failed = [path for path in set(kept.iterdir()) - known if path.name.startswith("failed-")]
    print(
        f"{name}: seed {seed}, {time.monotonic() - began:.0f} s, {runs:,} runs, {lines:,} lines compared, "
        f"{cov} edges and {ft} features covered, {len(list(kept.iterdir()))} inputs kept, {len(failed)} failed",
        flush=True,
    )
    if code or failed:
        print(told[-6000:], flush=True)
        for path in failed:
            print(f"kept as {path}; replay: pytest tests/fuzz -k {path.name}", flush=True)
    return 1 if code or failed else 0


def _child(again, arguments, seconds):
    done = subprocess.run(
        [again, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + GRACE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
