"""From an append to rows: what a person sees who writes transcripts while the daemon runs."""

import os
import threading
from pathlib import Path

import pytest

from processors import ProcessorResult
from processors.usage import UsageProcessor


def test_an_append_becomes_a_row(box, line):
    live = box.live()
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])
    box.append("alice/a.jsonl", line(2), line(3))
    live.wait_ids("alice/a.jsonl", [1, 2, 3])
    rows = live.query("SELECT DISTINCT session_file, username, processor_version FROM usage_events")
    assert rows == [("alice/a.jsonl", "alice", UsageProcessor.version)]


def test_what_was_there_before_the_start_is_processed(box, line):
    box.append("alice/a.jsonl", line(1))
    box.append("bob/deep/er/b.jsonl", line(2))
    live = box.live()
    live.wait_ids("alice/a.jsonl", [1])
    live.wait_ids("bob/deep/er/b.jsonl", [2])


def test_what_was_written_while_the_daemon_was_down_is_processed_once(box, line):
    live = box.live()
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])
    assert live.stop() == 0
    box.append("alice/a.jsonl", line(2))
    live = box.live()
    live.wait_ids("alice/a.jsonl", [1, 2])


def test_an_unchanged_session_is_not_opened_again_after_a_restart(box, line, until):
    box.append("alice/a.jsonl", line(1))
    os.utime(box.path("alice/a.jsonl"), (1_000_000_000, 1_000_000_000))
    live = box.live()
    live.wait_ids("alice/a.jsonl", [1])
    until(lambda: live.query("SELECT settled FROM session_positions"), [(True,)])  # one more look is due
    live.stop()
    again = box.live()
    again.wait("scanned")
    again.wait_idle()
    assert again.engine.transcripts.files_opened == 0


@pytest.mark.parametrize(
    "key",
    ["alice/new.jsonl", "carol/a.jsonl", "alice/s/subagents/agent-1.jsonl", "dave/a/b/c/d/e/f.jsonl"],
)
def test_a_session_in_a_new_place_is_found(box, line, key):
    box.append("alice/a.jsonl", line(0))
    live = box.live()
    box.append(key, line(1))
    live.wait_ids(key, [1])
    box.append(key, line(2))
    live.wait_ids(key, [1, 2])


def test_a_folder_that_is_moved_in_is_found_and_watched(box, line):
    live = box.live()
    outside = box.folder / "outside"
    (outside / "s" / "subagents").mkdir(parents=True)
    (outside / "a.jsonl").write_bytes(line(1))
    (outside / "s" / "subagents" / "agent.jsonl").write_bytes(line(2))
    outside.rename(box.root / "erin")
    live.wait_ids("erin/a.jsonl", [1])
    live.wait_ids("erin/s/subagents/agent.jsonl", [2])
    box.append("erin/s/subagents/agent.jsonl", line(3))
    live.wait_ids("erin/s/subagents/agent.jsonl", [2, 3])


