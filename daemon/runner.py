"""One processor, once, over everything that is unprocessed, in the calling thread: no daemon needed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from daemon import corrections, positions
from daemon.commit import Commit, apply, fold_all
from daemon.config import DEFAULT_ROOT, Settings
from daemon.cursor import Signature, utc_now
from daemon.errors import ContractError, SessionError, describe
from daemon.look import Look
from daemon.overall import changed, remove
from daemon.processing import ProcessorFailedError, cause_of, process
from daemon.round import Counts
from daemon.run import Job, look_whole, run_incremental, run_whole, taken_over, touched
from daemon.scan import scan
from daemon.steps import take_step
from daemon.store import migrate
from daemon.tables import make_tables
from daemon.transcript import Transcripts
from processors.contract import PauseError
from processors.registry import Registered, register


def run_processor(
    conn: duckdb.DuckDBPyConnection,
    processor: object,
    session_data_dir: str | os.PathLike[str] | None = None,
    *,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Run one processor over all sessions that it has not processed as they are.

    Args:
        conn: a connection to the database, not inside a transaction; its schema is made if it is missing.
        processor: of either form, see :mod:`processors.contract`.
        session_data_dir: the root; None: ``$SESSION_DATA_DIR``, else ``/data/user_sessions``.
        settings: how long a line may be, and how much is read at a time; None: the defaults.

    Returns:
        ``processor``; ``scanned``: sessions found new or changed; of these ``processed``, ``skipped`` (no
        complete line yet, gone, or not readable) and ``errors`` (nothing kept, tried again at the next call);
        ``items_extracted``; ``errors_detail``: the first thousand, as ``{"session_file", "error"}``. Where the
        processor says that it cannot run now, that is the last error, and the sessions after it are not in these.

    Raises:
        ProcessorError: ``processor`` fits neither form of the contract.
        ContractError: one of its tables cannot be created.

    """
    spec = register(processor, isolation="thread")
    root = Path(os.path.abspath(session_data_dir or os.environ.get("SESSION_DATA_DIR") or DEFAULT_ROOT))  # noqa: PTH100
    migrate(conn)
    limits = settings or Settings()
    transcripts = Transcripts(root, chunk_bytes=limits.chunk_bytes, line_limit=limits.line_limit_bytes)
    run = _Run(conn, spec, transcripts)
    if root.is_dir():
        run.all()
    return asdict(run.counts)


class _Run:
    """The state of one call."""

    def __init__(self, conn: duckdb.DuckDBPyConnection, spec: Registered, transcripts: Transcripts) -> None:
        self._conn = conn
        self._spec = spec
        self._tables = make_tables(conn, spec.tables, spec.views, overall=spec.overall)
        remove(conn, spec.tables, spec.removals)
        self._process = partial(process, spec, self._tables)
        self._transcripts = transcripts
        self._origins: Mapping[str, Sequence[str]] = {}
        self.counts = Counts(spec.name)

    def all(self) -> None:
        """Every session that needs it, in the order of their names."""
        every = {self._spec.name: self._tables}
        fold_all(self._conn, every)
        corrections.reconcile(self._conn)
        known = positions.load(self._conn, self._spec.name, self._spec.version)
        found: list[tuple[str, Signature]] = []
        scan(
            str(self._transcripts.root),
            lambda key, signature: known.current.get(key) != signature,
            found.extend,
            lambda _name, _reason: None,
        )
        self._origins = positions.same_inode(self._conn, found) if known.current and found else {}
        for key, _ in sorted(found):
            if not self._session(key, known.foreign.get(key)):
                break
        fold_all(self._conn, every)
        for step in self._spec.steps:
            try:
                take_step(self._conn, step, partial(changed, self._conn), lambda: False)
            except Exception as error:  # noqa: BLE001  # it is a plug-in's
                self.counts.failed_one(f"step {step.name}", describe(error))

    def _session(self, key: str, recorded: str | None) -> bool:
        """Run it on one; returns whether it can be run on others: if not, they are for the next call."""
        counts = self.counts
        try:
            outcome, items = (
                self._incremental(key, recorded) if self._spec.incremental else self._whole(key, recorded)
            )
        except SessionError:
            counts.skipped_one()
        except (ProcessorFailedError, ContractError, duckdb.Error) as error:
            cause = cause_of(error)
            counts.failed_one(key, describe(cause))
            return not isinstance(cause, PauseError)
        else:
            if outcome == "processed":
                counts.processed_one(items)
            elif outcome:
                counts.skipped_one()
        return True

    def _incremental(self, key: str, recorded: str | None) -> tuple[str, int]:
        outcome, items = "", 0
        while True:
            job = self._job(key, recorded)
            before = job.valid(self._spec.version)
            look = self._transcripts.look(key, before)
            if self._adopted(job, look) or not (look.changed or job.moved_from):
                return outcome, items
            commit = run_incremental(self._spec, self._process, job, look, utc_now())
            self._apply(commit)
            items += commit.items
            if commit.ran:
                outcome = "processed"
            elif before is None or before.file_hash != look.file_hash:
                outcome = outcome or "skipped"
            if not look.more:
                return outcome, items
            recorded = None

    def _whole(self, key: str, recorded: str | None) -> tuple[str, int]:
        job = self._job(key, recorded)
        look, cursor = look_whole(self._transcripts, self._spec, key, job.valid(self._spec.version))
        if self._adopted(job, look) or not (look.changed or job.moved_from):
            return "", 0
        if commit := touched(self._spec, job, cursor, utc_now()):
            self._apply(commit)
            return "", 0
        commit = run_whole(self._spec, self._conn, self._transcripts.root, job, cursor, utc_now())
        return "processed", commit.items

    def _job(self, key: str, recorded: str | None) -> Job:
        cursor = positions.find(self._conn, self._spec.name, key)
        was = tuple(old for old in self._origins.get(key, ()) if self._was(old, key))
        return Job(key, cursor, recorded=recorded, moved_from=was)

    def _apply(self, commit: Commit) -> None:
        apply(self._conn, {self._spec.name: self._tables}, [commit])

    def _was(self, old: str, key: str) -> bool:
        origin = positions.find(self._conn, self._spec.name, old)
        here, there = self._transcripts.signature(key), self._transcripts.signature(old)
        if origin is None or here is None or here[:2] != origin.signature[:2]:
            return False
        return (there is None or there[:2] != here[:2]) and self._transcripts.continues(key, origin)

    def _adopted(self, job: Job, look: Look) -> bool:
        """Whether another tool has processed just this content; then that is taken over."""
        commit = taken_over(self._spec, self._transcripts, job, look, utc_now())
        if commit is not None and not look.recheck:
            self._apply(commit)
        return commit is not None
