"""Where an incremental processor runs: in its worker's thread, or in a process of its own.

A process (see :mod:`daemon.child`) belongs to one worker, whose thread starts it before it is needed, and anew when
it has ended; it is reused for one session after the other. It owns nothing: lines go to it, rows come back, and all
else stays with the daemon. It is woken by the next task. When it ends in the middle of one, whatever ended it, or
takes longer than the budget, when it is killed, that is a failed attempt of this session and of nothing else. It
stops, killed, when its worker's thread ends, and with the daemon, however that ends.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from daemon.cursor import username_of
from daemon.errors import (
    MOST_TOLD,
    NotStartedError,
    OverBudgetError,
    ProcessDiedError,
    ReportedError,
    describe,
    printable,
)
from daemon.processing import Given, Lines, ProcessorFailedError, process
from daemon.shapes import Shape
from daemon.wire import (
    Done,
    Failed,
    NotStarted,
    Setup,
    Started,
    Task,
    WireError,
    identity_of,
    part_from,
    receive,
    send,
)
from processors.contract import PauseError
from processors.registry import Registered

START_SECONDS = 60.0
"""The longest that a process may take to load its processor."""

AGAIN_SECONDS = 10.0
"""Wait after a process could not be started."""

KILL_SECONDS = 5.0
"""The longest wait for the end of a process that was killed: it may be in a call to the kernel that does not end."""

END_SECONDS = 1.0
"""The same for one that has closed its socket, which is what an end begins with."""

POLL_SECONDS = 0.005

LOOK_SECONDS = 1.0
"""How often it is looked whether the process is still there, as another one that it has begun may hold its socket."""

_NOT_INHERITED = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"}
_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Host(Protocol):
    """Where a processor runs for one worker. Used by the worker's thread; ``kill`` may be called by any."""

    def start(self) -> None:
        """Get ready. Raises NotStartedError if that is impossible now."""

    def process(self, lines: Lines, at: datetime) -> Given:
        """Hand lines to the processor; see :data:`daemon.processing.Process`."""
        ...

    def kill(self) -> None:
        """End what runs, if that can be ended: it does not count any more, and nothing will be begun after it."""

    def close(self) -> None:
        """Nothing more will be run."""


def host_of(spec: Registered, shapes: Mapping[str, Shape], memory: int = 0) -> Host:
    """Where a processor is to run; ``memory``: what a process of its own may take, in bytes; 0: no limit."""
    return InProcess(spec, shapes, memory) if spec.isolation == "process" else InThread(spec, shapes)


class InThread:
    """In the worker's thread: nothing to be started, and no way to end it."""

    def __init__(self, spec: Registered, shapes: Mapping[str, Shape]) -> None:
        self._spec = spec
        self._shapes = shapes

    def start(self) -> None:
        """See :class:`Host`."""

    def process(self, lines: Lines, at: datetime) -> Given:
        """See :class:`Host`."""
        return process(self._spec, self._shapes, lines, at)

    def kill(self) -> None:
        """See :class:`Host`."""

    def close(self) -> None:
        """See :class:`Host`."""


