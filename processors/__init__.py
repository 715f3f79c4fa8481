"""What an author of a processor needs; nothing here imports from the daemon.

from processors import Batch, IncrementalProcessor, ProcessorResult, Table
"""

from processors.batch import Batch
from processors.contract import IncrementalProcessor, PauseError, ProcessorResult, SessionProcessor, Table, View
from processors.overall import Order, OrderError, OverallTable, Removal, Step, StepResult
from processors.turns import Turn, parse_jsonl

__all__ = [
    "Batch",
    "IncrementalProcessor",
    "Order",
    "OrderError",
    "OverallTable",
    "PauseError",
    "ProcessorResult",
    "Removal",
    "SessionProcessor",
    "Step",
    "StepResult",
    "Table",
    "Turn",
    "View",
    "parse_jsonl",
]
