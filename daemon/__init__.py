"""sessiond: session transcripts into DuckDB, every complete line exactly once.

from daemon import open_database, run_processor
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.cursor import compute_file_hash
    from daemon.repository import SessionProcessorStateRepository
    from daemon.runner import run_processor
    from daemon.store import migrate, open_database

__all__ = [
    "SessionProcessorStateRepository",
    "compute_file_hash",
    "migrate",
    "open_database",
    "run_processor",
]

_WHERE = {
    "SessionProcessorStateRepository": "repository",
    "compute_file_hash": "cursor",
    "migrate": "store",
    "open_database": "store",
    "run_processor": "runner",
}


def __getattr__(name: str) -> Any:
    """Each is loaded when it is asked for: a processor's own process needs none, and starts in half the time."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"daemon.{_WHERE[name]}"), name)
