"""What the processors under torture do where a line says so: fail, hang, return rubbish, end the process.

A line ``{"torture": [what, id, times, who]}`` makes the processor ``who`` misbehave in its first so many runs on it.
And the daemon's clock is off by what the file ``clock`` says.
"""

import ctypes
import json
import os
import resource
import threading
import time
from pathlib import Path

from daemon.transcript import Transcripts

HERE = Path(__file__).parent
BUDGET = 3.0
HOARD_BYTES = 64 << 20
PAGE = resource.getpagesize()
RUBBISH = "rubbish"


def _now_ns():
    try:
        return time.time_ns() + int((HERE / "clock").read_text() or 0) * 10**9
    except FileNotFoundError:
        return time.time_ns()


Transcripts.__init__.__kwdefaults__["now_ns"] = _now_ns


def _exhaust():
    """As where the process may have no more memory: for all of its threads."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
    hoard = []
    resource.setrlimit(resource.RLIMIT_AS, (now + HOARD_BYTES, limits[1]))
    try:
        while True:
            hoard.append(bytearray(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _raise():
    raise ValueError("as the script wants it")


ACTS = {
    "raise": _raise,
    "exit": lambda: os._exit(9),
    "segfault": lambda: ctypes.string_at(0),
    "memory": _exhaust,
    "hang": lambda: threading.Event().wait(BUDGET + 3),
    "rubbish": lambda: RUBBISH,
}


def misbehave(who, lines):
    """Do what a line says; returns :data:`RUBBISH` if rubbish is to be returned."""
    for line in lines:
        if not line.startswith(b'{"torture":'):
            continue
        what, name, times, whose = json.loads(line)["torture"]
        if whose != who:
            continue
        tried = HERE / "tried" / str(name)
        with tried.open("ab") as file:
            file.write(b".")
        if tried.stat().st_size <= times and ACTS[what]() == RUBBISH:
            return RUBBISH
    return None
