"""``sessiond doctor``: what usually goes wrong on a host, each with what can be done about it.

Everything is looked at and nothing is changed: the root is walked once, the database is asked through the daemon, or
opened for reading while there is none. A check is a function that takes the :class:`Patient` and yields
:class:`Finding` s; :data:`CHECKS` lists them, and that is the one place where a new one is added.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from daemon.doctor import configured, host, service, stored, transcripts, unit
from daemon.doctor.findings import Finding, Level, SkipError
from daemon.doctor.patient import Patient, gather
from daemon.errors import SessiondError, describe, printable

__all__ = ["CHECKS", "EXIT_CODES", "Check", "Finding", "Level", "Patient", "SkipError", "examine", "gather", "worst"]

Check = Callable[[Patient], Iterable[Finding]]

CHECKS: Mapping[str, Check] = {
    "settings": configured.settings,
    "root": transcripts.root,
    "files": transcripts.files,
    "inotify": host.inotify,
    "filesystem": host.filesystem,
    "clock": host.clock,
    "disk": host.disk,
    "database": stored.database,
    "state": service.state,
    "socket": service.socket,
    "unit": unit.unit,
    "llm": configured.llm,
    "timezone": configured.timezone,
}
"""By name, in the order in which they are made and shown."""

EXIT_CODES: Mapping[Level, int] = {"skipped": 0, "ok": 0, "warning": 1, "error": 2}


def examine(patient: Patient, checks: Mapping[str, Check] = CHECKS) -> Iterator[Finding]:
    """All findings, made harmless for a terminal; a check that fails is one, too.

    Args:
        patient: what is looked at.
        checks: by name.

    """
    for name, check in checks.items():
        patient.tell(name)
        try:
            for finding in check(patient):
                yield replace(finding, says=printable(finding.says), fix=printable(finding.fix))
        except SkipError as error:
            yield Finding(name, "skipped", printable(error.args[0]), printable(error.hint))
        except SessiondError as error:
            yield Finding(name, "error", printable(error.args[0]), printable(error.hint))
        except Exception as error:  # noqa: BLE001  # whatever it is, the other checks are still worth something
            yield Finding(name, "error", f"the check itself failed: {describe(error)}", "report it, with this line")


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level of all: ``error``, ``warning`` or ``ok``."""
    levels = {finding.level for finding in findings}
    return "error" if "error" in levels else "warning" if "warning" in levels else "ok"
