"""A row of many columns for each line, however short: what is read says little of what it takes."""

from processors import ProcessorResult, Table

COLUMNS = 20


class P:
    name = "rows"
    version = 1
    tables = (Table("manifold", {f"c{number}": "VARCHAR" for number in range(COLUMNS)}),)

    def process(self, batch):
        lines = batch.lines
        rows = [tuple(f"{number}-{column}" for column in range(COLUMNS)) for number in range(len(lines))]
        return ProcessorResult(len(rows), {"manifold": rows})
