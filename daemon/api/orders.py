"""Orders under way: each in a thread of its own, recorded whatever comes of it."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import duckdb

from daemon.audit import Peer, summary
from daemon.control import Control, Stopped
from daemon.errors import BusyError, CancelledError, SessiondError, describe
from daemon.events import Events

MOST = 64
"""At a time. They wait for others most of the time, but each has a thread."""

Work = Callable[[Stopped], Any]


class Given:
    """An order that was given: what comes of it, and whether somebody still waits for that."""

    def __init__(self) -> None:
        self.result: Future[Any] = Future()
        self.gone = False
        """Nobody waits any more: what was begun may be left to go on by itself."""


class Orders:
    """Carries orders out in threads *order*, which end with them. May be called from any thread."""

    def __init__(self, control: Control, events: Events) -> None:
        self._control = control
        self._events = events
        self._changed = threading.Condition()  # guards the next two
        self._under_way = 0
        self._closing = False

    def give(self, peer: Peer, action: str, parameters: Mapping[str, object], work: Work) -> Given:
        """Have an order carried out, and a row of it in ``audit_log``.

        Args:
            peer: who gives it.
            action, parameters: what it is called there.
            work: what to do; it is given a function that says whether it may end early.

        Raises:
            BusyError: too many are under way.
            CancelledError: the daemon stops.

        """
        given = Given()
        given.result.set_running_or_notify_cancel()
        thread = threading.Thread(
            target=self._carry_out, args=(given, peer, action, parameters, work), name="order", daemon=True
        )
        with self._changed:
            if self._closing:
                raise CancelledError("the daemon stops")
            if self._under_way >= MOST:
                raise BusyError(f"{MOST} orders are being carried out already", "try again when some have ended")
            thread.start()
            self._under_way += 1
        return given

    def close(self) -> None:
        """Have those under way end; none begins any more."""
        with self._changed:
            self._closing = True

    def wait(self, timeout: float) -> bool:
        """Wait for those under way; returns whether all have ended in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, timeout)

    def _carry_out(self, given: Given, peer: Peer, action: str, parameters: Mapping[str, object], work: Work) -> None:
        given_up = False

        def stopped() -> bool:
            nonlocal given_up
            given_up = given.gone or self._closing
            return given_up

        try:
            answer = work(stopped)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is for whoever waits
            self._note(peer, action, parameters, "failed", describe(error))
            given.result.set_exception(error)
        else:
            self._note(peer, action, parameters, "given up" if given_up else "done", summary(answer))
            given.result.set_result(answer)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _note(self, peer: Peer, action: str, parameters: Mapping[str, object], outcome: str, detail: str) -> None:
        try:
            self._control.note(peer, action, parameters, outcome, detail)
        except (SessiondError, duckdb.Error) as error:
            self._events.audit_failed(describe(error))
