"""What is remembered of a session file: how it looked, and how far it was processed."""

import enum
import errno
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from daemon.content import Content

LATEST_NS = (1 << 63) - 1
"""What a column can hold: the year 2262. Anyone may give a file a later mtime; its ctime tells changes apart."""


class Signature(NamedTuple):
    """A file at one look. Compared for inequality only: any difference means that it may have changed."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Signature":
        """The signature in a result of :func:`os.stat`."""
        mtime_ns = min(max(status.st_mtime_ns, -LATEST_NS), LATEST_NS)
        return cls(status.st_dev, status.st_ino, status.st_size, mtime_ns, status.st_ctime_ns)


class Place(enum.IntEnum):
    """Where in a line an offset lies."""

    LINE_START = 0
    LONG_LINE = 1  # inside a line over the limit: everything up to its newline is skipped
    AFTER_TAIL = 2  # after a whole object whose newline had not been written yet


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one processor has come in one session.

    Attributes:
        signature: of the file at the look that led here.
        offset: bytes that were processed; ``fingerprint`` is their hash, with the algorithm's name.
        place: where in a line ``offset`` lies.
        settled: the bytes up to ``offset`` were checked as a whole while the file was quiet, so that an
            equal signature is proof that nothing changed. Otherwise one more look is due.
        version: of the processor.
        carry: the processor's carry, encoded; None before its first batch.
        lines, malformed_lines, items: totals over the session.
        file_hash: of the whole file at that look, an unfinished last line included; empty if there was more to read.

    """

    signature: Signature
    offset: int
    fingerprint: str
    place: Place
    settled: bool
    version: int
    carry: bytes | None
    lines: int
    malformed_lines: int
    items: int
    file_hash: str


def compute_file_hash(path: str | os.PathLike[str]) -> str:
    """The hash of a file's content, with the algorithm's name: ``blake3:<64 hex digits>``, see :class:`Hasher`.

    Raises:
        OSError: the file cannot be read, or is no regular file.

    """
    # A FIFO would block without the flag, and give nothing with it.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return Content().hash(fd, status.st_size).named()
    finally:
        os.close(fd)


def is_md5(stored: str) -> bool:
    """Whether a stored hash is one of an older database, which did not name its algorithm: an MD5."""
    return len(stored) == 32 and all(digit in "0123456789abcdef" for digit in stored.lower())  # noqa: PLR2004


def username_of(session_key: str) -> str:
    """The user that a session belongs to: the first folder of its key."""
    return session_key.partition("/")[0]


def utc_now() -> datetime:
    """The time as the database holds it: in UTC, without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)