class InProcess:
    """In a process of its own."""

    def __init__(self, spec: Registered, shapes: Mapping[str, Shape], memory: int) -> None:
        self._spec = spec
        self._shapes = shapes
        self._setup = Setup(
            name=spec.name,
            place=spec.place,
            options=dict(spec.options),
            schemas={name: shape.schema.serialize().to_pybytes() for name, shape in shapes.items()},
            identity=identity_of(spec),
            memory=memory,
        )
        self._connection: socket.socket | None = None  # the worker's thread's own, as are the next two
        self._failed: NotStartedError | None = None
        self._failed_at = 0.0
        self._lock = threading.Lock()  # guards the next two
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    def start(self) -> None:
        """Start the process, unless it is there.

        Raises:
            NotStartedError: it cannot be started; for a while it is not even tried again.

        """
        if self._connection is not None:
            if self._is_idle(self._connection):
                return
            self._end()
        if self._failed is not None and time.monotonic() - self._failed_at < AGAIN_SECONDS:
            raise self._failed
        try:
            self._begin()
        except NotStartedError as error:
            self._end()
            self._failed, self._failed_at = error, time.monotonic()
            raise
        self._failed = None

    def process(self, lines: Lines, at: datetime) -> Given:
        """Hand lines to the process, and wait for what it gives.

        Raises:
            NotStartedError: there is no process, and none can be started.
            ProcessorFailedError: the processor failed, the process ended, or it took too long and was killed.

        """
        self.start()
        began = time.monotonic()
        task = Task(lines.key, lines.data, lines.is_first, lines.carry, lines.skipped, lines.utf8)
        try:
            reply = self._ask(task, Done | Failed, self._spec.budget_seconds)
            if isinstance(reply, Done):
                return self._given(reply, lines, at)
        except TimeoutError:
            self._end()
            raise ProcessorFailedError from OverBudgetError(time.monotonic() - began)
        except (OSError, WireError) as error:
            how = self._end(END_SECONDS) or f"its process gave {error}"
            raise ProcessorFailedError from ProcessDiedError(how)
        if reply.worn:
            self._end()
        if reply.pause is not None:
            raise ProcessorFailedError from PauseError(printable(reply.error[:MOST_TOLD]), reply.pause)
        raise ProcessorFailedError from ReportedError(printable(reply.error[:MOST_TOLD]))

    def kill(self) -> None:
        """See :class:`Host`."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                _kill(self._process)

    def close(self) -> None:
        """See :class:`Host`."""
        self._end()

    def _begin(self) -> None:
        ours, theirs = socket.socketpair()
        self._connection = ours
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        with theirs, self._lock:
            if self._killed:
                raise NotStartedError("the daemon stops")
            # They are blocked until the process can handle them: systemd and Ctrl-C send them to all processes.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "daemon.child"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise NotStartedError(f"its process cannot be started: {describe(error)}") from error
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            reply = self._ask(self._setup, Started | NotStarted, START_SECONDS)
        except TimeoutError:
            raise NotStartedError(f"its process is not ready after {START_SECONDS:.0f} s") from None
        except (OSError, WireError):
            how = self._end(END_SECONDS) or "its process gave no answer"
            raise NotStartedError(f"while it was loaded, {how}") from None
        if isinstance(reply, NotStarted):
            raise NotStartedError(f"its process cannot load it: {printable(reply.error)}")

    def _ask(self, message: Setup | Task, kind: Any, seconds: float) -> Any:
        """The answer to a message.

        Raises:
            TimeoutError: it takes longer than so many seconds.
            WireError, OSError: there will be none.

        """
        connection, process, deadline = self._connection, self._process, time.monotonic() + seconds
        assert connection is not None
        assert process is not None

        def read(buffer: memoryview) -> int:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                connection.settimeout(min(left, LOOK_SECONDS))
                try:
                    return connection.recv_into(buffer)
                except TimeoutError:
                    if _has_ended(process):
                        return 0

        connection.settimeout(max(seconds, 0.001))
        send(connection, message)
        return receive(read, kind)

    def _is_idle(self, connection: socket.socket) -> bool:
        """Whether the process is there, and has nothing to say, as it should be between two tasks."""
        connection.settimeout(0.0)
        try:
            connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return self._process is not None and not _has_ended(self._process)
        except OSError:
            return False
        return False

    def _end(self, patience: float = 0.0) -> str:
        """There is no process after this. Returns how it ended, if it did by itself within some seconds."""
        with self._lock:
            process, self._process = self._process, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if process is None:
            return ""
        ended = _has_ended(process, patience)
        _kill(process)  # and what it has started, which may be there still
        with suppress(subprocess.TimeoutExpired):
            process.wait(KILL_SECONDS)
        return _how(process.returncode) if ended else ""

    def _given(self, done: Done, lines: Lines, at: datetime) -> Given:
        """What it has given; the rows are Arrow's already.

        Raises:
            WireError: that is for other tables.

        """
        if not {*done.rows, *done.updates} <= self._shapes.keys():
            raise WireError("for other tables")
        username, rows, updates = username_of(lines.key), {}, {}
        for name, sheet in done.rows.items():
            shared = self._shapes[name].shared(lines.key, username, self._spec.version, at)
            rows[name] = part_from(self._shapes[name], sheet, shared)
        for name, sheets in done.updates.items():
            updates[name] = [part_from(self._shapes[name], sheet, {"session_file": lines.key}) for sheet in sheets]
        return Given(done.items, rows, updates, done.replaces, done.carry, done.lines, done.malformed, done.ratios)


def _has_ended(process: subprocess.Popen[bytes], patience: float = 0.0) -> bool:
    """Whether it has ended, within so many seconds; its number is not free before it is waited for."""
    ends = time.monotonic() + patience
    while True:
        try:
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
        except ChildProcessError:
            return True
        if time.monotonic() >= ends:
            return False
        time.sleep(POLL_SECONDS)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it, and those that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its process has ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"its process was ended by {name}"
