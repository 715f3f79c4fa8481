"""Kept views: they show at any time what working them out anew would show."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import open_database
from daemon.commit import fold_all
from daemon.errors import ContractError
from daemon.kept import SLICE
from daemon.store import transaction
from daemon.tables import make_tables
from processors import Table, View
from processors.registry import ProcessorError, register

AT = datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)
HITS = Table("hits", {"k": "BIGINT", "n": "BIGINT", "at": "TIMESTAMP"}, key=("k", "at"))
SQL = "SELECT k, max(n) AS most, count(*) AS times, min(session_file) AS first_file FROM hits GROUP BY k"
BEST = View("best", SQL, table="hits", key="k")
ANEW = f"SELECT * FROM ({SQL}) WHERE k IS NOT NULL ORDER BY ALL"


def add(conn, table, rows, key="alice/s.jsonl", seq=1):
    with transaction(conn):
        table.append(conn, [table.rows(rows, key, "alice", 1, AT)], seq)


def due(conn):
    return conn.execute("SELECT count(DISTINCT k) FROM best_due").fetchall()[0][0]


KEYS = st.sampled_from([1, 2, 3, None])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("st"), st.lists(st.tuples(KEYS, st.integers(0, 9)), min_size=1)),
        st.tuples(st.just("update"), st.sampled_from("st"), KEYS, st.integers(0, 9)),
        st.tuples(st.just("delete"), st.sampled_from("st")),
        st.tuples(st.just("fold"), st.integers(0, 12)),
        st.tuples(st.just("restart")),
    ),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=60)
def test_it_shows_what_working_it_out_anew_would_show_whatever_was_done_and_folded(steps):
    with open_database(":memory:") as conn:
        table = make_tables(conn, [HITS], [BEST])["hits"]
        for seq, step in enumerate(steps, 1):
            what, key = step[0], f"alice/{step[-1]}.jsonl"
            if what == "restart":
                table = make_tables(conn, [HITS], [BEST])["hits"]
                assert conn.execute("SELECT count(*) FROM best_due WHERE seq > 0").fetchall() == [(0,)]
            elif what == "add":
                add(conn, table, [(k, n, AT) for k, n in step[2]], f"alice/{step[1]}.jsonl", seq)
            with transaction(conn):
                if what == "update":
                    news = table.updates([{"k": step[2], "at": AT, "n": step[3]}], f"alice/{step[1]}.jsonl")
                    table.update(conn, news, seq)
                elif what == "delete":
                    table.delete(conn, [key], seq)
                elif what == "fold":
                    table.fold_views(conn, step[1])
            assert conn.execute("FROM best ORDER BY ALL").fetchall() == conn.execute(ANEW).fetchall()
        fold_all(conn, {"p": {"hits": table}})
        assert due(conn) == 0
        assert conn.execute("SELECT * FROM best_kept ORDER BY ALL").fetchall() == conn.execute(ANEW).fetchall()


def test_a_fold_takes_slices_of_what_was_changed_until_a_commit_and_leaves_the_rest(conn):
    table = make_tables(conn, [HITS], [BEST])["hits"]
    for seq in (1, 2, 3):
        add(conn, table, [(number, seq, AT) for number in range(SLICE)], seq=seq)
    with transaction(conn):
        assert table.fold_views(conn, 2) == SLICE
    assert due(conn) == SLICE
    fold_all(conn, {"p": {"hits": table}})
    assert conn.execute("SELECT count(*), sum(times) FROM best_kept").fetchall() == [(SLICE, 3 * SLICE)]


def test_one_that_is_declared_otherwise_is_worked_out_anew_slice_by_slice(conn):
    table = make_tables(conn, [HITS], [View("best", "SELECT k FROM hits", table="hits", key="k")])["hits"]
    add(conn, table, [(number, 1, AT) for number in range(SLICE + 5)])
    fold_all(conn, {"p": {"hits": table}})
    table = make_tables(conn, [HITS], [BEST])["hits"]
    assert due(conn) == SLICE + 5
    assert conn.execute("SELECT count(*), sum(most) FROM best").fetchall() == [(SLICE + 5, SLICE + 5)]
    with transaction(conn):
        assert table.fold_views(conn) == SLICE
    assert due(conn) == 5
    fold_all(conn, {"p": {"hits": table}})
    assert conn.execute("SELECT count(*), sum(most) FROM best_kept").fetchall() == [(SLICE + 5, SLICE + 5)]


def test_one_of_a_table_with_rows_from_before_shows_them_at_once(conn):
    add(conn, make_tables(conn, [HITS], [View("best", "SELECT 1 AS k")])["hits"], [(1, 7, AT)])
    make_tables(conn, [HITS], [BEST])
    assert conn.execute("SELECT k, most FROM best").fetchall() == [(1, 7)]


def test_what_is_rolled_back_is_not_due(conn):
    table = make_tables(conn, [HITS], [BEST])["hits"]

    def spoilt():
        with transaction(conn):
            table.append(conn, [table.rows([(1, 1, AT)], "alice/s.jsonl", "alice", 1, AT)], 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spoilt()
    assert (due(conn), conn.execute("FROM best").fetchall()) == (0, [])
    add(conn, table, [(1, 1, AT)])
    assert conn.execute("SELECT most FROM best").fetchall() == [(1,)]


@pytest.mark.parametrize("name", ["best", "best_kept", "best_due"])
def test_its_names_are_taken(conn, name):
    with pytest.raises(ContractError, match=f"the name {name} is taken"):
        make_tables(conn, [HITS, Table(name, {"n": "BIGINT"})], [BEST])


def test_one_whose_statement_is_wrong_is_refused_and_leaves_nothing(conn):
    wrong = View("best", "SELECT nothing FROM hits", table="hits", key="k")
    with pytest.raises(ContractError, match="view best: Binder Error"):
        make_tables(conn, [HITS], [wrong])
    assert conn.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE 'best%'").fetchall() == [(0,)]


LATEST = Table("latest", {"k": "BIGINT"}, kind="one_per_session")


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        ("others", "k", "'others' is no append table of this processor"),
        ("latest", "k", "'latest' is no append table of this processor"),
        ("hits", "at", "'at' is no integer column of 'hits'"),
        ("hits", "n", "'n' is not in the key by which rows of 'hits' are updated"),
    ],
)
def test_a_view_that_cannot_be_kept_is_refused(table, key, said):
    class Wrong:
        name = "wrong"
        tables = (HITS, LATEST)
        views = (View("best", SQL, table=table, key=key),)

        def process(self, batch):
            raise NotImplementedError

    with pytest.raises(ProcessorError, match=said):
        register(Wrong)


def test_a_kept_view_has_a_table_and_a_key():
    with pytest.raises(ValueError, match="a table and a key"):
        View("best", SQL, table="hits")
