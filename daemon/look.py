"""What one look at a session gives."""

from dataclasses import dataclass

from daemon.cursor import Cursor, Place, Signature


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a session gave.

    Attributes:
        data: new complete lines, each with a newline; ``skipped`` more were over the limit. ``utf8``: it is.
        start: where they begin; 0 on the first look and on a rewrite.
        rewrite: what was processed before no longer holds.
        more: the chunk was full; go on from ``offset`` at once.
        recheck: look again when the session has been quiet for a while.
        changed: there is something to commit, if only a new signature.

    The rest are fields of the cursor that the look leads to.

    """

    signature: Signature
    offset: int
    fingerprint: str
    place: Place
    settled: bool
    file_hash: str
    start: int
    data: bytes = b""
    skipped: int = 0
    utf8: bool = True
    rewrite: bool = False
    more: bool = False
    recheck: bool = False
    changed: bool = True


def position(at: Cursor | Look | None) -> tuple[object, ...]:
    """What decides the result of a look at an unchanged file, and is worth a commit if it changed."""
    if at is None:
        return ()
    return at.signature, at.offset, at.fingerprint, at.place, at.settled, at.file_hash


def nothing_new(cursor: Cursor) -> Look:
    """A look that found the session as the cursor says."""
    return Look(
        signature=cursor.signature,
        offset=cursor.offset,
        fingerprint=cursor.fingerprint,
        place=cursor.place,
        settled=cursor.settled,
        file_hash=cursor.file_hash,
        start=cursor.offset,
        changed=False,
    )
