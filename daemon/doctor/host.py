"""Checks of the host: the kernel's limits on watching, file systems, the clock, the disk."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from daemon.config import bytes_of
from daemon.cursor import utc_now
from daemon.doctor.findings import Finding, SkipError, counted, output_of, some, span
from daemon.doctor.patient import MEMORY, Patient
from daemon.doctor.reading import QUERY_ERRORS
from daemon.errors import printable
from daemon.mounts import REMOTE, is_remote, kind_of

INOTIFY = Path("/proc/sys/fs/inotify")
SYSCTL = "/etc/sysctl.d/60-sessiond.conf"

QUEUED_EVENTS = 16_384
INSTANCES = 128
"""These two are the kernel's defaults. Its default for watches depends on the memory that there is."""

WATCHES = 524_288
FULL_SHARE = 0.75

FUTURE_SECONDS = 300.0
CLOCK_SECONDS = 5.0

WAL_BYTES = 256 << 20
"""How long the database's log becomes before a checkpoint, see :func:`daemon.store.open_database`."""

FREE_SHARE = 0.1
INODES = 1000
"""The database takes a handful; a disk that has so few left is about to have none."""


def inotify(patient: Patient) -> Iterator[Finding]:
    """Whether the kernel lets one user watch all folders, and keeps enough events until they are read."""
    folders = _folders(patient)
    try:
        watches, queued, instances = (
            int((INOTIFY / f"max_{name}").read_text(encoding="ascii"))
            for name in ("user_watches", "queued_events", "user_instances")
        )
    except (OSError, ValueError):
        raise SkipError(f"{INOTIFY} cannot be read") from None
    found = [*_watches(folders, watches), *_queue(folders, queued), *_instances(instances)]
    watch = (patient.status or {}).get("watch", {})
    if watch.get("mode") == "scanning":
        says = "the daemon cannot watch all folders, and scans them at a short interval instead"
        found.append(Finding("inotify", "warning", says, "journalctl -u sessiond EVENT=watch_degraded says why"))
    elif watch.get("overflows"):
        times = counted(watch["overflows"], "time")
        says = f"the kernel has dropped events {times} since the daemon began, and each cost a full scan"
        wanted = _power_of_two(max(2 * queued, 4 * folders))
        found.append(Finding("inotify", "warning", says, _sysctl("max_queued_events", wanted)))
    if not found:
        there = f"there are {folders:,}" if folders else "it is not known how many there are"
        says = f"one user may watch {watches:,} folders, and {there}; up to {queued:,} events are kept"
        found.append(Finding("inotify", "ok", says))
    yield from found


def _folders(patient: Patient) -> int:
    """How many there are, as far as that is known: whoever asks may see less than the daemon; 0: not at all."""
    told: int = ((patient.status or {}).get("last_scan") or {}).get("folders", 0)
    try:
        return max(told, patient.walk.folders)
    except SkipError:
        return told


def _watches(folders: int, limit: int) -> Iterator[Finding]:
    fix = _sysctl("max_user_watches", _power_of_two(max(WATCHES, 2 * folders)))
    if limit < folders:
        says = f"{counted(folders, 'folder')}, and one user may watch {limit:,}: changes in others wait for a scan"
        yield Finding("inotify", "error", says, fix)
    elif limit * FULL_SHARE < folders:
        says = f"{counted(folders, 'folder')} of {limit:,} that one user may watch, with all programs together"
        yield Finding("inotify", "warning", says, fix)


def _queue(folders: int, limit: int) -> Iterator[Finding]:
    if limit < max(QUEUED_EVENTS, folders):
        about = f" for {counted(folders, 'folder')}" if folders else ""
        says = f"the kernel keeps {limit:,} events (max_queued_events){about}: what is dropped costs a full scan"
        wanted = _power_of_two(max(4 * QUEUED_EVENTS, 2 * folders))
        yield Finding("inotify", "warning", says, _sysctl("max_queued_events", wanted))


def _instances(limit: int) -> Iterator[Finding]:
    if limit < INSTANCES:
        says = f"one user may have {limit:,} watchers (max_user_instances) in all programs, less than is usual"
        yield Finding("inotify", "warning", says, _sysctl("max_user_instances", INSTANCES))


