"""Goes over its budget where a line says so, and comes back later; fails where another does."""

import os
import time

from processors import ProcessorResult, Table

SECONDS = float(os.environ.get("BOUNDS_HANG", "3"))


class P:
    name = "hanging"
    version = 1
    tables = (Table("hung", {"lines": "BIGINT"}),)
    budget_seconds = 0.5

    def process(self, batch):
        if b'{"do":"hang"}\n' in batch.data:
            time.sleep(SECONDS)
        if b'{"do":"fail"}\n' in batch.data:
            raise ValueError("as it is told")
        return ProcessorResult(1, {"hung": [(len(batch.lines),)]})
