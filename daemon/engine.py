"""The part between "this file may have changed" and the database: lanes, their workers and the writer.

Watching and scanning feed it (:mod:`daemon.service`), ``sessiond scan`` feeds it once. ``changed`` and
``behind`` may be called from any thread.
"""

import gc
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import duckdb

from daemon import corrections
from daemon.commit import fold_all
from daemon.config import Settings, bytes_of
from daemon.cursor import Signature, utc_now
from daemon.errors import ContractError, printable
from daemon.events import Events
from daemon.failures import Failure, forget, load_failures, once_more, remember
from daemon.inflight import Notes
from daemon.isolated import host_of
from daemon.lane import Lane
from daemon.memory import give_back
from daemon.outcome import Outcomes
from daemon.overall import remove
from daemon.queued import Order
from daemon.refusals import Refusals
from daemon.steps import Steps
from daemon.store import open_database, sibling, store_errors, transaction
from daemon.tables import ResultTable, make_tables, names_of
from daemon.transcript import Transcripts
from daemon.worker import Workers
from daemon.writer import Writer
from processors.registry import Registered

SWITCH_SECONDS = 0.0005
"""A thread that waits for the interpreter gets it after this long. A commit gives it away and takes it back some
twenty times; with Python's 5 ms, that would cost an append 100 ms while a worker is busy with backlog."""

GC_THRESHOLDS = (20_000, 10, 100)
"""A full collection stops all threads, for 250 ms with 100,000 sessions in memory, and finds next to nothing, as
little here is cyclic: so it is rare. And the young are collected later, as rows that wait for their commit are no
garbage yet: by default they are walked again and again, which costs a cold start a tenth of its time."""

STEP_SECONDS = 1.0
"""What a step gets to end at a stop: nothing of it is lost, it is taken anew at the next start."""

WRITE_SECONDS = 5.0
"""What the writer gets to write at a stop, at least."""


