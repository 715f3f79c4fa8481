"""From bytes to lines: whatever a file goes through, what was read is what a plain reading of it gives."""

import json
import mmap
import os
import tempfile
import threading
from functools import partial
from hashlib import md5
from pathlib import Path
from unittest.mock import patch

import pytest
from blake3 import blake3
from hypothesis import example, given
from hypothesis import strategies as st

from daemon import compute_file_hash
from daemon.content import SAMPLE_BYTES
from daemon.cursor import Cursor, Place
from daemon.errors import RootGoneError, SessionGoneError
from daemon.transcript import Transcripts
from daemon.unfinished import LEAST_BYTES

KEY = "alice/s.jsonl"
RACY, QUIET = 0, 1 << 62
FRAGMENTS = [
    b'{"a": 1}',
    b'{"b": "x\xe2\x80\xa8y"}\n',
    b'{"c": [1, ',
    b"2]}",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b'"text"',
    b'{"d": "\\ud800"}',
    b"\xff",
    b"\0",
    b"}",
    b"[" * 40,
    b'{"e": "' + b"x" * 90 + b'"}',
    b"\xef\xbb\xbf",
]
PIECE = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=8), min_size=1, max_size=6).map(b"".join)


class Reader:
    """Follows one session as a lane does, and keeps what it was given."""

    def __init__(self, root: Path, key: str = KEY, **options):
        self.key, self.options, self.now = key, options, RACY
        self.root = Path(root)
        self.path = self.root / key
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.cursor: Cursor | None = None
        self.data, self.skipped = b"", 0
        self.restart()

    def restart(self):
        self.transcripts = Transcripts(self.root, now_ns=lambda: self.now, **self.options)

    def look(self):
        look = self.transcripts.look(self.key, self.cursor)
        if look.start == 0:
            assert look.rewrite or self.cursor is None or self.cursor.offset == 0
            self.data, self.skipped = b"", 0
        self.data += look.data
        self.skipped += look.skipped
        names = ("signature", "offset", "fingerprint", "place", "settled", "file_hash")
        self.cursor = Cursor(
            version=1, carry=None, lines=0, malformed_lines=0, items=0, **{n: getattr(look, n) for n in names}
        )
        return look

    def read(self, now=RACY):
        """All looks up to the file's end."""
        self.now = now
        looks = [self.look()]
        while looks[-1].more:
            assert looks[-1].offset > looks[-1].start, "a look that promises more has to get on"
            looks.append(self.look())
        return looks

    def append(self, data: bytes):
        with self.path.open("ab") as file:
            file.write(data)

    def change(self, work):
        """Do something to the file, and see to it that its timestamps show it."""
        before = self.path.stat()
        work()
        after = self.path.stat()
        while (after.st_ctime_ns, after.st_ino) == (before.st_ctime_ns, before.st_ino):
            os.utime(self.path, ns=(after.st_atime_ns, after.st_mtime_ns))
            after = self.path.stat()


def is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line.decode("utf-8-sig")), dict)
    except (ValueError, RecursionError):
        return False


def expected(content: bytes, limit: int = 1 << 30) -> tuple[list[bytes], int]:
    """The plain way: lines end at a newline, a tail counts if it is a whole object or over the limit."""
    *lines, tail = content.split(b"\n")
    if is_object(tail) or len(tail) > limit:
        lines.append(tail)
    kept = [line for line in lines if len(line) <= limit]
    return [line.rstrip(b" \t\r") for line in kept], len(lines) - len(kept)


def lines_of(data: bytes) -> list[bytes]:
    assert not data or data.endswith(b"\n")
    return [line.rstrip(b" \t\r") for line in data.split(b"\n")[:-1]]


def assert_as_plain(reader: Reader, limit: int = 1 << 30):
    content = reader.path.read_bytes()
    assert (lines_of(reader.data), reader.skipped) == expected(content, limit)
    assert reader.cursor.file_hash == compute_file_hash(reader.path)
    assert reader.cursor.fingerprint == f"blake3:{blake3(content[: reader.cursor.offset]).hexdigest()}"


