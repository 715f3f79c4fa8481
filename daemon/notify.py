"""sd_notify: tells systemd how the service is. Does nothing where there is no one to tell."""

import os
import resource
import socket
import threading
import time

EXTENSION_SECONDS = 30.0
"""What is asked for at a time, three times as often as it would run out."""

LEAST_WORK = 0.1
"""Less than this in a third of that time, in seconds of computing or blocks, is none: threads that only wait wake up
now and then."""


def notify(*lines: str) -> None:
    """Send lines of the protocol, ``READY=1`` for example; see sd_notify(3). Never fails."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)  # one who does not read must not hold up the service
            sender.connect(address)
            sender.sendall("\n".join(lines).encode())
    except OSError:
        pass  # a supervisor that does not listen is no reason to stop


def reloading() -> None:
    """The configuration is being read again; ``READY=1`` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


class Patience:
    """Asks systemd to wait while a start or a stop goes on, from :meth:`begin` to :meth:`end`.

    Only as long as the process does something: it computes, or moves blocks from or to a disk. So one that hangs runs
    into the time limit all the same. Owns the thread *patience*, which dies with the process and is missed by nobody.
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="patience", daemon=True)

    def begin(self) -> None:
        """From here on it is asked for."""
        if os.environ.get("NOTIFY_SOCKET"):
            self._thread.start()

    def end(self) -> None:
        """It is not asked for any more."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _ask(self) -> None:
        done = -LEAST_WORK
        while not self._over.is_set():
            before, done = done, _work()
            if done - before >= LEAST_WORK:
                notify(f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1e6:.0f}")
            self._over.wait(EXTENSION_SECONDS / 3)


def _work() -> float:
    """What the process has done so far: seconds of computing, and blocks that it has read and written."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime + used.ru_inblock + used.ru_oublock
