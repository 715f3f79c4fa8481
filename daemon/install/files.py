"""The files that an installation consists of: what stands in them, and where.

They lie below /usr/local/lib, so that what the operator writes in /etc goes before them and stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.config import DEFAULT_ROOT
from daemon.errors import ConfigError, printable
from daemon.install.host import UNIT

UNITS = Path("/usr/local/lib/systemd/system")
CATALOG = Path("/usr/local/lib/systemd/catalog/sessiond.catalog")
CATALOGS = Path("/var/lib/systemd/catalog/database")  # what journalctl makes of all of them
SYSUSERS = Path("/usr/local/lib/sysusers.d/sessiond.conf")
TMPFILES = Path("/usr/local/lib/tmpfiles.d/sessiond.conf")
EXAMPLE = Path("/usr/local/share/doc/sessiond/drop-in.conf")
CONFIG = Path("/etc/sessiond/config.toml")
STATE = Path("/var/lib/sessiond")
COMMAND = Path("/usr/local/bin/sessiond")
RESTART_STEPS = 254
"""The version of systemd since which a unit can say that it waits longer after each failure."""

_DROP_IN = f"{UNIT}.d/50-restart.conf"


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of the installation; ``text`` is None if it must not be there (any more)."""

    path: Path
    text: str | None

    @property
    def differs(self) -> bool:
        """Whether what is there is something else."""
        try:
            return self.path.read_text(encoding="utf-8") != self.text
        except FileNotFoundError:
            return self.text is not None
        except (OSError, UnicodeDecodeError):
            return True


def packaged(name: str) -> str:
    """A file of ``systemd/``, as it was packaged."""
    inside = Path(__file__).parents[1] / "systemd"
    folder = inside if inside.is_dir() else Path(__file__).parents[2] / "systemd"  # in a checkout
    return (folder / name).read_text(encoding="utf-8")


def files(command: Path, root: Path, systemd: int) -> Iterator[Placed]:
    """All files but the configuration, for this command, root of transcripts and version of systemd."""
    yield Placed(UNITS / UNIT, unit(command, root))
    for name in ("sessiond-revive.service", "sessiond-revive.timer"):
        yield Placed(UNITS / name, packaged(name))
    rising = packaged("drop-ins/50-restart.conf") if systemd >= RESTART_STEPS else None
    yield Placed(UNITS / _DROP_IN, rising)
    yield Placed(SYSUSERS, packaged("sysusers.conf"))
    yield Placed(TMPFILES, packaged("tmpfiles.conf"))
    yield Placed(EXAMPLE, packaged("drop-ins/example.conf"))
    yield Placed(CATALOG, packaged("sessiond.catalog"))


def unit(command: Path, root: Path) -> str:
    """The unit for a command and a root of transcripts.

    Raises:
        ConfigError: the service could not see the root, or systemd could not be told its name.

    """
    text = packaged(UNIT).replace(str(COMMAND), _word(command))
    if any(root.is_relative_to(folder) for folder in ("/tmp", "/var/tmp", "/dev", "/proc", "/run/user")):  # noqa: S108
        raise ConfigError(f"the service cannot see {printable(root)}", "choose another root")
    places = dict.fromkeys((root, root.resolve()))  # it may be, or lie behind, a symbolic link
    if any(place.is_relative_to(folder) for place in places for folder in ("/home", "/root")) or Path("/") in places:
        text = text.replace("ProtectHome=yes", "ProtectHome=read-only")
    mounts = " ".join(map(_word, places))
    return text.replace(f"RequiresMountsFor={DEFAULT_ROOT}", f"RequiresMountsFor={mounts}")


def configuration(root: Path) -> str:
    """The configuration file of a new installation."""
    text = packaged("config.toml")
    if root == DEFAULT_ROOT:
        return text
    quoted = '"' + str(root).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text.replace(f'#root = "{DEFAULT_ROOT}"', f"root = {quoted}")


def _word(path: Path) -> str:
    """A path as systemd reads it: a %, a quote or a space in it would mean something."""
    text = str(path)
    if not text.isprintable() or any(char in text for char in "\"'\\$;"):
        raise ConfigError(f"systemd cannot be told of {printable(path)}", "choose a path without odd characters")
    text = text.replace("%", "%%")
    return f'"{text}"' if " " in text else text
