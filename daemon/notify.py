"""sd_notify: tells systemd how the service is. Does nothing where there is no one to tell."""

import os
import socket
import time


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


def watchdog_seconds() -> float | None:
    """How often systemd wants to hear from this process, if it does."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    micros = os.environ.get("WATCHDOG_USEC", "")
    return int(micros) / 1e6 if micros.isdigit() and int(micros) else None
