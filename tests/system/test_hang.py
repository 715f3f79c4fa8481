"""A part of the daemon that hangs: the process ends and says which one it was, and the next one loses nothing.

A run of a processor that hangs is another matter: it is abandoned, see ``test_processors``.
"""

import threading

import pytest

SABOTEUR = """
import os, threading
from watchdog.observers.inotify import InotifyEmitter
from daemon import outcome, progress, survey, watch, writer
from processors import ProcessorResult
from processors.usage import UsageProcessor

progress.WRITER_SECONDS = progress.LANE_SECONDS = progress.SCANNER_SECONDS = (1.0, 2.0)
progress.WATCHER_SECONDS = (2.0, 60.0)
watch.CANARY_SECONDS, watch.STOP_SECONDS = 0.5, 1.0
UsageProcessor.budget_seconds = 1.0


first = []


def is_first(outcomes, *_):
    # Of the usage processor, whichever of the two is the quicker one.
    if outcomes._name != "usage":
        return False
    first.append(outcomes)
    return len(first) == 1


def hangs(owner, name, which=lambda *args: True):
    real = getattr(owner, name)

    def hang(*args, **named):
        if os.path.exists(os.environ["HANG_WHEN"]) and which(*args):
            threading.Event().wait()
        return real(*args, **named)

    setattr(owner, name, hang)


hangs(*{
    "writer": (writer, "apply"),
    "scanner": (survey, "scan"),
    "watcher": (watch.Watch, "dispatch"),
    # The thread that reads what happens below the root, and not the one that reads what happens to the canary.
    "emitter": (InotifyEmitter, "queue_events", lambda emitter, _: emitter.watch.is_recursive),
    "lane": (outcome.Outcomes, "submit"),
    "worker": (outcome.Outcomes, "submit", is_first),
    "main": (survey.Survey, "mark"),
}[os.environ["HANG_PART"]])


class P:
    name = "saboteur"

    def process(self, batch):
        return ProcessorResult()
"""


@pytest.fixture
def sabotaged(box, monkeypatch):
    """Starts a daemon of which a part hangs as soon as a file is there; gives both."""
    box.plugin("saboteur", SABOTEUR)
    env, when = box.env, box.folder / "now"

    def start(part, **settings):
        monkeypatch.setattr(
            box, "env", lambda **settings: env(**settings) | {"HANG_PART": part, "HANG_WHEN": str(when)}
        )
        daemon = box.daemon(**{"processors": '["usage", "saboteur"]', "scan_seconds": 1} | settings)
        monkeypatch.setattr(box, "env", env)
        return daemon, when

    return start


def appends(box, daemon, line):
    """Somebody else's session goes on, and is processed."""
    number = 0
    while daemon.process.poll() is None:
        box.append("bob/b.jsonl", line(number := number + 1))
        waited = threading.Event()
        waited.wait(0.1)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("writer", "the writer makes no progress"),
        ("scanner", "the scanner makes no progress"),
        ("watcher", "the scanner has stopped"),  # it could not end the watcher, which it was to build anew
        ("lane", "usage makes no progress"),
        ("worker", "usage makes no progress"),  # while the lane's other one works
    ],
)
def test_a_part_that_hangs_ends_the_process_and_nothing_is_lost_or_doubled(box, line, sabotaged, part, said):
    daemon, when = sabotaged(part)
    box.append("alice/a.jsonl", line(1))
    daemon.wait_lines("alice/a.jsonl", 1)
    when.touch()
    box.append("alice/a.jsonl", line(2))
    if part == "worker":
        daemon.wait_lines("alice/a.jsonl", 2, processor="saboteur")
        others = threading.Thread(target=appends, args=(box, daemon, line))
        others.start()
    assert daemon.ended(60) == 1
    if part == "worker":
        others.join()
    assert said in daemon.of("stopping")[0]["reason"]
    assert daemon.of("part_failed", level="error")
    assert not daemon.of("not JSON")
    again = box.daemon()
    box.append("alice/a.jsonl", line(3))
    again.wait_quiet()
    again.stop()
    ids = box.query("SELECT event_uuid FROM usage_events WHERE username = 'alice' ORDER BY ALL")
    assert ids == [("u1",), ("u2",), ("u3",)]


def test_a_thread_that_reads_for_the_root_alone_is_missed_though_the_others_are_well(box, line, sabotaged):
    daemon, when = sabotaged("emitter", scan_seconds=3600)
    box.append("alice/a.jsonl", line(1))
    daemon.wait_lines("alice/a.jsonl", 1)
    when.touch()
    box.append("alice/a.jsonl", line(2))  # which wakes the thread, and it hangs
    daemon.wait("watch_doubted", seconds=60)
    when.unlink()  # the thread hangs on; the watcher is built anew without it, or the process ends
    again = box.daemon() if daemon.process.poll() is not None else daemon
    again.wait_lines("alice/a.jsonl", 1)


def test_while_the_main_loop_hangs_the_supervisor_hears_nothing(box, sabotaged):
    daemon, when = sabotaged("main")
    daemon.status()
    when.touch()
    heard = True
    while heard:
        try:
            daemon.status(seconds=3)
        except AssertionError:
            heard = False
    assert daemon.process.poll() is None


def test_a_watcher_that_is_deaf_is_built_anew_and_the_process_goes_on(box, line, until):
    live = box.live()
    live.wait("watch_armed")
    # As when the kernel forgets the watches: nothing is reported any more, and each thread is well.
    until(live.watch._canary_works.is_set, seconds=60)
    live.watch._observer.unschedule_all()
    live.service._watcher.slow = 2.0
    live.wait("watch_armed", times=2, seconds=60)
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])
    assert live.of("missed") == []
    assert live.stop() == 0
