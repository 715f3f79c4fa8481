"""Where lines end: the complete lines of a chunk, and what to do with the rest of it."""

from dataclasses import dataclass

from daemon.cursor import Place
from processors.batch import is_utf8
from processors.turns import load_object


@dataclass(slots=True)
class Split:
    """``used`` bytes hold the complete lines ``data`` and ``skipped`` long ones; ``place`` is where they end."""

    data: bytes
    skipped: int
    used: int
    place: Place


def split(data: bytes, place: Place, *, at_end: bool, line_limit: int) -> Split | None:
    """Complete lines of ``data``, which begins at ``place`` in a line.

    Returns None if a line that was taken for complete without its newline turns out to be longer.
    """
    begin = 0
    if place != Place.LINE_START:
        end = data.find(b"\n")
        rest = data if end < 0 else data[:end]
        if place == Place.AFTER_TAIL and rest.strip(b" \t\r"):
            return None
        if end < 0:  # of a long line, or blanks after a whole object
            return Split(b"", 0, len(data), place)
        begin = end + 1
    used = max(begin, data.rfind(b"\n") + 1)
    lines = data if begin == 0 and used == len(data) else data[begin:used]
    skipped = 0
    if len(lines) > line_limit:
        every = lines.split(b"\n")[:-1]
        kept = [line for line in every if len(line) <= line_limit]
        skipped, lines = len(every) - len(kept), b"".join(line + b"\n" for line in kept)
    tail = data[used:]
    if len(tail) > line_limit:
        return Split(lines, skipped + 1, len(data), Place.LONG_LINE)
    if at_end and tail and _is_whole(tail):
        return Split(lines + tail + b"\n", skipped, len(data), Place.AFTER_TAIL)
    return Split(lines, skipped, used, Place.LINE_START)


def _is_whole(tail: bytes) -> bool:
    """Whether a line without its newline is a whole object already; no proper prefix of one is."""
    return tail.rstrip(b" \t\r").endswith(b"}") and is_utf8(tail) and load_object(tail) is not None
