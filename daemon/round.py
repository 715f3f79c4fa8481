"""A round: sessions that somebody wants run now, and how those runs ended."""

from collections.abc import Iterable
from dataclasses import dataclass, field

MOST_DETAILS = 1_000


@dataclass(slots=True)
class Counts:
    """How runs on sessions ended. ``scanned`` = ``processed`` + ``skipped`` + ``errors``.

    ``skipped``: no complete line yet, gone, or not readable; ``errors``: nothing was kept, it is tried again.
    ``errors_detail``: the first thousand, as ``{"session_file", "error"}``.
    """

    processor: str
    scanned: int = 0
    processed: int = 0
    skipped: int = 0
    errors: int = 0
    items_extracted: int = 0
    errors_detail: list[dict[str, str]] = field(default_factory=list)

    def processed_one(self, items: int) -> None:
        """A session was processed."""
        self.scanned += 1
        self.processed += 1
        self.items_extracted += items

    def skipped_one(self) -> None:
        """There was nothing to process."""
        self.scanned += 1
        self.skipped += 1

    def failed_one(self, key: str, error: str) -> None:
        """A session could not be processed."""
        self.scanned += 1
        self.errors += 1
        if len(self.errors_detail) < MOST_DETAILS:
            self.errors_detail.append({"session_file": key, "error": error})


@dataclass(slots=True)
class _Run:
    """What is known of one session's runs: whether one began since the round did, and what it came to."""

    began: bool = False
    outcome: str = ""
    items: int = 0
    error: str = ""


class Round:
    """Not locked: guarded by the lane's condition. A session counts with the first run that begins in the round.

    That run may have nothing to do because the one before it, under way when the round began, has done it: then the
    session does not count.
    """

    def __init__(self, processor: str, keys: Iterable[str]) -> None:
        self.counts = Counts(processor)
        self._open = {key: _Run() for key in keys}

    def began(self, key: str) -> None:
        """A run begins."""
        if (run := self._open.get(key)) is not None:
            run.began = True

    def note(self, key: str, outcome: str, items: int = 0, error: str = "") -> None:
        """What the run under way has come to so far: ``processed``, ``skipped`` or ``failed``."""
        if (run := self._open.get(key)) is not None and run.began:
            # A large file is processed in several runs; one that found nothing more does not undo the others.
            run.outcome = run.outcome if outcome == "skipped" and run.outcome else outcome
            run.items, run.error = run.items + items, error

    def ended(self, key: str) -> None:
        """A run has ended, and is not to be continued."""
        run = self._open.get(key)
        if run is None or not run.began:
            return
        del self._open[key]
        if run.outcome == "processed":
            self.counts.processed_one(run.items)
        elif run.outcome == "skipped":
            self.counts.skipped_one()
        elif run.outcome == "failed":
            self.counts.failed_one(key, run.error)

    def left(self) -> int:
        """How many sessions have not had their run."""
        return len(self._open)
