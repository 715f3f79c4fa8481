"""Input that no transcript should have: no crash, nothing followed or blocked on, no neighbour lost, all counted."""

import json
import os
import shutil
import socket
import subprocess

import pytest

from processors import ProcessorResult
from processors.usage import UsageProcessor

SUMMARY = "SELECT lines, malformed_lines FROM usage_session_summary WHERE session_file = ?"


def test_things_that_only_look_like_sessions_are_refused_and_named_once(box, line, tmp_path):
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(line(666))
    folder = box.path("alice/a.jsonl").parent
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "o.jsonl").write_bytes(line(667))
    (folder / "link.jsonl").symlink_to(secret)
    (folder / "dangling.jsonl").symlink_to(tmp_path / "nowhere")
    (folder / "loop").symlink_to(box.root)
    (box.root / "mallory").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "fifo.jsonl")
    (folder / "folder.jsonl").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        place = os.open(folder, os.O_PATH)  # the address may be no longer than 107 bytes
        server.bind(f"/proc/self/fd/{place}/socket.jsonl")
        os.close(place)
        live = box.live(scan_seconds=1)
        box.append("alice/a.jsonl", line(1))
        live.wait_ids("alice/a.jsonl", [1])
        live.wait("scanned", 3)
        live.wait_idle()
    named = [entry["session_file"] for entry in live.of("refused")]
    names = ("dangling", "fifo", "folder", "link", "socket")
    assert sorted(named) == [f"alice/{name}.jsonl" for name in names]
    assert live.query("SELECT DISTINCT session_file FROM usage_events") == [("alice/a.jsonl",)]


class _Other:
    name = "other"
    tables = ()

    def process(self, batch):
        return ProcessorResult()


def test_a_thing_that_is_no_session_is_named_once_for_all_processors(box, line):
    live = box.live(UsageProcessor, _Other)
    os.mkfifo(box.path("alice/fifo.jsonl"))
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])
    live.wait_idle()
    live.survey.request_scan()
    live.wait("scanned", 2)
    assert len(live.of("refused")) == 1


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_session_that_becomes_something_else_is_refused_and_comes_back(box, line, kind, tmp_path):
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(line(666))
    box.append("alice/a.jsonl", line(1))
    live = box.live()
    live.wait_ids("alice/a.jsonl", [1])
    path = box.path("alice/a.jsonl")
    path.unlink()
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    if kind != "folder":
        live.wait("refused", session_file="alice/a.jsonl")
    box.append("bob/b.jsonl", line(2))
    live.wait_ids("bob/b.jsonl", [2])
    assert live.ids("alice/a.jsonl") == [1]
    path.rmdir() if kind == "folder" else path.unlink()
    box.append("alice/a.jsonl", line(1), line(3))
    live.wait_ids("alice/a.jsonl", [1, 3])


def test_a_folder_that_is_swapped_for_a_link_is_not_followed(box, line, tmp_path):
    box.append("alice/p/a.jsonl", line(1))
    live = box.live()
    live.wait_ids("alice/p/a.jsonl", [1])
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.jsonl").write_bytes(line(666))
    (box.root / "alice" / "p").rename(tmp_path / "old")
    (box.root / "alice" / "p").symlink_to(outside)
    live.engine.changed(["alice/p/a.jsonl"])
    live.wait("refused", session_file="alice/p/a.jsonl")
    assert live.query("SELECT count(*) FROM usage_events WHERE event_uuid = 'u666'") == [(0,)]


def test_a_name_that_is_no_utf8_is_refused_and_its_neighbours_are_not(box, line):
    box.append("alice/a.jsonl", line(1))
    for name in (b"alice/bad\xff.jsonl", b"us\xe9r/b.jsonl"):
        box.append(os.fsdecode(name), line(2))
    daemon = box.daemon()
    daemon.wait_lines("alice/a.jsonl", 1)
    daemon.wait("refused", 2, reason="name")
    box.append(os.fsdecode(b"alice/worse\xfe.jsonl"), line(3))
    box.append("alice/a.jsonl", line(4))
    daemon.wait_lines("alice/a.jsonl", 2)
    daemon.wait_quiet()
    assert daemon.stop() == 0
    assert box.query("SELECT session_file, lines FROM usage_session_summary") == [("alice/a.jsonl", 2)]


