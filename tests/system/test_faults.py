"""Every row that a daemon has acknowledged is in the database once, whenever it is killed: the short run.

The long one is ``python -m tests.system.faults --kills 1000``.
"""

import json
import subprocess
import sys
from pathlib import Path


def test_what_was_acknowledged_survives_kills_at_any_moment():
    # In a process of its own, as the daemons are forked from it.
    command = [sys.executable, "-m", "tests.system.faults", "--kills", "24"]
    result = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=110, check=False
    )
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert (figures["lost"], figures["doubled"], figures["torn"]) == (0, 0, 0)
    assert figures["during_checkpoints"] >= 8
    assert figures["acknowledged"] > 0
    assert figures["rows"] == figures["lines"]
