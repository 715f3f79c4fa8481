"""Looking at a whole session, for a processor that reads it itself."""

from dataclasses import replace

from daemon.run import look_whole
from daemon.transcript import Transcripts
from processors.registry import register

LINE = b'{"n": 1}\n'


class _Whole:
    name = "whole"
    cadence_minutes = 0

    def process_session(self, session_path, username, session_key, conn):
        """Is not called."""


class _Growing(Transcripts):
    """Of a file to which somebody appends a line or two during each look."""

    looks = 0

    def look(self, key, cursor):
        look = super().look(key, cursor)
        with (self.root / key).open("ab") as file:
            file.write(LINE * 2)
        self.looks += 1
        assert self.looks < 100, "it never ends"
        return look


def test_a_look_at_a_whole_session_ends_where_the_session_ended_when_it_began(root):
    path = root / "alice/s.jsonl"
    path.write_bytes(LINE * 10)
    transcripts = _Growing(root, chunk_bytes=2 * len(LINE))
    spec = register(_Whole())
    look, cursor = look_whole(transcripts, spec, "alice/s.jsonl", None)
    assert 10 * len(LINE) <= cursor.offset < path.stat().st_size
    assert not look.more
    assert not look.settled
    assert look.recheck
    assert cursor.lines == cursor.offset // len(LINE) == path.read_bytes()[: cursor.offset].count(b"\n")
    before = replace(cursor, version=spec.version)
    again, cursor = look_whole(transcripts, spec, "alice/s.jsonl", before)
    assert again.changed, "what was appended meanwhile is a change"
    assert cursor.offset > before.offset