def test_folders_made_and_filled_at_full_speed_are_all_found(box, line, until):
    live = box.live()
    for number in range(150):
        box.append(f"u{number % 7}/s{number}/subagents/a.jsonl", line(number))
    until(lambda: live.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events"), [(150, 150)])


def test_half_a_line_is_held_back_until_it_is_whole(box, line):
    live = box.live()
    whole = line(2)
    box.append("alice/a.jsonl", line(1), whole[:40])
    live.wait_ids("alice/a.jsonl", [1])
    box.append("alice/a.jsonl", whole[40:80])
    box.append("alice/b.jsonl", line(3))
    live.wait_ids("alice/b.jsonl", [3])
    assert live.ids("alice/a.jsonl") == [1]
    box.append("alice/a.jsonl", whole[80:])
    live.wait_ids("alice/a.jsonl", [1, 2])
    summary = "SELECT lines, malformed_lines FROM usage_session_summary WHERE session_file = 'alice/a.jsonl'"
    assert live.query(summary) == [(2, 0)]


def test_half_a_line_survives_a_restart(box, line):
    live = box.live()
    whole = line(2)
    box.append("alice/a.jsonl", line(1), whole[:40])
    live.wait_ids("alice/a.jsonl", [1])
    live.stop()
    live = box.live()
    box.append("alice/a.jsonl", whole[40:])
    live.wait_ids("alice/a.jsonl", [1, 2])


def test_a_whole_object_counts_before_its_newline_and_the_newline_counts_nothing(box, line):
    live = box.live()
    box.append("alice/a.jsonl", line(1).rstrip(b"\n"))
    live.wait_ids("alice/a.jsonl", [1])
    live.wait_idle()
    box.append("alice/a.jsonl", b"\n")
    box.append("alice/a.jsonl", line(2))
    live.wait_ids("alice/a.jsonl", [1, 2])
    box.append("alice/a.jsonl", line(3).rstrip(b"\n"), b"\r\n", line(4))
    live.wait_ids("alice/a.jsonl", [1, 2, 3, 4])
    summary = "SELECT lines, malformed_lines FROM usage_session_summary"
    assert live.query(summary) == [(4, 0)]


def test_a_tail_that_was_taken_for_whole_and_goes_on_is_counted_as_it_stands(box, line):
    live = box.live()
    box.append("alice/a.jsonl", line(1), line(2).rstrip(b"\n"))
    live.wait_ids("alice/a.jsonl", [1, 2])
    box.append("alice/a.jsonl", b"garbage\n", line(3))
    live.wait_ids("alice/a.jsonl", [1, 3])
    assert live.query("SELECT lines, malformed_lines FROM usage_session_summary") == [(2, 1)]


def test_ten_appends_within_the_debounce_are_one_run(box, line):
    box.path("alice/a.jsonl")  # a folder that is new in its place is scanned, and what is in it is backlog
    live = box.live(debounce_ms=1500, max_delay_ms=20_000)
    for number in range(10):
        box.append("alice/a.jsonl", line(number))
    live.wait_ids("alice/a.jsonl", range(10))
    live.wait_idle()
    assert [run["lines"] for run in live.of("processed") if run["lines"]] == [10]


def test_appends_without_a_pause_are_not_put_off_for_ever(box, line):
    live = box.live(debounce_ms=60_000, max_delay_ms=300)
    number = 0
    while not live.of("processed"):
        box.append("alice/a.jsonl", line(number))
        number += 1
    live.wait_ids("alice/a.jsonl", range(number))


class _Gated:
    """Stops in its first run until it is let go, and keeps the order in which sessions came."""

    name = "gated"

    def __init__(self):
        self.order, self.running, self.go = [], threading.Event(), threading.Event()

    def process(self, batch):
        self.order.append(batch.session_key)
        self.running.set()
        self.go.wait(60)
        return ProcessorResult()


def test_a_live_change_goes_before_the_backlog(box, line, until):
    for number in range(50):
        box.append(f"alice/{number}.jsonl", line(number))
    gated = _Gated()
    live = box.live(gated, workers=1, debounce_ms=0)
    try:
        assert gated.running.wait(30)
        until(lambda: live.engine.lanes[0].counts()["backlog"], 49)
        box.append("bob/live.jsonl", line(50))
        until(lambda: live.engine.lanes[0].counts()["live"], 1)
        assert len(gated.order) == 1
    finally:
        gated.go.set()
    until(lambda: len(gated.order), 51)
    assert gated.order[1] == "bob/live.jsonl"


def test_files_that_are_no_sessions_are_left_alone(box, line):
    live = box.live()
    for name in ("direct.jsonl", "alice/notes.txt", "alice/a.jsonl.tmp", "alice/.jsonl.swp"):
        box.append(name, line(1))
    box.append("alice/a.jsonl", line(2))
    live.wait_ids("alice/a.jsonl", [2])
    live.wait_idle()
    assert live.query("SELECT DISTINCT session_file FROM session_positions") == [("alice/a.jsonl",)]


@pytest.mark.parametrize("deep", [False, True], ids=["new user", "known user"])
def test_a_root_that_is_a_link_works(box, line, deep):
    (box.folder / "link").symlink_to(box.root)
    if deep:
        box.append("alice/b.jsonl", line(0))
    live = box.live(root=box.folder / "link")
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])


def test_a_relative_root_works(box, line, monkeypatch):
    monkeypatch.chdir(box.folder)
    live = box.live(root=Path("root"))
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])
