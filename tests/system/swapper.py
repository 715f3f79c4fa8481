"""Swaps what lies below a user's folder for links to the outside, as fast as it can.

Three places take turns: the session file, a folder above it, and the user's folder. Each stands beside a link; both
names are exchanged in one step (renameat2), or by three renames where the file system cannot do that.

``python swapper.py ROOT OUTSIDE LEAST PAUSE`` prints the number of swaps after its standard input had something and
there were at least so many; it pauses for so many seconds after each 48.
"""

import ctypes
import os
import select
import sys
from pathlib import Path

EXCHANGE = 2
HERE = -100
_libc = ctypes.CDLL(None, use_errno=True)


def _exchange(one, other):
    if _libc.renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE):
        os.rename(one, f"{one}.between")  # noqa: PTH104
        os.rename(other, one)  # noqa: PTH104
        os.rename(f"{one}.between", other)  # noqa: PTH104


def main(root, outside, least, pause):
    root, outside = Path(root), Path(outside)
    places = {
        root / "alice/f/s.jsonl": outside / "alice/f/s.jsonl",
        root / "bob/f": outside / "bob/f",
        root / "carol": outside / "carol",
    }
    pairs = []
    for place, target in places.items():
        aside = root.parent / f"aside-{place.name}"
        aside.symlink_to(target)
        pairs.append((place, aside))
    swaps = 0
    while swaps < int(least) or not select.select([sys.stdin], [], [], float(pause))[0]:
        for _ in range(16):
            for place, aside in pairs:
                _exchange(place, aside)
        swaps += 16 * len(pairs)
    print(swaps)


if __name__ == "__main__":
    main(*sys.argv[1:])
