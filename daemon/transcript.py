"""The session files below a root: opened safely, looked at by one thread at a time, and once for all lanes.

What a look makes of a file is :mod:`daemon.reading`'s.
"""

import errno
import hashlib
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from daemon.content import Content
from daemon.cursor import Cursor, Signature, is_md5
from daemon.errors import RootGoneError, SessionGoneError, printable
from daemon.look import Look, position
from daemon.opening import open_session
from daemon.reading import Active, Reader

RACY_NS = 2_000_000_000
"""A file changed this recently may change again without its timestamps showing it: the coarsest clock of a
file system in use ticks every two seconds (FAT); Linux file systems, every 1 to 10 ms."""

SHARED_BYTES = 32 << 20
"""Of looks kept for the other lanes, in all; the oldest are dropped first."""
MAX_SHARED = 256


@dataclass(slots=True)
class _Session:
    """What is kept of a session in memory. Its lock is held during a look: lanes share what one has read.

    ``shared``: the latest look, and from where.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    active: Active = field(default_factory=Active)
    shared: tuple[tuple[object, ...], Look] | None = None


class Transcripts:
    """The session files below a root. Safe to call from any thread; looks at one session take turns.

    Args:
        root: the folder of the users' folders.
        chunk_bytes: the most that one look returns, unless a single line is longer.
        line_limit: a longer line is skipped, in bytes.
        active_sessions: how many sessions' hashers are kept.
        lanes: how many ask for looks; with more than one, the latest looks are kept for the others.
        now_ns: the clock that the file system stamps files with.

    """

    def __init__(
        self,
        root: Path,
        *,
        chunk_bytes: int = 8 << 20,
        line_limit: int = 64 << 20,
        active_sessions: int = 1024,
        lanes: int = 1,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.root = root
        self._content = Content()
        self.files_opened = 0
        self._root_gone = False  # when a session was looked at; set by any thread
        self._reader = Reader(self._content, chunk_bytes=chunk_bytes, line_limit=line_limit)
        self._limit = active_sessions
        self._lanes = lanes
        self._now_ns = now_ns
        self._active: OrderedDict[str, _Session] = OrderedDict()
        self._shared: OrderedDict[int, tuple[_Session, int]] = OrderedDict()
        self._lock = threading.Lock()  # guards _active and _shared

    @property
    def bytes_read(self) -> int:
        """Of content, approximately."""
        return self._content.bytes_read

    def root_was_gone(self) -> bool:
        """Whether there was no root when a session was looked at since this was asked last."""
        if not self._root_gone:
            return False
        self._root_gone = False  # only where it is told: another thread may set it just now
        return True

    def look(self, key: str, cursor: Cursor | None) -> Look:
        """What is new in a session since ``cursor``.

        Raises:
            SessionError: see :func:`daemon.opening.open_session`.

        """
        session = self._activate(key)
        with session.lock, self._opened(key) as (fd, signature):
            self.files_opened += 1
            racy = self._now_ns() - signature.ctime_ns < RACY_NS
            shared = session.shared  # another thread may take it away meanwhile
            if shared is not None:
                place, look = shared
                if place == position(cursor) and look.signature == signature and (racy or not look.recheck):
                    return look
            look = self._reader.look(fd, signature, cursor, session.active, racy=racy)
            if self._lanes > 1:
                self._share(session, cursor, look)
            return look

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, Signature]]:
        try:
            with open_session(self.root, key) as opened:
                yield opened
        except RootGoneError:
            self._root_gone = True  # it may be back in a moment, and nobody else has noticed
            raise

    def _share(self, session: _Session, cursor: Cursor | None, look: Look) -> None:
        session.shared = (position(cursor), look)
        with self._lock:
            self._shared[id(session)] = (session, len(look.data))
            self._shared.move_to_end(id(session))
            size = sum(length for _, length in self._shared.values())
            while size > SHARED_BYTES or len(self._shared) > MAX_SHARED:
                oldest, length = self._shared.popitem(last=False)[1]
                oldest.shared = None
                size -= length

    def forget(self, key: str) -> None:
        """Drop what is kept of a session: the next look reads the whole file."""
        with self._lock:
            self._active.pop(key, None)

    def exists(self, key: str) -> bool:
        """Whether there is a file of that name, as far as one can see: what is none is not looked at."""
        try:
            return stat.S_ISREG(os.lstat(f"{self.root}/{key}").st_mode)
        except OSError as error:
            return error.errno not in {errno.ENOENT, errno.ENOTDIR}
        except ValueError:  # no name that a file can have
            return False

    def signature(self, key: str) -> Signature | None:
        """How what is there looks from outside; None if nothing is, or it cannot be reached."""
        try:
            return Signature.of(os.lstat(f"{self.root}/{key}"))
        except (OSError, ValueError):
            return None

    def continues(self, key: str, cursor: Cursor) -> bool:
        """Whether the file begins with exactly what ``cursor`` has seen of its inode: it was moved.

        Raises:
            SessionError: the file cannot be read, or is none of this inode any more.

        """
        with open_session(self.root, key) as (fd, signature):
            if signature[:2] != cursor.signature[:2]:
                raise SessionGoneError("gone", f"{printable(key)} is another file now")
            return (
                signature.size >= cursor.offset > 0
                and self._content.hash(fd, cursor.offset).named() == cursor.fingerprint
            )

    def digest(self, key: str, *, like: str) -> str:
        """The hash of the whole file by the algorithm of another: a bare one of 32 digits is an MD5.

        Raises:
            SessionError: the file cannot be read.

        """
        with open_session(self.root, key) as (fd, signature):
            if not is_md5(like):
                return self._content.hash(fd, signature.size).named()
            md5 = hashlib.md5(usedforsecurity=False)
            for block in self._content.blocks(fd, signature.size):
                md5.update(block)
            return md5.hexdigest()

    def _activate(self, key: str) -> _Session:
        with self._lock:
            session = self._active.setdefault(key, _Session())
            self._active.move_to_end(key)
            while len(self._active) > self._limit:
                self._active.popitem(last=False)
            return session
