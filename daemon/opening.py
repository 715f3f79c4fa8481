"""Opening a session file without being led astray: no links, no devices, nothing outside the root.

A key is walked folder by folder from a descriptor of the root, and no step follows a symbolic link. So a
user who swaps a folder for a link between two looks makes the open fail; no other file is ever read.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.cursor import Signature
from daemon.errors import RootGoneError, SessionError, SessionGoneError, SessionRefusedError, printable

SUFFIX = ".jsonl"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def open_session(root: Path, key: str) -> Iterator[tuple[int, Signature]]:
    """A descriptor of the session file and its signature, both of the very file that was opened.

    Raises:
        RootGoneError: there is no root.
        SessionGoneError: nothing of that name.
        SessionRefusedError: a symbolic link, a FIFO, a device, a folder; no name that a file can have; no permission.
        SessionError: any other failure of the operating system, worth another try.

    """
    try:
        fd = _open(root, key)
    except OSError as error:
        raise _refusal(error, key) from error
    except ValueError as error:  # a NUL, or what is no UTF-8
        raise SessionRefusedError("name", f"{printable(key)} is no name of a file") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise SessionRefusedError("irregular", f"{printable(key)} is no regular file")
        yield fd, Signature.of(status)
    except OSError as error:
        raise SessionError("unreadable", f"{printable(key)}: {error.strerror}") from error
    finally:
        os.close(fd)


def _open(root: Path, key: str) -> int:
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise RootGoneError("gone", f"{printable(root)} does not exist") from error
    try:
        *parents, name = key.split("/")
        for parent in parents:
            if parent in {"", ".", ".."}:
                raise OSError(errno.ELOOP, "not a path below the root")
            inner = os.open(parent, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)


def _refusal(error: OSError, key: str) -> SessionError:
    shown = printable(key)
    if error.errno == errno.ENOENT:
        return SessionGoneError("gone", f"{shown} does not exist")
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return SessionRefusedError("link", f"{shown} is, or lies behind, a symbolic link or no folder")
    if error.errno in {errno.ENXIO, errno.ENODEV, errno.EISDIR}:
        return SessionRefusedError("irregular", f"{shown} is no regular file")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return SessionRefusedError("permission", f"{shown}: no permission to read it")
    return SessionError("unreadable", f"{shown}: {error.strerror}")


def key_of(root: str, path: str) -> str | None:
    """The session key of a path below ``root``, or None if a file of that path is no session.

    Sessions end in ``.jsonl`` and lie in a user's folder; their names are UTF-8.
    """
    if not path.endswith(SUFFIX) or not path.startswith(root + "/"):
        return None
    key = path[len(root) + 1 :]
    if "/" not in key or not is_name(key):
        return None
    return key


def is_name(name: str) -> bool:
    """Whether the name of a file, as the operating system gave it, is UTF-8."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