@given(st.lists(st.tuples(PIECE, st.booleans(), st.sampled_from([RACY, QUIET])), max_size=8), st.integers(1, 80))
@example([(b'{"a": 1}', False, RACY), (b'{"b": 2}\n', False, RACY)], 8)
@example([(b'{"a": 1}', False, RACY), (b" ", True, RACY), (b" x\n", False, RACY)], 8)
def test_any_way_of_appending_and_any_size_of_chunk_gives_the_lines_of_the_whole_file(appends, chunk_bytes):
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(folder, chunk_bytes=chunk_bytes)
        for piece, restart, now in appends:
            reader.append(piece)
            if restart:
                reader.restart()
            reader.read(now)
            assert_as_plain(reader)


@given(
    st.lists(st.sampled_from([b"x" * 7, b"\n", b'{"a": 1}', b'{"b": "' + b"y" * 20 + b'"}\n']), max_size=20),
    st.integers(1, 60),
    st.integers(8, 40),
)
def test_lines_over_the_limit_are_skipped_and_counted_once_and_their_neighbours_kept(pieces, chunk, limit):
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(folder, chunk_bytes=chunk, line_limit=limit)
        for piece in pieces:
            reader.append(piece)
            reader.read()
            assert_as_plain(reader, limit)


def test_a_line_over_the_limit_streams_by_in_bounded_memory(root):
    reader = Reader(root, chunk_bytes=1 << 16, line_limit=1 << 17)
    reader.append(b'{"before": 1}\n' + b'{"long": "' + b"x" * (1 << 22) + b'"}\n{"after": 1}\n')
    looks = reader.read()
    assert lines_of(reader.data) == [b'{"before": 1}', b'{"after": 1}']
    assert reader.skipped == 1
    assert max(look.offset - look.start for look in looks) <= 1 << 19


@pytest.mark.parametrize("blanks", [10, 100, 1000])
def test_blanks_after_an_unfinished_last_line_never_hide_the_lines_that_follow(root, blanks):
    reader = Reader(root, chunk_bytes=16, line_limit=64)
    reader.append(b'{"a": 1}')
    reader.read()
    reader.append(b" " * blanks)
    reader.read()
    reader.append(b'\n{"b": 2}\n')
    reader.read()
    assert lines_of(reader.data)[-1:] == [b'{"b": 2}']


def test_a_last_line_without_newline_is_held_back_until_it_is_a_whole_object(root):
    reader = Reader(root)
    reader.append(b'{"a": 1}\n{"b": {"c": 2}')
    reader.read()
    assert lines_of(reader.data) == [b'{"a": 1}']
    reader.append(b"}")
    assert [look.rewrite for look in reader.read()] == [False]
    assert lines_of(reader.data) == [b'{"a": 1}', b'{"b": {"c": 2}}']
    reader.append(b"\n")
    look = reader.look()
    assert look.data == b""
    assert look.place == Place.LINE_START


def test_an_object_that_goes_on_after_all_is_taken_back_by_a_rewrite(root):
    reader = Reader(root)
    reader.append(b'{"a": 1}\n{"b": 2}')
    reader.read()
    assert reader.cursor.place == Place.AFTER_TAIL
    reader.append(b"garbage\n")
    assert reader.look().rewrite
    assert_as_plain(reader)


def test_an_object_is_not_taken_back_for_blanks_or_a_carriage_return(root):
    reader = Reader(root)
    for piece in (b'{"b": 2}', b" \t", b"\r\n", b'{"c": 3}\n'):
        reader.append(piece)
        assert not reader.look().rewrite
    assert lines_of(reader.data) == [b'{"b": 2}', b'{"c": 3}']


LINES = b"".join(b'{"line": %d, "text": "%s"}\n' % (number, b"x" * 100) for number in range(20))


def _edit(at: int, put: bytes):
    def work(path):
        with path.open("r+b") as file:
            file.seek(at)
            file.write(put)

    return work


