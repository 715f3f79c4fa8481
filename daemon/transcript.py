"""From bytes to new lines: append or rewrite, complete lines, bounded memory. One read, hashed and split.

The rules, in the order in which they apply to a file and a cursor:

1. Equal signature and settled: nothing happened.
2. The bytes before the cursor's offset have the cursor's fingerprint: an append, read on from there. While
   a session is active its hasher stays in memory, and comparing a few bytes at the head and the tail of the
   old part has to do; once it is quiet, the whole old part is checked (see ``Cursor.settled``).
3. Anything else is a rewrite: read from the start.
"""

import errno
import hashlib
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from daemon.content import SAMPLE_BYTES, Content, Hasher
from daemon.cursor import Cursor, Place, Signature, is_md5
from daemon.errors import SessionGoneError, printable
from daemon.lines import Split, split
from daemon.look import Look, nothing_new, position
from daemon.opening import open_session
from daemon.unfinished import LEAST_BYTES, Unfinished
from processors.batch import is_utf8

RACY_NS = 2_000_000_000
"""A file changed this recently may change again without its timestamps showing it: the coarsest clock of a
file system in use ticks every two seconds (FAT); Linux file systems, every 1 to 10 ms."""

SHARED_BYTES = 32 << 20
"""Of looks kept for the other lanes, in all; the oldest are dropped first."""
MAX_SHARED = 256
PREFIXES = 4


@dataclass(slots=True)
class _Prefix:
    """The part of a file that was read up to ``offset``: enough to go on hashing without reading it again.

    ``clean``: it was read as a whole under ``signature`` with no change in sight.
    """

    signature: Signature
    offset: int
    hasher: Hasher
    fingerprint: str
    head: bytes
    tail: bytes
    clean: bool


