"""The check of the service: whether it is installed as this version would, runs, and starts with the host."""

from collections.abc import Iterator
from pathlib import Path

from daemon.doctor.findings import Finding, SkipError, counted, some
from daemon.doctor.patient import Patient
from daemon.errors import ConfigError, printable
from daemon.install.files import STATE, UNITS
from daemon.install.host import UNIT, HostError, unit_state
from daemon.install.plan import out_of_date

_LOG = f"journalctl -u {UNIT} -e says why"


def unit(patient: Patient) -> Iterator[Finding]:
    """Whether the unit is up to date, and the service well."""
    try:
        state = unit_state()
    except HostError as error:
        raise SkipError(f"systemd cannot be asked: {error.args[0]}") from error
    if not state:
        raise SkipError("systemd does not run this host")
    if state["LoadState"] == "not-found":
        raise SkipError("sessiond is no service of this host", "sessiond install")
    if state["LoadState"] == "masked":
        yield Finding("unit", "warning", f"{UNIT} is masked: it cannot run", f"systemctl unmask {UNIT}")
        return
    found = [*_running(state), *_placed(state), *_reaches(patient)]
    if not found:
        found.append(Finding("unit", "ok", f"{UNIT} is {state['ActiveState']}, enabled and up to date"))
    yield from found


def _running(state: dict[str, str]) -> Iterator[Finding]:
    restarts = int(state.get("NRestarts") or 0)
    if state["ActiveState"] == "failed":
        yield Finding("unit", "error", f"{UNIT} has failed: {state['Result']}", _LOG)
    elif state["SubState"] == "auto-restart":
        yield Finding("unit", "error", f"{UNIT} fails again and again: {state['Result']}", _LOG)
    elif state["ActiveState"] == "inactive":
        yield Finding("unit", "warning", f"{UNIT} does not run", f"systemctl start {UNIT}")
    elif restarts:
        says = f"systemd has restarted {UNIT} {counted(restarts, 'time')} since it was last told to start"
        yield Finding("unit", "warning", says, _LOG)
    if state["UnitFileState"] != "enabled":
        says = f"{UNIT} is {state['UnitFileState'] or 'not enabled'}: it does not start with the host"
        yield Finding("unit", "warning", says, f"systemctl enable {UNIT}")


def _reaches(patient: Patient) -> Iterator[Finding]:
    """Whether the service can write where it is to."""
    settings = patient.settings
    if settings is not None and patient.sources["db"].startswith("file /etc/") and STATE not in settings.db.parents:
        shown = printable(settings.db.parent)
        says = f"the database is to be in {shown}, where the service cannot write"
        yield Finding("unit", "error", says, f"systemctl edit sessiond, with ReadWritePaths={shown} below [Service]")


def _placed(state: dict[str, str]) -> Iterator[Finding]:
    if state["NeedDaemonReload"] == "yes":
        says = "unit files have changed since systemd has read them"
        yield Finding("unit", "warning", says, f"systemctl daemon-reload, then systemctl restart {UNIT}")
    if Path(state["FragmentPath"]).parent != UNITS:
        says = f"the unit is {state['FragmentPath']}, which sessiond install has not written"
        yield Finding("unit", "warning", says, "remove it, and run sessiond install")
        return
    try:
        differing = out_of_date()
    except (ConfigError, HostError) as error:
        yield Finding("unit", "skipped", f"whether it is up to date cannot be said: {error.args[0]}", error.hint)
        return
    if differing:
        says = (
            f"{counted(len(differing), 'file')} not as this version installs them: {some(list(map(str, differing)))}"
        )
        yield Finding("unit", "warning", says, "sessiond install")
