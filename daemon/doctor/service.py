"""Checks of the daemon: whether it can be asked, and whether what it has stored is up to date."""

import stat
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from daemon.doctor.doors import Door
from daemon.doctor.findings import Finding, SkipError, counted, me, output_of, span
from daemon.doctor.patient import Patient, Walk
from daemon.doctor.reading import QUERY_ERRORS, Database
from daemon.errors import printable
from daemon.repository import CLEARLY_SECONDS
from processors.registry import Registered

UNIT = "sessiond.service"
LAG_SECONDS = 60.0
BEHIND_SECONDS = 180.0
"""Without a daemon: a change that is younger may be one that somebody is about to scan."""

_POSITIONS = """
    SELECT session_file, device, inode, size, mtime_ns, ctime_ns, version, file_hash <> ''
    FROM session_positions WHERE processor_name = ?"""
_OTHERS = """
    SELECT session_file, epoch(processed_at) FROM session_processor_state AS state
    ANTI JOIN session_positions USING (processor_name, session_file) WHERE processor_name = ?"""
_QUARANTINED = """
    SELECT session_file, device, inode, size, mtime_ns, ctime_ns FROM session_failures
    WHERE quarantined AND processor_name = ?"""


def state(patient: Patient) -> Iterator[Finding]:
    """Whether the database says what the transcripts say."""
    if patient.status is not None:
        yield from _by_the_daemon(patient.status)
        return
    walk = patient.walk
    database = None if patient.opened is None else patient.database
    for spec in patient.processors[0]:
        patient.tell(f"comparing files and database: {spec.name}")
        try:
            yield from _compared(walk, database, spec)
        except QUERY_ERRORS:
            raise SkipError("the state cannot be read, see database") from None


def _by_the_daemon(status: Mapping[str, Any]) -> Iterator[Finding]:
    for reason in status["reasons"]:
        yield Finding("state", "error", f"the daemon is not healthy: {reason}", "journalctl -u sessiond -p warning")
    for lane in status["lanes"]:
        if lane["lag_seconds"] > LAG_SECONDS:
            says = f"{lane['processor']} is behind: its oldest change is {span(lane['lag_seconds'])} old"
            yield Finding("state", "warning", says, "sessiond top shows what it does")
        yield from _quarantined(lane["processor"], lane["quarantined"])
    scan, backlog = status["last_scan"], sum(lane["backlog"] for lane in status["lanes"])
    scanned = f"last scan at {scan['at']}" if scan else "not scanned yet"
    lag = f"lag {status['lag_seconds']:.1f} s, backlog {backlog:,}"
    yield Finding("state", "ok", f"{counted(status['sessions'], 'session')}, {lag}, {scanned}")


def _compared(walk: Walk, database: Database | None, spec: Registered) -> Iterator[Finding]:
    """What one processor has not processed as it is now; without a database, that is everything."""
    known: dict[str, tuple[object, ...]] = {}
    outdated = set()
    others: dict[str, float] = {}
    quarantined: dict[str, tuple[object, ...]] = {}
    if database is not None:
        for key, *seen, processed_by, whole in database.rows(_POSITIONS, spec.name):
            known[key] = tuple(seen) if whole else ()
            if processed_by != spec.version:
                outdated.add(key)
        others = dict(database.rows(_OTHERS, spec.name))
        quarantined = {key: tuple(seen) for key, *seen in database.rows(_QUARANTINED, spec.name)}
    behind = [
        (key, seen)
        for key, seen in walk.files.items()
        if known.get(key) != seen
        and quarantined.get(key) != seen
        # Another tool has left only the time; the daemon compares the content.
        and not seen.mtime_ns / 1e9 + CLEARLY_SECONDS < others.get(key, 0.0)
    ]
    fix = "systemctl start sessiond, or sessiond scan"
    # Not the time that a file says it has: that can be set.
    oldest = max((time.time() - seen.ctime_ns / 1e9 for _, seen in behind), default=0.0)
    about = f"{spec.name}: {counted(len(walk.files), 'session')}, {len(behind):,} of them not processed as they are"
    if behind and oldest > BEHIND_SECONDS:
        says = f"{about}: the oldest change was {span(oldest)} ago, and no daemon runs"
        yield Finding("state", "warning", says, fix)
    else:
        yield Finding("state", "ok", f"{about}: the oldest change was {span(oldest)} ago" if behind else about)
    if again := outdated & walk.files.keys():
        says = f"{spec.name}: {counted(len(again), 'session')} processed by another version than {spec.version}"
        yield Finding("state", "warning", says, f"{fix}: their rows are made anew")
    yield from _quarantined(spec.name, len(quarantined))


def _quarantined(processor: str, number: int) -> Iterator[Finding]:
    if number:
        says = f"{processor}: {counted(number, 'session')} in quarantine"
        fix = "sessiond quarantine says why; sessiond requeue gives them a new chance"
        yield Finding("state", "warning", says, fix)


def socket(patient: Patient) -> Iterator[Finding]:
    """Whether a daemon answers, and is this one; whether whoever asks may."""
    for door in patient.doors:
        yield from _behind(door, patient)
    if patient.door is not None or any(door.state in {"barred", "mute"} for door in patient.doors):
        return
    where = printable(patient.doors[0].path)
    if output_of("systemctl", "is-active", UNIT) == "active":
        says = f"{UNIT} is active, and does not answer at {where}"
        yield Finding("socket", "error", says, f"give its socket with --socket: journalctl -u {UNIT} EVENT=listening")
    else:
        says = f"no daemon of these settings is running: nobody answers at {where}"
        yield Finding("socket", "skipped", says, "systemctl start sessiond, or sessiond run")


def _behind(door: Door, patient: Patient) -> Iterator[Finding]:
    shown = printable(door.path)
    if door.state == "answers" and door is not patient.door:
        says = f"a daemon answers at {shown}, for another database: {door.status['db']}"
        yield Finding("socket", "ok", says)
    elif door.state == "answers":
        running, installed = door.status.get("version"), version("sessiond")
        says = f"a daemon answers at {shown}: version {running}, process {door.status.get('pid')}"
        if running == installed:
            yield Finding("socket", "ok", says)
        else:
            says = f"{says}, while {installed} is installed"
            yield Finding("socket", "warning", says, "systemctl restart sessiond")
    elif door.state == "barred":
        group, mode = _belongs(door.path)
        says = f"{me()} may not ask the daemon at {shown} (group {group or 'unknown'}, mode {mode})"
        yield Finding("socket", "warning", says, f"usermod -aG {group or 'sessiond'} {me()}, then log in again")
    elif door.state == "dead":
        says = f"{shown} was left behind by a daemon that does not live any more"
        yield Finding("socket", "warning", says, "start the daemon: it puts its own in that place")
    elif door.state == "mute":
        says = f"somebody listens at {shown}, and does not answer as a daemon does"
        yield Finding("socket", "error", says, f"systemctl restart sessiond; fuser -v {shown} names the process")
    elif door.state == "closed":
        yield Finding("socket", "error", f"{shown} is no socket", "move it away, or set socket to another place")


def _belongs(path: Path) -> tuple[str, str]:
    """Group and mode of what is in the way: the socket, or the nearest folder above it that can be looked at."""
    for place in (path, *path.parents):
        try:
            mode = stat.S_IMODE(place.lstat().st_mode)
        except OSError:
            continue
        try:
            return place.group(), f"{mode:04o}"
        except (KeyError, OSError):
            return "", f"{mode:04o}"
    return "", "unknown"
