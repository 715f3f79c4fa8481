"""What can happen to the content of files.

Each action is a function of the tree and plain values; a script is a list of calls. What an action needs and does not
find is none of its business: it does nothing then, so that any part of a script is a script.
"""

import json
import os
import threading
import time

from tests.system.torture.lines import content, lines_of

ACTIONS = {}
YEARS = 365 * 86_400


def action(function):
    ACTIONS[function.__name__] = function
    return function


def _append(path, data):
    with path.open("ab", 0) as file:
        file.write(data)


# Growing


@action
def append(tree, name, seed, count):
    _append(tree.path(name), content(tree, seed, count))


@action
def half(tree, name, seed, percent):
    """The first part of a line; ``rest`` gives the other one."""
    (line,) = lines_of(tree, seed, 1)
    cut = len(line) * percent // 100
    tree.rest[name] = line[cut:]
    _append(tree.path(name), line[:cut])


@action
def rest(tree, name):
    if tree.file(name):
        _append(tree.path(name), tree.rest.pop(name, b""))


@action
def bytewise(tree, name, seed):
    with tree.path(name).open("ab", 0) as file:
        for byte in content(tree, seed, 2):
            file.write(bytes((byte,)))


@action
def big(tree, name, seed, megabytes):
    """As much at once; one line in it is over the limit."""
    padding = b'{"p":"%s"}\n' % (b"x" * 3000)
    lines = [line for number in range(megabytes * 64) for line in (*lines_of(tree, seed + number, 1), *[padding] * 5)]
    lines.insert(len(lines) // 2, b'{"p":"%s"}\n' % (b"y" * 70_000))
    _append(tree.path(name), b"".join(lines))


@action
def long_line(tree, name, seed, kilobytes):
    """A line that may be over the limit, written in two pieces, and one after it."""
    path, line = tree.path(name), b'{"p":"%s"}\n' % (b"z" * (kilobytes << 10))
    _append(path, line[: len(line) // 2])
    _append(path, line[len(line) // 2 :] + content(tree, seed, 1))


@action
def writers(tree, name, seed, count):
    """Two append whole lines at the same time."""
    path = tree.path(name)
    threads = [
        threading.Thread(target=lambda own=own: [_append(path, line) for line in lines_of(tree, seed + own, count)])
        for own in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@action
def many(tree, name, seed, count):
    """So many new files at once."""
    for number in range(count):
        _append(tree.path(f"{name}/m/{number % 7}/{number}"), content(tree, seed + number, 1))


@action
def poison(tree, name, seed, what, times, who):
    """A line on which a processor misbehaves so often, among others."""
    bad = json.dumps({"torture": [what, f"{tree.tag}{seed}", times, who]}, separators=(",", ":")).encode() + b"\n"
    _append(tree.path(name), content(tree, seed, 2) + bad + content(tree, seed + 1, 1))


# Rewriting


@action
def truncate(tree, name, percent):
    if path := tree.file(name):
        os.truncate(path, path.stat().st_size * percent // 100)


@action
def same_size(tree, name):
    """Other content of the same size, in place."""
    if path := tree.file(name):
        path.write_bytes(path.read_bytes().translate(bytes.maketrans(b"0123456789x", b"1234567890y")))


@action
def same_prefix(tree, name, percent, seed, count):
    """The first lines are kept, what follows is other."""
    if path := tree.file(name):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: len(lines) * percent // 100]) + content(tree, seed, count))


@action
def edit(tree, name, percent):
    """One byte in the middle; neither size nor mtime show it."""
    path = tree.file(name)
    if path and (size := path.stat().st_size):
        before = path.stat()
        _flip(path, size * percent // 101)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@action
def edit_and_append(tree, name, percent, seed, count):
    path = tree.file(name)
    if path and (size := path.stat().st_size):
        _flip(path, size * percent // 101)
        _append(path, content(tree, seed, count))


def _flip(path, at):
    with path.open("r+b", 0) as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes((byte ^ 1,)))


@action
def flicker(tree, name, seed, count, milliseconds):
    """Lines that are there for a moment only."""
    if path := tree.file(name):
        size = path.stat().st_size
        _append(path, content(tree, seed, count))
        tree.observe()
        threading.Event().wait(milliseconds / 1000)
        os.truncate(path, size)


@action
def replace(tree, name, seed, count):
    """By a rename of another file."""
    new = tree.outside / "new"
    new.write_bytes(content(tree, seed, count))
    new.rename(tree.path(name))


@action
def replace_by_longer(tree, name, seed, count):
    """By a rename of a copy that goes on."""
    path, new = tree.path(name), tree.outside / "new"
    new.write_bytes((path.read_bytes() if path.exists() else b"") + content(tree, seed, count))
    new.rename(path)


@action
def copy_over(tree, name, seed, count, percent):
    """As an upload does: a new file of that name, incomplete at first, and in the end with a time of the past."""
    path = tree.path(name)
    whole = (path.read_bytes() if path.exists() else b"") + content(tree, seed, count)
    path.unlink(missing_ok=True)
    with path.open("wb", 0) as file:
        file.write(whole[: len(whole) * percent // 100])
        file.write(whole[len(whole) * percent // 100 :])
    os.utime(path, (10**9, 10**9))


@action
def touch(tree, name, years):
    if path := tree.file(name):
        os.utime(path, (time.time() + years * YEARS, time.time() + years * YEARS))
