"""The process of one processor that runs apart from the daemon: ``python -m daemon.child``, started by it alone.

It has one thread, which waits for the next task on the socket that it got as its standard input. It ends when the
daemon closes that socket or kills it, and the kernel kills it when the daemon's thread that started it is gone: so it
never outlives the daemon. What the processor prints goes nowhere.
"""

import ctypes
import gc
import os
import resource
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from importlib.metadata import EntryPoint
from pathlib import Path

import pyarrow as pa

from daemon.errors import ContractError, describe, printable
from daemon.processing import Lines, ProcessorFailedError, cause_of, process
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
    receive,
    send,
    sheet_of,
)
from processors.contract import PauseError
from processors.registry import GROUP, ProcessorError, Registered, register

PR_SET_PDEATHSIG = 1
KILLED_FIRST = 500
"""Where memory is short, the kernel takes this process rather than the daemon (oom_score_adj, -1000 to 1000)."""

LEAST_BYTES = 32 << 20
"""What a processor has to have left of the memory that it may take, once it is loaded."""

GC_THRESHOLDS = (20_000, 10, 100)
"""As in the daemon: rows that are about to be sent are no garbage yet."""


def main() -> None:
    """Be a processor, until the daemon has no more for it."""
    # The processor's own reads and prints must not get in between.
    connection = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), 0)
    _obey_the_daemon_alone()
    try:
        setup = receive(connection.recv_into, Setup)
        try:
            spec, shapes = _loaded(setup)
        except BaseException as error:  # noqa: BLE001  # whatever a plug-in's import raises is the daemon's to tell
            ours = isinstance(error, ProcessorError)
            send(connection, NotStarted(printable(error) if ours else describe(error)))
            return
        send(connection, Started())
        while True:
            send(connection, _done(spec, shapes, receive(connection.recv_into, Task)))
    except (WireError, OSError):
        return  # the daemon wants no more


def _obey_the_daemon_alone() -> None:
    """End with it, and by nothing else: a stop of the service, or Ctrl-C, is for the daemon to handle."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent or parent == 1:  # it was gone before
        os._exit(0)
    stops = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    for number in stops:
        signal.signal(number, lambda *_: None)  # not ignored: what the processor starts would inherit that
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)  # the daemon has blocked them until now
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(f"{KILLED_FIRST}", encoding="ascii")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))  # a core would hold what transcripts say
    # While somebody queries the daemon, it has a limit of its own, which is inherited.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _loaded(setup: Setup) -> tuple[Registered, dict[str, Shape]]:
    """The processor, and the shapes of its tables.

    Raises:
        ProcessorError: it is not the one that the daemon has.
        Exception: whatever its import raises.

    """
    entry = EntryPoint(setup.name, setup.place, GROUP)
    spec = register(entry.load(), setup.place, setup.options, isolation="process", place=setup.place)
    if identity_of(spec) != setup.identity:
        raise ProcessorError(f"{setup.place}: it, or sessiond, is not as it was when the daemon began: restart it")
    declared = {table.name: table for table in spec.tables}
    shapes = {
        name: Shape(declared[name], pa.ipc.read_schema(pa.py_buffer(schema)))
        for name, schema in setup.schemas.items()
    }
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    if setup.memory:
        taken = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
        if taken + LEAST_BYTES > setup.memory:
            raise ProcessorError(f"isolation_memory is too little: {taken >> 20} MB are taken before the first line")
        resource.setrlimit(resource.RLIMIT_DATA, (setup.memory, setup.memory))
    return spec, shapes


def _done(spec: Registered, shapes: Mapping[str, Shape], task: Task) -> Done | Failed:
    lines = Lines(task.key, task.data, task.is_first, task.carry, task.skipped, task.utf8)
    try:
        given = process(spec, shapes, lines, datetime.min)  # noqa: DTZ901  # the daemon has the time
        return Done(
            items=given.items,
            rows={name: sheet_of(shapes[name], part) for name, part in given.rows.items()},
            updates={name: [sheet_of(shapes[name], part) for part in news] for name, news in given.updates.items()},
            replaces=given.replaces,
            carry=given.carry,
            lines=given.lines,
            malformed=given.malformed,
            ratios=dict(given.ratios),
        )
    except (ProcessorFailedError, ContractError, MemoryError, KeyboardInterrupt) as error:
        cause = cause_of(error)
        pause = cause.seconds if isinstance(cause, PauseError) else None
        # One that has used up its memory may be full of what runs before this one have left.
        return Failed(describe(cause), worn=isinstance(cause, MemoryError), pause=pause)


if __name__ == "__main__":
    main()
