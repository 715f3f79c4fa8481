"""What the rows have to be: of a file that is there, exactly its lines; of others, as README's promise limits it.

A file that is gone, or may not be read, keeps the rows of what it was when it was last looked at. When that was is
the daemon's matter: at the last comparison, or after any change since; and of a long file perhaps only a part.
A file with another name has its rows there, and none are left under the old name, except a whole-session processor's.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from tests.system.torture.reference import complete, digests, malformed

FOLDS = ("recorder", "usage")
PERMANENT = 50


class Rows(NamedTuple):
    """What the database has of one session, by processor."""

    recorder: tuple = ()
    versions: frozenset = frozenset()
    whole: tuple = ()
    usage: dict = {}  # noqa: RUF012  # never changed
    positions: dict = {}  # noqa: RUF012


@dataclass
class Known:
    """A session at the last comparison: what its rows may be of, and what they were."""

    inodes: set
    contents: list
    rows: Rows


class Model:
    """The expectations of one script."""

    def __init__(self, tree, usage):
        self._tree, self._usage = tree, usage
        self._known = {}
        self._live = {}
        self.version = 1
        self._bumped = False

    def new_version(self, version):
        self.version, self._bumped = version, True

    def differences(self, found):
        """Whatever is not as it has to be, as text; ``found``: :class:`Rows` by session."""
        self._live = self._tree.readable()
        wrong = []
        for key in sorted({*self._live, *self._known, *self._tree.since, *found}):
            rows = found.get(key, Rows())
            for processor in (*FOLDS, "whole"):
                seen = self._live.get(key)
                if seen is not None and not poisoned(seen.content, processor):
                    reason = self._differs(key, seen.content, processor, rows)
                else:
                    reason = self._unlike_any(key, processor, rows)
                if reason:
                    wrong.append(f"{processor} of {key}: {reason}")
        return wrong

    def compared(self, found):
        """The rows are as they have to be, and stay so where no file changes."""
        for key in {*self._live, *self._known, *self._tree.since}:
            before, since = self._known.get(key), self._tree.since.get(key, [])
            now = self._tree.now.get(key)
            if now is not None and key in self._live and not any(poisoned(now.content, each) for each in FOLDS):
                self._known[key] = Known({now.inode}, [now.content], found.get(key, Rows()))
            else:
                inodes = {seen.inode for seen in since} | (before.inodes if before else set())
                contents = (before.contents if before else []) + [seen.content for seen in since]
                self._known[key] = Known(inodes, contents, found.get(key, Rows()))
        self._bumped = False
        self._tree.settled()

    def rows(self):
        """What there was at the last comparison, by session."""
        return {key: known.rows for key, known in self._known.items() if known.rows != Rows()}

    def _differs(self, key, content, processor, rows):
        if processor == "usage":
            wanted, has = self._usage.sums(key, content), rows.usage
        else:
            wanted, has = digests(content), getattr(rows, processor)
        if wanted != has:
            return _difference(wanted, has)
        if processor == "recorder" and rows.versions - {self.version}:
            return f"rows of version {sorted(rows.versions)}, not {self.version}"
        if processor in FOLDS and (lines := complete(content)):
            bad = malformed(lines)
            if rows.positions.get(processor) != (len(lines) - bad, bad):
                return f"{len(lines)} lines, {bad} malformed, but a position of {rows.positions.get(processor)}"
        return None

    def _unlike_any(self, key, processor, rows):
        """Why the rows of a session that cannot be read are none that it may have; None: they may be so."""
        has = getattr(rows, processor)
        known = self._known.get(key)
        before = getattr(known.rows, processor) if known else type(has)()
        if has and processor in FOLDS and self._has_moved(key, processor):
            return "rows are left under the old name of a file that was moved"
        if has == before:
            return None
        if not has and processor in FOLDS and self._may_have_moved(key):
            return None
        since = [seen.content for seen in self._tree.since.get(key, [])]
        if any(self._is_part(key, processor, rows, content) for content in since):
            grew = known is not None and all(_extends(content, known.contents) for content in since)
            if grew and not self._bumped and len(has) < len(before):
                return "rows are gone, although the file only grew before it went"
            return None
        return f"not of any content that it had; before: {_size(before)}, now: {_size(has)}"

    def _is_part(self, key, processor, rows, content):
        if processor == "usage":
            done = sum(rows.positions.get("usage", (0, 0)))
            return done <= len(complete(content)) and self._usage.sums(key, content, done) == rows.usage
        has = getattr(rows, processor)
        return digests(content)[: len(has)] == has

    def _has_moved(self, key, processor):
        """Whether it is certain that the rows are under another name now."""
        known, since = self._known.get(key), self._tree.since.get(key, [])
        inodes = {seen.inode for seen in since} | (known.inodes if known else set())
        contents = [seen.content for seen in since] + (known.contents if known else [])
        if len(inodes) != 1 or key in self._tree.now:
            return False
        for other, seen in self._live.items():
            if other == key or seen.inode not in inodes or poisoned(seen.content, processor):
                continue
            was_there = other in self._known and seen.inode in self._known[other].inodes and known is not None
            versions = [each.content for each in self._tree.since.get(other, []) if each.inode == seen.inode]
            if not was_there and all(_extends(each, contents) for each in [*versions, seen.content]):
                return True
        return False

    def _may_have_moved(self, key):
        known = self._known.get(key)
        mine = {seen.inode for seen in self._tree.since.get(key, [])} | (known.inodes if known else set())
        others = {seen.inode for other, seen in self._live.items() if other != key}
        for other, versions in self._tree.since.items():
            if other != key:
                others |= {seen.inode for seen in versions}
        return bool(mine & others)


@lru_cache(1024)
def poisoned(content, processor):
    """Whether there is a line on which the processor fails for ever."""
    if b'{"torture":' not in content:
        return False
    for line in content.split(b"\n"):
        if line.startswith(b'{"torture":'):
            try:
                _what, _name, times, who = json.loads(line)["torture"]
            except ValueError:
                continue
            if who == processor and times >= PERMANENT:
                return True
    return False


def _extends(content, others):
    return all(content.startswith(other) for other in others)


def _difference(wanted, has):
    if isinstance(wanted, dict):
        return f"{wanted} wanted, {has} there"
    lost, more = set(wanted) - set(has), set(has) - set(wanted)
    order = "" if lost or more or len(wanted) != len(has) else ", in another order"
    return f"{len(wanted)} lines wanted, {len(has)} there: {len(lost)} lost, {len(more)} of others{order}"


def _size(rows):
    return rows if isinstance(rows, dict) else len(rows)
