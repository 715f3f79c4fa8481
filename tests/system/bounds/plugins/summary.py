"""One row per session, counted on from run to run through the carry."""

from processors import ProcessorResult, Table


class P:
    name = "summary"
    version = 1
    tables = (Table("summary", {"lines": "BIGINT", "bytes": "BIGINT"}, kind="one_per_session"),)

    def process(self, batch):
        lines, size = batch.carry or (0, 0)
        lines, size = lines + len(batch.lines), size + len(batch.data)
        return ProcessorResult(1, {"summary": [(lines, size)]}, carry=(lines, size))
