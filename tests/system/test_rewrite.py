"""Files that change otherwise than by growing: their rows are replaced, kept, or taken along, and never doubled."""

import os
import shutil
import threading

import pytest

from processors import ProcessorResult, Table


@pytest.fixture
def ten(box, line):
    """A daemon that has processed ten lines of alice/a.jsonl, and the path of that file."""
    box.append("alice/a.jsonl", *map(line, range(10)))
    live = box.live()
    live.wait_ids("alice/a.jsonl", range(10))
    live.wait_idle()
    return live, box.path("alice/a.jsonl")


def _names(live):
    return {key for (key,) in live.query("SELECT DISTINCT session_file FROM usage_events")}


def test_truncated(ten, line):
    live, path = ten
    os.truncate(path, len(line(0)) * 4)
    live.wait_ids("alice/a.jsonl", range(4))
    live.wait("rewritten", session_file="alice/a.jsonl")


def test_truncated_to_nothing(ten):
    live, path = ten
    os.truncate(path, 0)
    live.wait_ids("alice/a.jsonl", [])


def test_truncated_and_written_anew_in_one_go(ten, line):
    live, path = ten
    path.write_bytes(b"".join(map(line, range(100, 150))))
    live.wait_ids("alice/a.jsonl", range(100, 150))


def test_replaced_by_a_rename(box, ten, line):
    live, path = ten
    new = box.folder / "new"
    new.write_bytes(b"".join(map(line, range(5, 25))))
    new.rename(path)
    live.wait_ids("alice/a.jsonl", range(5, 25))


def test_replaced_by_a_longer_copy_of_itself_goes_on(box, ten, line):
    live, path = ten
    new = box.folder / "new"
    new.write_bytes(path.read_bytes() + line(10))
    new.rename(path)
    live.wait_ids("alice/a.jsonl", range(11))
    live.wait_idle()
    assert not live.of("rewritten")


def test_copied_over_with_an_mtime_from_the_past(box, ten, line):
    live, path = ten
    new = box.folder / "new"
    new.write_bytes(path.read_bytes() + line(10))
    os.utime(new, (1_000_000_000, 1_000_000_000))
    shutil.copy2(new, path)
    assert path.stat().st_mtime == 1_000_000_000
    live.wait_ids("alice/a.jsonl", range(11))


def _edit(path, old, new):
    """Change bytes in place, without the size or the mtime showing it."""
    status, content = path.stat(), path.read_bytes()
    at = content.index(old)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(new)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def test_edited_in_the_middle_with_size_and_mtime_as_before(ten):
    live, path = ten
    _edit(path, b'"u5"', b'"u7"')
    live.wait_ids("alice/a.jsonl", [0, 1, 2, 3, 4, 6, 7, 7, 8, 9])


def test_edited_in_the_middle_while_the_daemon_is_down(box, ten):
    live, path = ten
    live.stop()
    _edit(path, b'"u5"', b'"u7"')
    box.live().wait_ids("alice/a.jsonl", [0, 1, 2, 3, 4, 6, 7, 7, 8, 9])


def test_edited_in_the_middle_and_appended_to_at_once_is_seen_once_it_is_quiet(ten, line):
    live, path = ten
    content = path.read_bytes().replace(b'"u5"', b'"u7"') + line(10)
    with path.open("r+b") as file:
        file.write(content)
    live.wait_ids("alice/a.jsonl", [0, 1, 2, 3, 4, 6, 7, 7, 8, 9, 10])


def test_touched_changes_nothing(ten):
    live, path = ten
    runs = len(live.of("processed"))
    before = live.query("SELECT * FROM usage_events ORDER BY ALL")
    os.utime(path)
    live.wait("processed", runs + 1)
    assert live.of("processed")[-1]["lines"] == 0
    assert live.query("SELECT * FROM usage_events ORDER BY ALL") == before


