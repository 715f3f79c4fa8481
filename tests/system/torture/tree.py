"""The folder tree of one script: where its files are, what they hold now, and what they have held."""

import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

USERS = "abcz"


class Seen(NamedTuple):
    """A file at one moment."""

    inode: tuple[int, int]
    content: bytes


class Tree:
    """Users of one script, in a root. A name such as ``a/p/1`` stands for ``s<script>-a/p/1.jsonl``.

    ``since``: what each session has held since the last time that the rows were compared with the files.
    """

    def __init__(self, root, outside, script, *, obeys_modes=True):
        self.root, self.outside, self.script, self.tag = root, outside, script, f"s{script}-"
        self.obeys_modes = obeys_modes
        self.out = []
        self.rest = {}
        self.now = {}
        self.since = {}
        self._looks = {}
        outside.mkdir(parents=True, exist_ok=True)

    def key(self, name):
        return f"{self.tag}{name}.jsonl"

    def path(self, name):
        """Where a file is to be, in a folder that is there; what is no file makes room for one."""
        path = self.root / self.key(name)
        for folder in reversed(path.relative_to(self.root).parents[:-1]):
            if (self.root / folder).is_symlink() or (self.root / folder).is_file():
                (self.root / folder).unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink() or (path.exists() and not path.is_file()):
            path.unlink()
        return path

    def file(self, name):
        """Where a file is, or None."""
        path = self.root / self.key(name)
        return path if path.is_file() and not path.is_symlink() else None

    def folder(self, name):
        return self.root / f"{self.tag}{name}"

    def observe(self):
        """Take note of what the files hold now."""
        now = {}
        for path in self._sessions():
            look = path.lstat()
            if not stat.S_ISREG(look.st_mode):
                continue
            key = str(path.relative_to(self.root))
            mark = (look.st_dev, look.st_ino, look.st_size, look.st_mtime_ns, look.st_ctime_ns)
            known = self._looks.get(key)
            if known is None or known[0] != mark:
                self._looks[key] = (mark, Seen((look.st_dev, look.st_ino), path.read_bytes()))
            now[key] = self._looks[key][1]
        for key, seen in now.items():
            if self.now.get(key) != seen:
                self.since.setdefault(key, []).append(seen)
        self.now = now

    def _sessions(self):
        for user in USERS:
            folder = self.folder(user)
            if folder.is_dir() and not folder.is_symlink():
                yield from folder.rglob("*.jsonl")

    def readable(self):
        """The sessions that the daemon may read."""
        return {key: seen for key, seen in self.now.items() if self._may_read(key)}

    def _may_read(self, key):
        if not self.obeys_modes:
            return True
        path = self.root / key
        folders = path.relative_to(self.root).parents[:-1]
        return path.stat().st_mode & 0o400 and all(
            (self.root / each).stat().st_mode & 0o500 == 0o500 for each in folders
        )

    def settled(self):
        """The rows were compared with the files."""
        self.since = {}

    def clear(self):
        """Nothing is left of the script but its rows."""
        for folder in (*self.root.parent.glob("aside*"), *self.root.parent.glob("other*"), self.outside):
            shutil.rmtree(folder, ignore_errors=True)
        self.root.mkdir(exist_ok=True)
        for user in USERS:
            shutil.rmtree(self.folder(user), ignore_errors=True)


def allow(path):
    """Everything at and below it may be read again."""
    if path.is_symlink() or not path.exists():
        return
    path.chmod(0o755 if path.is_dir() else 0o644)
    if path.is_dir():
        for entry in os.scandir(path):
            allow(Path(entry.path))
