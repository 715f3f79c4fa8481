"""What can happen to files as a whole, to folders and to the root; see :mod:`tests.system.torture.actions`."""

import os
import shutil

from tests.system.torture.actions import action
from tests.system.torture.lines import content
from tests.system.torture.tree import allow

# Going


@action
def delete(tree, name):
    if path := tree.file(name):
        path.unlink()


@action
def recreate(tree, name, seed, count):
    """At once, so that the new file is likely to have the old one's inode."""
    path = tree.path(name)
    path.unlink(missing_ok=True)
    path.write_bytes(content(tree, seed, count))


@action
def delete_folder(tree, name):
    folder = tree.folder(name)
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)


# Moving


@action
def move(tree, name, to):
    if (path := tree.file(name)) and name != to:
        path.rename(tree.path(to))


@action
def swap(tree, name, other):
    one, two, middle = tree.file(name), tree.file(other), tree.outside / "middle"
    if one and two and name != other:
        one.rename(middle)
        two.rename(one)
        middle.rename(two)


@action
def copy(tree, name, to):
    if (path := tree.file(name)) and name != to:
        shutil.copy2(path, tree.path(to))


@action
def move_folder(tree, name, to):
    source, target = tree.folder(name), tree.folder(to)
    if source.is_dir() and not target.exists() and not target.is_relative_to(source):
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)


@action
def move_out(tree, name):
    """A folder, or a file, with what is in it."""
    for path in (tree.folder(name), tree.root / tree.key(name)):
        if path.exists() and not path.is_symlink():
            there = tree.outside / f"out{len(tree.out)}"
            path.rename(there)
            tree.out.append(there)
            return


@action
def move_in(tree, name):
    """What was moved out last, perhaps by another name."""
    if not tree.out:
        return
    there = tree.out[-1]
    target = tree.folder(name) if there.is_dir() else tree.path(name)
    if not target.exists() or target.is_file() == there.is_file() is True:
        target.parent.mkdir(parents=True, exist_ok=True)
        tree.out.pop().rename(target)


# Other things in a file's place


@action
def link(tree, name, seed):
    """A symbolic link to a file that is nobody's business."""
    path, secret = tree.path(name), tree.outside / f"secret{seed}"
    path.unlink(missing_ok=True)
    secret.write_bytes(content(tree, seed, 3))
    path.symlink_to(secret)


@action
def fifo(tree, name):
    path = tree.path(name)
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@action
def folder(tree, name, seed):
    """A folder of a session's name, with a session in it."""
    path = tree.path(name)
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "inner.jsonl").write_bytes(content(tree, seed, 2))


@action
def linked_folder(tree, name, seed):
    """A symbolic link to a folder with sessions elsewhere."""
    there, path = tree.outside / f"secrets{seed}", tree.folder(name)
    if not path.exists() and not path.is_symlink():
        there.mkdir()
        (there / "inner.jsonl").write_bytes(content(tree, seed, 2))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(there)


@action
def forbid(tree, name):
    """Nobody may read it: a file, or a folder."""
    path = tree.file(name) or tree.folder(name)
    if path.exists() and not path.is_symlink():
        path.chmod(0)


@action
def permit(tree, name):
    allow(tree.file(name) or tree.folder(name))


# The root


@action
def delete_root(tree):
    shutil.rmtree(tree.root, ignore_errors=True)


@action
def make_root(tree):
    tree.root.mkdir(exist_ok=True)


@action
def rename_root(tree):
    if tree.root.exists() and not (aside := tree.root.parent / "aside").exists():
        tree.root.rename(aside)


@action
def restore_root(tree):
    """The one that was renamed, in the place of what is there now."""
    aside = tree.root.parent / "aside"
    if aside.exists():
        shutil.rmtree(tree.root, ignore_errors=True)
        aside.rename(tree.root)


@action
def other_root(tree, seed):
    """As when something is mounted: another tree, with some of the same names."""
    other, old = tree.root.parent / f"other{seed}", tree.root.parent / f"aside-{seed}"
    if other.exists() or old.exists():
        return
    for name in ("a/0", "b/p/1"):
        path = other / tree.key(name)
        path.parent.mkdir(parents=True)
        path.write_bytes(content(tree, seed, 2))
    if tree.root.exists():
        tree.root.rename(old)
    other.rename(tree.root)
