"""The processor: its tables and views, and the settings that it takes."""

from collections.abc import Sequence

from processors.batch import Batch
from processors.contract import ProcessorResult
from processors.overall import Removal
from processors.verification.fold import Carry, Fold
from processors.verification.llm.extractor import LlmExtractor
from processors.verification.model import Extractor
from processors.verification.options import LeaveOut, VerificationOptions
from processors.verification.reviews import orders
from processors.verification.rules import RulesExtractor
from processors.verification.steps import steps
from processors.verification.tables import FACTS, REVIEWS, SESSIONS
from processors.verification.views import VIEWS

ASKING_SECONDS = 3600.0
"""Budget of a run that asks a language model: some hundred prompts, of which each may be tried again."""


class VerificationProcessor:
    """Collects what people told the assistant that everyone should know.

    Args:
        options: the settings; None: the defaults.

    """

    name = "verification"
    version = 1
    tables = (FACTS, SESSIONS)
    views = VIEWS
    records = (REVIEWS,)
    orders = orders()
    carry_type = Carry
    options_type = VerificationOptions

    def __init__(self, options: VerificationOptions | None = None) -> None:
        self._options = options or VerificationOptions()
        self.cadence_minutes = self._options.cadence_minutes
        self.idle_minutes = self._options.idle_minutes
        self.steps = steps(self._options)
        self.removals = removals(self._options.leave_out)
        asks = self._options.extractor == "llm"
        self._extractor: Extractor = LlmExtractor(self._options.llm) if asks else RulesExtractor()
        self.budget_seconds = ASKING_SECONDS if asks else 300.0

    def process(self, batch: Batch) -> ProcessorResult:
        """Facts in the new prompts.

        Raises:
            PauseError: the language model cannot be asked now.
            ExtractionError: it gave no usable answer.

        """
        carry = batch.carry or Carry()
        if carry.left_out or self._options.leave_out.session(batch.session_key):
            # What was said before is carried no longer, either.
            return ProcessorResult(carry=Carry(lines=carry.lines, left_out=carry.left_out))
        fold = Fold(self._options, carry)
        fold.read(batch.turns())
        return fold.result(self._extractor, is_first=batch.is_first)


def removals(leave_out: LeaveOut) -> Sequence[Removal]:
    """What has to go of what was found before: facts, and what reviews have kept of an item's text."""
    said = ("title", "content", "entities", "source_user", "source_ref", "session_file", "project")
    # Facts of a session with the marker are gone when it is read.
    marked = Removal(REVIEWS.name, f"session_file IN (SELECT session_file FROM {SESSIONS.name} WHERE left_out)", said)
    conditions = [f"split_part(session_file, '/', 1) = {_literal(user)}" for user in leave_out.users]
    conditions += [_below("session_file", session) for session in leave_out.sessions]
    conditions += [_below("project", project) for project in leave_out.projects]
    if not conditions:
        return (marked,)
    where = " OR ".join(conditions)
    return (Removal(FACTS.name, where), Removal(REVIEWS.name, where, said), marked)


def _below(column: str, folder: str) -> str:
    name = folder.rstrip("/")
    return f"{column} = {_literal(name)} OR starts_with({column}, {_literal(name + '/')})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
