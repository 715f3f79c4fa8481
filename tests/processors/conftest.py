"""What tests of usage share: sessions given as lines, and what the database then says of them."""

import json

import pytest

from daemon import open_database, run_processor
from processors.registry import register
from processors.usage import UsageProcessor
from processors.usage.filters import Filters
from processors.usage.reports import shown
from processors.usage.statements import TOTAL, statement


class Usage:
    """A database of usage; ``write`` brings it up to date."""

    def __init__(self, conn, root, processor):
        self.conn, self.root, self.processor = conn, root, processor

    def write(self, sessions):
        """Lines of sessions by key, instead of those that were there."""
        for key, lines in sessions.items():
            path = self.root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert run_processor(self.conn, self.processor, self.root)["errors"] == 0
        return self

    def ask(self, sql):
        return self.conn.execute(sql).fetchall()

    def report(self, name, **filters):
        """The rows of a report, as it is shown, without its totals."""
        found = self.conn.sql(statement(name, Filters(**filters))).to_arrow_table().to_pylist()
        columns = shown(name, Filters(**filters)).columns
        return [{column: row[column] for column in columns} for row in found if not row.get(TOTAL)]


@pytest.fixture
def usage(tmp_path):
    """Makes a database of sessions, with these options of the processor."""
    made = []

    def make(sessions, options=None):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        opened = open_database(folder / "usage.duckdb")
        made.append(opened)
        processor = register(UsageProcessor, options=options or {}).processor
        return Usage(opened.__enter__(), folder / "root", processor).write(sessions)

    yield make
    for opened in made:
        opened.__exit__(None, None, None)
