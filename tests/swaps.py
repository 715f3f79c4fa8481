"""Swapped links for as long as you like: ``python -m tests.swaps --minutes 10``. Exit code: pytest's."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

TESTS = "tests/system/test_swaps.py"


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.swaps", description=__doc__.partition(":")[0])
    parser.add_argument("--minutes", type=float, default=5, help="of each of the three tests")
    seconds = parser.parse_args().minutes * 60
    command = [sys.executable, "-m", "pytest", "-s", "-v", TESTS, f"--timeout={120 + 2 * seconds:.0f}"]
    env = os.environ | {"SESSIOND_TEST_SWAP_SECONDS": str(seconds)}
    return subprocess.run(command, cwd=Path(__file__).parents[1], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
