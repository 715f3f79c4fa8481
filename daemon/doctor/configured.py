"""Checks of what is set: the settings and the processors, keys of language models, time zones."""

import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import duckdb
import msgspec

from daemon.doctor.findings import Finding, SkipError, counted, me, output_of
from daemon.doctor.patient import Patient
from daemon.errors import printable
from processors.usage.options import known_zone
from processors.verification.llm.options import LlmOptions, NoKeyError
from processors.verification.options import VerificationOptions

CREDENTIAL = "sessiond.llm_api_key"
CREDENTIALS = (Path("/etc/credstore"), Path("/etc/credstore.encrypted"))
"""Where systemd looks for credentials by their names, see systemd.exec(5)."""

UNITS = (Path("/etc/systemd/system"), Path("/run/systemd/system"))

_IN_UNIT = re.compile(r"^\s*Environment\s*=.*\b((?:ANTHROPIC|OPENAI)_API_KEY)=", re.MULTILINE)
_SECRET = re.compile(r"(?:^|_)(?:api_?key|token|secret)$", re.IGNORECASE)
_KEY = re.compile(r"sk-[\w-]{16}")
_MOVE = f"move it into /etc/credstore/{CREDENTIAL}, owned by root with mode 600"


def settings(patient: Patient) -> Iterator[Finding]:
    """Whether the settings and the processors can be used, and where each setting is from."""
    if patient.wrong is not None:
        yield Finding("settings", "error", str(patient.wrong.args[0]), patient.wrong.hint)
    else:
        places = defaultdict(list)
        for name, source in patient.sources.items():
            places[source].append(name)
        others = len(places.pop("default", []))
        given = [f"{', '.join(names)} from {source}" for source, names in places.items()]
        yield Finding("settings", "ok", "; ".join([*given, f"{counted(others, 'setting')} by default"]))
    found, errors = patient.processors
    for error in errors:
        yield Finding("settings", "error", str(error), "put it right, install it anew, or leave its name out")
    if found:
        yield Finding("settings", "ok", f"processors: {', '.join(spec.name for spec in found)}")
    elif not errors:
        yield Finding(
            "settings", "error", "no processor is registered", "install sessiond anew: pip install sessiond"
        )


def llm(patient: Patient) -> Iterator[Finding]:
    """Whether a key for a language model is kept where only the service can read it, and whoever asks one can."""
    exposed = [*_in_units(), *_in_settings(patient)]
    yield from exposed
    kept = False
    for folder in CREDENTIALS:
        file = folder / CREDENTIAL
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        except OSError:
            yield Finding("llm", "skipped", f"{me()} may not look at {file}", "run this as root")
            kept = True
            continue
        kept = True
        yield from _credential(file, status.st_size, status.st_uid, stat.S_IMODE(status.st_mode))
    asked = _asked(patient)
    if asked is not None:
        yield from _asking(asked, kept=kept or bool(exposed))
    elif not kept and not exposed:
        yield Finding("llm", "ok", "no key; none of the registered processors asks a language model")


def _asked(patient: Patient) -> LlmOptions | None:
    """The language model that the settings have a processor ask; None: none, or they are wrong, which is told."""
    given = {} if patient.settings is None else patient.settings.options.get("verification", {})
    try:
        options = msgspec.convert(given, VerificationOptions)
    except msgspec.ValidationError:
        return None
    return options.llm if options.extractor == "llm" else None


def _asking(options: LlmOptions, *, kept: bool) -> Iterator[Finding]:
    if not kept:
        try:
            options.key()
        except NoKeyError as error:
            yield Finding("llm", "error", str(error), f"write it into /etc/credstore/{CREDENTIAL}, mode 600")
            return
    if output_of("systemctl", "show", "--value", "--property=PrivateNetwork", "sessiond.service") == "yes":
        says = f"verification asks {options.place}, and the service has no network"
        yield Finding("llm", "error", says, "systemctl edit sessiond, with the lines on it of drop-ins/example.conf")
        return
    yield Finding("llm", "ok", f"verification asks {options.place}")


def _credential(file: Path, size: int, uid: int, mode: int) -> Iterator[Finding]:
    if not size:
        yield Finding("llm", "error", f"the key {file} is empty", "write it anew, or remove the file")
    if uid:
        yield Finding("llm", "warning", f"the key {file} belongs to user {uid}", f"chown root:root {file}")
    if mode & 0o077:
        yield Finding("llm", "warning", f"the key {file} is open to others (mode {mode:04o})", f"chmod 600 {file}")
    if size and not uid and not mode & 0o077:
        yield Finding("llm", "ok", f"the key {file} belongs to root, and is closed to others")


def _in_units() -> Iterator[Finding]:
    for folder in UNITS:
        for file in (folder / "sessiond.service", *sorted(folder.glob("sessiond.service.d/*.conf"))):
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if found := _IN_UNIT.search(text.replace("\\\n", " ")):
                says = f"{file} holds {found[1]}, which systemctl show tells everybody"
                yield Finding("llm", "warning", says, _MOVE)


def _in_settings(patient: Patient) -> Iterator[Finding]:
    if patient.settings is not None:
        for name in _keys(patient.settings.options, "options"):
            yield Finding("llm", "warning", f"{name} in {patient.sources['options']} looks like a key", _MOVE)


def _keys(options: Mapping[str, Any], above: str) -> Iterator[str]:
    for name, value in options.items():
        path = f"{above}.{name}"
        if isinstance(value, Mapping):
            yield from _keys(value, path)
        elif isinstance(value, str) and value and (_SECRET.search(name) or _KEY.match(value)):
            yield path


def timezone(patient: Patient) -> Iterator[Finding]:
    """Whether the time zones in which days begin are known, to this program and to the database."""
    if patient.settings is None:
        raise SkipError("the settings cannot be read")
    if not available_timezones():
        yield Finding("timezone", "error", "this host has no time zones", "apt install tzdata, or pip install tzdata")
        return
    given = {
        name: str(options["timezone"]) for name, options in patient.settings.options.items() if "timezone" in options
    }
    if any(spec.name == "usage" for spec in patient.processors[0]):
        given.setdefault("usage", "UTC")
    yield Finding("timezone", "ok", "stored times are UTC")
    for name, zone in given.items():
        try:
            known_zone(zone)
            _known_to_the_database(zone)
        except (ValueError, duckdb.Error):
            yield Finding(
                "timezone",
                "error",
                f"options.{name}.timezone is {printable(repr(zone))}, which is no time zone",
                "one is called Europe/Berlin, or UTC",
            )
        else:
            now = datetime.now(ZoneInfo(zone))
            yield Finding(
                "timezone",
                "ok",
                f"days of {name} begin at midnight in {zone}, where it is {now:%H:%M} now",
            )


def _known_to_the_database(zone: str) -> None:
    with duckdb.connect() as conn:
        conn.execute("SELECT timezone(?, TIMESTAMP '2026-01-01')", [zone])
