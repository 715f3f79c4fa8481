"""The extractor that works by rules: see :class:`RulesExtractor`."""

from processors.verification.rules.extractor import RulesExtractor

__all__ = ["RulesExtractor"]
