"""A watcher that goes deaf, wholly or in part: it is noticed, rebuilt or replaced by scans, and nothing is missed."""

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from processors import ProcessorResult


@pytest.fixture
def live(box, line):
    """A daemon with one session, alice/a.jsonl, and its first scan behind it."""
    box.append("alice/a.jsonl", line(0))
    live = box.live()
    live.wait_ids("alice/a.jsonl", [0])
    live.wait("scanned")
    live.wait_idle()
    return live


def _kill_handler(live, monkeypatch):
    def die(_event):
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(live.watch, "dispatch", die)
        observer = live.watch._observer
        (Path(live.survey._root) / "alice" / "trigger.jsonl").touch()
        observer.join(30)
        assert not observer.is_alive()


def _kill_emitters(live, _monkeypatch):
    for emitter in live.watch._observer.emitters:
        emitter.stop()
        emitter.join(30)


def _kill_reader(live, _monkeypatch):
    thread = live.watch._observer._inotify_fd
    thread.stop()
    thread.join(30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that is how it dies
@pytest.mark.parametrize("kill", [_kill_handler, _kill_emitters, _kill_reader])
def test_a_dead_thread_of_the_watcher_is_noticed_and_nothing_is_missed(box, live, line, monkeypatch, kill):
    kill(live, monkeypatch)
    box.append("alice/a.jsonl", line(1))
    box.append("new/b.jsonl", line(2))
    live.wait("watch_doubted")
    live.wait_ids("alice/a.jsonl", [0, 1])
    live.wait_ids("new/b.jsonl", [2])
    live.wait("watch_armed", 2)
    live.wait("scanned", 2)
    box.append("new/b.jsonl", line(3))
    live.wait_ids("new/b.jsonl", [2, 3])
    assert len(live.of("watch_doubted")) == 1
    assert live.stop() == 0


def test_a_root_that_is_removed_and_made_again(box, live, line):
    shutil.rmtree(box.root)
    live.wait("waiting_for_root")
    box.append("alice/a.jsonl", line(5))
    live.wait_ids("alice/a.jsonl", [5])
    live.wait("watch_armed", 2)
    box.append("bob/b.jsonl", line(6))
    live.wait_ids("bob/b.jsonl", [6])
    assert len(live.of("waiting_for_root")) == 1


def test_a_root_that_is_renamed_is_not_followed(box, live, line):
    moved = box.root.rename(box.folder / "elsewhere")
    live.wait("waiting_for_root")
    with (moved / "alice" / "a.jsonl").open("ab") as file:
        file.write(line(1))
    box.root.mkdir()
    live.wait("watch_armed", 2)
    box.append("bob/b.jsonl", line(2))
    live.wait_ids("bob/b.jsonl", [2])
    live.wait_idle()
    assert live.ids("alice/a.jsonl") == [0]  # as a deleted session, it keeps what it had


def test_a_root_that_comes_back_under_its_name(box, live, line):
    moved = box.root.rename(box.folder / "elsewhere")
    live.wait("waiting_for_root")
    moved.rename(box.root)
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [0, 1])


def test_a_root_that_is_replaced_by_another(box, live, line):
    other = box.folder / "other"
    (other / "carol").mkdir(parents=True)
    (other / "carol" / "c.jsonl").write_bytes(line(7))
    box.root.rename(box.folder / "old")
    other.rename(box.root)
    live.wait_ids("carol/c.jsonl", [7])
    box.append("carol/c.jsonl", line(8))
    live.wait_ids("carol/c.jsonl", [7, 8])


def test_a_root_that_is_missing_at_the_start_is_waited_for(box, line):
    box.root.rmdir()
    live = box.live()
    live.wait("waiting_for_root")
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])
    live.wait("watch_armed")
    box.append("alice/a.jsonl", line(2))
    live.wait_ids("alice/a.jsonl", [1, 2])
    assert len(live.of("waiting_for_root")) == 1


def test_a_daemon_that_waits_for_its_root_stops_at_once(box):
    box.root.rmdir()
    daemon = box.child()
    daemon.wait("waiting_for_root")
    assert daemon.stop() == 0


def test_events_that_the_watcher_drops_are_made_up_for_by_a_scan(box, live, line, monkeypatch):
    hear = live.watch.dispatch
    monkeypatch.setattr(live.watch, "dispatch", lambda event: "a.jsonl" in event.src_path or hear(event))
    box.append("alice/a.jsonl", line(1))
    live.watch.overflow()
    live.wait("overflowed")
    live.wait_ids("alice/a.jsonl", [0, 1])


