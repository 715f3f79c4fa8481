"""The long profile: ``python -m tests.system.torture --minutes 60`` runs random scripts, and shrinks what fails.

Exit code: 0 if no script failed. Those that do are left, shrunk, in the folder ``kept``, and the tests run them.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.system.torture.runner import Runner
from tests.system.torture.scripts import generate, load, save
from tests.system.torture.shrink import shrink

KEPT = Path(__file__).parent / "kept"
SCRIPTS_EACH = 40
"""So many scripts on one database; then all of it is made anew."""

TIMES = 3
"""A script that fails in one of so many runs fails."""


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.system.torture", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, help="of the first script; the next ones count up from it")
    parser.add_argument("--script", type=Path, action="append", default=[], help="run this one instead")
    parser.add_argument("--light", action="store_true", help="leave out what takes long")
    parser.add_argument("--isolated", action="store_true", help="incremental processors in processes of their own")
    parser.add_argument("--no-shrink", action="store_true", help="keep what fails as it is")
    parser.add_argument("--keep", type=Path, default=KEPT, help="where to put what fails")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sessiond-torture-") as folder:
        session = Session(Path(folder), asked)
        try:
            return session.run()
        finally:
            session.close()


class Session:
    """Scripts until the time is over, and what came of them."""

    def __init__(self, folder, asked):
        self._folder, self._asked = folder, asked
        self._began = time.monotonic()
        self._runners = 0
        self._runner = None
        self.totals = {"scripts": 0, "actions": 0, "failed": 0, "peak": 0}

    def run(self):
        """Returns the exit code. Ctrl-C ends it early, with all figures so far."""
        with suppress(KeyboardInterrupt):
            self._run()
        self._finish()
        self._say("in all")
        return 1 if self.totals["failed"] else 0

    def _run(self):
        if self._asked.script:
            for path in self._asked.script:
                self._one(path.name, load(path))
        else:
            seed = random.randrange(10**9) if self._asked.seed is None else self._asked.seed
            while time.monotonic() - self._began < self._asked.minutes * 60:
                self._one(f"seed {seed}", generate(seed, heavy=not self._asked.light))
                seed += 1

    def close(self):
        if self._runner is not None:
            self._runner.close()

    def _one(self, name, script):
        if self._runner is not None and self._runner.scripts >= SCRIPTS_EACH:
            self._finish()
            self._say(name)
        if self._runner is None:
            self._runner = self._new_runner()
        try:
            self._runner.run(script)
        except AssertionError as error:
            self.totals["failed"] += 1
            print(f"FAILED: {name}: {json.dumps(script)}\n{error}", flush=True)
            self._end_runner()
            self._keep(name, script)

    def _new_runner(self):
        self._runners += 1
        return Runner(self._folder / str(self._runners), isolated=self._asked.isolated)

    def _finish(self):
        try:
            if self._runner is not None:
                self._runner.finish()
        except AssertionError as error:
            self.totals["failed"] += 1
            print(f"FAILED at the end: {error}", flush=True)
        self._end_runner()

    def _end_runner(self):
        runner, self._runner = self._runner, None
        if runner is None:
            return
        runner.close()
        self.totals["scripts"] += runner.scripts
        self.totals["actions"] += runner.actions.total()
        self.totals["peak"] = max(self.totals["peak"], runner.rig.peak)
        for name, count in runner.rig.counts.items():
            self.totals[name] = self.totals.get(name, 0) + count

    def _keep(self, name, script):
        if not self._asked.no_shrink:
            if not any(self._fails(script) for _ in range(TIMES)):
                print(f"{name} did not fail again", flush=True)
            else:
                script = shrink(script, lambda shorter: any(self._fails(shorter) for _ in range(TIMES)))
        path = self._asked.keep / f"{name.replace(' ', '-').removesuffix('.json')}.json"
        save(path, script)
        print(f"kept in {path}: {json.dumps(script)}", flush=True)

    def _fails(self, script):
        runner = self._new_runner()
        try:
            runner.run(script)
        except AssertionError:
            return True
        finally:
            runner.close()
        return False

    def _say(self, name):
        minutes = (time.monotonic() - self._began) / 60
        totals = ", ".join(f"{count} {each}" for each, count in self.totals.items() if each != "peak")
        print(f"{name}: {minutes:.1f} minutes, {totals}, at most {self.totals['peak'] >> 20} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