class Engine:
    """Processes sessions with a set of processors into one database.

    Raises (on creation):
        StoreError: the database cannot be opened.

    """

    def __init__(
        self,
        settings: Settings,
        processors: Sequence[Registered],
        events: Events,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.events = events
        self.refusals = Refusals(events)
        self.transcripts = Transcripts(
            settings.root,
            chunk_bytes=settings.chunk_bytes,
            line_limit=settings.line_limit_bytes,
            lanes=len(processors),
        )
        self._memory_limit = bytes_of(settings.memory_limit)
        self._conn = open_database(settings.db, memory_limit=settings.memory_limit, threads=settings.database_threads)
        self.lanes: list[Lane] = []
        self._workers: list[Workers] = []
        try:
            with store_errors(settings.db):
                self._prepare(settings, processors, clock)
                if all(spec.incremental for spec in processors):
                    # One more wall around queries. What a whole-session processor reads is its own matter.
                    self._conn.execute("SET enable_external_access = false")
        except BaseException:
            self._conn.close()
            raise

    def _prepare(self, settings: Settings, processors: Sequence[Registered], clock: Callable[[], float]) -> None:
        self._notes = Notes(Path(f"{settings.db}.inflight"))
        tables = self._tables(processors)
        # Kept views are right before they are folded, and all of their rows can be due: that is for the background.
        fold_all(self._conn, tables, views=False)
        corrections.reconcile(self._conn)
        self.writer = Writer(sibling(self._conn), tables, self.events)
        memory = bytes_of(settings.isolation_memory) if settings.isolation_memory else 0
        names: dict[str, str] | None = {} if len(tables) > 1 else None
        for spec in processors:
            if spec.name in tables:
                lane = Lane(spec, self.transcripts, settings, clock)
                lane.load(self._conn, self._failures(spec, settings.max_attempts), names)
                self.lanes.append(lane)
                outcomes = Outcomes(lane, self.writer, self.events, self.refusals, settings)
                self._workers.append(
                    Workers(
                        lane,
                        outcomes,
                        self.events,
                        partial(host_of, spec, tables[spec.name], memory),
                        self.connect,
                        self._notes,
                        settings.workers,
                    )
                )
        running = [spec for spec in processors if spec.name in tables]
        self.steps = Steps(running, self.connect, self.writer, self.events)
        self._notes.clear()
        del names
        give_back(self._conn, self._memory_limit)

    def give_back(self) -> None:
        """Have the writer give memory back that nobody uses now: not while it makes a checkpoint."""
        self.writer.offer(Order(lambda conn: give_back(conn, self._memory_limit)))

    def has_backlog(self) -> bool:
        """Whether some processor has sessions to look at that nobody waits for."""
        return any(lane.counts()["backlog"] for lane in self.lanes)

    def _tables(self, processors: Sequence[Registered]) -> dict[str, dict[str, ResultTable]]:
        tables: dict[str, dict[str, ResultTable]] = {}
        taken: set[str] = set()
        for spec in processors:
            try:
                tables[spec.name] = make_tables(self._conn, spec.tables, spec.views, taken, spec.overall)
                taken.update(names_of(spec))
                for name, rows in remove(self._conn, spec.tables, spec.removals).items():
                    if rows:
                        self.events.removed(spec.name, name, rows)
            except ContractError as error:
                self.events.processor_unusable(f"{spec.name}: {error}")
        return tables

    def _failures(self, spec: Registered, max_attempts: int) -> Mapping[str, Failure]:
        """Known failures, and one more for each run that was in flight when the last process died."""
        failures = load_failures(self._conn, spec.name)
        left = [note for note in self._notes.left() if note.processor == spec.name]
        if self.transcripts.root.is_dir():
            gone = {
                key for key in (*failures, *(note.session_key for note in left)) if not self.transcripts.exists(key)
            }
            forget(self._conn, spec.name, sorted(gone))
            failures = {key: failure for key, failure in failures.items() if key not in gone}
            left = [note for note in left if note.session_key not in gone]
        crashed = []
        for note in left:
            key, error, now = (
                note.session_key,
                "the process ended during this run",
                utc_now(),
            )
            failure = once_more(failures.get(key), spec.name, key, note.content, None, error, now, max_attempts)
            failures[note.session_key] = failure
            crashed.append(failure)
            tell = self.events.quarantined if failure.quarantined else self.events.interrupted
            tell(spec.name, printable(key), run=note.run, attempts=failure.attempts, error=error)
        with transaction(self._conn):
            remember(self._conn, crashed)
        return failures

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A further connection to the database, for one thread; to be closed before the engine is."""
        return sibling(self._conn)

    def start(self) -> None:
        """Start the writer and the workers."""
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.set_threshold(*GC_THRESHOLDS)
        for workers in self._workers:
            workers.start()
        self.writer.start()
        self.steps.start()

    def changed(self, keys: Collection[str]) -> bool:
        """These sessions changed just now; returns whether that is noted: if not, it is for a scan to find."""
        noted = [lane.changed(keys) for lane in self.lanes]  # each is told, whatever the others say
        return all(noted)

    def has_room(self) -> bool:
        """Whether what changes is noted."""
        return all(lane.has_room() for lane in self.lanes)

    def behind(self, found: Sequence[tuple[str, Signature]]) -> None:
        """A scan found these sessions otherwise than they were processed."""
        for lane in self.lanes:
            lane.behind([key for key, seen in found if lane.needs(key, hash(seen))])

    def needs(self, key: str, signature_hash: int) -> bool:
        """Whether any processor has yet to see a file with this signature, and will not do so by itself."""
        return any(lane.needs(key, signature_hash) for lane in self.lanes)

    def unnoticed(self, key: str, signature_hash: int) -> bool:
        """The same, where nothing is under way that may have been begun because of the change."""
        return any(lane.unnoticed(key, signature_hash) for lane in self.lanes)

    def tick(self) -> None:
        """Supervise; call this about every second."""
        for workers in self._workers:
            workers.tick()
        self.steps.tick()

    def idle(self) -> bool:
        """Whether everything that is known to have changed is committed."""
        return all(lane.idle() or workers.paused for lane, workers in zip(self.lanes, self._workers, strict=True))

    def drained(self) -> bool:
        """Whether everything that was behind had its turn, failed or not."""
        return all(lane.drained() or workers.paused for lane, workers in zip(self.lanes, self._workers, strict=True))

    def paused(self) -> list[str]:
        """The processors that are not run any more, because too many of their runs hang."""
        return [workers.processor for workers in self._workers if workers.paused]

    def troubles(self) -> list[str]:
        """What keeps processors from being run: their processes cannot be started, or they wait for something."""
        troubles = [f"{workers.processor}: {workers.trouble}" for workers in self._workers if workers.trouble]
        waits = [f"{lane.spec.name} waits: {reason}" for lane in self.lanes if (reason := lane.waits_for())]
        return troubles + waits + self.steps.troubles()

    def abandoned(self) -> dict[str, int]:
        """By processor, how many of its runs hang in threads that were abandoned."""
        return {workers.processor: workers.hanging for workers in self._workers}

    def close(self, timeout: float) -> bool:
        """Finish or abandon what runs, commit, fold, and close the database; True if nothing was abandoned."""
        deadline = time.monotonic() + timeout
        self.steps.close()
        ended = [workers.close(max(0.0, deadline - time.monotonic())) for workers in self._workers]
        # What is queued is committed even if the runs took all the time.
        written = self.writer.close(max(WRITE_SECONDS, deadline - time.monotonic()))
        # Nothing of a step is lost, so it may take what time is left.
        ended.append(self.steps.join(max(STEP_SECONDS, deadline - time.monotonic())))
        self._notes.clear()  # whatever still runs was given up, and has not ended the process
        if all(ended) and written:
            self._conn.close()
        return all(ended) and written
