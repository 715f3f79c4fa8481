"""Notes of the runs in flight, outside the database, for the case that a run kills the process.

One small file per worker. It is not synced: it has to survive the process, not the machine.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec


class Note(msgspec.Struct, frozen=True):
    """A run that had begun and not ended: which processor, session and content."""

    processor: str
    session_key: str
    content: str


@dataclass(slots=True)
class Slot:
    """The note of one worker; used by that worker's thread only."""

    fd: int

    def begin(self, note: Note) -> None:
        """Write down the run that begins now; on a full disk, it goes without."""
        with suppress(OSError):
            os.pwrite(self.fd, msgspec.json.encode(note), 0)

    def end(self) -> None:
        """The run is over, one way or the other."""
        with suppress(OSError):
            os.ftruncate(self.fd, 0)

    def close(self) -> None:
        """The worker ends."""
        os.close(self.fd)


class Notes:
    """The folder of the notes of one database; one process uses it at a time, as it does the database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def slot(self, processor: str, number: int) -> Slot:
        """The slot of a worker of a processor."""
        path = self._folder / f"{processor}.{number}"
        return Slot(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def left(self) -> list[Note]:
        """The runs that were in flight when the process before this one died."""
        notes = []
        for path in sorted(self._folder.iterdir()):
            # Empty: nothing was in flight. Cut short: it was only being written.
            with suppress(msgspec.DecodeError, ValueError):
                notes.append(msgspec.json.decode(path.read_bytes(), type=Note))
        return notes

    def clear(self) -> None:
        """Forget all notes; before the first slot is taken."""
        for path in self._folder.iterdir():
            path.unlink()