def test_names_never_reach_the_log_raw(box, line):
    names = ["new\nline", "esc\x1b[2J\x1b]0;title\x07", "quote\"'\\", "bidi\u202egpj", "del\x7f\r", "ünïcödé 😀"]
    for number, name in enumerate(names):
        box.append(f"al\x1b[31mice/{name}.jsonl", line(number))
    os.mkfifo(box.path("al\x1b[31mice/f\x1b\nifo.jsonl"))
    daemon = box.daemon()
    daemon.wait("processed", len(names))
    daemon.wait_quiet()
    assert daemon.stop() == 0
    log = b"".join(daemon.raw)
    assert b"\x1b" not in log
    assert b"\x07" not in log
    assert all(entry["event"] != "not JSON" for entry in daemon.entries)
    for entry in daemon.entries:
        assert all(value.isprintable() for value in entry.values() if isinstance(value, str)), entry
    keys = box.query("SELECT session_file FROM usage_session_summary")
    assert {key for (key,) in keys} == {f"al\x1b[31mice/{name}.jsonl" for name in names}


BAD = {
    "blank": b"",
    "spaces": b"   \t ",
    "truncated": b'{"type": "assistant", "message": {"ro',
    "no JSON": b"hello",
    "string": b'"a string"',
    "number": b"12",
    "list": b"[1, 2]",
    "null": b"null",
    "binary": bytes(byte for byte in range(256) if byte != 10) * 20,
    "no UTF-8": b'{"type": "user", "text": "\xff\xfe"}',
    "raw NUL": b'{"type": "user", "text": "\x00"}',
    "all NUL": b"\x00" * 5000,
    "deep": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "deep list": b'{"a":' + b"[" * 1_000_000,
    "two objects": b'{"a": 1} {"b": 2}',
}
ODD = {
    "surrogate": b'{"type": "assistant", "uuid": "\\ud800", "message": {"id": "\\ud83d"}}',
    "NUL escape": b'{"type": "user", "sessionId": "a\\u0000b", "cwd": "\\u0000", "message": {"content": "\\u0000"}}',
    "big integer": b'{"type": "assistant", "message": {"id": "m", "usage": {"input_tokens": %s}}}' % (b"9" * 400),
    "over 64 bits": b'{"type": "assistant","message": {"id": "n", "usage": {"output_tokens": 18446744073709551616}}}',
    "negative": b'{"type": "assistant", "message": {"id": "o", "usage": {"output_tokens": -5}}}',
    "float": b'{"type": "assistant", "message": {"id": "p", "usage": {"output_tokens": 1e999}}}',
    "NaN": b'{"type": "assistant", "message": {"id": "q", "usage": {"output_tokens": NaN}}}',
    "no timestamp": b'{"type": "user", "timestamp": "yesterday", "message": {"content": "x"}}',
    "number as timestamp": b'{"type": "user", "timestamp": 17000000000000000000, "message": {"content": "x"}}',
    "year 10000": b'{"type": "user", "timestamp": "10000-01-01T00:00:00Z"}',
    "year 0": b'{"type": "user", "timestamp": "0000-00-00T00:00:00Z"}',
    "year 1": b'{"type": "user", "timestamp": "0001-01-01T00:00:00+14:00"}',
    "year 9999": b'{"type": "user", "timestamp": "9999-12-31T23:59:59-14:00"}',
    "wrong types": b'{"type": 1, "uuid": {}, "message": [], "sessionId": 3.5, "isSidechain": "no"}',
    "message text": b'{"type": "assistant", "message": "hello"}',
    "odd blocks": b'{"type": "assistant", "message": {"content": [1, null, "x", [], {"type": 5}]}}',
    "empty": b"{}",
    "twice": b'{"type": "user", "type": "assistant", "type": null}',
    "separators": '{"type": "user", "message": {"content": "a\u2028b\u2029c\x85d"}}'.encode(),
    "CRLF": b'{"type": "user"}\r',
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_counted_and_its_neighbours_are_kept(box, line, name):
    live = box.live()
    box.append("alice/a.jsonl", line(1), BAD[name], b"\n", line(2))
    live.wait_ids("alice/a.jsonl", [1, 2])
    assert live.query(SUMMARY, "alice/a.jsonl") == [(2, 1)]
    live.wait_lines("alice/a.jsonl", 3)  # which is told after the rows are there
    assert sum(each["malformed"] for each in live.of("processed", session_file="alice/a.jsonl")) == 1
    assert not live.of("run_failed")


@pytest.mark.parametrize("name", ODD)
def test_an_odd_line_is_a_line_like_others(box, line, name):
    live = box.live()
    box.append("alice/a.jsonl", line(1), ODD[name], b"\n", line(2))
    live.wait_lines("alice/a.jsonl", 3)
    assert not live.of("run_failed")
    assert live.query(SUMMARY, "alice/a.jsonl") == [(3, 0)]
    found = live.query("SELECT event_uuid FROM usage_events WHERE event_uuid IN ('u1', 'u2') ORDER BY ALL")
    assert found == [("u1",), ("u2",)]


def test_all_bad_lines_in_one_file_are_counted(box, line):
    lines = [*BAD.values(), *ODD.values()]
    box.append("alice/a.jsonl", *(each + b"\n" for each in lines), line(1))
    live = box.live()
    live.wait_lines("alice/a.jsonl", len(lines) + 1)
    assert live.query(SUMMARY, "alice/a.jsonl") == [(len(ODD) + 1, len(BAD))]


@pytest.mark.parametrize("size", [1 << 16, (1 << 16) + 1, 1 << 20])
def test_a_line_about_the_limit(box, line, size):
    live = box.live(line_limit_bytes=1 << 16, chunk_bytes=1 << 14)
    long = line(2)[:-1]
    long += b" " * (size - len(long))
    box.append("alice/a.jsonl", line(1), long + b"\n", line(3))
    kept = size <= 1 << 16
    live.wait_ids("alice/a.jsonl", [1, 2, 3] if kept else [1, 3])
    assert live.query(SUMMARY, "alice/a.jsonl") == [(3, 0) if kept else (2, 1)]


def test_a_line_over_the_limit_that_grows_bit_by_bit_is_counted_once(box, line):
    live = box.live(line_limit_bytes=1 << 16, chunk_bytes=1 << 14, debounce_ms=0)
    box.append("alice/a.jsonl", line(1))
    live.wait_ids("alice/a.jsonl", [1])
    for number in range(20):
        box.append("alice/a.jsonl", b"x" * 10_000)
        box.append("bob/b.jsonl", line(number))
        live.wait_ids("bob/b.jsonl", range(number + 1))
    box.append("alice/a.jsonl", b"\n", line(2))
    live.wait_ids("alice/a.jsonl", [1, 2])
    assert live.query(SUMMARY, "alice/a.jsonl") == [(2, 1)]


def test_a_line_of_100_megabytes_is_skipped_by_default(box, line):
    live = box.live()
    with box.path("alice/a.jsonl").open("wb") as file:
        file.write(line(1) + b'{"type": "user", "text": "')
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n' + line(2))
    live.wait_ids("alice/a.jsonl", [1, 2])
    live.wait_idle()
    assert live.query(SUMMARY, "alice/a.jsonl") == [(2, 1)]


def test_a_file_that_shrinks_while_it_is_read(box, line, monkeypatch):
    box.append("alice/a.jsonl", *map(line, range(100)))
    read, path = os.pread, box.path("alice/a.jsonl")

    def shrink(fd, length, offset):
        if offset == 0 and length > 5000 and path.stat().st_size > 5000:
            os.truncate(path, len(line(0)) * 5)
        return read(fd, length, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", shrink)
        live = box.live()
        live.wait_ids("alice/a.jsonl", range(5))
    box.append("alice/a.jsonl", line(200))
    live.wait_ids("alice/a.jsonl", [0, 1, 2, 3, 4, 200])


def test_a_file_that_is_replaced_while_it_is_read(box, line, monkeypatch):
    box.append("alice/a.jsonl", *map(line, range(100)))
    new = box.folder / "new.jsonl"
    new.write_bytes(line(500))
    read, path = os.pread, box.path("alice/a.jsonl")

    def replace(fd, length, offset):
        if new.exists():
            new.rename(path)
        return read(fd, length, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", replace)
        box.live().wait_ids("alice/a.jsonl", [500])


@pytest.fixture
def unprivileged():
    """What to put before a command so that it may not read everything, as root may."""
    if os.getuid() != 0:
        return []
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if shutil.which("setpriv") is None or subprocess.run([*drop, "true"], check=False).returncode:
        pytest.skip("root's privileges cannot be dropped: no setpriv here")
    return drop


def test_a_file_without_permission_is_named_once_and_processed_once_it_has_it(box, line, unprivileged):
    box.append("alice/a.jsonl", line(1))
    box.append("bob/b.jsonl", line(2))
    path = box.path("alice/a.jsonl")
    path.chmod(0)
    daemon = box.child(before=unprivileged, scan_seconds=1)
    daemon.wait("refused", session_file="alice/a.jsonl", reason="permission")
    daemon.wait_lines("bob/b.jsonl", 1)
    daemon.wait("scanned", 3)
    assert len(daemon.of("refused")) == 1
    path.chmod(0o644)
    daemon.wait_lines("alice/a.jsonl", 1)
    assert daemon.stop() == 0


def test_a_folder_without_permission_is_named_and_processed_once_it_has_it(box, line, unprivileged):
    box.append("alice/a.jsonl", line(1))
    folder = box.root / "alice"
    folder.chmod(0)
    daemon = box.child(before=unprivileged, scan_seconds=1)
    daemon.wait("refused", reason="permission")
    daemon.wait("scanned", 4)
    assert len(daemon.of("refused")) == 1
    folder.chmod(0o755)
    daemon.wait_lines("alice/a.jsonl", 1)
    box.append("alice/a.jsonl", line(2))
    daemon.wait_lines("alice/a.jsonl", 2)
    assert daemon.stop() == 0


@pytest.mark.parametrize("given", ["argument", "environment"])
def test_a_root_without_permission_is_named_and_processed_once_it_has_it(box, line, unprivileged, given):
    box.append("alice/a.jsonl", line(1))
    box.root.chmod(0)
    arguments = {"argument": [str(box.root)], "environment": []}[given]
    settings = {"root": box.root, "fallback_scan_seconds": 0.5}
    try:
        daemon = box.child("run", *arguments, "--db", str(box.db), before=unprivileged, **settings)
        daemon.wait("refused", reason="permission", seconds=10)
        assert len(daemon.of("refused")) == 1
    finally:
        box.root.chmod(0o755)
    daemon.wait_lines("alice/a.jsonl", 1)
    box.append("alice/a.jsonl", line(2))
    daemon.wait_lines("alice/a.jsonl", 2)
    assert daemon.stop() == 0


def test_scan_names_what_it_may_not_read_and_exits_with_1(box, line, unprivileged):
    box.append("alice/a.jsonl", line(1))
    box.append("bob/b.jsonl", line(2))
    box.path("alice/a.jsonl").chmod(0)
    scan = box.child("scan", str(box.root), "--db", str(box.db), "--json", before=unprivileged)
    assert scan.ended() == 1
    outcome = json.loads(scan.process.stdout.read())
    assert [failure["session_file"] for failure in outcome["failed"]] == ["alice/a.jsonl"]
    assert outcome["processors"][0]["lines"] == 1


def test_sessions_in_a_folder_that_is_called_like_a_session_are_found_by_a_scan(box, line):
    box.append("alice/a.jsonl/b.jsonl", line(1))
    box.append("bob.jsonl/b.jsonl", line(2))
    live = box.live()
    live.wait_ids("alice/a.jsonl/b.jsonl", [1])
    live.wait_ids("bob.jsonl/b.jsonl", [2])
