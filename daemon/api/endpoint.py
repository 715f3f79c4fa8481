"""The Unix socket that the daemon is asked on: made by the daemon, found by those who ask."""

import errno
import fcntl
import grp
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daemon.audit import Peer
from daemon.errors import ConfigError, StoreLockedError, UnavailableError, printable

MODE = 0o660
BACKLOG = 1024
CONNECT_SECONDS = 5.0
RETRY_SECONDS = 0.02


@contextmanager
def _reachable(path: Path) -> Iterator[tuple[int, str]]:
    """The folder's descriptor, and a name of the socket that is short enough: an address holds 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder, f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(path: Path) -> socket.socket:
    """A connection to the daemon behind a socket.

    Raises:
        UnavailableError: there is none, or it may not be asked.

    """
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    asking.settimeout(CONNECT_SECONDS)
    try:
        with _reachable(path) as (_, name):
            _connect(asking, name)
    except PermissionError as error:
        asking.close()
        raise UnavailableError(f"you may not use the socket {printable(path)}", _how_to_join(path)) from error
    except OSError as error:
        asking.close()
        raise UnavailableError(f"no daemon answers at {printable(path)}: {error.strerror or error}") from error
    asking.settimeout(None)
    return asking


def _how_to_join(path: Path) -> str:
    for place in (path, path.parent):
        with suppress(OSError, KeyError):
            group = grp.getgrgid(place.stat().st_gid).gr_name
            return f"join the group that it belongs to: sudo usermod -aG {group} $USER, and log in again"
    return "it is for another user"


def _connect(asking: socket.socket, name: str) -> None:
    """Connect; while too many wait to be accepted, the kernel says so at once instead of waiting."""
    ends = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return asking.connect(name)
        except BlockingIOError:
            if time.monotonic() > ends:
                raise
            time.sleep(RETRY_SECONDS)


def listen(path: Path) -> socket.socket:
    """A socket that listens there, in place of one that a daemon left behind that does not live any more.

    Raises:
        StoreLockedError: a living process listens there; names it.
        ConfigError: there is something else, or it cannot be made.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _reachable(path) as (folder, name), _locked(path.parent):
            _remove_dead(path)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            # The mode has to be right from the first moment, and the process's own mask is shared by its threads:
            # so it is made under another name, which nobody knows.
            fresh = f".{path.name}.{os.getpid()}"
            with suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=folder)
            try:
                listening.bind(f"{name.removesuffix(path.name)}{fresh}")
                os.chmod(fresh, MODE, dir_fd=folder)
                listening.listen(BACKLOG)
                os.rename(fresh, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                listening.close()
                raise
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {printable(path)}: {error.strerror or error}", "choose another place with socket"
        ) from error
    return listening


def remove(path: Path, listening: tuple[int, int]) -> None:
    """Remove the socket's file, if it is still the one with that device and inode."""
    with suppress(OSError):
        if identity(path) == listening:
            path.unlink()


def identity(path: Path) -> tuple[int, int]:
    """Device and inode of what is there.

    Raises:
        OSError: nothing is.

    """
    status = path.lstat()
    return status.st_dev, status.st_ino


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two daemons that start at the same moment look one after the other."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _remove_dead(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{printable(path)} is no socket", "choose another place with socket")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe,
        _reachable(path) as (_, name),
    ):
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(name)
        except OSError as error:
            if error.errno not in {errno.ECONNREFUSED, errno.ENOENT}:
                raise
            with suppress(FileNotFoundError):
                path.unlink()
            return
        raise StoreLockedError(
            f"process {Peer.of(probe).pid} answers at {printable(path)} already",
            "stop that process, or choose another place with socket",
        )
