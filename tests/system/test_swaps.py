"""Links that are swapped in between two looks, or between a look and its open: no byte from outside is ever read."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon.errors import SessionError
from daemon.scan import scan
from daemon.transcript import Transcripts
from tests.system.swapper import __file__ as swapper_file

LOOKS, SWAPS = 2_000, 2_000
SECONDS = float(os.environ.get("SESSIOND_TEST_SWAP_SECONDS", "0"))
"""How long it goes on, once there were enough looks and swaps; ``python -m tests.swaps`` sets it."""

KEYS = ("alice/f/s.jsonl", "bob/f/s.jsonl", "carol/f/s.jsonl")
OUTSIDE = 666


def prepare(box, line):
    """The sessions, and outside, in the same places, what must not be read; returns the outside folder."""
    outside = box.folder / "outside"
    for number, key in enumerate(KEYS):
        box.append(key, line(number))
        path = outside / key
        path.parent.mkdir(parents=True)
        path.write_bytes(line(OUTSIDE))
        path.with_name("secret.jsonl").write_bytes(line(OUTSIDE))
    return outside


class Swapper:
    """The process that swaps."""

    def __init__(self, box, outside, pause):
        command = [sys.executable, swapper_file, str(box.root), str(outside), str(SWAPS), str(pause)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        """How often it has swapped; all is in its place again."""
        told, _ = self._process.communicate("\n", timeout=60)
        return int(told)


@pytest.fixture
def swapper(box):
    running = []

    def start(outside, pause=0.0):
        running.append(Swapper(box, outside, pause))
        return running[-1]

    yield start
    for each in running:
        each._process.kill()
        each._process.wait()


def test_no_look_ever_reads_a_byte_from_outside(box, line, swapper):
    outside = prepare(box, line)
    transcripts = Transcripts(box.root)
    own = {key: box.path(key).read_bytes() for key in KEYS}
    running = swapper(outside)
    reads = refusals = looks = 0
    ends = time.monotonic() + SECONDS
    while looks < LOOKS or reads < 50 or refusals < 50 or time.monotonic() < ends:
        for key in KEYS:
            looks += 1
            try:
                look = transcripts.look(key, None)
            except SessionError:
                refusals += 1
            else:
                reads += 1
                assert look.data == own[key]
    swaps = running.stop()
    print(f"{swaps:,} swaps, {looks:,} looks: {reads:,} read, {refusals:,} refused")
    assert swaps >= SWAPS


def test_no_scan_ever_lists_a_folder_from_outside(box, line, swapper):
    outside = prepare(box, line)
    running = swapper(outside)
    found = set()

    def see(batch):
        found.update(key for key, _ in batch)

    walks, ends = 0, time.monotonic() + SECONDS
    while walks < LOOKS or found != set(KEYS) or time.monotonic() < ends:
        scan(str(box.root), lambda *_: True, see, lambda *_: None)
        walks += 1
        assert found <= set(KEYS), found
    swaps = running.stop()
    print(f"{swaps:,} swaps, {walks:,} walks")
    assert swaps >= SWAPS


def test_a_daemon_under_swaps_has_the_rows_of_what_is_below_the_root_and_no_other(box, line, swapper, until):
    """Its reads of the outside would show in the access times of a file system that keeps them strictly."""
    outside = prepare(box, line)
    strict = strictly_timed(box.folder / "strict", outside)
    try:
        live = box.live()
        before = times(outside)
        running = swapper(outside, 0.001)  # or all that there is to do would be to hear of it
        ends = time.monotonic() + SECONDS
        opened, scans = live.engine.transcripts.files_opened, len(live.of("scanned"))
        number = 10
        while (
            live.engine.transcripts.files_opened < opened + 50
            or len(live.of("scanned")) < scans + 3
            or time.monotonic() < ends
        ):
            live.engine.changed(KEYS)
            live.survey.request_scan()
            box.append("dave/d.jsonl", line(number))
            number += 1
            live.wait_ids("dave/d.jsonl", range(10, number))  # nobody else waits for that
        swaps = running.stop()
        looks = live.engine.transcripts.files_opened - opened
        print(f"{swaps:,} swaps, {looks:,} files opened, strict access times: {strict}")
        assert swaps >= SWAPS
        for each, key in enumerate(KEYS):
            put_right(box, key, line(each))
            box.append(key, line(100 + each))
            live.wait_ids(key, [each, 100 + each])
        live.wait_idle()
        assert live.query("SELECT count(*) FROM usage_events WHERE event_uuid = ?", f"u{OUTSIDE}") == [(0,)]
        assert live.query("SELECT count(*) FROM session_positions WHERE contains(session_file, 'secret')") == [(0,)]
        assert not [entry for entry in live.entries if "secret" in str(entry)]
        if strict:
            assert times(outside) == before, "a file outside was read"
            shutil.copyfile(outside / KEYS[0], box.folder / "copy")
            assert times(outside) != before, "reads do not show here"
        assert live.stop() == 0
    finally:
        if strict:
            subprocess.run(["umount", str(outside)], check=True)


def strictly_timed(spare, outside):
    """Have the outside on a file system of its own whose access times tell of each read; False: that cannot be."""
    if os.getuid() != 0:
        print("NOT TESTED: access times, which takes root")
        return False
    shutil.copytree(outside, spare)
    mount = ["mount", "-t", "tmpfs", "-o", "strictatime,size=1m", "tmpfs", str(outside)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        print("NOT TESTED: access times, as nothing can be mounted here")
        return False
    shutil.copytree(spare, outside, dirs_exist_ok=True)
    for path in outside.rglob("*"):
        os.utime(path, ns=(1, path.stat().st_mtime_ns))
    return True


def times(outside):
    """When each file was read last."""
    return {path: path.stat().st_atime_ns for path in sorted(outside.rglob("*.jsonl"))}


def put_right(box, key, data):
    """The swapper ends between two rounds, and leaves everything in its place."""
    assert not any(part.is_symlink() for part in (box.root / key, *Path(box.root / key).parents))
    assert box.path(key).read_bytes() == data
