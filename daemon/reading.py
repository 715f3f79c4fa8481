"""One look at an open file: whether it goes on or was rewritten, and what is new. One read, hashed and split.

The rules, in the order in which they apply to a file and a cursor:

1. Equal signature and settled: nothing happened.
2. The bytes before the cursor's offset have the cursor's fingerprint: an append, read on from there. While
   a session is active its hasher stays in memory, and comparing a few bytes at the head and the tail of the
   old part has to do; once it is quiet, the whole old part is checked (see ``Cursor.settled``).
3. Anything else is a rewrite: read from the start.
"""

import os
from dataclasses import dataclass, field, replace

from daemon.content import SAMPLE_BYTES, Content, Hasher
from daemon.cursor import Cursor, Place, Signature
from daemon.lines import Split, split
from daemon.look import Look, nothing_new, position
from daemon.unfinished import LEAST_BYTES, Unfinished
from processors.batch import is_utf8

PREFIXES = 4
"""Of a session that are known, for lanes at different offsets."""


@dataclass(slots=True)
class Prefix:
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
class Active:
    """What is in memory of a session that was looked at: it saves reading it again, and decides nothing else.

    ``prefixes``: the latest few. ``unfinished``: the last line of the latest look, if it is long and has no end.
    """

    prefixes: list[Prefix] = field(default_factory=list)
    unfinished: Unfinished | None = None


class Reader:
    """Looks at open files. Holds nothing of them; what is known of a session is used by one thread at a time.

    Args:
        content: reads them.
        chunk_bytes: the most that one look returns, unless a single line is longer.
        line_limit: a longer line is skipped, in bytes.

    """

    def __init__(self, content: Content, *, chunk_bytes: int, line_limit: int) -> None:
        self._content = content
        self._chunk_bytes = chunk_bytes
        self._line_limit = line_limit

    def look(self, fd: int, signature: Signature, cursor: Cursor | None, active: Active, *, racy: bool) -> Look:
        """What is new in a file since ``cursor``.

        Args:
            fd, signature: the file, and how it looked when it was opened.
            cursor: up to where it was processed.
            active: what is known of it, and is afterwards.
            racy: it may change again without its signature showing it.

        """
        start = _start(signature, clean=not racy)
        if cursor is None:
            return self._read(fd, signature, None, start, active)
        if signature == cursor.signature and cursor.settled:
            return nothing_new(cursor)
        prefix = self._prefix(fd, signature, cursor, active.prefixes, racy=racy)
        return self._read(fd, signature, cursor, prefix or start, active)

    def _prefix(
        self, fd: int, signature: Signature, cursor: Cursor, known: list[Prefix], *, racy: bool
    ) -> Prefix | None:
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
        return Prefix(signature, cursor.offset, hasher, cursor.fingerprint, head, tail, clean=not racy)

    def _read(self, fd: int, signature: Signature, cursor: Cursor | None, prefix: Prefix, active: Active) -> Look:
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
        reached = Prefix(signature, offset, hasher, fingerprint, head, tail, clean)
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

    def _longer(self, fd: int, signature: Signature, prefix: Prefix, active: Active) -> Look | None:
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


def _start(signature: Signature, *, clean: bool) -> Prefix:
    empty = Hasher()
    return Prefix(signature, 0, empty, empty.named(), b"", b"", clean)
