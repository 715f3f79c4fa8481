"""Goes over its budget where a line says so, and comes back later; fails where another does."""

import time

from processors import ProcessorResult, Table


class P:
    name = "hanging"
    version = 1
    tables = (Table("hung", {"lines": "BIGINT"}),)
    budget_seconds = 0.5

    def process(self, batch):
        if b'{"do":"hang"}\n' in batch.data:
            time.sleep(3)
        if b'{"do":"fail"}\n' in batch.data:
            raise ValueError("as it is told")
        return ProcessorResult(1, {"hung": [(len(batch.lines),)]})
