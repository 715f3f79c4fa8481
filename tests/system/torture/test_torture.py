"""Scripts under which the rows stay those of the files: those that have failed once, and some from seeds.

The long profile is ``python -m tests.system.torture``.
"""

import json
import random
from pathlib import Path

import pytest

from tests.system.torture.runner import Runner
from tests.system.torture.scripts import generate, load
from tests.system.torture.shrink import shrink

KEPT = sorted((Path(__file__).parent / "kept").glob("*.json"))
SEEDS = range(16)
RANDOM = 4


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    runner = Runner(tmp_path_factory.mktemp("torture"))
    yield runner
    try:
        runner.finish()
    finally:
        runner.close()


def _run(runner, script):
    try:
        runner.run(script)
    except BaseException:
        print(f"the script, for --script: {json.dumps(script)}")
        raise


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_script_that_has_failed_once(runner, path):
    _run(runner, load(path))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_script(runner, seed):
    _run(runner, generate(seed))


def test_scripts_that_nobody_has_seen_before(runner):
    for _ in range(RANDOM):
        seed = random.randrange(1000, 10**9)
        print(f"seed {seed}")
        _run(runner, generate(seed))


def test_a_script_shrinks_to_what_fails():
    script = [["append", number] for number in range(20)]
    fails = [["append", 3], ["append", 11], ["append", 12]]
    assert shrink(script, lambda part: all(step in part for step in fails)) == fails