@dataclass(slots=True)
class _Active:
    """What is kept of a session in memory. Its lock is held during a look: lanes share what one has read.

    ``prefixes``: the latest few, for lanes at different offsets. ``shared``: the latest look, and from where.
    ``unfinished``: the last line of the latest look, if it is long and has no end.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    prefixes: list[_Prefix] = field(default_factory=list)
    shared: tuple[tuple[object, ...], Look] | None = None
    unfinished: Unfinished | None = None


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
        self._chunk_bytes = chunk_bytes
        self._line_limit = line_limit
        self._limit = active_sessions
        self._lanes = lanes
        self._now_ns = now_ns
        self._active: OrderedDict[str, _Active] = OrderedDict()
        self._shared: OrderedDict[int, tuple[_Active, int]] = OrderedDict()
        self._lock = threading.Lock()  # guards _active and _shared

    @property
    def bytes_read(self) -> int:
        """Of content, approximately."""
        return self._content.bytes_read

    def look(self, key: str, cursor: Cursor | None) -> Look:
        """What is new in a session since ``cursor``.

        Raises:
            SessionError: see :func:`daemon.opening.open_session`.

        """
        active = self._activate(key)
        with active.lock, open_session(self.root, key) as (fd, signature):
            self.files_opened += 1
            racy = self._now_ns() - signature.ctime_ns < RACY_NS
            shared = active.shared  # another thread may take it away meanwhile
            if shared is not None:
                place, look = shared
                if place == position(cursor) and look.signature == signature and (racy or not look.recheck):
                    return look
            look = self._look(fd, signature, cursor, active, racy=racy)
            if self._lanes > 1:
                self._share(active, cursor, look)
            return look

    def _share(self, active: _Active, cursor: Cursor | None, look: Look) -> None:
        active.shared = (position(cursor), look)
        with self._lock:
            self._shared[id(active)] = (active, len(look.data))
            self._shared.move_to_end(id(active))
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

    def _activate(self, key: str) -> _Active:
        with self._lock:
            active = self._active.setdefault(key, _Active())
            self._active.move_to_end(key)
            while len(self._active) > self._limit:
                self._active.popitem(last=False)
            return active

    def _look(self, fd: int, signature: Signature, cursor: Cursor | None, active: _Active, *, racy: bool) -> Look:
        start = _start(signature, clean=not racy)
        if cursor is None:
            return self._read(fd, signature, None, start, active)
        if signature == cursor.signature and cursor.settled:
            return nothing_new(cursor)
        prefix = self._prefix(fd, signature, cursor, active.prefixes, racy=racy)
        return self._read(fd, signature, cursor, prefix or start, active)

    def _prefix(
        self, fd: int, signature: Signature, cursor: Cursor, known: list[_Prefix], *, racy: bool
    ) -> _Prefix | None:
        """The file's part before the cursor, if it is still what was processed."""
        if signature.size < cursor.offset:
            return None
        for kept in known:
            if (kept.offset, kept.fingerprint) != (cursor.offset, cursor.fingerprint):
                continue
            if kept.signature == signature and (kept.clean or racy):
                return kept
            appended = signature[:2] == kept.signature[:2] and signature.size > kept.signature.size
            if appended and self._content.samples(fd, kept.offset) == (kept.head, kept.tail):
                return replace(kept, clean=False)
        hasher = self._content.hash(fd, cursor.offset)
        if hasher.named() != cursor.fingerprint:
            return None
        head, tail = self._content.samples(fd, cursor.offset)
        return _Prefix(signature, cursor.offset, hasher, cursor.fingerprint, head, tail, clean=not racy)

    def _read(self, fd: int, signature: Signature, cursor: Cursor | None, prefix: _Prefix, active: _Active) -> Look:
        rewrite = cursor is not None and prefix.offset < cursor.offset
        place = cursor.place if cursor is not None and not rewrite else Place.LINE_START
        if place == Place.LINE_START and not prefix.clean and (longer := self._longer(fd, signature, prefix, active)):
            return replace(longer, rewrite=rewrite)
        hasher = prefix.hasher.copy()
        hole = self._content.hole(fd, prefix.offset, signature.size) if place == Place.LONG_LINE else 0
        if hole:  # zeros in a line that is skipped, and what is behind them is seen by the next look
            parsed, at_end, data, used = Split(b"", 0, hole, place), False, b"", bytes(SAMPLE_BYTES)
            hasher.hole(hole)
        else:
            data, at_end = self._fill(fd, prefix.offset, place, signature.size)
            fresh = split(data, place, at_end=at_end, line_limit=self._line_limit)
            if fresh is None:  # the line whose object was taken without a newline went on: it was no object
                return self._read(fd, signature, cursor, _start(signature, clean=prefix.clean), active)
            parsed, used = fresh, data if fresh.used == len(data) else data[: fresh.used]
            hasher.update(used)
        fingerprint = hasher.named() if used else prefix.fingerprint
        more = not at_end
        file_hash = "" if more else fingerprint
        offset = prefix.offset + parsed.used
        active.unfinished = None
        if parsed.used < len(data) and not more:
            whole = hasher.copy()
            whole.update(data[parsed.used :])
            file_hash = whole.named()
            if (end := prefix.offset + len(data)) - offset > LEAST_BYTES:
                last = data[-SAMPLE_BYTES:]
                active.unfinished = Unfinished(signature, offset, fingerprint, end, whole, last)
        still = Signature.of(os.fstat(fd)) == signature
        clean = prefix.clean and still
        head = prefix.head if len(prefix.head) == SAMPLE_BYTES else (prefix.head + used)[:SAMPLE_BYTES]
        tail = (prefix.tail + used[-SAMPLE_BYTES:])[-SAMPLE_BYTES:]
        reached = _Prefix(signature, offset, hasher, fingerprint, head, tail, clean)
        active.prefixes = [reached, *(kept for kept in active.prefixes if kept.offset != offset)][:PREFIXES]
        look = Look(
            signature=signature,
            offset=offset,
            fingerprint=fingerprint,
            place=parsed.place,
            settled=clean and not more,
            file_hash=file_hash,
            start=prefix.offset,
            data=parsed.data,
            skipped=parsed.skipped,
            utf8=is_utf8(parsed.data),
            rewrite=rewrite,
            more=more,
            recheck=not clean and not more,
        )
        return replace(look, changed=False) if not look.data and position(cursor) == position(look) else look

    def _longer(self, fd: int, signature: Signature, prefix: _Prefix, active: _Active) -> Look | None:
        """The look at a file whose last line got longer and has no end yet; None if that is not so."""
        known = active.unfinished
        if known is None or not known.may_go_on(signature, prefix.offset, prefix.fingerprint, self._line_limit):
            return None
        begin, wanted = known.end - len(known.last), signature.size - known.end + 1
        data = self._content.read(fd, len(known.last) + wanted, begin)
        if not data.startswith(known.last) or len(data) == len(known.last) + wanted:  # it is growing just now
            return None
        active.unfinished = known = known.goes_on(data[len(known.last) :], signature, SAMPLE_BYTES)
        if known is None:
            return None
        reached = replace(prefix, signature=signature)
        active.prefixes = [reached, *(kept for kept in active.prefixes if kept.offset != prefix.offset)][:PREFIXES]
        return Look(
            signature=signature,
            offset=prefix.offset,
            fingerprint=prefix.fingerprint,
            place=Place.LINE_START,
            settled=False,
            file_hash=known.hasher.named(),
            start=prefix.offset,
            recheck=True,
        )

    def _fill(self, fd: int, offset: int, place: Place, size: int) -> tuple[bytes, bool]:
        """A chunk from ``offset`` on that holds at least one line's end, or the limit, or the file's end."""
        # One byte more than there should be: if it is there, the file is growing.
        wanted = max(1, min(self._chunk_bytes, size - offset + 1))
        data = self._content.read(fd, wanted, offset)
        if place == Place.LONG_LINE or b"\n" in data:
            return data, len(data) < wanted
        # Never more than what tells that the line is over the limit: several of these may be in memory at once.
        while len(data) == wanted <= self._line_limit:
            more = self._content.read(fd, min(wanted, self._line_limit + 1 - wanted), offset + wanted)
            wanted += min(wanted, self._line_limit + 1 - wanted)
            data += more
            if b"\n" in more:
                break
        return data, len(data) < wanted


def _start(signature: Signature, *, clean: bool) -> _Prefix:
    empty = Hasher()
    return _Prefix(signature, 0, empty, empty.named(), b"", b"", clean)
