"""Verification by a language model: an extractor and a judge of contradictions.

What they need besides the main package is installed by ``pip install 'sessiond[llm]'``, and imported when a model is
first asked.
"""

from processors.verification.llm.extractor import LlmExtractor
from processors.verification.llm.judge import Contradiction, LlmJudge
from processors.verification.llm.model import ExtractionError
from processors.verification.llm.options import LlmOptions, check_installed

__all__ = ["Contradiction", "ExtractionError", "LlmExtractor", "LlmJudge", "LlmOptions", "check_installed"]