def _replace(content: bytes):
    def work(path):
        other = path.with_name("other")
        other.write_bytes(content)
        other.replace(path)

    return work


def _truncate(size: int):
    return lambda path: os.truncate(path, size)


@pytest.mark.parametrize("keep_mtime", [False, True])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    "work",
    [
        pytest.param(_truncate(0), id="emptied"),
        pytest.param(_truncate(1000), id="truncated"),
        pytest.param(_edit(1000, b"?"), id="edited in the middle"),
        pytest.param(_edit(0, b"?"), id="edited at the head"),
        pytest.param(_edit(len(LINES) - 10, b"?"), id="edited at the tail"),
        pytest.param(_replace(LINES[:-1] + b" \n"), id="replaced by a longer file with another last line"),
        pytest.param(_replace(LINES.replace(b"text", b"TEXT")), id="replaced by one of the same size"),
        pytest.param(_replace(b'{"other": 1}\n'), id="replaced by a shorter one"),
        pytest.param(_replace(LINES.replace(b"text", b"TEXT") + LINES), id="replaced by a longer one"),
    ],
)
def test_every_change_of_what_was_read_is_a_rewrite(root, work, restart, keep_mtime):
    reader = Reader(root)
    reader.append(LINES)
    reader.read(QUIET)
    before = reader.path.stat()
    reader.change(lambda: work(reader.path))
    if keep_mtime:
        reader.change(lambda: os.utime(reader.path, ns=(before.st_atime_ns, before.st_mtime_ns)))
    if restart:
        reader.restart()
    assert reader.look().rewrite
    assert_as_plain(reader)


@given(
    st.integers(0, 300),
    st.binary(min_size=1, max_size=40),
    st.integers(-200, 200),
    st.booleans(),
    st.integers(1, 400),
)
def test_any_edit_gives_the_lines_of_the_new_content(at, put, growth, restart, chunk_bytes):
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(folder, chunk_bytes=chunk_bytes)
        reader.append(LINES[:500])
        reader.read()
        new = bytearray(LINES[: 500 + growth])
        new[at : at + len(put)] = put
        reader.change(lambda: reader.path.write_bytes(new))
        if restart:
            reader.restart()
        reader.read(RACY)
        reader.read(QUIET)
        assert_as_plain(reader)
        assert reader.cursor.settled


def test_a_replacement_with_the_same_content_is_no_rewrite(root):
    reader = Reader(root)
    reader.append(LINES)
    reader.read(QUIET)
    reader.change(lambda: _replace(LINES + b'{"more": 1}\n')(reader.path))
    look = reader.look()
    assert not look.rewrite
    assert look.data == b'{"more": 1}\n'


def test_a_new_time_alone_brings_no_lines(root):
    reader = Reader(root)
    reader.append(LINES)
    reader.read(QUIET)
    reader.change(lambda: os.utime(reader.path))
    look = reader.look()
    assert (look.data, look.rewrite, look.changed) == (b"", False, True)


def test_a_settled_file_is_not_read_again(root):
    reader = Reader(root)
    reader.append(LINES)
    assert reader.read(QUIET)[-1].settled
    read = reader.transcripts.bytes_read
    assert not reader.look().changed
    assert reader.transcripts.bytes_read == read


def test_an_edit_that_no_timestamp_shows_is_found_once_the_file_is_quiet(root):
    reader = Reader(root)
    reader.append(LINES)
    with reader.path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[500:501] = memory[500:501]  # from here on the page is dirty: writing to it leaves no timestamp
        look = reader.read(RACY)[-1]
        assert (look.settled, look.recheck) == (False, True)
        memory[500:501] = b"?"
        assert reader.path.stat().st_ctime_ns == look.signature.ctime_ns
        assert not reader.look().rewrite
        reader.now = QUIET
        assert reader.look().rewrite
    assert_as_plain(reader)


