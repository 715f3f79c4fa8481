"""As slow as one that asks a language model: it sleeps in each run."""

import os
import time

from processors import ProcessorResult, Table

SECONDS = float(os.environ.get("BOUNDS_SLEEP", "2"))


class P:
    name = "sleeper"
    version = 1
    tables = (Table("slept", {"lines": "BIGINT"}),)

    def process(self, batch):
        time.sleep(SECONDS)
        return ProcessorResult(1, {"slept": [(len(batch.lines),)]})
