"""Follows one session as a lane does, and keeps what it was given."""

from daemon.cursor import Cursor

FIELDS = ("signature", "offset", "fingerprint", "place", "settled", "file_hash")
RACY, QUIET = 0, 1 << 62
"""Clocks: by the first one each change is of this moment; by the second one all are long past."""


class Follower:
    def __init__(self, transcripts, key):
        self.transcripts, self._key = transcripts, key
        self.cursor = None
        self.data, self.skipped, self.rewrites = b"", 0, 0

    def look(self):
        look = self.transcripts.look(self._key, self.cursor)
        if look.start == 0:
            assert look.rewrite or self.cursor is None or self.cursor.offset == 0, "started anew without a reason"
            self.data, self.skipped = b"", 0
        else:
            assert look.start == self.cursor.offset, "a part was left out or read twice"
        assert look.offset >= look.start
        assert not look.data or look.data.endswith(b"\n")
        self.rewrites += look.rewrite
        self.data += look.data
        self.skipped += look.skipped
        found = {name: getattr(look, name) for name in FIELDS}
        self.cursor = Cursor(version=1, carry=None, lines=0, malformed_lines=0, items=0, **found)
        return look

    def read(self):
        """All looks up to the file's end."""
        look = self.look()
        while look.more:
            assert look.offset > look.start, "a look that promises more has to get on"
            look = self.look()
        return look

    def lines(self):
        return [line.rstrip(b" \t\r") for line in self.data.split(b"\n")[:-1]]