def test_an_edit_of_the_middle_together_with_an_append_is_found_once_the_file_is_quiet(root):
    reader = Reader(root)
    reader.append(LINES)
    reader.read(RACY)
    reader.change(lambda: _edit(1000, b"?")(reader.path))
    reader.append(b'{"more": 1}\n')
    look = reader.read(RACY)[-1]
    assert look.rewrite or look.recheck
    reader.read(QUIET)
    assert_as_plain(reader)
    assert reader.cursor.settled


def test_an_append_to_an_active_session_costs_the_appended_bytes(root):
    reader = Reader(root)
    reader.append(LINES * 100)
    reader.read()
    appended, read = 0, reader.transcripts.bytes_read
    for _ in range(100):
        line = b'{"text": "' + b"x" * 2000 + b'"}\n'
        reader.append(line)
        appended += len(line)
        reader.read()
    assert reader.transcripts.bytes_read - read <= appended + 100 * 2 * SAMPLE_BYTES
    assert_as_plain(reader)


def test_two_lanes_share_what_one_of_them_has_read(root):
    one, two = Reader(root, lanes=2), Reader(root)
    two.transcripts = one.transcripts
    for piece in (LINES, b'{"more": 1}\n', b'{"and": "more"}\n'):
        one.append(piece)
        one.read()
        read = one.transcripts.bytes_read
        two.read()
        assert one.transcripts.bytes_read == read
        assert two.data == one.data


def test_a_session_whose_hasher_was_dropped_from_memory_goes_on_where_it_was(root):
    one = Reader(root, active_sessions=1)
    other = Reader(root, "bob/s.jsonl")
    other.transcripts = one.transcripts
    for number in range(4):
        for reader in (one, other):
            reader.append(b'{"number": %d}\n' % number)
            assert reader.read()[-1].data == b'{"number": %d}\n' % number


def test_a_file_that_changes_while_it_is_read_ends_up_as_it_is(root):
    reader = Reader(root, chunk_bytes=512)
    reader.append(LINES)

    def writer():
        for number in range(300):
            if number % 3:
                reader.append(b'{"number": %d}\n' % number)
            else:
                os.truncate(reader.path, 100 * (number % 20))

    thread = threading.Thread(target=writer)
    thread.start()
    while thread.is_alive():
        reader.look()
    thread.join()
    reader.read(RACY)
    reader.read(QUIET)
    assert_as_plain(reader)


def test_a_missing_file_is_gone_and_is_not_there(root):
    transcripts = Transcripts(root)
    assert not transcripts.exists(KEY)
    with pytest.raises(SessionGoneError):
        transcripts.look(KEY, None)


def test_a_moved_file_continues_its_session_and_a_copy_does_not(root):
    reader = Reader(root)
    reader.append(LINES)
    reader.read()
    (root / "alice/copy.jsonl").write_bytes(LINES)
    reader.path.rename(root / "alice/moved.jsonl")
    assert reader.transcripts.continues("alice/moved.jsonl", reader.cursor)
    with pytest.raises(SessionGoneError):
        reader.transcripts.continues("alice/copy.jsonl", reader.cursor)
    _edit(100, b"?")(root / "alice/moved.jsonl")
    assert not reader.transcripts.continues("alice/moved.jsonl", reader.cursor)


def test_a_digest_uses_the_algorithm_of_the_hash_that_it_is_compared_with(root):
    reader = Reader(root)
    reader.append(LINES + b'{"unfinished')
    plain = md5(LINES + b'{"unfinished', usedforsecurity=False).hexdigest()
    assert reader.transcripts.digest(KEY, like="0" * 32) == plain
    assert reader.transcripts.digest(KEY, like="blake3:0") == compute_file_hash(reader.path)


