"""What is compared with the plain reference. Each target takes any bytes and returns how many lines it compared."""

import os
import tempfile
from pathlib import Path

from blake3 import blake3

from daemon.transcript import Transcripts
from processors import Batch, Turn
from processors.batch import is_utf8
from processors.turns import LineDecoder, liberal, load_object
from tests.fuzz import reference
from tests.fuzz.follower import QUIET, RACY, Follower

KEY = "alice/s.jsonl"
PIECES = [
    b"\n",
    b'{"a": 1}',
    b'{"b": "x\xe2\x80\xa8y"}\n',
    b'{"c": [1, ',
    b"2]}",
    b"}",
    b"{",
    b'"',
    b"\r\n",
    b" ",
    b"\t",
    b'"text"\n',
    b'{"d": "\\ud800"}\n',
    b'{"e": "' + b"x" * 30 + b'"}',
    b'{"f": "' + b"y" * 120 + b'"}\n',
    b"\xef\xbb\xbf",
    b"\0",
    b"\0" * 70,
    b'{"n": NaN}\n',
    b"[]\n",
    b"\xff",
    b"x" * 70,
]
_DECODE = LineDecoder(Turn)


class Source:
    """Numbers and pieces of text out of any bytes."""

    def __init__(self, data):
        self._data, self._at = data, 0

    def left(self):
        return len(self._data) - self._at

    def number(self, below):
        if not self.left():
            return 0
        self._at += 1
        return self._data[self._at - 1] % below

    def text(self, most=16):
        """Some pieces; a byte that names none stands for itself."""
        made = []
        for _ in range(1 + self.number(most)):
            if not self.left():
                break
            byte = self.number(256)
            made.append(PIECES[byte] if byte < len(PIECES) else bytes([byte]))
        return b"".join(made)


def lines(data):
    """Every way of decoding a line says the same of it as the standard library."""
    parts = data.split(b"\n")
    compared = 0
    for line in parts:
        if reference.is_deep(line):
            load_object(line)
            _DECODE(line) if is_utf8(line) else None
            continue
        compared += 1
        expected, value = reference.value_of(line), load_object(line)
        assert (value is None) == (expected is None), "well-formed or not"
        if value is not None:
            assert reference.storable(value) == reference.storable(expected), "another value"
            turn = _DECODE(line)
            assert turn is not None, "well-formed for one decoder only"
            assert repr(turn) == repr(liberal(Turn, value)), "another turn"
        elif is_utf8(line):
            assert _DECODE(line) is None, "malformed for one decoder only"
    if not any(map(reference.is_deep, parts)):
        whole = data if data.endswith(b"\n") else data + b"\n"
        each = whole.split(b"\n")[:-1]
        bad = reference.malformed(each)
        for batch in (Batch(KEY, whole, is_first=True), Batch(KEY, whole, is_first=True, utf8=is_utf8(whole))):
            assert len(list(batch.turns())) == len(each) - bad
            assert (batch.well_formed_lines, batch.malformed_lines) == (len(each) - bad, bad)
        assert len(list(Batch(KEY, whole, is_first=True).objects())) == len(each) - bad
    return compared


class _Place:
    """One file, in memory where there is a file system for that."""

    def __init__(self):
        memory = "/dev/shm"  # it is only quicker
        self._folder = tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)
        self.root = Path(self._folder.name)
        self.path = self.root / KEY
        self.path.parent.mkdir()
        self.now = RACY

    def transcripts(self, **options):
        return Transcripts(self.root, now_ns=lambda: self.now, **options)

    def put(self, content, *, replaced):
        """Have this in the file, written in place or as a new file."""
        if replaced:
            fresh = self.path.with_name("fresh")
            fresh.write_bytes(content)
            fresh.replace(self.path)
        else:
            with self.path.open("r+b") as file:
                file.truncate(len(content))
                file.write(content)

    def settle(self):
        """Let the next change be seen: a file system's clock ticks slower than this test."""
        before = self.path.stat().st_ctime_ns
        while self.path.stat().st_ctime_ns == before:
            os.utime(self.path)


_place = None


def _clean_place():
    global _place  # noqa: PLW0603  # made once: a fuzzer calls this a million times
    _place = _place or _Place()
    _place.path.unlink(missing_ok=True)
    _place.now = RACY
    return _place


def _assert_plain(follower, content, limit):
    kept, over = reference.lines_of(content, limit)
    assert follower.lines() == kept, "other lines"
    assert follower.skipped == over, "another count of lines over the limit"
    batch = Batch(KEY, follower.data, is_first=True, skipped_lines=over)
    assert batch.malformed_lines == reference.malformed(kept) + over, "another count of malformed lines"
    cursor = follower.cursor
    assert cursor.fingerprint == f"blake3:{blake3(content[: cursor.offset]).hexdigest()}", "another fingerprint"
    assert cursor.file_hash == f"blake3:{blake3(content).hexdigest()}", "another hash of the file"
    return len(kept) + over


def chunks(data):
    """Any bytes, appended in any pieces and read in any chunks, give the lines of the whole; and no line twice."""
    source, place = Source(data), _clean_place()
    options = {"chunk_bytes": 1 + source.number(90), "line_limit": (20, 60, 100, 1 << 20)[source.number(4)]}
    follower = Follower(place.transcripts(**options), KEY)
    content, compared = b"", 0
    while source.left():
        piece, restart = source.text(), source.number(4) == 0
        content += piece
        with place.path.open("ab") as file:
            file.write(piece)
        if restart:
            follower.transcripts = place.transcripts(**options)
        follower.read()
        compared += _assert_plain(follower, content, options["line_limit"])
    return compared


def _edited(content, source):
    """The content after one edit, and whether the file is written in place or replaced."""
    kind = source.number(8)
    at = source.number(256) * (len(content) + 1) // 256
    if kind <= 2:
        return content + source.text(), kind == 2
    if kind == 3:
        return content[:at], False
    if kind == 4:
        put = source.text(4)
        return content[:at] + put + content[at + len(put) :], bool(source.number(2))
    if kind == 5:
        return source.text(), bool(source.number(2))
    if kind == 6 and content:  # of the same size
        at = min(at, len(content) - 1)
        return content[:at] + bytes([source.number(256)]) + content[at + 1 :], bool(source.number(2))
    return content[:at] + source.text(4) + content[at:], bool(source.number(2))


def appends(data):
    """Whatever is done to a file, with looks of two lanes in between, ends as the plain reading of what is in it."""
    source, place = Source(data), _clean_place()
    limit = (60, 1 << 20)[source.number(2)]
    options = {"chunk_bytes": 1 + source.number(200), "line_limit": limit, "lanes": 2}
    place.path.touch()
    transcripts = place.transcripts(**options)
    followers = [Follower(transcripts, KEY) for _ in range(2)]
    content, compared = b"", 0
    while source.left():
        content, replaced = _edited(content, source)
        place.put(content, replaced=replaced)
        doing = source.number(16)
        if doing & 1:
            place.settle()
        if doing == 8:
            transcripts = place.transcripts(**options)
            for follower in followers:
                follower.transcripts = transcripts
        for follower, bit in zip(followers, (2, 4), strict=True):
            if doing & bit:
                follower.read()
    for place.now in (RACY, QUIET):
        for follower in followers:
            follower.read()
    for follower in followers:
        compared += _assert_plain(follower, content, limit)
        assert follower.cursor.settled, "not settled"
        rewrites = follower.rewrites
        follower.read()
        assert follower.rewrites == rewrites, "a settled file was read anew"
    return compared


TARGETS = {"lines": lines, "chunks": chunks, "appends": appends}
