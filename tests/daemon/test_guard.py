"""A whole-session processor's connection: all of DuckDB, but the transaction belongs to the engine."""

import contextlib

import pytest

from daemon import run_processor
from daemon.errors import ContractError
from daemon.guard import GuardedConnection
from daemon.store import transaction
from processors import ProcessorResult


class Whole:
    """Writes a row, and then does what it is told to."""

    name = "whole"

    def __init__(self, work):
        self.work = work

    def process_session(self, session_path, username, session_key, conn):
        conn.execute("INSERT INTO kept VALUES (1)")
        self.work(conn)
        return ProcessorResult(items_count=1)


@pytest.fixture
def kept(conn, root):
    (root / "alice/s.jsonl").write_bytes(b"{}\n")
    conn.execute("CREATE TABLE kept (n INTEGER)")
    return conn


ENDINGS = {
    "begin": lambda conn: conn.execute("BEGIN"),
    "commit": lambda conn: conn.execute("COMMIT"),
    "rollback": lambda conn: conn.execute("rollback transaction"),
    "abort": lambda conn: conn.execute("ABORT"),
    "hidden behind a comment": lambda conn: conn.execute("/* a */ -- b\n COMMIT"),
    "after another statement": lambda conn: conn.execute("SELECT 1; COMMIT; BEGIN"),
    "as bytes of sql()": lambda conn: conn.sql("COMMIT"),
    "query()": lambda conn: conn.query("COMMIT"),
    "executemany()": lambda conn: conn.executemany("COMMIT", [[]]),
    "a parsed statement": lambda conn: conn.execute(conn.extract_statements("COMMIT")[0]),
    "method begin": lambda conn: conn.begin(),
    "method commit": lambda conn: conn.commit(),
    "method rollback": lambda conn: conn.rollback(),
    "method close": lambda conn: conn.close(),
    "method cursor": lambda conn: conn.cursor(),
    "context manager": lambda conn: contextlib.ExitStack().enter_context(conn),
    "chained": lambda conn: conn.execute("SELECT 1").commit(),
}


@pytest.mark.parametrize("work", ENDINGS.values(), ids=ENDINGS)
def test_a_processor_that_ends_the_transaction_is_refused_and_nothing_of_it_is_kept(kept, root, work):
    counts = run_processor(kept, Whole(work), root)
    assert (counts["processed"], counts["errors"]) == (0, 1)
    assert kept.execute("SELECT * FROM kept").fetchall() == []
    assert kept.execute("SELECT * FROM session_processor_state").fetchall() == []


def test_everything_else_works_as_on_the_connection_itself(kept, root):
    def work(conn):
        conn.execute("CREATE TABLE other (n INTEGER, text VARCHAR)")
        conn.executemany("INSERT INTO other VALUES (?, ?)", [[2, "BEGIN"], [3, "COMMIT; ROLLBACK"]])
        assert conn.execute("SELECT n FROM other WHERE text = $text", {"text": "BEGIN"}).fetchall() == [(2,)]
        assert conn.sql("SELECT max(n) FROM other").fetchall() == [(3,)]
        assert conn.table("other").count("*").fetchall() == [(2,)]
        conn.execute("INSERT INTO kept SELECT n FROM other; INSERT INTO kept VALUES (4)")

    counts = run_processor(kept, Whole(work), root)
    assert counts["errors_detail"] == []
    assert kept.execute("SELECT n FROM kept ORDER BY n").fetchall() == [(1,), (2,), (3,), (4,)]


def test_a_processor_may_leave_a_result_unread(kept, root):
    (root / "alice/t.jsonl").write_bytes(b"{}\n")
    counts = run_processor(kept, Whole(lambda conn: conn.execute("SELECT * FROM range(9)").fetchone()), root)
    assert (counts["errors_detail"], counts["processed"]) == ([], 2)
    assert kept.execute("SELECT count(*) FROM kept").fetchall() == [(2,)]


def test_a_statement_of_its_own_that_fails_fails_the_run_and_no_other(kept, root):
    (root / "alice/t.jsonl").write_bytes(b"{}\n")

    def work(conn):
        if kept.execute("SELECT count(*) FROM kept").fetchone() == (1,):
            conn.execute("SELECT * FROM no_such_table")

    counts = run_processor(kept, Whole(work), root)
    assert (counts["errors"], counts["processed"]) == (2, 0)
    assert kept.execute("SELECT * FROM kept").fetchall() == []


def test_the_error_says_what_to_do_instead(conn):
    with transaction(conn), pytest.raises(ContractError, match=r"transaction.*raise to keep nothing"):
        GuardedConnection(conn).execute("COMMIT")
