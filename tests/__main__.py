"""All quality gates in one command: lint, format, types, tests. Stops at the first that fails."""

import subprocess
import sys
from pathlib import Path

GATES = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("pytest", "--numprocesses=3"),  # on two cores, as many tests wait for a daemon
)


def main() -> int:
    """Run the gates from the top of the checkout; arguments go to pytest. Returns the exit code."""
    for name, *arguments in GATES:
        more = sys.argv[1:] if name == "pytest" else []
        command = [sys.executable, "-m", name, *arguments, *more]
        print(f"== {' '.join([name, *arguments, *more])}", flush=True)
        code = subprocess.run(command, cwd=Path(__file__).parents[1], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
