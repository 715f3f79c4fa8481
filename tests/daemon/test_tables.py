"""Result tables: made from their declaration, filled in any shape, replaced session by session."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import open_database
from daemon.errors import ContractError
from daemon.store import transaction
from daemon.tables import ResultTable, make_tables
from processors import Table, View

EVENTS = Table("events", {"n": "BIGINT", "at": "TIMESTAMP", "text": "VARCHAR"}, key=("n",))
LATEST = Table("latest", {"n": "BIGINT"}, kind="one_per_session")
AT = datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)


def add(conn, table, rows, key="alice/s.jsonl", seq=1, version=1):
    with transaction(conn):
        made = table.rows(rows, key, key.partition("/")[0], version, AT)
        if made:
            table.append(conn, [made], seq)


def shown(conn, table, columns="n"):
    return conn.execute(f'SELECT session_file, {columns} FROM "{table.name}" ORDER BY ALL').fetchall()


def test_a_table_has_the_declared_columns_and_those_of_the_engine(conn):
    ResultTable(conn, EVENTS)
    found = conn.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'events' ORDER BY column_index"
    )
    assert found.fetchall() == [
        ("n", "BIGINT"),
        ("at", "TIMESTAMP"),
        ("text", "VARCHAR"),
        ("session_file", "VARCHAR"),
        ("username", "VARCHAR"),
        ("processor_version", "INTEGER"),
        ("extracted_at", "TIMESTAMP"),
    ]


def test_a_result_table_has_no_index(conn):
    ResultTable(conn, EVENTS)
    ResultTable(conn, LATEST)
    names = "('events', 'latest_log', 'latest_settled')"
    assert conn.execute(f"SELECT * FROM duckdb_indexes() WHERE table_name IN {names}").fetchall() == []
    assert conn.execute(f"SELECT * FROM duckdb_constraints() WHERE table_name IN {names}").fetchall() == []


@pytest.mark.parametrize(
    "rows",
    [
        [{"n": 1, "text": "x"}, {"n": 2}],
        [(1, None, "x"), (2, None, None)],
        {"n": [1, 2], "text": ["x", None]},
    ],
    ids=["dicts", "tuples", "columns"],
)
def test_rows_may_come_in_three_shapes(conn, rows):
    table = ResultTable(conn, EVENTS)
    add(conn, table, rows)
    assert shown(conn, table, 'n, "at", text, username, processor_version, extracted_at') == [
        ("alice/s.jsonl", 1, None, "x", "alice", 1, AT),
        ("alice/s.jsonl", 2, None, None, "alice", 1, AT),
    ]


@pytest.mark.parametrize("empty", [(), [], {}, {"n": []}])
def test_no_rows_are_no_rows(conn, empty):
    table = ResultTable(conn, EVENTS)
    add(conn, table, empty)
    assert shown(conn, table) == []


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([{"n": "many"}], "column n is no BIGINT"),
        ([{"at": "yesterday"}], "column at is no TIMESTAMP"),
        ([{"text": 5}], "column text is no VARCHAR"),
        ([{"text": "\ud800"}], "column text is no VARCHAR"),
        ([{"n": 2**63}], "column n is no BIGINT"),
        ([{"n": 1}, {"other": 1}], "column other is not declared"),
        ({"other": [1]}, "column other is not declared"),
        ({"n": [1], "text": []}, "different lengths"),
        ([(1,)], "as many values"),
        ([5], "dicts, tuples"),
        (iter([{"n": 1}]), "dicts, tuples"),
    ],
)
def test_what_does_not_fit_is_refused_with_table_and_column_but_never_the_value(conn, rows, named):
    table = ResultTable(conn, EVENTS)
    with pytest.raises(ContractError, match=f"table events: .*{named}") as caught:
        add(conn, table, rows)
    assert "yesterday" not in str(caught.value)
    assert shown(conn, table) == []


def test_updates_change_the_rows_of_their_session_and_key(conn):
    table = ResultTable(conn, EVENTS)
    for key in ("alice/s.jsonl", "alice/t.jsonl"):
        add(conn, table, [(1, AT, "a"), (2, AT, "b"), (None, AT, "c")], key)
    news = table.updates([{"n": 2, "text": "new"}, {"n": None, "text": "none"}], "alice/s.jsonl")
    with transaction(conn):
        table.update(conn, news, 1)
    assert shown(conn, table, "n, text") == [
        ("alice/s.jsonl", 1, "a"),
        ("alice/s.jsonl", 2, "new"),
        ("alice/s.jsonl", None, "none"),
        ("alice/t.jsonl", 1, "a"),
        ("alice/t.jsonl", 2, "b"),
        ("alice/t.jsonl", None, "c"),
    ]


def test_updates_need_a_key(conn):
    table = ResultTable(conn, EVENTS)
    with pytest.raises(ContractError, match="key"):
        table.updates([{"text": "x"}], "alice/s.jsonl")
    with pytest.raises(ContractError, match="key"):
        ResultTable(conn, LATEST).updates([{"n": 1}], "alice/s.jsonl")
    assert table.updates([], "alice/s.jsonl") == []


def test_one_per_session_shows_the_latest_whether_it_is_settled_or_in_the_log(conn):
    table = ResultTable(conn, LATEST)
    for seq in (1, 2):
        add(conn, table, [{"n": seq}, {"n": seq * 10}], seq=seq)
    add(conn, table, [{"n": 5}], "alice/t.jsonl", seq=3)
    wanted = [("alice/s.jsonl", 20), ("alice/t.jsonl", 5)]
    assert shown(conn, table) == wanted
    with transaction(conn):
        table.fold(conn, 1000)
    assert shown(conn, table) == wanted
    assert conn.execute("SELECT count(*) FROM latest_log").fetchall() == [(0,)]
    add(conn, table, [{"n": 30}], seq=4)
    assert shown(conn, table) == [("alice/s.jsonl", 30), ("alice/t.jsonl", 5)]


ACTIONS = st.lists(st.tuples(st.sampled_from(["s", "t", "fold"]), st.integers(1, 9)) | st.just("delete"), max_size=12)


@given(ACTIONS)
@settings(max_examples=30)
def test_nothing_depends_on_when_a_fold_happens(actions):
    with open_database(":memory:") as conn:
        table, wanted = ResultTable(conn, LATEST), {}
        for seq, action in enumerate(actions):
            if action[0] == "fold":
                with transaction(conn):
                    table.fold(conn, action[1])
            elif action == "delete":
                with transaction(conn):
                    table.delete(conn, ["alice/s.jsonl"], seq)
                wanted.pop("alice/s.jsonl", None)
            else:
                key = f"alice/{action[0]}.jsonl"
                add(conn, table, [{"n": action[1]}], key, seq=seq)
                wanted[key] = action[1]
            assert dict(shown(conn, table)) == wanted


def test_deleting_takes_all_rows_of_the_sessions_and_no_others(conn):
    for declared in (EVENTS, LATEST):
        table = ResultTable(conn, declared)
        for name in ("s", "t", "u"):
            add(conn, table, [{"n": 1}], f"alice/{name}.jsonl")
        with transaction(conn):
            table.delete(conn, ["alice/s.jsonl", "alice/u.jsonl", "alice/unknown.jsonl"], 1)
        assert shown(conn, table) == [("alice/t.jsonl", 1)]


def test_a_new_column_is_added_and_older_rows_have_none(conn):
    add(conn, ResultTable(conn, EVENTS), [{"n": 1}])
    wider = ResultTable(conn, Table("events", {**EVENTS.columns, "more": "DOUBLE"}))
    add(conn, wider, [{"n": 2, "more": 0.5}])
    assert shown(conn, wider, "n, more, username") == [
        ("alice/s.jsonl", 1, None, "alice"),
        ("alice/s.jsonl", 2, 0.5, "alice"),
    ]


def test_a_column_of_another_type_is_refused_and_named(conn):
    ResultTable(conn, EVENTS)
    with pytest.raises(ContractError, match="table events: column text is VARCHAR in the database, INTEGER"):
        ResultTable(conn, Table("events", {"text": "INTEGER"}))


def test_a_type_that_does_not_exist_is_refused(conn):
    with pytest.raises(ContractError, match="table odd"):
        ResultTable(conn, Table("odd", {"n": "NO_SUCH_TYPE"}))


@pytest.mark.parametrize("kind", ["append", "one_per_session"])
def test_a_table_that_is_there_already_is_used_as_it_is(conn, kind):
    declared = Table("again", {"n": "BIGINT", "list": "VARCHAR[]", "price": "DECIMAL(9,2)"}, kind=kind)
    add(conn, ResultTable(conn, declared), [{"n": 1, "list": ["a"]}])
    assert shown(conn, ResultTable(conn, declared), "n, list") == [("alice/s.jsonl", 1, ["a"])]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Table("session_failures", {"n": "BIGINT"}), None),
        (Table("session_positions", {"n": "BIGINT"}, kind="one_per_session"), None),
        (Table("x", {"n": "BIGINT"}, kind="one_per_session"), Table("x_log", {"n": "BIGINT"})),
        (Table("x", {"n": "BIGINT"}), Table("x", {"m": "BIGINT"})),
    ],
)
def test_a_name_that_is_taken_is_refused(conn, first, second):
    with pytest.raises(ContractError, match="is taken"):
        make_tables(conn, [first, *([second] if second else [])])


def test_views_are_made_anew_and_may_build_on_each_other(conn):
    for factor in (2, 3):
        views = [
            View("more", f"SELECT n * {factor} AS n, session_file FROM events"),
            View("most", "SELECT max(n) AS n FROM more"),
        ]
        tables = make_tables(conn, [EVENTS], views)
        add(conn, tables["events"], [{"n": 1}])
        assert conn.execute("FROM most").fetchall() == [(factor,)]


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (View("session_failures", "SELECT 1 AS n"), "the name .* is taken"),
        (View("events", "SELECT 1 AS n"), "the name .* is taken"),
        (View("wrong", "SELECT nothing FROM events"), "view wrong: Binder Error"),
        (View("wrong", "SELECT FROM"), "view wrong: Parser Error"),
    ],
)
def test_a_view_that_cannot_be_made_is_refused(conn, view, said):
    with pytest.raises(ContractError, match=said):
        make_tables(conn, [EVENTS], [view])


def test_a_uuid_may_be_given_as_one_or_as_text(conn):
    table, one = ResultTable(conn, Table("ids", {"id": "UUID"})), UUID(int=1)
    add(conn, table, [(one,), (str(one),), (None,)])
    assert conn.execute("SELECT id FROM ids ORDER BY ALL").fetchall() == [(one,), (one,), (None,)]


@pytest.mark.parametrize(
    ("kind", "fits", "wrong"),
    [("UUID", str(UUID(int=1)), "no uuid"), ("JSON", '{"a": 1}', "{"), ("ENUM('x', 'y')", "x", "z")],
)
def test_text_that_is_more_than_text_to_the_database_is_checked_and_its_column_named(conn, kind, fits, wrong):
    table = ResultTable(conn, Table("odd", {"n": "BIGINT", "odd": kind}, key=("n",)))
    add(conn, table, [(1, fits), (2, None)])
    with pytest.raises(ContractError, match="column odd") as raised:
        add(conn, table, [(3, fits), (4, wrong)])
    assert wrong not in str(raised.value).partition(kind)[0]
    with pytest.raises(ContractError, match="column odd"), transaction(conn):
        table.update(conn, table.updates([{"n": 1, "odd": wrong}], "alice/s.jsonl"), 1)
    with transaction(conn):
        table.update(conn, table.updates([{"n": 2, "odd": fits}], "alice/s.jsonl"), 1)
    assert conn.execute("SELECT n, odd::VARCHAR FROM odd ORDER BY ALL").fetchall() == [(1, fits), (2, fits)]


def test_a_bit_is_refused(conn):
    with pytest.raises(ContractError, match="BIT"):
        ResultTable(conn, Table("bits", {"bits": "BIT"}))
