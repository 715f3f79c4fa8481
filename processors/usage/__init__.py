"""Usage: tool calls and what became of them, responses with their tokens, a summary of each session."""

from processors.usage.processor import UsageProcessor

__all__ = ["UsageProcessor"]