def test_deleted_keeps_its_rows(box, ten, line):
    live, path = ten
    path.unlink()
    box.append("alice/b.jsonl", line(0))  # in the same folder, so it comes after
    live.wait_ids("alice/b.jsonl", [0])
    live.wait_idle()
    assert live.ids("alice/a.jsonl") == list(range(10))
    live.stop()
    again = box.live()
    again.wait("scanned")
    again.wait_idle()
    assert again.ids("alice/a.jsonl") == list(range(10))


def test_deleted_and_made_anew_has_the_rows_of_the_new_file(ten, line):
    live, path = ten
    path.unlink()
    path.write_bytes(line(20))
    live.wait_ids("alice/a.jsonl", [20])


def test_deleted_and_made_anew_while_the_daemon_is_down(box, ten, line):
    live, path = ten
    live.stop()
    path.unlink()
    path.write_bytes(line(20))
    box.live().wait_ids("alice/a.jsonl", [20])


@pytest.mark.parametrize("new", ["alice/b.jsonl", "bob/a.jsonl", "alice/deep/er/a.jsonl"])
@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
def test_moved_takes_its_rows_along(box, ten, new, down, line):
    live, path = ten
    if down:
        live.stop()
    path.rename(box.path(new))
    if down:
        live = box.live()
    live.wait_ids(new, range(10))
    live.wait_idle()
    assert _names(live) == {new}
    assert live.query("SELECT session_file, username, lines FROM usage_session_summary") == [
        (new, new.partition("/")[0], 10)
    ]
    box.append(new, line(10))
    live.wait_ids(new, range(11))
    live.stop()
    assert box.query("SELECT session_file FROM session_processor_state") == [(new,)]


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
def test_moved_and_appended_to_at_once(box, ten, line, down):
    live, path = ten
    if down:
        live.stop()
    path.rename(box.path("bob/b.jsonl"))
    box.append("bob/b.jsonl", line(10))
    if down:
        live = box.live()
    live.wait_ids("bob/b.jsonl", range(11))
    assert _names(live) == {"bob/b.jsonl"}


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
def test_a_folder_that_is_renamed_takes_all_its_sessions_along(box, line, down):
    for number in range(5):
        box.append(f"alice/p/{number}.jsonl", line(number))
    live = box.live()
    for number in range(5):
        live.wait_ids(f"alice/p/{number}.jsonl", [number])
    live.wait_idle()
    if down:
        live.stop()
    (box.root / "alice" / "p").rename(box.root / "alice" / "q")
    if down:
        live = box.live()
    for number in range(5):
        live.wait_ids(f"alice/q/{number}.jsonl", [number])
    live.wait_idle()
    assert _names(live) == {f"alice/q/{number}.jsonl" for number in range(5)}
    box.append("alice/q/0.jsonl", line(5))
    live.wait_ids("alice/q/0.jsonl", [0, 5])


def test_moved_there_and_back(box, ten, line):
    live, path = ten
    other = box.path("bob/b.jsonl")
    for _ in range(3):
        path.rename(other)
        live.wait_ids("bob/b.jsonl", range(10))
        other.rename(path)
        live.wait_ids("alice/a.jsonl", range(10))
    live.wait_idle()
    assert _names(live) == {"alice/a.jsonl"}


def test_moved_there_and_back_quicker_than_anyone_looks(box, ten, line):
    live, path = ten
    other = box.path("bob/b.jsonl")
    for _ in range(50):
        path.rename(other)
        other.rename(path)
    box.append("alice/a.jsonl", line(10))
    live.wait_ids("alice/a.jsonl", range(11))
    live.wait_idle()
    assert _names(live) == {"alice/a.jsonl"}


