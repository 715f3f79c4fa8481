"""Descriptors and threads, after all that takes some: as many as before."""

import os
import signal
import socket
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.bench.report import Row
from tests.system.bounds.rig import Daemon, temporary

ROUNDS = 50
USERS = 20
CLIENTS = 40
PROCESSORS = ("usage", "hanging")
GIVEN_UP = "given up"
SETTINGS = {
    "settle_seconds": 2.1,
    "max_attempts": 2,
    "debounce_ms": 20,
    "max_delay_ms": 100,
    "backoff_seconds": 0.05,
    "backoff_max_seconds": 0.1,
}


def descriptors(place, _options):
    """The row."""
    rounds = place.count(ROUNDS, 2)
    with temporary(place.folder, "descriptors") as folder:
        figures = measure(folder, rounds, users=USERS, clients=CLIENTS)
    before, after = figures["before"], figures["after"]
    return Row(
        "descriptors",
        f"{rounds} rounds of files that change, move and go, a root that is replaced, {CLIENTS} clients that hang,"
        " reloads, runs that fail and hang: descriptors, threads before and after",
        f"{before[0]}, {before[1]}; {after[0]}, {after[1]}; {figures['most_descriptors']}, {figures['most_threads']}"
        " at most",
        "as many",
        before == after,
        figures,
    )


def measure(folder, rounds, *, users, clients, replaced=True):
    """Counts after one round, which has made what is made once, and after all; ``replaced``: the root is, too."""
    root = folder / "root"
    root.mkdir(parents=True)
    hang = {} if replaced else {"BOUNDS_HANG": "1.8"}
    with Daemon(root, folder / "state", *PROCESSORS, env=hang, **SETTINGS) as daemon:
        _round(daemon, 0, users, clients, replaced)
        before, kinds = _at_rest(daemon)
        memory = daemon.memory()
        for number in range(1, rounds + 1):
            _round(daemon, number, users, clients, replaced)
        after, kinds_after = _at_rest(daemon)
        return {
            "before": before,
            "after": after,
            "kinds": {kind: (kinds[kind], kinds_after[kind]) for kind in kinds | kinds_after},
            "most_descriptors": daemon.watched.peak("descriptors"),
            "most_threads": daemon.watched.peak("threads"),
            "memory_mb": (round(memory), round(daemon.memory())),
            "rebuilds": daemon.status()["watch"]["rebuilds"],
            "abandoned": daemon.events()["abandoned"],
        }


def _round(daemon, number, users, clients, replaced):
    root = daemon.root
    with ExitStack() as hanging:
        for client in range(clients):
            hanging.enter_context(_client(daemon, client))
        for user in range(users):
            folder = root / f"user{user}" / f"project-{number}"
            folder.mkdir(parents=True)
            for name in ("kept", "moved", "deleted"):
                (folder / f"{name}.jsonl").write_text('{"type":"user"}\n' * 3)
            (folder / "link.jsonl").symlink_to("kept.jsonl")
            os.mkfifo(folder / "fifo.jsonl")
        (root / "user0" / f"project-{number}" / "kept.jsonl").write_text('{"do":"hang"}\n')
        (root / "user1" / f"project-{number}" / "kept.jsonl").write_text('{"do":"fail"}\n')
        daemon.send(signal.SIGHUP)
        daemon.wait(lambda: daemon.events()["reloaded"] > number, "the reload")
        for user in range(users):
            folder = root / f"user{user}" / f"project-{number}"
            (folder / "moved.jsonl").rename(folder / "renamed.jsonl")
            (folder / "deleted.jsonl").unlink()
            with (folder / "kept.jsonl").open("a") as file:
                file.write('{"type":"user"}\n')
        wanted = number + 1
        daemon.wait(lambda: daemon.events()["abandoned"] >= wanted, "the run that hangs")
        daemon.wait(lambda: daemon.events()["quarantined"] >= wanted, "the run that fails")
    if not replaced:
        return
    rebuilds = daemon.status()["watch"]["rebuilds"]
    aside = root.with_name("aside")
    root.rename(aside)
    daemon.wait(lambda: daemon.status()["watch"]["mode"] == "waiting", "the root to be missed")
    aside.rename(root)
    daemon.wait(lambda: daemon.status()["watch"]["rebuilds"] > rebuilds, "the watcher to be rebuilt")


def _client(daemon, number):
    """Somebody who connects; some say something, and nobody waits for the answer."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(f"{daemon.db}.sock")
    said = [b"", b"GET /status HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"][number % 3]
    with suppress(OSError):
        client.sendall(said)
    return client


def _at_rest(daemon):
    """The counts of descriptors and threads, once they do not change any more."""
    daemon.wait_idle("usage")
    daemon.wait(lambda: not daemon.lane("hanging")["running"], "what hangs to come back")
    before, same, ends = None, 0, time.monotonic() + 60
    while same < 8 and time.monotonic() < ends:
        kinds = _kinds(daemon)
        counts = (kinds.total(), daemon.threads())
        # A thread that was given up keeps its note, whose file is gone, until its run comes back.
        same = same + 1 if counts == before and not kinds[GIVEN_UP] else 0
        before = counts
        time.sleep(0.1)
    return before, kinds


def _kinds(daemon):
    """Descriptors by what they lead to; without the database's log, which comes and goes with checkpoints."""
    found = Counter()
    for each in Path(f"/proc/{daemon.pid}/fd").iterdir():
        with suppress(OSError):
            target = each.readlink()
            if not str(target).endswith((".wal", ".wal.checkpoint")):
                given_up = target.name.endswith("(deleted)")
                found[GIVEN_UP if given_up else target.name.partition(":")[0].partition(".")[0]] += 1
    return found
