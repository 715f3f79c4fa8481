"""sessiond: session transcripts into DuckDB, every complete line exactly once.

from daemon import open_database, run_processor
"""

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