@given(st.lists(st.tuples(PIECE, st.booleans(), st.sampled_from([RACY, QUIET])), max_size=8), st.integers(40, 80))
@example([(b'{"a": 1', False, RACY), (b"2", False, RACY), (b"}", False, RACY)], 80)
def test_any_way_of_appending_to_a_long_line_gives_the_lines_of_the_whole_file(appends, limit):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr("daemon.reading.LEAST_BYTES", 0)
        reader = Reader(folder, chunk_bytes=limit // 2, line_limit=limit)
        for piece, restart, now in appends:
            reader.append(piece)
            if restart:
                reader.restart()
            reader.read(now)
            assert_as_plain(reader, limit)


def test_a_line_that_grows_in_pieces_is_not_read_again_for_each_of_them(root):
    reader = Reader(root)
    reader.append(b'{"before": 1}\n{"long": "')
    for _ in range(64):
        reader.append(b"x" * (1 << 16))
        reader.read()
        assert_as_plain(reader)
    reader.append(b'"}\n{"after": 1}\n')
    reader.read()
    assert_as_plain(reader)
    assert reader.transcripts.bytes_read <= 2.5 * reader.path.stat().st_size


def test_a_long_line_that_grows_where_it_was_edited_is_read_again(root):
    reader = Reader(root)
    reader.append(b'{"long": "' + b"x" * (1 << 17))
    reader.read()
    with reader.path.open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b'"}\n{"after": 1}\n')
    reader.read()
    assert_as_plain(reader)


def test_a_long_line_that_ends_like_an_object_is_tried_once_it_is_quiet(root):
    reader = Reader(root)
    reader.append(b'{"long": "' + b"x" * (1 << 21))
    reader.read()
    read = reader.transcripts.bytes_read
    for _ in range(16):
        reader.append(b"x}")
        assert reader.read()[-1].recheck
    assert reader.transcripts.bytes_read - read < 1 << 16
    reader.append(b'"}')
    assert reader.read()[-1].recheck
    reader.read(QUIET)
    assert_as_plain(reader)
    assert len(lines_of(reader.data)) == 1


def test_no_more_of_a_line_is_read_at_once_than_tells_that_it_is_too_long(root):
    reader = Reader(root, chunk_bytes=1 << 16, line_limit=1 << 20)
    reader.append(b"x" * (4 << 20) + b"\n")
    looks = reader.read()
    assert max(look.offset - look.start for look in looks) == (1 << 20) + 1
    assert_as_plain(reader, 1 << 20)


@given(
    st.lists(st.tuples(st.sampled_from(["append"] * 8 + ["edit", "cut"]), st.integers(0, 200), PIECE), max_size=12),
    st.integers(1, 200),
    st.booleans(),
)
def test_a_line_that_is_long_and_has_no_end_yet_is_read_as_any_other(steps, chunk_bytes, restart):
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("daemon.reading.LEAST_BYTES", 8),
        patch("daemon.unfinished.MOST_WHOLE_BYTES", 60),
    ):
        reader = Reader(folder, chunk_bytes=chunk_bytes)
        reader.append(b"")
        grown = True
        for what, at, piece in steps:
            content = reader.path.read_bytes()
            grown &= what == "append"
            new = {"append": content + piece, "edit": content[:at] + piece + content[at + len(piece) :]}
            reader.change(partial(reader.path.write_bytes, new.get(what, content[:at])))
            reader.read()
            if grown:  # what has its newline is there at once
                whole = expected((content + piece)[: (content + piece).rfind(b"\n") + 1], 1 << 30)[0]
                assert lines_of(reader.data)[: len(whole)] == whole
        if restart:
            reader.restart()
        reader.read(QUIET)
        assert_as_plain(reader)
        assert reader.cursor.settled


def test_a_rewrite_by_a_long_line_that_grows_is_one_for_each_that_follows(root):
    first, second = Reader(root), Reader(root)
    second.transcripts = first.transcripts
    for reader in (first, second):
        reader.append(LINES)
        reader.read()
    first.path.write_bytes(b'{"a": "' + b"x" * LEAST_BYTES)
    assert first.read()[0].rewrite
    first.append(b"x")
    assert second.read()[0].rewrite


def test_that_the_root_was_gone_is_told_once(tmp_path):
    transcripts = Transcripts(tmp_path / "root")
    assert not transcripts.root_was_gone()
    with pytest.raises(RootGoneError):
        transcripts.look("alice/a.jsonl", None)
    assert transcripts.root_was_gone()
    assert not transcripts.root_was_gone()
