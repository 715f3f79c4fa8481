"""Orders to the running daemon: run, reprocess, requeue, scan. Not to be given from the daemon's own threads.

What an order changes is changed in the database first, by the writer, and then in the lanes' memory, so that a crash
between the two loses nothing: the next start reads the database.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from daemon import audit, corrections, failures, processor_orders
from daemon.audit import Peer
from daemon.cursor import Signature
from daemon.engine import Engine
from daemon.errors import BusyError, UnavailableError, UnknownNameError, printable
from daemon.lane import Lane
from daemon.scan import scan
from daemon.survey import Survey

QUIET_SECONDS = 10.0
"""How long an order waits for a run under way on one of its sessions."""

WRITE_SECONDS = 30.0
STEPS_SECONDS = 10.0
"""How long an order waits for the steps that follow from it; they are taken anyway."""

POLL_SECONDS = 0.5
SCAN_SECONDS = 3600.0

Stopped = Callable[[], bool]


class Control:
    """Carries out orders on one engine."""

    def __init__(self, root: str, engine: Engine, survey: Survey) -> None:
        self._root = root
        self._engine = engine
        self._survey = survey
        self._running = threading.Lock()  # held during a call of run()

    def run(self, processor: str, stopped: Stopped) -> dict[str, Any]:
        """Run a processor now on every session that it has not processed as it is, whatever its cadence.

        The lane's own workers do it, so nothing is done twice; what is in quarantine stays there.

        Args:
            processor: its name.
            stopped: asked now and then whether nobody waits any more; then what was begun goes on by itself.

        Returns:
            What :func:`daemon.run_processor` returns.

        Raises:
            UnknownNameError: there is no such processor.
            BusyError: another such call is under way.
            UnavailableError: the processor is not being run.

        """
        lane = self._lane(processor)
        if not self._running.acquire(blocking=False):
            raise BusyError("a processor is being run already", "try again when that call has ended")
        try:
            found: list[tuple[str, Signature]] = []
            scan(self._root, lane.unprocessed, found.extend, lambda _name, _reason: None, stop=stopped)
            begun = lane.begin_round(key for key, _ in found)
            while not lane.wait_round(POLL_SECONDS):
                if processor in self._engine.paused():
                    raise UnavailableError(f"{processor} is paused: too many of its runs hang", "restart the daemon")
                if reason := lane.waits_for():
                    raise UnavailableError(f"{processor} waits: {reason}")
                if stopped():
                    break
            return asdict(begun.counts)
        finally:
            lane.end_round()
            self._running.release()

    def reprocess(self, processor: str, username: str | None, session: str | None) -> list[tuple[str, str]]:
        """Have a processor start anew on all its sessions, on a user's, or on one; returns (processor, session) each.

        Raises:
            UnknownNameError: there is no such processor, or it knows no such user or session.
            BusyError: one of them is being processed and that takes long.
            UnavailableError, duckdb.Error: the database cannot be written.

        """
        lane = self._lane(processor)
        self._engine.writer.check()
        with lane.held(username, session, QUIET_SECONDS) as mine:
            if not mine and (username or session):
                what = f"session {printable(session)}" if session else f"session of {printable(username)}"
                raise UnknownNameError(f"{processor} has not processed any {what}", "a key is like alice/x.jsonl")
            done = self._engine.writer.carry_out(
                lambda conn: corrections.invalidate(conn, processor, session, username=username), WRITE_SECONDS
            )
            lane.start_anew(sorted({*mine, *(key for _, key in done)}))
        return done

    def requeue(self, processor: str | None, session: str | None) -> list[tuple[str, str]]:
        """Give what is in quarantine a new chance; returns (processor, session) of each.

        Raises:
            UnknownNameError: there is no such processor.
            UnavailableError, duckdb.Error: the database cannot be written.

        """
        lanes = [self._lane(processor)] if processor is not None else self._engine.lanes
        done = self._engine.writer.carry_out(lambda conn: failures.requeue(conn, processor, session), WRITE_SECONDS)
        for lane in lanes:
            lane.requeue({key: failed_at for name, key, failed_at in done if name == lane.spec.name})
        return [(name, key) for name, key, _ in done]

    def order(self, processor: str, name: str, fields: Mapping[str, str], who: str) -> dict[str, Any]:
        """Have a processor carry out an order of its own, and take the steps that follow from it.

        Returns:
            What came of it; ``settled``: whether the steps have been taken already.

        Raises:
            UnknownNameError: there is no such processor or order, or it names what is not there.
            ConfigError: it cannot be carried out.
            UnavailableError, duckdb.Error: the database cannot be written.

        """
        order = processor_orders.find(self._lane(processor).spec, name, fields)
        answer = self._engine.writer.carry_out(
            lambda conn: processor_orders.carry_out(conn, order, fields, who), WRITE_SECONDS
        )
        settled = not order.steps or self._engine.steps.ask(processor, STEPS_SECONDS)
        return answer | {"settled": settled}

    def scan(self, stopped: Stopped) -> dict[str, Any]:
        """Compare every file with what was processed, now; what is found is processed in the background.

        Returns:
            ``files``, ``folders``, ``bytes``; ``found``: how many need a run; ``seconds``.

        Raises:
            UnavailableError: the root is not there, or the scan was given up.

        """
        ends = time.monotonic() + SCAN_SECONDS
        began = self._survey.ask_scan()
        while time.monotonic() < ends and not stopped():
            if self._survey.mode() == "waiting":
                raise UnavailableError(
                    f"the root {printable(self._root)} is not there", "it is picked up when it appears"
                )
            if (totals := self._survey.scanned_since(began, POLL_SECONDS)) is not None:
                values = asdict(totals)
                values.pop("complete")
                return values | {"seconds": self._survey.scan_seconds}
        raise UnavailableError("the scan was given up", "ask again")

    def states(self) -> dict[str, dict[str, str]]:
        """By processor, what each session does that is not at rest."""
        return {lane.spec.name: lane.states() for lane in self._engine.lanes}

    def note(self, peer: Peer, action: str, parameters: Mapping[str, object], outcome: str, detail: str) -> None:
        """Record an order.

        Raises:
            UnavailableError, duckdb.Error: it cannot be.

        """
        self._engine.writer.carry_out(
            lambda conn: audit.record(conn, peer, action, parameters, outcome, detail), WRITE_SECONDS
        )

    def _lane(self, processor: str) -> Lane:
        for lane in self._engine.lanes:
            if lane.spec.name == processor:
                return lane
        names = ", ".join(lane.spec.name for lane in self._engine.lanes) or "none"
        raise UnknownNameError(f"there is no processor {printable(processor)}", f"there are: {names}")
