"""Token counts of a line, as they are billed."""

from typing import NamedTuple, TypeAlias

from processors.turns import Usage

Kinds: TypeAlias = tuple[int, int, int, int]
NOTHING: Kinds = (0, 0, 0, 0)

# Beyond this no counter is real, and sums stay inside BIGINT whatever a transcript claims.
_MAX_TOKENS = 2**40


class Tokens(NamedTuple):
    """Token counts of one response, never NULL and never negative."""

    input: int
    output: int
    cache_5m: int
    cache_1h: int
    cache_read: int

    def kinds(self) -> Kinds:
        """Input, output, read from the cache, written to it."""
        return self.input, self.output, self.cache_read, self.cache_5m + self.cache_1h


def tokens(usage: Usage) -> Tokens:
    """Counts as billed; the split of the cache creation, where present, adds up to its total."""
    created = usage.cache_creation
    in_5m = (created.ephemeral_5m_input_tokens or 0) if created else 0
    in_1h = (created.ephemeral_1h_input_tokens or 0) if created else 0
    counts = Tokens(
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        in_5m if in_5m or in_1h else usage.cache_creation_input_tokens or 0,
        in_1h,
        usage.cache_read_input_tokens or 0,
    )
    if min(counts) < 0 or max(counts) > _MAX_TOKENS:
        return Tokens(*(count if 0 <= count <= _MAX_TOKENS else 0 for count in counts))
    return counts


def searches(usage: Usage) -> int:
    """How often the web was searched for this response, which costs besides."""
    asked = usage.server_tool_use.web_search_requests if usage.server_tool_use else None
    return asked if asked is not None and 0 <= asked <= _MAX_TOKENS else 0
