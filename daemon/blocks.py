"""Blocks of a database file: copied aside, and put back. Also the program that copies, in a process of its own.

It has to be one: where a process closes any descriptor of a file, the kernel drops all of its locks on it, and with
them the one that keeps a second process from opening the database. It imports next to nothing, and takes 15 ms.
"""

import os
import struct
import sys

HEADERS = 12288
"""The first bytes of a database: what it is, with a number that no other one has, and the two headers of which the
one with the higher number counts. A checkpoint writes the other one when all else is written. Blocks follow."""

_HEADER = struct.Struct("<8x Q 24x Q")  # at 4096 and 8192: the number; the size of a block
_BLOCK = struct.Struct("<Q")


def _size_of_blocks(headers: bytes) -> int:
    """In bytes; 0 if there was no checkpoint yet."""
    return max(_HEADER.unpack_from(headers, place) for place in (4096, 8192))[1] if len(headers) == HEADERS else 0


def copy(database: str, path: str, blocks: list[int]) -> bool:
    """Copy blocks of a database that others may be writing; returns whether all is of one moment.

    Raises:
        OSError: it cannot be read, or the copy not be written.

    """
    fd = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
    try:
        changed, headers = os.fstat(fd).st_mtime_ns, os.pread(fd, HEADERS, 0)
        size = _size_of_blocks(headers)
        with os.fdopen(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as new:
            new.write(headers)
            new.writelines(_BLOCK.pack(block) + os.pread(fd, size, HEADERS + block * size) for block in blocks)
            new.flush()
            os.fsync(new.fileno())
        if os.fstat(fd).st_mtime_ns != changed or os.pread(fd, HEADERS, 0) != headers:
            return False  # a checkpoint is under way
    finally:
        os.close(fd)
    os.replace(f"{path}.new", path)  # noqa: PTH105
    return True


def put_back(fd: int, path: str) -> int:
    """Put the blocks of a copy back where they are not as they were, if its headers are those of the database.

    Args:
        fd: of a database that nobody else has open.
        path: of the copy.

    Returns:
        How many were put back.

    Raises:
        OSError: the copy cannot be read, or the database not be written.

    """
    changed = 0
    with open(path, "rb") as old:  # noqa: PTH123  # without pathlib
        headers = old.read(HEADERS)
        size = _size_of_blocks(headers)
        if not size or headers != os.pread(fd, HEADERS, 0):
            return 0
        while len(number := old.read(_BLOCK.size)) == _BLOCK.size and len(content := old.read(size)) == size:
            place = HEADERS + _BLOCK.unpack(number)[0] * size
            if os.pread(fd, size, place) != content:
                os.pwrite(fd, content, place)
                changed += 1
    if changed:
        os.fsync(fd)
    return changed


if __name__ == "__main__":
    sys.exit(0 if copy(sys.argv[1], sys.argv[2], [int(each) for each in sys.argv[3:]]) else 1)
