"""The bytes of an open file, and their hash. A hole costs nothing, however large it is.

``truncate -s 1T x.jsonl`` takes no room on a disk and, read byte by byte, a quarter of an hour of a processor. So
holes are not read; and the hash is one in which a run of zeros counts by its place and length, whether it is a hole
or was written.
"""

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self

from blake3 import blake3

BLOCK_BYTES = 1 << 20
"""Read and hashed at a time. Blocks of nothing but zeros, aligned so, are hashed as a number."""

SAMPLE_BYTES = 64
"""Compared at either end of the old part on an append; an append of one line is rarely under 1 KB."""

_ZEROS = bytes(BLOCK_BYTES)


@dataclass(slots=True)
class Hasher:
    """The hash of a content, however it comes in pieces.

    It is BLAKE3, named ``blake3:<64 hex digits>``. Where a content has whole blocks of zeros in it, it is the BLAKE3
    of two: of that of all else, and of that of where these blocks are, named ``blake3-holes:<64 hex digits>``.
    """

    _else: blake3 = field(default_factory=blake3)
    _holes: bytes = b""  # the hash of all runs of blocks of zeros that have ended
    _length: int = 0
    _run: int = 0  # blocks of zeros right before this one
    _zeros: int = 0  # in this block, which has had nothing else so far

    def copy(self) -> Self:
        """Another one that has seen the same."""
        return replace(self, _else=self._else.copy())

    def update(self, data: bytes) -> None:
        """Add what comes next."""
        view, at = memoryview(data), 0
        while at < len(view):
            inside = self._length % BLOCK_BYTES
            piece = view[at : at + BLOCK_BYTES - inside]
            self._length += len(piece)
            at += len(piece)
            if self._zeros == inside and piece[0] == 0 and bytes(piece) == _ZEROS[: len(piece)]:
                self._zeros += len(piece)
                if self._zeros == BLOCK_BYTES:
                    self._zeros, self._run = 0, self._run + 1
                continue
            if self._zeros == inside:
                self._holes, self._run = self._ended(self._length - len(piece) - inside), 0
                self._else.update(_ZEROS[:inside])
                self._zeros = 0
            self._else.update(piece)

    def hole(self, length: int) -> None:
        """Add so many zeros."""
        first = min(length, -self._length % BLOCK_BYTES)
        self.update(_ZEROS[:first])
        blocks, last = divmod(length - first, BLOCK_BYTES)
        self._length += blocks * BLOCK_BYTES
        self._run += blocks
        self.update(_ZEROS[:last])

    def named(self) -> str:
        """The hash of what was added so far, with the algorithm's name."""
        rest, holes = self._else, self._ended(self._length - self._length % BLOCK_BYTES)
        if self._zeros:
            rest = rest.copy()
            rest.update(_ZEROS[: self._zeros])
        if not holes:
            return f"blake3:{rest.hexdigest()}"
        return f"blake3-holes:{blake3(rest.digest() + holes).hexdigest()}"

    def _ended(self, at: int) -> bytes:
        """The hash of all runs, with the one, if there is one, that ends at ``at``."""
        if not self._run:
            return self._holes
        return blake3(self._holes + struct.pack("<QQ", at // BLOCK_BYTES, self._run)).digest()


class Content:
    """Reads open files, and counts what it has read; approximately where two threads count at once."""

    def __init__(self) -> None:
        self.bytes_read = 0

    def read(self, fd: int, length: int, offset: int) -> bytes:
        """So many bytes from ``offset`` on; fewer at the file's end only."""
        data = os.pread(fd, length, offset)
        if 0 < len(data) < length:  # a short read is not the end of the file
            parts = [data]
            while length > (got := sum(map(len, parts))) and (part := os.pread(fd, length - got, offset + got)):
                parts.append(part)
            data = b"".join(parts)
        self.bytes_read += len(data)
        return data

    def hole(self, fd: int, offset: int, end: int) -> int:
        """How many bytes from ``offset`` to ``end`` are a hole; 0 if it is a short one, or cannot be told."""
        if end - offset < BLOCK_BYTES:
            return 0
        try:
            length = min(os.lseek(fd, offset, os.SEEK_DATA), end) - offset
        except OSError as error:
            length = end - offset if error.errno == errno.ENXIO else 0  # no data follows
        return length if length >= BLOCK_BYTES else 0

    def blocks(self, fd: int, length: int) -> Iterator[bytes]:
        """The first so many bytes."""
        offset = 0
        while offset < length and (block := self.read(fd, min(BLOCK_BYTES, length - offset), offset)):
            offset += len(block)
            yield block

    def hash(self, fd: int, length: int) -> Hasher:
        """A hasher that has seen the first so many bytes, or all if there are fewer."""
        hasher, offset = Hasher(), 0
        with suppress(OSError):  # where this fails, so will reading
            length = min(length, os.fstat(fd).st_size)
        while offset < length:
            if hole := self.hole(fd, offset, length):
                hasher.hole(hole)
                offset += hole
            elif block := self.read(fd, min(BLOCK_BYTES, length - offset), offset):
                hasher.update(block)
                offset += len(block)
            else:
                break
        return hasher

    def samples(self, fd: int, offset: int) -> tuple[bytes, bytes]:
        """What is at either end of the part before ``offset``."""
        length = min(SAMPLE_BYTES, offset)
        return self.read(fd, length, 0), self.read(fd, length, offset - length)
