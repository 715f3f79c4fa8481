"""The steps of processors: what follows from the rows of all sessions is worked out anew after these have changed.

The thread *steps* owns a connection to read, and what each processor's steps are due for. It is woken by the main
loop, which comes round every second, and by orders. What it has worked out is written by the writer. It stops between
two steps, and tells the one under way to end. A step that fails is told, and tried again later; if the thread dies,
the service stops, to be started anew.

It has no lower priority than others: where the host is busy, whoever waits for the interpreter would wait until the
system lets this thread go on, which took 600 ms at the lowest (17 ms without).
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb

from daemon.errors import describe
from daemon.events import Events
from daemon.overall import Change, change_to, make_changes, rows_of
from daemon.pause import bounded
from daemon.writer import Writer
from processors.overall import Step, Stopped
from processors.registry import Registered

QUIET_SECONDS = 2.0
"""After a change, steps wait so long for others to come."""

SHARE = 10
"""Steps may take a tenth of a core at most: what has taken long is not done again soon."""

AGAIN_SECONDS = 60.0
"""Wait after a step has failed."""

LONG_SECONDS = 1800.0
"""A step that is under way for so long is told of: it cannot be ended."""

WRITE_SECONDS = 30.0
ASKED = -math.inf

Write = Callable[[Mapping[str, Change]], None]


class StoppedError(Exception):
    """The daemon stops."""


def take_step(conn: duckdb.DuckDBPyConnection, step: Step, write: Write, stopped: Stopped) -> tuple[float, str]:
    """Take one step; returns in how many seconds it has to be taken again anyway, and why; infinite: it is whole.

    Args:
        conn: to read from, outside a transaction.
        step: which one.
        write: changes tables, durably; not called if they are as they should be already.
        stopped: whether to end early.

    Raises:
        StoppedError: it has ended early.
        Exception: whatever the step raises; nothing is written then.

    """
    conn.begin()  # all that is read is of one moment
    try:
        given = {name: conn.sql(sql).to_arrow_table() for name, sql in step.reads.items()}
    finally:
        with suppress(duckdb.Error):
            conn.rollback()
    result = step.work(given, stopped)
    if stopped():
        raise StoppedError
    changes = {}
    for table in step.writes:
        change = change_to(conn, table.name, rows_of(conn, table, result.rows.get(table.name, ())))
        if change:
            changes[table.name] = change
    if changes:
        write(changes)
    return (bounded(result.pause.seconds), describe(result.pause)) if result.pause else (math.inf, "")


@dataclass(slots=True, eq=False)
class _Mine:
    """One processor's steps. Guarded by the thread's condition."""

    spec: Registered
    seen: int = 0  # changes of its rows that are noted
    due: float = 0.0
    not_before: float = 0.0
    began: int = 0  # how often they have been taken, or are being
    ended: int = 0
    failed: bool = False  # when they were taken last
    under_way: tuple[str, float] | None = None  # the step, and since when
    told: str = ""  # the last trouble


class Steps:
    """Takes the steps of processors. ``tick`` is called by the main loop, the rest by any thread.

    Args:
        specs: the processors that run.
        connect: makes a connection for the thread.
        writer: writes what has been worked out, and knows how often rows were written.
        events: told what happens.

    """

    def __init__(
        self,
        specs: Sequence[Registered],
        connect: Callable[[], duckdb.DuckDBPyConnection],
        writer: Writer,
        events: Events,
    ) -> None:
        self._mine = {spec.name: _Mine(spec) for spec in specs if spec.steps}
        self._connect = connect
        self._writer = writer
        self._events = events
        self._wake = threading.Condition()
        self._closed = False
        self._conn: duckdb.DuckDBPyConnection | None = None
        self._thread = threading.Thread(target=self._run, name="steps", daemon=True)

    def start(self) -> None:
        """Begin; what has changed while nobody looked is worked out first."""
        if self._mine:
            self._conn = self._connect()
            self._thread.start()

    def sound(self) -> bool:
        """Whether the thread runs, if it is to."""
        return self._thread.is_alive() or self._closed or self._conn is None

    def tick(self) -> None:
        """Look for changes."""
        now = time.monotonic()
        with self._wake:
            for name, mine in self._mine.items():
                if mine.seen != (changes := self._writer.changes[name]):
                    mine.seen = changes
                    mine.due = min(mine.due, now + QUIET_SECONDS)
            if self._next(now) is not None:
                self._wake.notify_all()

    def ask(self, processor: str, timeout: float) -> bool:
        """Have a processor's steps taken now; returns whether they have ended in time, and none has failed."""
        with self._wake:
            mine = self._mine.get(processor)
            if mine is None:
                return True
            mine.due, wanted = ASKED, mine.began + 1
            self._wake.notify_all()
            ended = self._wake.wait_for(lambda: mine.ended >= wanted or self._closed, timeout)
            return ended and not (self._closed or mine.failed)

    def troubles(self) -> list[str]:
        """What keeps steps from being whole."""
        now = time.monotonic()
        with self._wake:
            told = [mine.told for mine in self._mine.values() if mine.told]
            for mine in self._mine.values():
                if mine.under_way is not None and now - mine.under_way[1] > LONG_SECONDS:
                    minutes = (now - mine.under_way[1]) / 60
                    told.append(f"{mine.spec.name}, step {mine.under_way[0]} is under way for {minutes:.0f} min")
            return told

    def close(self) -> None:
        """Begin no step any more, and have the one under way end."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._conn is not None:
            with suppress(duckdb.Error):
                self._conn.interrupt()

    def join(self, timeout: float) -> bool:
        """Wait for the thread, after :meth:`close`; returns whether it has ended in time."""
        if self._conn is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _next(self, now: float) -> _Mine | None:
        due = [mine for mine in self._mine.values() if mine.due == ASKED or max(mine.due, mine.not_before) <= now]
        return min(due, key=lambda mine: mine.due, default=None)

    def _run(self) -> None:
        assert self._conn is not None
        with self._conn as conn:
            while (mine := self._wait()) is not None:
                began = time.thread_time()
                again = self._take(conn, mine)
                used = time.thread_time() - began
                with self._wake:
                    mine.ended, mine.under_way = mine.began, None
                    ended = time.monotonic()
                    mine.due = min(mine.due, ended + again)
                    mine.not_before = ended + SHARE * used
                    self._wake.notify_all()

    def _wait(self) -> _Mine | None:
        with self._wake:
            while not self._closed:
                if (mine := self._next(time.monotonic())) is not None:
                    mine.due = math.inf
                    mine.began += 1
                    return mine
                self._wake.wait()
            return None

    def _take(self, conn: duckdb.DuckDBPyConnection, mine: _Mine) -> float:
        """Take the steps; returns in how many seconds they have to be taken again anyway."""
        again, trouble, failed = math.inf, "", False
        for step in mine.spec.steps:
            began = time.monotonic()
            what = f"{mine.spec.name}, step {step.name}"
            with self._wake:
                mine.under_way = step.name, began
            try:
                wait, reason = take_step(conn, step, self._write, lambda: self._closed)
            except StoppedError:
                return math.inf
            except BaseException as error:  # noqa: BLE001  # whatever a plug-in's step raises is its fault, and told
                if self._closed:
                    return math.inf
                again, trouble, failed = min(again, AGAIN_SECONDS), f"{what}: {describe(error)}", True
                break  # those after it read what it writes
            self._events.step_taken(mine.spec.name, step.name, time.monotonic() - began)
            if reason:
                again, trouble = min(again, wait), f"{what} waits: {reason}"
        with self._wake:
            news, mine.told, mine.failed = trouble not in {"", mine.told}, trouble, failed
        if news:
            self._events.step_failed(mine.spec.name, trouble, again)
        return again

    def _write(self, changes: Mapping[str, Change]) -> None:
        self._writer.carry_out(lambda conn: make_changes(conn, changes), WRITE_SECONDS)
