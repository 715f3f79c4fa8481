"""The plain reference: what a line and a file mean, with nothing but ``json`` and ``bytes.split``."""

import json
import math

DEEPEST = 400
"""Beyond this, whether a line is well-formed may depend on how much of the interpreter's stack is in use."""


def value_of(line):
    """The line's object, or None: UTF-8 (perhaps with a mark of byte order), JSON as Python reads it, an object."""
    try:
        value = json.loads(line.decode("utf-8-sig"), parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _integer(digits):
    return int(digits) if len(digits) < 4300 else float(digits)


def is_deep(line):
    return line.count(b"[") + line.count(b"{") > DEEPEST


def lines_of(content, limit):
    """The complete lines without their ends, and how many more were over the limit.

    A line ends at its newline. A last one without counts if it is a whole object, or over the limit already.
    """
    *lines, tail = content.split(b"\n")
    if len(tail) > limit or value_of(tail) is not None:
        lines.append(tail)
    kept = [line for line in lines if len(line) <= limit]
    return [line.rstrip(b" \t\r") for line in kept], len(lines) - len(kept)


def malformed(lines):
    """How many of the lines are no objects."""
    return sum(value_of(line) is None for line in lines)


def storable(value):
    """As a database can hold it: lone surrogates replaced; and comparable: NaN equal to itself, 1 not to 1.0."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else ("float", value)
    return value
