"""How patterns and lists of words are written down."""

import re


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def any_of(*patterns: str) -> re.Pattern[str]:
    """A pattern that finds what one of the patterns finds; they are verbose, and for plain text of one sentence.

    See :func:`processors.verification.rules.prose.plain` for what plain text is; sentences are short.
    """
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.VERBOSE)
