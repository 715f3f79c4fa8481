"""A new database in place of one that cannot be opened, or of any: from the transcripts, and what the old one gives.

The new one is made beside the old one, under the name ``<db>.rebuilding``; complete, it is ``<db>.rebuilt``. Then the
old one and its logs get a second name, ``<db>.set-aside-<time>``, and only after that the new one takes its place. So
whatever ends this in between, the old file is there under one name at least, and the next call finishes: what is
incomplete is made anew, what is complete is put in its place.
"""

import fcntl
import gc
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

from daemon import audit
from daemon.audit import Peer
from daemon.config import Settings
from daemon.cursor import utc_now
from daemon.errors import ConfigError, RootMissingError, SessiondError, StoreError, StoreLockedError, printable
from daemon.events import Listener
from daemon.failures import Failure, load_failures, remember
from daemon.once import scan_once
from daemon.rescue import Rescue
from daemon.salvage import UNREADABLE, Old, Salvaged, attached
from daemon.scan import scan
from daemon.shadow import copy_of, restore
from daemon.store import check_version, open_database, transaction
from daemon.transcript import Transcripts
from processors.registry import Registered

LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")
"""What DuckDB keeps beside a database, and needs to open it as it was."""

_FLOCK = struct.Struct("hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, length, process


def rebuild(
    settings: Settings, processors: Sequence[Registered], listener: Listener, *, progress: bool = False
) -> dict[str, Any]:
    """Set the database aside and make a new one.

    Args:
        settings: as loaded.
        processors: what to run.
        listener: told what happens.
        progress: show it on standard error, if that is a terminal.

    Returns:
        ``db``; ``set_aside``: the new names of old files; ``scan``: see :func:`daemon.once.scan_once`, None if an
        earlier call had come that far; ``old``: for each old database what became of it, see
        :class:`daemon.salvage.Salvaged`.

    Raises:
        StoreLockedError: a process has the database open.
        StoreError: it is from a newer version, or the new one cannot be made; the old one is in its place then.
        RootMissingError, ConfigError: there are no transcripts, or neither database nor anything to finish.

    """
    db = Path(os.path.realpath(settings.db))
    complete = _beside(db, "rebuilt")
    sources = [path for path in (db, complete) if path.exists()]
    for source in sources:
        restore(source)
    _check(settings, sources)
    with _held(sources):
        if complete in sources and _is_aside(db, complete):
            _put_in_place(db, complete)
            return _told(settings, [], None, [])
        new = _beside(db, "rebuilding")
        _seed(new, sources, settings)
        outcome = scan_once(settings.model_copy(update={"db": new}), processors, listener, progress=progress)
        if not outcome["clean"]:
            raise SessiondError(
                "a run hangs in its processor and cannot be ended; the old database is in its place",
                "leave that processor out with --processor",
            )
        gc.collect()  # whatever still holds a connection of the engine's
        old = [_rescue(new, path, settings, processors) for path in sources]
        _finish(new)
        aside = [_set_aside(complete)] if complete in sources else []
        _like(db, new)
        new.rename(complete)
        _sync(db.parent)
        aside.insert(0, _set_aside(db, keep=True))
        _put_in_place(db, complete)
    return _told(settings, aside, outcome, old)


def plan(settings: Settings) -> dict[str, Any]:
    """What :func:`rebuild` would do, without a change to anything.

    Returns:
        ``db``; ``files``: session files; ``old``: for each old database ``file``, ``read``, ``why``, ``lost``, and
        ``gone``: how many of its sessions have no file any more.

    """
    db = Path(os.path.realpath(settings.db))
    sources = [path for path in (db, _beside(db, "rebuilt")) if path.exists()]
    _check(settings, sources)
    transcripts = Transcripts(settings.root)
    files = scan(
        str(settings.root), lambda _key, _seen: False, lambda _found: None, lambda _name, _reason: None
    ).files
    described = []
    with _held(sources):
        for path in sources:
            with _memory() as conn, attached(conn, path) as told:
                keys: set[str] = set()
                if told.read != UNREADABLE:
                    old = Old(conn, told)
                    for name in old.tables:
                        old.ranges(name)
                    keys = old.sessions()
            gone = sum(1 for key in keys if not transcripts.exists(key))
            described.append({**_shown(told), "gone": gone})
    return {"db": printable(db), "files": files, "old": described}


def _told(
    settings: Settings, aside: Sequence[Path], outcome: dict[str, Any] | None, old: Sequence[Salvaged]
) -> dict[str, Any]:
    return {
        "db": printable(settings.db),
        "set_aside": [printable(path) for path in aside],
        "scan": outcome,
        "old": [_shown(told) for told in old],
    }


def _shown(told: Salvaged) -> dict[str, Any]:
    shown = asdict(told) | {"rows": told.rows}
    for name in ("lost", "left"):
        shown[name] = [{"what": what, "why": why} for what, why in shown[name]]
    return shown


def _beside(db: Path, ending: str) -> Path:
    return Path(f"{db}.{ending}")


def _check(settings: Settings, sources: Sequence[Path]) -> None:
    """Refuse what cannot be meant, before anything is touched."""
    if not settings.root.is_dir():
        raise RootMissingError(
            f"there is no folder {printable(settings.root)}, so that every session would seem to be gone",
            "give the folder of the users' folders as ROOT",
        )
    if not sources:
        raise ConfigError(f"there is no database {printable(settings.db)}", "sessiond scan makes one")
    for path in sources:
        if not stat.S_ISREG(path.stat().st_mode) or path.is_relative_to(os.path.realpath(settings.root)):
            raise ConfigError(f"{printable(path)} can be no database", "give the file that is meant with --db")
        owner = path.stat().st_uid
        if os.geteuid() not in {0, owner}:
            raise StoreError(f"{printable(path)} belongs to another user", "do this as that user, or as root")


def _is_aside(db: Path, complete: Path) -> bool:
    """Whether the old database has its other name already, and was not written since the new one was complete."""
    if not db.exists():
        return True
    aside = next((path for path in db.parent.glob(f"{db.name}.set-aside-*") if path.samefile(db)), None)
    if aside is None or db.stat().st_mtime_ns > complete.stat().st_mtime_ns:
        return False
    logs = [(Path(f"{db}{ending}"), Path(f"{aside}{ending}")) for ending in LOGS]
    return all(other.exists() and log.samefile(other) for log, other in logs if log.exists())


@contextmanager
def _held(paths: Sequence[Path]) -> Iterator[None]:
    """Inside, no process can open these databases for writing, as none has them open now.

    DuckDB locks a file that it writes. This lock belongs to the open file, not to the process, so that it stays when
    DuckDB opens and closes the same file here.
    """
    fds: list[int] = []
    try:
        for path in paths:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            fds.append(fd)
            try:
                fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
            except OSError as error:
                raise _locked(path, fd) from error
        yield
    finally:
        for fd in fds:
            os.close(fd)


def _locked(path: Path, fd: int) -> StoreLockedError:
    found = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)))
    who = f"process {found[4]}" if found[4] > 0 else "another process"
    return StoreLockedError(
        f"the database {printable(path)} is in use by {who}",
        "stop the daemon (systemctl stop sessiond, or that process), rebuild, and start it again",
    )


