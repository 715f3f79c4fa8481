"""Checks of what is read: the root, and the session files below it."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rich.filesize import decimal

from daemon.doctor.findings import Finding, Level, SkipError, counted, me, some
from daemon.doctor.patient import Patient
from daemon.errors import SessionError, SessionGoneError, printable
from daemon.opening import SUFFIX, open_session

EACH = 1000
"""Files between two signs of life."""

# As the daemon's meter writes the event down.
_REFUSED = re.compile(r"session_file=(.*), reason=(?:permission|unreadable)", re.DOTALL)

_READABLE = (
    "give the service CAP_DAC_READ_SEARCH, as its unit does, or the files to a group that it is in: chgrp, chmod g+r,"
    " for folders g+rx"
)
_NO_SESSIONS = {
    "link": ("lie behind a symbolic link", "links are never followed: move the files there themselves"),
    "irregular": ("are links, pipes or the like", "they are never read: move session files there themselves"),
    "name": ("have a name that is not UTF-8", "they are never read: rename them, convmv does that for many"),
    "too_long": ("lie too deep: their paths are longer than 4,095 bytes", "they are never read: move them up"),
    "unreadable": ("cannot be read, because of the disk or the network", "see dmesg, and check the file system"),
}


def root(patient: Patient) -> Iterator[Finding]:
    """Whether the root is a folder that can be listed, and the one that the daemon reads."""
    folder = patient.root
    if folder is None:
        raise SkipError("the settings cannot be read; give the root with --root")
    shown, source = printable(folder), patient.sources.get("root", "command line")
    theirs = printable(patient.status["root"]) if patient.status else shown
    if theirs != shown:
        told = f"the daemon reads {theirs}, and not {shown} ({source})"
        yield Finding(
            "root", "warning", told, "give both the same root; the daemon takes another one after a restart"
        )
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(SUFFIX))
    except FileNotFoundError:
        yield Finding("root", "error", f"{shown} does not exist ({source})", "create or mount it, or check --root")
    except NotADirectoryError:
        yield Finding("root", "error", f"{shown} is no folder ({source})", "check --root")
    except PermissionError:
        # What matters is what the daemon may do, and it says so itself.
        if patient.status:
            yield Finding("root", "skipped", f"{me()} may not list {shown}", "run this as root")
        else:
            yield Finding("root", "error", f"{me()} may not list {shown}", _READABLE)
    except OSError as error:
        yield Finding("root", "error", f"{shown} cannot be listed: {error.strerror}", "check the disk, or the mount")
    else:
        yield Finding("root", "ok", f"{shown} ({source})")
        if names:
            yield Finding(
                "root",
                "warning",
                f"{counted(len(names), 'file')} directly in the root, where they belong to nobody: {some(names)}",
                "move them into a folder for each user, or give the folder above as root",
            )


def files(patient: Patient) -> Iterator[Finding]:
    """Whether each session file can be read, and what looks like one and is none."""
    if patient.status is not None:
        yield from _refused_to_the_daemon(patient, patient.status)
    walk = patient.walk
    refused = {reason: list(names) for reason, names in walk.refused.items()}
    for number, key in enumerate(walk.files):
        if number % EACH == 0:
            patient.tell(f"opening {number:,} of {len(walk.files):,} files")
        try:
            with open_session(walk.root, key):
                pass
        except SessionGoneError:
            pass  # deleted meanwhile
        except SessionError as error:
            refused.setdefault(error.reason, []).append(key)
    denied = refused.pop("permission", [])
    for reason, names in refused.items():
        says, fix = _NO_SESSIONS[reason]
        level: Level = "error" if reason == "unreadable" else "warning"
        yield Finding("files", level, f"{counted(len(names), 'name')} {says}: {some(names)}", fix)
    about = f"{counted(len(walk.files), 'session file')}, {decimal(walk.bytes)}, in {counted(walk.folders, 'folder')}"
    if not denied:
        yield Finding("files", "ok", f"{about}; {me()} can read them")
    elif patient.status is not None:
        says = f"{about}; {me()} cannot read {len(denied):,} of them, which says nothing of the daemon"
        yield Finding("files", "skipped", says, "run this as root to have all of them checked")
    else:
        yield Finding(
            "files", "error", f"{about}; {me()} cannot read {len(denied):,} of them: {some(denied)}", _READABLE
        )


def _refused_to_the_daemon(patient: Patient, status: Mapping[str, Any]) -> Iterator[Finding]:
    """What the daemon was refused, by its own account, and has not read since."""
    refused: dict[str, str] = {}
    for trouble in status.get("troubles", []):
        found = _REFUSED.fullmatch(trouble["text"]) if trouble["event"] == "refused" else None
        if found is not None:
            refused[found[1]] = trouble["at"]
    if refused and (still := _still(patient, tuple(refused))):
        since = printable(min(refused[name] for name in still))
        says = f"the daemon was refused {counted(len(still), 'file or folder')} since {since}: {some(still)}"
        yield Finding("files", "error", says, _READABLE)


def _still(patient: Patient, refused: tuple[str, ...]) -> list[str]:
    """Those of the names, which are as they are shown, below which there is a file that was not read as it is now."""
    below: dict[str, str] = {}  # one file for each
    for key in patient.walk.files:
        shown = printable(key)
        if shown.startswith(refused) or "." in refused:
            for name in refused:
                if name in {shown, "."} or (name.endswith("/") and shown.startswith(name)):
                    below.setdefault(name, key)
    if not below:
        return []
    rows = patient.database.rows(
        "SELECT DISTINCT session_file, size, mtime_ns, ctime_ns FROM session_positions"
        f" WHERE session_file IN ({', '.join('?' * len(below))})",
        *below.values(),
    )
    known = {(key, *seen) for key, *seen in rows}
    return [name for name, key in below.items() if (key, *patient.walk.files[key][2:]) not in known]
