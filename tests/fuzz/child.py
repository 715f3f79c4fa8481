"""One target under atheris, in a process of its own: libFuzzer ends it. Started by ``python -m tests.fuzz``."""

import mmap
import struct
import sys

import atheris

with atheris.instrument_imports(
    include=["daemon.lines", "daemon.transcript", "daemon.look", "processors.turns", "processors.contract"]
):
    from tests.fuzz.targets import TARGETS


def main(name, again, counts, *arguments):
    """``again``: starts such a process; ``counts``: a file of two numbers, runs and lines compared."""
    target = TARGETS[name]
    runs = lines = 0
    with open(counts, "r+b") as file:  # noqa: PTH123
        shared = mmap.mmap(file.fileno(), 16)

    def one(data):
        nonlocal runs, lines
        lines += target(data)
        runs += 1
        struct.pack_into("QQ", shared, 0, runs, lines)

    atheris.Setup([again, *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