@contextmanager
def _memory() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as conn:
        conn.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
        yield conn


def _seed(new: Path, sources: Sequence[Path], settings: Settings) -> None:
    """Begin the new database with what is in quarantine, which is not run again on the same content.

    What an earlier call was killed by counts, too: its notes of runs in flight (``.inflight``) stay for the engine.
    """
    failures: list[Failure] = []
    for path in (*sources, new):
        if path.exists():
            with _memory() as conn, attached(conn, path) as told:
                if told.read != UNREADABLE:
                    conn.execute("USE old")
                    check_version(conn, str(path))
                    with suppress(duckdb.Error):
                        names = conn.execute("SELECT DISTINCT processor_name FROM session_failures").fetchall()
                        found = [each for (name,) in names for each in load_failures(conn, name).values()]
                        failures += [each for each in found if each.quarantined or path == new]
                    conn.execute("USE memory")
    for ending in ("", *LOGS):
        Path(f"{new}{ending}").unlink(missing_ok=True)  # incomplete, and ours
    with open_database(new, memory_limit=settings.memory_limit) as conn, transaction(conn):
        remember(conn, failures)


def _rescue(new: Path, path: Path, settings: Settings, processors: Sequence[Registered]) -> Salvaged:
    with open_database(new, memory_limit=settings.memory_limit) as conn, attached(conn, path) as told:
        try:
            if told.read != UNREADABLE:
                Rescue(conn, processors, Transcripts(settings.root), told).all()
            detail = f"{told.read}, sessions: {told.sessions}, rows: {told.rows}, lost: {len(told.lost)}"
            audit.record(conn, Peer.myself(), "rebuild", {"from": path.name}, "done", detail)
        except duckdb.Error as error:
            raise StoreError(
                f"the new database cannot be made: {printable(str(error).partition(chr(10))[0])}",
                "the old one is in its place; is there space for a second one?",
            ) from error
    return told