def test_a_real_overflow_of_the_kernels_queue_loses_nothing(box, until):
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip(f"fs.inotify.max_queued_events is {limit}: too large to be filled in a test")
    daemon = box.daemon()
    box.append("alice/a.jsonl", b"{}\n")
    daemon.wait_lines("alice/a.jsonl", 1)
    box.append("bob/b.jsonl", b"{}\n")
    daemon.wait_lines("bob/b.jsonl", 1)
    daemon.send(signal.SIGSTOP)
    status = Path(f"/proc/{daemon.process.pid}/stat")
    until(lambda: status.read_text().rpartition(")")[2].split()[0], "T")
    try:
        with box.path("alice/a.jsonl").open("ab", 0) as one, box.path("bob/b.jsonl").open("ab", 0) as other:
            for _ in range(limit // 2 + 1000):  # in turn, as equal events in a row are one
                one.write(b"{}\n")
                other.write(b"{}\n")
        box.append("carol/late.jsonl", b"{}\n")
    finally:
        daemon.send(signal.SIGCONT)
    daemon.wait("overflowed")
    daemon.wait_lines("alice/a.jsonl", limit // 2 + 1001)
    daemon.wait_lines("carol/late.jsonl", 1)
    daemon.wait_quiet()
    assert daemon.stop() == 0
    wanted = [("alice", limit // 2 + 1001), ("bob", limit // 2 + 1001), ("carol", 1)]
    assert box.query("SELECT username, lines FROM usage_session_summary ORDER BY ALL") == wanted


def _limited(box, watches, **settings):
    """A daemon that may have so many watches: in a user namespace of its own, the limit is its own."""
    limit = "/proc/sys/user/max_inotify_watches"
    shell = ["unshare", "--user", "--map-root-user", "sh", "-c", f'echo {watches} > {limit} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*shell, "true"], check=False).returncode:
        pytest.skip("the number of watches cannot be limited: no user namespaces here")
    return box.child(before=shell, **settings)


@pytest.mark.parametrize("watches", [0, 3])
def test_too_few_watches_are_said_once_and_scans_take_their_place(box, line, watches):
    for number in range(6):
        box.append(f"u{number}/a.jsonl", line(number))
    daemon = _limited(box, watches, fallback_scan_seconds=0.5)
    degraded = daemon.wait("watch_degraded")
    assert "max_user_watches" in degraded["hint"]
    for number in range(6):
        daemon.wait_lines(f"u{number}/a.jsonl", 1)
    for number in range(6):
        box.append(f"u{number}/a.jsonl", line(number + 10))
    for number in range(6):
        daemon.wait_lines(f"u{number}/a.jsonl", 2)
    box.append("late/a.jsonl", line(20))
    daemon.wait_lines("late/a.jsonl", 1)
    daemon.wait("scanned", len(daemon.of("scanned")) + 3)
    assert len(daemon.of("watch_degraded")) == 1
    assert not daemon.of("missed")
    assert daemon.stop() == 0
    assert box.query("SELECT sum(lines) FROM usage_session_summary") == [(13,)]


def test_the_limit_of_watches_is_reached_while_running(box, line):
    box.append("alice/a.jsonl", line(0))
    daemon = _limited(box, 3, scan_seconds=3600, fallback_scan_seconds=0.5)
    daemon.wait_lines("alice/a.jsonl", 1)
    for number in range(5):
        box.append(f"u{number}/a.jsonl", line(number))
    for number in range(5):
        daemon.wait_lines(f"u{number}/a.jsonl", 1)
    daemon.wait("watch_degraded")
    box.append("u4/a.jsonl", line(9))
    daemon.wait_lines("u4/a.jsonl", 2)
    assert daemon.stop() == 0


def test_a_change_that_the_watcher_missed_is_found_by_the_audit(box, line, until, monkeypatch):
    box.append("alice/a.jsonl", line(0))
    live = box.live(scan_seconds=1)
    until(lambda: live.query("SELECT settled FROM session_positions"), [(True,)])
    live.wait("scanned", len(live.of("scanned")) + 1)
    with monkeypatch.context() as patch:
        patch.setattr(live.watch, "dispatch", lambda _event: None)
        box.append("alice/a.jsonl", line(1))
        live.wait("missed", session_file="alice/a.jsonl")
        live.wait_ids("alice/a.jsonl", [0, 1])
    live.wait("watch_armed", 2)
    box.append("alice/a.jsonl", line(2))
    live.wait_ids("alice/a.jsonl", [0, 1, 2])
    assert len(live.of("missed")) == 1


def test_the_audit_does_not_take_what_is_on_its_way_for_missed(box, line):
    live = box.live(scan_seconds=1)
    number = 0
    while len(live.of("scanned")) < 4:
        box.append(f"u{number % 5}/{number % 50}.jsonl", line(number))
        number += 1
        live.wait("committed", 1 + number // 100)
    assert not live.of("missed")
    assert len(live.of("watch_armed")) == 1


def test_a_folder_that_may_be_read_again_is_read_and_watched(box, line):
    before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if before and shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and there is no setpriv here")
    box.append("alice/a.jsonl", line(0))
    daemon = box.child(before=before)
    daemon.wait_lines("alice/a.jsonl", 1)
    folder = box.root / "alice"
    folder.chmod(0)
    if os.geteuid() == 0:  # what comes while nobody may look
        box.append("alice/p/b.jsonl", line(1))
        daemon.wait("refused")
    box.append("bob/c.jsonl", line(2))
    daemon.wait_lines("bob/c.jsonl", 1)
    folder.chmod(0o755)
    box.append("alice/p/b.jsonl", line(3))
    daemon.wait_lines("alice/p/b.jsonl", 2 if os.geteuid() == 0 else 1)
    daemon.wait("watch_armed", 2 if os.geteuid() == 0 else 1)
    box.append("alice/p/b.jsonl", line(4))
    daemon.wait_lines("alice/p/b.jsonl", 3 if os.geteuid() == 0 else 2)
    assert daemon.stop() == 0


class Blocked:
    """Holds each run up until it may go on."""

    name = "blocked"

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()

    def process(self, batch):
        self.begun.set()
        assert self.go.wait(30)
        return ProcessorResult()


def test_what_a_scan_finds_of_a_session_that_is_just_being_run_is_not_lost(box, line, monkeypatch):
    """The run has looked at the file before it changed, and the event is lost, as when the kernel's queue is full."""
    blocked = Blocked()
    live = box.live(blocked, settle_seconds=3600)
    box.append("alice/a.jsonl", line(0))
    assert blocked.begun.wait(30)
    hear = live.watch.dispatch
    monkeypatch.setattr(live.watch, "dispatch", lambda event: "a.jsonl" in event.src_path or hear(event))
    box.append("alice/a.jsonl", line(1))
    assert live.survey.scanned_since(live.survey.ask_scan(), 30)
    blocked.go.set()
    live.wait_lines("alice/a.jsonl", 2, processor="blocked")
    assert live.of("missed") == []  # for all one knows


def _group(live):
    """What watchdog knows of the root's watches."""
    return next(emitter._inotify for emitter in live.watch._observer.emitters if emitter.watch.is_recursive)


def test_a_folder_that_is_made_in_one_that_is_moved_at_once_is_watched(box, live, line, until):
    box.path("bob/x.jsonl")
    until(live.watch.watches, 3)
    with _group(live)._lock:  # both have happened when the first of them is told
        box.path("bob/deep/er/b.jsonl").touch()
        (box.root / "bob").rename(box.root / "carol")
    until(live.watch.watches, 5)
    box.append("carol/deep/er/b.jsonl", line(1))
    live.wait_ids("carol/deep/er/b.jsonl", [1])
    assert len(live.of("watch_armed")) == 1


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("ends", ["folder", "watcher"])
def test_a_folder_that_was_moved_out_and_had_a_successor_goes_without_a_trace(box, live, until, ends):
    folder, outside = box.root / "alice" / "project", box.folder / "outside"
    folder.mkdir()
    until(live.watch.watches, 3)
    folder.rename(outside)
    folder.mkdir()
    until(live.watch.watches, 4)
    folder.rmdir()
    until(live.watch.watches, 3)
    reader = live.watch._observer._inotify_fd
    if ends == "folder":
        outside.rmdir()
        until(live.watch.watches, 2)
        assert reader.is_alive()
    else:
        live.survey.request_rebuild()
        live.wait("watch_armed", 2)
        until(reader.is_alive, wanted=False)
    assert not live.of("watch_doubted")


def test_changes_that_there_is_no_room_for_are_found_by_a_scan_and_the_watcher_is_not_blamed(
    box, live, line, until, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("daemon.lane_state.MOST_WAITING", 0)
        box.append("alice/a.jsonl", line(1))
        until(lambda: live.service._swamped)
        box.append("bob/b.jsonl", line(2))
        until(lambda: "bob/b.jsonl" in live.watch._before)
    live.wait_ids("alice/a.jsonl", [0, 1])
    live.wait_ids("bob/b.jsonl", [2])
    live.wait("scanned", 2)
    assert not live.of("missed")
    assert len(live.of("watch_armed")) == 1


def test_a_watcher_that_is_ended_while_it_is_asked_does_not_end_the_daemon(live, monkeypatch):
    observer = live.watch._observer
    monkeypatch.setattr(_group(live)._move_event_grouper, "put_event", lambda _event: observer.unschedule_all())
    live.watch._touched = 0.0
    live.wait("watch_armed", 2)
    assert live.stop() == 0


def test_a_root_that_was_gone_just_when_a_session_was_looked_at(box, line, until, monkeypatch):
    """Nobody else notices one that is away for less than a second."""
    live = box.live(scan_seconds=3600)
    monkeypatch.setattr(live.watch, "doubt", lambda: None)
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])
    away = box.root.with_name("away")
    looked = threading.Event()
    gone = live.engine._workers[0]._outcomes._gone

    def tell(key):
        gone(key)
        looked.set()

    monkeypatch.setattr(live.engine._workers[0]._outcomes, "_gone", tell)
    box.root.rename(away)
    with (away / "alice/a.jsonl").open("ab") as file:
        file.write(line(2))
    assert looked.wait(30)
    away.rename(box.root)
    live.wait_ids("alice/a.jsonl", [1, 2])
    assert not live.of("missed")