def test_two_files_that_change_names(box, ten, line):
    live, path = ten
    box.append("alice/b.jsonl", *map(line, range(20, 23)))
    live.wait_ids("alice/b.jsonl", range(20, 23))
    other, middle = box.path("alice/b.jsonl"), box.folder / "middle"
    path.rename(middle)
    other.rename(path)
    middle.rename(other)
    live.wait_ids("alice/a.jsonl", range(20, 23))
    live.wait_ids("alice/b.jsonl", range(10))


def test_copied_counts_for_both(box, ten):
    live, path = ten
    shutil.copy2(path, box.path("bob/copy.jsonl"))
    live.wait_ids("bob/copy.jsonl", range(10))
    assert live.ids("alice/a.jsonl") == list(range(10))


def test_a_second_name_of_the_same_file_counts_for_both(box, ten):
    live, path = ten
    os.link(path, box.path("bob/link.jsonl"))
    live.wait_ids("bob/link.jsonl", range(10))
    assert live.ids("alice/a.jsonl") == list(range(10))


def test_moved_out_of_the_root_keeps_its_rows_and_moved_back_has_them_once(box, ten, line):
    live, path = ten
    outside = box.folder / "outside.jsonl"
    path.rename(outside)
    with outside.open("ab") as file:
        file.write(line(10))
    outside.rename(path)
    live.wait_ids("alice/a.jsonl", range(11))


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
def test_moved_over_another_session(box, ten, line, down):
    live, path = ten
    box.append("alice/b.jsonl", *map(line, range(20, 23)))
    live.wait_ids("alice/b.jsonl", range(20, 23))
    live.wait_idle()
    if down:
        live.stop()
    path.rename(box.path("alice/b.jsonl"))
    if down:
        live = box.live()
    live.wait_ids("alice/b.jsonl", range(10))


class _Gated:
    """One row per line; the first run waits until it is let go."""

    name = "gated"
    tables = (Table("gated", {"line": "BLOB"}),)

    def __init__(self):
        self.running, self.go = threading.Event(), threading.Event()

    def process(self, batch):
        self.running.set()
        self.go.wait(60)
        return ProcessorResult(rows={"gated": [(each,) for each in batch.lines]})


def test_moved_while_its_first_run_is_under_way(box, line, until):
    gated = _Gated()
    live = box.live(gated)
    box.append("alice/a.jsonl", line(1), line(2))
    try:
        assert gated.running.wait(30)
        box.path("alice/a.jsonl").rename(box.path("bob/b.jsonl"))
        until(lambda: live.engine.lanes[0]._pending.is_pending("bob/b.jsonl"))
    finally:
        gated.go.set()
    until(lambda: live.query("SELECT count(*) FROM gated WHERE session_file = 'bob/b.jsonl'"), [(2,)])
    live.wait_idle()
    assert live.query("SELECT session_file, count(*) FROM gated GROUP BY ALL") == [("bob/b.jsonl", 2)]


class _Counts:
    """A whole-session processor that counts lines; during its first run there is one more than before and after."""

    name = "counts"

    def __init__(self, line):
        self.line, self.runs = line, 0

    def process_session(self, session_path, username, session_key, conn):
        self.runs += 1
        size = session_path.stat().st_size
        if self.runs == 1:
            with session_path.open("ab") as file:
                file.write(self.line)
        lines = session_path.read_bytes().count(b"\n")
        if self.runs == 1:
            os.truncate(session_path, size)
        conn.execute("CREATE OR REPLACE TABLE counts AS SELECT ? AS lines", [lines])
        return ProcessorResult(1)


def test_what_a_whole_session_processor_has_read_while_it_was_there_is_not_kept(box, line, until):
    box.append("alice/a.jsonl", line(1))
    live = box.live(_Counts(line(2)))
    live.wait("processed", processor="counts")
    until(lambda: live.query("SELECT lines FROM counts"), [(1,)])
    live.wait_idle()
    live.stop()
    assert box.query("SELECT lines FROM counts") == [(1,)]
    assert box.query("SELECT count(*) FROM session_processor_state") == [(1,)]
