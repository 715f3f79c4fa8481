"""The processor: its tables and views, and the settings that it takes."""

from processors.batch import Batch
from processors.contract import ProcessorResult
from processors.usage.events import EVENTS
from processors.usage.fold import Fold
from processors.usage.messages import MESSAGES
from processors.usage.options import UsageOptions
from processors.usage.prompts import PROMPT_LINES
from processors.usage.summary import SUMMARY, Summary
from processors.usage.views import views


class UsageProcessor:
    """Counts what was used. Each table's rows follow from the session's lines alone."""

    name = "usage"
    version = 3
    cadence_minutes = 0
    tables = (EVENTS, MESSAGES, PROMPT_LINES, SUMMARY)
    carry_type = Summary
    options_type = UsageOptions

    def __init__(self, options: UsageOptions | None = None) -> None:
        """``options``: the time zone of days, and prices; None: UTC, and the prices that are known."""
        self.views = views(options or UsageOptions())

    def process(self, batch: Batch) -> ProcessorResult:
        """Rows for the new lines; a result that comes later than its call becomes an update of its row."""
        fold = Fold(batch.session_key, batch.carry or Summary())
        fold.add(batch.turns())
        return fold.result(batch.malformed_lines)
