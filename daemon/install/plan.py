"""What has to be done on a host to have the service, or to have it no more.

A plan is made of what is there now: nothing is in it that is done already, so that an empty plan says that all is in
place. Carried out in order, each action may rely on those before it.
"""

import os
import pwd
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from daemon.config import DEFAULT_ROOT
from daemon.errors import ConfigError, printable
from daemon.install import files as places
from daemon.install import host
from daemon.install.files import CONFIG, Placed
from daemon.install.host import UNIT, HostError, tell, unit_state

USER = "sessiond"
_LEFT_BEHIND = (Path("/etc/systemd/system") / UNIT, Path("/usr/lib/systemd/system") / UNIT)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do; ``says`` tells a person, ``do`` does it."""

    says: str
    do: Callable[[], object]


def install(root: Path | None, *, start: bool = True) -> list[Action]:
    """What is missing for a running service of this very installation.

    Args:
        root: of the transcripts, for a new configuration; None: the default one.
        start: whether the service shall run; it is enabled anyway.

    Raises:
        ConfigError: it cannot be installed from here, or not as it is wanted.
        HostError: the host cannot be asked how it is.

    """
    version = _systemd()
    if hidden := host.hidden_from_service():
        raise ConfigError(
            f"the service could not run this installation: {hidden}",
            "install the package in a folder that every user can read, with a Python that every user can: "
            "/usr/bin/python3 -m venv /opt/sessiond",
        )
    for path in _LEFT_BEHIND:
        if path.is_file() and not path.is_symlink():
            raise ConfigError(f"{path} goes before the unit that would be installed", "remove it, and install again")
    if unit_state().get("LoadState") == "masked":
        raise ConfigError(f"{UNIT} is masked", f"systemctl unmask {UNIT}, if it shall run")
    wanted = list(places.files(host.executable(), _root(root), version))
    return [*_files(wanted, root), *_service(wanted, start=start)]


def uninstall(*, purge: bool = False) -> list[Action]:
    """What has to go; the database, the configuration and the user only with ``purge``."""
    plan = list(_stop())
    there = [place.path for place in places.files(places.COMMAND, DEFAULT_ROOT, places.RESTART_STEPS)]
    links = [places.COMMAND] if _is_a_link_of_ours(places.COMMAND) else []
    plan += [Action(f"remove {path}", partial(_remove, path)) for path in [*links, *there] if _is_there(path)]
    if places.CATALOG.exists():
        plan.append(_run("journalctl", "--update-catalog"))
    if plan and host.RUNS_SYSTEMD.is_dir():
        plan.append(_run("systemctl", "daemon-reload"))
    if purge:
        for path in (places.STATE, CONFIG.parent, Path("/etc/systemd/system") / f"{UNIT}.d"):
            if path.is_symlink():
                plan.append(Action(f"remove {path}, and not what it leads to", path.unlink))
            elif path.exists():
                plan.append(Action(f"remove {path} with all that is in it", partial(shutil.rmtree, path)))
        if _user_is_there() and pwd.getpwnam(USER).pw_dir == str(places.STATE):  # another one is not our doing
            plan.append(_run("userdel", USER))
    return plan


def out_of_date() -> list[Path]:
    """The installed files that are not as this version would install them.

    Raises:
        ConfigError, HostError: that cannot be said, and why.

    """
    placed = places.files(host.executable(), _root(None), _systemd())
    return [place.path for place in placed if place.differs]


def _systemd() -> int:
    """The version that is there, if it will do."""
    version = host.systemd_version()
    if version < host.OLDEST_SYSTEMD:
        raise ConfigError(
            f"systemd {version} is older than {host.OLDEST_SYSTEMD}",
            "have something else supervise `sessiond run`",
        )
    return version


def _root(wanted: Path | None) -> Path:
    """The root that the service will have: of the configuration, where there is one."""
    try:
        written = tomllib.loads(CONFIG.read_text(encoding="utf-8")).get("root")
    except FileNotFoundError:
        return wanted or DEFAULT_ROOT
    except (OSError, ValueError) as error:
        raise ConfigError(f"{CONFIG} cannot be read, or is no TOML", "see sessiond check-config") from error
    there = Path(str(written)) if written is not None else DEFAULT_ROOT
    if not there.is_absolute():
        raise ConfigError(f"{CONFIG}: root is {printable(there)}", "for a service, it has to begin with /")
    there = Path(os.path.abspath(there))  # noqa: PTH100  # as the daemon takes it
    if wanted is not None and wanted != there:
        raise ConfigError(
            f"{CONFIG} has another root, {printable(there)}", "change it there, and install again without --root"
        )
    return there


def _files(wanted: list[Placed], root: Path | None) -> Iterator[Action]:
    changed = {place.path for place in wanted if place.differs}
    for place in wanted:
        if place.path in changed:
            verb = "remove" if place.text is None else "replace" if place.path.exists() else "write"
            yield Action(f"{verb} {place.path}", partial(_place, place))
    if not _user_is_there():
        yield _run("systemd-sysusers", str(places.SYSUSERS))
    if places.TMPFILES in changed or not CONFIG.parent.exists():
        yield _run("systemd-tmpfiles", "--create", str(places.TMPFILES))
    if not CONFIG.exists():
        text = places.configuration(root or DEFAULT_ROOT)
        yield Action(f"write {CONFIG}", partial(_place, Placed(CONFIG, text)))
    if not _is_there(places.COMMAND) or (_is_a_link_of_ours(places.COMMAND) and not _leads_here(places.COMMAND)):
        yield Action(f"link {places.COMMAND} to {host.executable()}", _link)
    if places.CATALOG in changed or host.changed_at(places.CATALOGS) < host.changed_at(places.CATALOG):
        yield _run("journalctl", "--update-catalog")


def _service(wanted: list[Placed], *, start: bool) -> Iterator[Action]:
    units = [place for place in wanted if place.path.is_relative_to(places.UNITS)]
    unit_changed = any(place.differs for place in units)
    # Not only what this run changes: the one before may have been interrupted, or told not to start it.
    newest = max(host.installed_at(), *(host.changed_at(place.path) for place in units))
    state = unit_state()
    if unit_changed or state.get("NeedDaemonReload") == "yes":
        yield _run("systemctl", "daemon-reload")
    if state.get("UnitFileState") != "enabled":
        yield _run("systemctl", "enable", "--quiet", UNIT)
    if not start:
        return
    active = state.get("ActiveState")
    if active == "failed":
        yield _run("systemctl", "reset-failed", UNIT)
    if active in {"active", "reloading"}:
        if unit_changed or newest > host.started_at(state):
            yield _run("systemctl", "restart", UNIT)
    else:
        yield _run("systemctl", "start", UNIT)


def _stop() -> Iterator[Action]:
    state = unit_state()
    if state.get("LoadState", "not-found") != "not-found":
        yield _run("systemctl", "disable", "--now", "--quiet", UNIT, "sessiond-revive.timer")
    if state.get("ActiveState") == "failed":
        yield _run("systemctl", "reset-failed", UNIT)


def _run(*command: str) -> Action:
    return Action(" ".join(command), partial(tell, *command))


def _place(place: Placed) -> None:
    """Write a file at once, or not at all; every user may read it."""
    if place.text is None:
        place.path.unlink(missing_ok=True)
        return
    try:
        place.path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=place.path.parent, prefix=".sessiond-")
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(place.text)
            os.fchmod(fd, 0o644)
            file.flush()
            os.fsync(fd)
        Path(name).replace(place.path)
    except OSError as error:
        hint = "run this as root" if isinstance(error, PermissionError) else "nothing after it was done; try again"
        raise HostError(f"cannot write {place.path}: {error.strerror}", hint) from error


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.name.startswith(USER) and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _link() -> None:
    places.COMMAND.parent.mkdir(parents=True, exist_ok=True)
    places.COMMAND.unlink(missing_ok=True)
    places.COMMAND.symlink_to(host.executable())


def _is_a_link_of_ours(path: Path) -> bool:
    """Whether an installation has made it, this one or one that lay elsewhere."""
    return path.is_symlink() and path.readlink().parts[-2:] == ("bin", "sessiond")


def _leads_here(link: Path) -> bool:
    return link.readlink() == host.executable()


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _user_is_there() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True
