"""The host that is installed on: what it runs, and how it is told to do something."""

import re
import stat
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path

from daemon.errors import ConfigError, SessiondError, printable

UNIT = "sessiond.service"
OLDEST_SYSTEMD = 252
RUNS_SYSTEMD = Path("/run/systemd/system")  # see sd_booted(3)
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  # what the unit does not let the service see
_SECONDS = 180.0


class HostError(SessiondError):
    """Something that the host was told to do failed."""


def tell(*command: str) -> str:
    """Run a command of the host; returns what it prints.

    Raises:
        HostError: it failed, or there is none; says what it complains about.

    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except FileNotFoundError:
        raise HostError(f"there is no command {command[0]}", "install systemd") from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{' '.join(command)} has not ended after {_SECONDS:.0f} s", "") from None
    if done.returncode:
        said = "; ".join(printable(line) for line in done.stderr.strip().splitlines()[-3:])
        raise HostError(f"{' '.join(command)}: {said or f'exit code {done.returncode}'}", _hint(command))
    return done.stdout.strip()


def _hint(command: tuple[str, ...]) -> str:
    return f"see journalctl -u {UNIT} -e" if command[0] == "systemctl" and UNIT in command else ""


def unit_state() -> dict[str, str]:
    """What systemd knows of the unit, by the names of its properties; nothing where systemd does not run."""
    if not RUNS_SYSTEMD.is_dir():
        return {}
    names = (
        "ActiveState", "SubState", "Result", "NRestarts", "UnitFileState", "NeedDaemonReload", "FragmentPath",
        "DropInPaths", "LoadState", "ExecMainStartTimestampMonotonic", "MainPID",
    )  # fmt: skip
    shown = tell("systemctl", "show", "--property", ",".join(names), UNIT)
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def started_at(state: dict[str, str]) -> float:
    """When the service was started, in seconds since 1970; a time before all if it was not."""
    micros = int(state.get("ExecMainStartTimestampMonotonic") or 0)
    return time.time() - time.monotonic() + micros / 1e6 if micros else 0.0


def changed_at(path: Path) -> float:
    """When a file was written, in seconds since 1970; 0.0 if there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def systemd_version() -> int:
    """The version of systemd that is there, such as 252.

    Raises:
        HostError: there is none.

    """
    found = re.match(r"systemd (\d+)", tell("systemctl", "--version"))
    return int(found[1]) if found else 0


def executable() -> Path:
    """The command ``sessiond`` of this installation.

    Raises:
        ConfigError: this Python has none, as it was not installed.

    """
    path = Path(sys.executable).with_name("sessiond")
    if not path.is_file():
        raise ConfigError(
            f"there is no {printable(path)}", "install the package: python3 -m venv /opt/sessiond, then its pip"
        )
    return path


def installed_at() -> float:
    """When this version of the package was put where it is, in seconds since 1970."""
    found = distribution("sessiond")
    record = next((file for file in found.files or () if file.name == "RECORD"), None)
    return changed_at(Path(str(found.locate_file(record)))) if record else 0.0


def hidden_from_service() -> str | None:
    """The part of this installation that a service of another user cannot read, and why; None if it can read all."""
    command, python, package = executable(), Path(sys.executable), Path(__file__).parents[1]
    for path in (command, command.resolve(), python, python.resolve(), package, package.resolve()):
        if under := next((folder for folder in HIDDEN if path.is_relative_to(folder)), None):
            return f"{printable(path)} is below {under}, which the service does not see"
        for part in (path, *path.parents):
            needed = stat.S_IXOTH | (stat.S_IROTH if part == path else 0)
            if part.stat().st_mode & needed != needed:
                return f"{printable(part)} cannot be read by other users"
    return None
