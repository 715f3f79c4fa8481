"""Notes of the runs in flight, outside the database, for the case that a run kills the process.

One small file per worker. It is not synced: it has to survive the process, not the machine.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from daemon.gate import Gate


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Note(msgspec.Struct, frozen=True):
    """A run that had begun and not ended: of which processor, session and content, its name, and since which boot."""

    processor: str
    session_key: str
    content: str
    boot: str = ""
    run: str = ""


class Slot:
    """The note of one worker, used by that worker's thread."""

    def __init__(self, path: Path, gate: Gate) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._gate = gate
        self._pass: object = None

    @contextmanager
    def run(self, note: Note, *, alone: bool) -> Iterator[None]:
        """Inside, the run is noted as under way: alone, if it is suspected of having killed the process before."""
        self._pass = self._gate.enter(alone=alone)
        try:
            with suppress(OSError):  # on a full disk, it goes without
                os.pwrite(self._fd, msgspec.json.encode(note), 0)
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
            self._gate.leave(self._pass)

    def give_up(self) -> None:
        """The run counts as failed, and the worker is replaced; may be called from any thread."""
        self._path.unlink(missing_ok=True)
        self._gate.leave(self._pass)  # nobody waits for what may never end

    def close(self) -> None:
        """The worker ends."""
        os.close(self._fd)


class Notes:
    """The folder of the notes of one database; one process uses it at a time, as it does the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gate = Gate()
        self._boot = _boot()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def of(self, processor: str, key: str, content: str, run: str) -> Note:
        """A note of a run that is about to begin."""
        return Note(processor, key, content, self._boot, run)

    def slot(self, processor: str, number: int) -> Slot:
        """The slot of a worker of a processor."""
        return Slot(self._folder / f"{processor}.{number}", self._gate)

    def left(self) -> list[Note]:
        """The runs that were in flight when the process before this one died; not those that the machine ended."""
        notes = []
        for path in sorted(self._folder.iterdir()):
            # Empty: nothing was in flight. Cut short: it was only being written.
            with suppress(msgspec.DecodeError, ValueError):
                notes.append(msgspec.json.decode(path.read_bytes(), type=Note))
        return [note for note in notes if note.boot == self._boot]

    def clear(self) -> None:
        """Forget all notes: before the first slot is taken, and when the process ends in order."""
        for path in self._folder.iterdir():
            path.unlink()
