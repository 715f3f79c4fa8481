"""What is known of a last line that has no end yet, so that an append to it costs the appended bytes only.

Otherwise whoever writes a long line in small pieces has all of it read again for each of them.
"""

from dataclasses import dataclass

from daemon.content import Hasher
from daemon.cursor import Signature

LEAST_BYTES = 64 << 10
"""A shorter line is read again, which costs next to nothing."""

MOST_WHOLE_BYTES = 1 << 20
"""A longer line that may be a whole object without its newline is tried once the file is quiet only."""


@dataclass(slots=True)
class Unfinished:
    """The bytes from ``start`` to ``end``, the file's end then, which hold no newline.

    Attributes:
        signature: of the file then.
        start, fingerprint: where the line begins, and the hash of all before it.
        end: where it ended then; ``hasher`` has seen all up to there, and ``last`` are the last of these bytes.

    """

    signature: Signature
    start: int
    fingerprint: str
    end: int
    hasher: Hasher
    last: bytes

    def may_go_on(self, signature: Signature, start: int, fingerprint: str, line_limit: int) -> bool:
        """Whether a file that looks so, and was processed up to ``start``, may have got more of just this line."""
        return (
            (self.start, self.fingerprint) == (start, fingerprint)
            and signature[:2] == self.signature[:2]
            and self.signature.size <= signature.size <= start + line_limit
        )

    def goes_on(self, more: bytes, signature: Signature, last: int) -> "Unfinished | None":
        """The line with ``more`` of it; None if it may have come to an end. ``last``: how many bytes are compared."""
        end = self.end + len(more)
        if b"\n" in more or (end - self.start <= MOST_WHOLE_BYTES and more.rstrip(b" \t\r").endswith(b"}")):
            return None
        hasher = self.hasher.copy()
        hasher.update(more)
        return Unfinished(signature, self.start, self.fingerprint, end, hasher, (self.last + more)[-last:])
