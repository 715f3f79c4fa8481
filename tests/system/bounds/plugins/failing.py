"""Fails on every session, and says so itself, on each of its lines and on each way out."""

import logging
import os
import sys

NOISY = os.environ.get("BOUNDS_NOISY") == "1"


class P:
    name = "failing"
    version = 1

    def process(self, batch):
        if NOISY:
            for number, _ in enumerate(batch.lines):
                print("line", number)
                logging.getLogger("failing").warning("line %d", number)
                print("line", number, file=sys.stderr)
        raise ValueError("it fails on everything")
