"""Scripts: lists of actions with their plain values, made from a seed or read from a file. Any part of one is one."""

import json
import random

NAMES = ("a/0", "a/1", "b/0", "b/p/1", "a/p/1", "c/q/r/0")
FOLDERS = ("a", "b", "b/p", "a/p", "c/q", "c/q/r", "c")

# How often, and what it takes.
LIGHT = {
    "append": 30,
    "half": 8,
    "rest": 8,
    "bytewise": 4,
    "writers": 4,
    "long_line": 2,
    "many": 1,
    "poison": 4,
    "truncate": 6,
    "same_size": 4,
    "same_prefix": 5,
    "edit": 5,
    "edit_and_append": 3,
    "flicker": 4,
    "replace": 5,
    "replace_by_longer": 5,
    "copy_over": 5,
    "touch": 3,
    "delete": 5,
    "recreate": 5,
    "delete_folder": 2,
    "move": 8,
    "swap": 3,
    "copy": 3,
    "move_folder": 4,
    "move_out": 4,
    "move_in": 5,
    "link": 2,
    "fifo": 2,
    "folder": 2,
    "linked_folder": 1,
    "forbid": 3,
    "permit": 3,
    "delete_root": 0.5,
    "make_root": 0.5,
    "rename_root": 1,
    "restore_root": 1,
    "other_root": 0.5,
    "clock": 2,
    "pause": 22,
    "sync": 22,
    "kill": 2,
    "stop": 1,
    "down": 1,
    "up": 1,
    "freeze": 1.5,
    "thaw": 2,
    "version": 0.5,
}
HEAVY = LIGHT | {"big": 0.5, "few_watches": 0.3}


def generate(seed, *, heavy=False):
    """A script of its own for each seed."""
    rng = random.Random(seed)
    weights = HEAVY if heavy else LIGHT
    names = rng.choices(list(weights), list(weights.values()), k=rng.randrange(4, 40 if heavy else 30))
    return [[name, *_values(name, rng, heavy)] for name in names]


def _values(name, rng, heavy):
    make = VALUES.get(name)
    return make(rng, heavy) if make else []


def _name(rng):
    return rng.choice(NAMES)


def _seed(rng):
    return rng.randrange(8_000)


def _count(rng):
    return rng.choice((1, 1, 2, 3, 10, 60))


def _percent(rng):
    return rng.choice((0, 100, *[rng.randrange(101)] * 4))


def _poison(rng, heavy):
    what = rng.choices(
        ("raise", "rubbish", "memory", "exit", "segfault", "hang"), (6, 4, 1, 1, 1, 1 if heavy else 0.2)
    )[0]
    who = rng.choice(("recorder", "recorder", "whole"))
    for_ever = what == "raise" and who == "recorder" and rng.random() < 0.2
    return [_name(rng), _seed(rng), what, 99 if for_ever else rng.randrange(1, 3), who]


VALUES = {
    "append": lambda rng, _: [_name(rng), _seed(rng), _count(rng)],
    "half": lambda rng, _: [_name(rng), _seed(rng), _percent(rng)],
    "rest": lambda rng, _: [_name(rng)],
    "bytewise": lambda rng, _: [_name(rng), _seed(rng)],
    "big": lambda rng, _: [_name(rng), _seed(rng), rng.choice((1, 3, 10))],
    "long_line": lambda rng, _: [_name(rng), _seed(rng), rng.choice((15, 16, 17, 63, 64, 100))],
    "writers": lambda rng, _: [_name(rng), _seed(rng), _count(rng)],
    "many": lambda rng, heavy: [rng.choice("abc"), _seed(rng), rng.choice((30, 100, 1000) if heavy else (10, 30))],
    "poison": _poison,
    "truncate": lambda rng, _: [_name(rng), _percent(rng)],
    "same_size": lambda rng, _: [_name(rng)],
    "same_prefix": lambda rng, _: [_name(rng), _percent(rng), _seed(rng), _count(rng)],
    "edit": lambda rng, _: [_name(rng), _percent(rng)],
    "edit_and_append": lambda rng, _: [_name(rng), _percent(rng), _seed(rng), _count(rng)],
    "flicker": lambda rng, _: [_name(rng), _seed(rng), _count(rng), rng.choice((0, 1, 10, 25, 40))],
    "replace": lambda rng, _: [_name(rng), _seed(rng), _count(rng)],
    "replace_by_longer": lambda rng, _: [_name(rng), _seed(rng), _count(rng)],
    "copy_over": lambda rng, _: [_name(rng), _seed(rng), _count(rng), _percent(rng)],
    "touch": lambda rng, _: [_name(rng), rng.choice((-90, -1, -0.001, 0.001, 1, 300))],
    "delete": lambda rng, _: [_name(rng)],
    "recreate": lambda rng, _: [_name(rng), _seed(rng), _count(rng)],
    "delete_folder": lambda rng, _: [rng.choice(FOLDERS)],
    "move": lambda rng, _: [_name(rng), _name(rng)],
    "swap": lambda rng, _: [_name(rng), _name(rng)],
    "copy": lambda rng, _: [_name(rng), _name(rng)],
    "move_folder": lambda rng, _: [rng.choice(FOLDERS), rng.choice((*FOLDERS, "a/new"))],
    "move_out": lambda rng, _: [rng.choice((*NAMES, *FOLDERS))],
    "move_in": lambda rng, _: [rng.choice((*NAMES, *FOLDERS))],
    "link": lambda rng, _: [_name(rng), _seed(rng)],
    "fifo": lambda rng, _: [_name(rng)],
    "folder": lambda rng, _: [_name(rng), _seed(rng)],
    "linked_folder": lambda rng, _: [rng.choice((*FOLDERS, "c/linked")), _seed(rng)],
    "forbid": lambda rng, _: [rng.choice((*NAMES, *FOLDERS))],
    "permit": lambda rng, _: [rng.choice((*NAMES, *FOLDERS))],
    "other_root": lambda rng, _: [_seed(rng)],
    "clock": lambda rng, _: [rng.choice((-86_400, -3, 0, 3, 86_400))],
    "pause": lambda rng, _: [rng.choice((1, 5, 20, 50, 250))],
    "down": lambda rng, _: [rng.choice(("SIGTERM", "SIGKILL"))],
    "freeze": lambda rng, heavy: [int(rng.random() < (0.4 if heavy else 0.1))],
}


def load(path):
    return json.loads(path.read_text())


def save(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(f"  {json.dumps(step)}" for step in script) + "\n]\n")
