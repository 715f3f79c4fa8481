"""Session files for the bounds: many small ones, a large one, lines without end. Quick to make, real to read."""

import itertools
import os
import random
from pathlib import Path

from tests.bench import corpus

FOLDERS = 2_000
USERS = 100


def crowd(root: Path, sessions: int) -> int:
    """Write many small sessions of many users in up to 2,000 folders, two lines each; returns their bytes."""
    stem = "5e5510d0-0000-4000-8000-000000000000"
    texts = [
        own
        for seed in range(400)
        if len(own := b"".join(itertools.islice(corpus.lines(random.Random(seed), stem), 2))) < 3_500
    ]
    each = max(1, -(-sessions // FOLDERS))
    size = 0
    for number, begin in enumerate(range(0, sessions, each)):
        folder = root / f"user{number % USERS:03d}" / f"-home-user-project-{number // USERS}"
        folder.mkdir(parents=True, exist_ok=True)
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        for session in range(begin, min(begin + each, sessions)):
            name = f"{session:08x}{stem[8:]}"
            text = texts[session % len(texts)].replace(stem[:8].encode(), name[:8].encode())
            fd = os.open(f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644, dir_fd=at)
            os.write(fd, text)
            os.close(fd)
            size += len(text)
        os.close(at)
    return size