def _sysctl(name: str, value: int) -> str:
    return f"put fs.inotify.{name} = {value} into {SYSCTL}, then sysctl --system"


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def filesystem(patient: Patient) -> Iterator[Finding]:
    """Whether the root and the database are on file systems of this host."""
    if patient.root is not None:
        kind = _kind(patient.root)
        if is_remote(kind):
            says = f"the root is on {kind}: what other hosts write there is found by scans only"
            yield Finding("filesystem", "warning", says, "run sessiond on the host that the files are written on")
        else:
            yield Finding("filesystem", "ok", f"the root is on {kind}")
    if patient.db is not None:
        kind = _kind(patient.db)
        if kind in REMOTE:
            says = f"the database is on {kind}, where its locks and its log cannot be relied on"
            yield Finding("filesystem", "error", says, "give a file on a disk of this host as db")
        elif is_remote(kind):
            says = f"the database is on {kind}: whether its locks can be relied on there is not known"
            yield Finding("filesystem", "warning", says, "give a file on a disk of this host as db")
        else:
            yield Finding("filesystem", "ok", f"the database is on {kind}")
    if patient.root is None and patient.db is None:
        raise SkipError("the settings cannot be read")


def _kind(path: Path) -> str:
    return printable(kind_of(path) or "a file system that is not known")


def clock(patient: Patient) -> Iterator[Finding]:
    """Whether the clock is right, as far as that can be seen from here."""
    try:
        yield from _ahead(patient)
    except SkipError as error:
        yield Finding("clock", "skipped", f"times of files: {error}")
    try:
        yield from _back(patient)
    except SkipError as error:
        yield Finding("clock", "skipped", f"times in the database: {error}")
    synchronized = output_of("timedatectl", "show", "-p", "NTPSynchronized", "--value")
    if synchronized == "yes":
        yield Finding("clock", "ok", "synchronized by NTP")
    elif synchronized == "no":
        says = "the clock is not synchronized, says timedatectl"
        yield Finding("clock", "warning", says, "timedatectl set-ntp true, or let chrony or ntpd run")
    else:
        yield Finding("clock", "skipped", "timedatectl cannot say whether the clock is synchronized")


def _ahead(patient: Patient) -> Iterator[Finding]:
    files = patient.walk.files
    latest = (time.time() + FUTURE_SECONDS) * 1e9
    if ahead := [key for key, seen in files.items() if seen.mtime_ns > latest]:
        says = f"{counted(len(ahead), 'file')} with a time in the future: {some(ahead)}"
        fix = "check the clock of the host that writes them; touch gives them the time of now"
        yield Finding("clock", "warning", says, fix)
    else:
        yield Finding("clock", "ok", "no file has a time in the future")


def _back(patient: Patient) -> Iterator[Finding]:
    database = patient.database
    try:
        ((newest,),) = database.rows("SELECT max(processed_at) FROM session_positions")
    except QUERY_ERRORS:
        raise SkipError("they cannot be read, see database") from None
    if newest is not None and (ahead := (newest - utc_now()).total_seconds()) > CLOCK_SECONDS:
        says = f"the database was last written {span(ahead)} from now: the clock was set back, or was wrong then"
        yield Finding("clock", "warning", says, "set the clock; times in the database stay as they are")
    else:
        yield Finding("clock", "ok", "the clock is not behind what the database has seen")


def disk(patient: Patient) -> Iterator[Finding]:
    """Whether the database, its log and what it writes for a moment have room to grow."""
    if patient.db is None:
        raise SkipError("the settings cannot be read; give the database with --db")
    folder = next(place for place in patient.db.parents if os.path.isdir(place))  # noqa: PTH112  # / is one
    room = os.statvfs(folder)
    shown = printable(folder)
    if room.f_flag & os.ST_RDONLY:
        yield Finding("disk", "error", f"{shown} is mounted read-only", "mount -o remount,rw; dmesg may say why")
    size, log = _size(patient.db), _size(patient.db.with_name(patient.db.name + ".wal"))
    # A checkpoint writes the log's content once more before it lets go of it; what does not fit into memory follows.
    needed = 2 * WAL_BYTES + bytes_of(patient.settings.memory_limit if patient.settings else MEMORY)
    free = room.f_bavail * room.f_frsize
    about = "of unknown size" if size is None else f"of {decimal(size)} with a log of {decimal(log or 0)}"
    says = f"{decimal(free)} free in {shown} for a database {about}"
    fix = f"make room, or mount a larger disk at {shown}"
    if free < needed:
        yield Finding("disk", "error", f"{says}: it takes up to {decimal(needed)} for a moment", fix)
    elif free < 2 * needed or free < FREE_SHARE * (size or 0):
        yield Finding("disk", "warning", f"{says}: little", fix)
    else:
        yield Finding("disk", "ok", says)
    if room.f_files and room.f_favail < INODES:
        yield Finding("disk", "warning", f"{room.f_favail:,} inodes are free in {shown}", "remove files there")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError:
        return None