def _finish(new: Path) -> None:
    """All of the new database is in its file, not in a log, so that it can be renamed."""
    with duckdb.connect(str(new)) as conn:
        conn.execute("CHECKPOINT")
    if any(Path(f"{new}{ending}").exists() for ending in LOGS):
        raise StoreError(f"{printable(new)} cannot be completed", "is there space on the disk? try again")
    copy_of(new).unlink(missing_ok=True)
    notes = Path(f"{new}.inflight")
    with suppress(OSError):
        for note in notes.iterdir():
            note.unlink()
        notes.rmdir()


def _like(old: Path, new: Path) -> None:
    """Give the new file the owner and the mode of the old one: the service's, where root does this."""
    status = old.stat()
    if os.geteuid() == 0:
        os.chown(new, status.st_uid, status.st_gid, follow_symlinks=False)
    new.chmod(stat.S_IMODE(status.st_mode))


def _set_aside(path: Path, *, keep: bool = False) -> Path:
    """Give a database and its logs a further name; ``keep``: their own stay for now. Returns the new name."""
    for earlier in path.parent.glob(f"{path.name}.set-aside-*"):
        if earlier.samefile(path) and _has_logs_of(path, earlier):  # by a call that was killed here
            return earlier
    stamp, number = f"{utc_now():%Y%m%dT%H%M%S}", 0
    while (aside := _beside(path, f"set-aside-{stamp}" + (f"-{number}" if number else ""))).exists():
        number += 1
    # The logs first: once the file has its second name, they have.
    for ending in (*LOGS, ""):
        with suppress(FileNotFoundError):
            os.link(f"{path}{ending}", f"{aside}{ending}")
    _sync(path.parent)
    if not keep:
        for ending in ("", *LOGS):
            Path(f"{path}{ending}").unlink(missing_ok=True)
    return aside


def _has_logs_of(path: Path, aside: Path) -> bool:
    """Whether a database's other name has the logs that it has now: it may have been written since."""
    for ending in LOGS:
        log, other = Path(f"{path}{ending}"), Path(f"{aside}{ending}")
        if log.exists() != other.exists() or (log.exists() and not log.samefile(other)):
            return False
    return True


def _put_in_place(db: Path, complete: Path) -> None:
    """The old file has another name by now: its logs would be taken for the new one's, so they go first."""
    for ending in LOGS:
        Path(f"{db}{ending}").unlink(missing_ok=True)
    complete.replace(db)
    _sync(db.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
