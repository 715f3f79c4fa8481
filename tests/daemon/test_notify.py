"""What is told to systemd while a start or a stop takes long: only that which is true."""

import os
import socket
import subprocess
import sys

import pytest

BUSY = "while True: pass"
IDLE = "import time; time.sleep(3600)"
CHILD = """
import os, threading
from daemon import notify
notify.EXTENSION_SECONDS = 0.6
patience = notify.Patience()
patience.begin()
{}
"""


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """A socket in systemd's place, and its address as a service gets it."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("notify")
        yield server, str(tmp_path / "notify")


def heard(server, least, most):
    """What was sent until nothing more comes; more than the least is not waited for long."""
    told = []
    while len(told) < most:
        server.settimeout(30.0 if len(told) < least else 2.0)  # the next one would come after 0.2 s
        try:
            told.append(server.recv(4096).decode())
        except TimeoutError:
            break
    return told


@pytest.mark.parametrize(("doing", "least", "most"), [(BUSY, 5, 5), (IDLE, 1, 1), ("patience.end()\n" + BUSY, 1, 2)])
def test_it_is_asked_for_more_time_only_while_something_is_done(systemd, doing, least, most):
    server, address = systemd
    with subprocess.Popen(
        [sys.executable, "-c", CHILD.format(doing)], env=os.environ | {"NOTIFY_SOCKET": address}
    ) as child:
        try:
            told = heard(server, least, 5)
        finally:
            child.kill()
    assert set(told) == {"EXTEND_TIMEOUT_USEC=600000"}
    assert least <= len(told) <= most
