"""Cursors in the database: what counts is log and settled tables together, whenever a fold happens."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import corrections, open_database, positions
from daemon.cursor import Cursor, Place, Signature
from daemon.positions import Entry
from daemon.store import transaction

AT = datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)
CURSOR = Cursor(
    signature=Signature(2**63, 2**64 - 1, 100, 1, 2),
    offset=90,
    fingerprint="blake3:aa",
    place=Place.AFTER_TAIL,
    settled=True,
    version=3,
    carry=b"\0\xff",
    lines=4,
    malformed_lines=1,
    items=7,
    file_hash="blake3:bb",
)


def put(conn, key="alice/s.jsonl", processor="p", at=AT, **changes):
    with transaction(conn):
        positions.append(conn, [Entry(processor, key, replace(CURSOR, **changes), at)])


def fold(conn, upto=positions.ALL):
    with transaction(conn):
        return positions.fold(conn, positions.FOLD_SLICE, upto)


def test_a_fold_leaves_alone_what_comes_after_it_began(conn):
    put(conn, "alice/s.jsonl")
    begun = positions.next_sequence()
    put(conn, "alice/s.jsonl")
    put(conn, "alice/t.jsonl")
    assert [fold(conn, begun), fold(conn, begun)] == [1, 0]
    assert conn.execute("SELECT count(*) FROM session_cursor_log").fetchall() == [(2,)]
    assert [fold(conn), fold(conn)] == [2, 0]


@pytest.mark.parametrize("folded", [False, True])
def test_a_cursor_comes_back_as_it_was(conn, folded):
    put(conn)
    if folded:
        assert fold(conn) == 1
    assert positions.find(conn, "p", "alice/s.jsonl") == CURSOR


def test_a_cursor_belongs_to_one_processor_and_one_session(conn):
    put(conn)
    assert positions.find(conn, "q", "alice/s.jsonl") is None
    assert positions.find(conn, "p", "alice/t.jsonl") is None


STEPS = st.lists(
    st.tuples(st.sampled_from("pq"), st.sampled_from(["a/s.jsonl", "a/t.jsonl"]), st.integers(0, 99))
    | st.just("fold"),
    max_size=12,
)


@given(STEPS)
@settings(max_examples=30)
def test_the_latest_entry_counts_whenever_a_fold_happens(steps):
    with open_database(":memory:") as conn:
        wanted = {}
        for step in steps:
            if step == "fold":
                fold(conn)
            else:
                processor, key, items = step
                put(conn, key, processor, items=items)
                wanted[processor, key] = items
            shown = conn.execute("SELECT processor_name, session_file, items FROM session_positions").fetchall()
            assert {(processor, key): items for processor, key, items in shown} == wanted
            assert len(shown) == len(wanted)
            for (processor, key), items in wanted.items():
                assert positions.find(conn, processor, key).items == items
        fold(conn)
        state = conn.execute("SELECT processor_name, session_file, items_extracted FROM session_processor_state")
        assert {(processor, key): items for processor, key, items in state.fetchall()} == wanted


def test_a_fold_writes_the_row_that_other_tools_read(conn):
    put(conn, items=2**40)
    fold(conn)
    assert conn.execute("SELECT * FROM session_processor_state").fetchall() == [
        ("p", "alice/s.jsonl", "alice", AT, 2**31 - 1, "blake3:bb")
    ]
    assert fold(conn) == 0


def test_loading_says_which_sessions_need_no_look(conn):
    put(conn, "a/good.jsonl")
    put(conn, "a/unsettled.jsonl", settled=False)
    put(conn, "a/older.jsonl", version=2)
    fold(conn)
    conn.execute("INSERT INTO session_processor_state VALUES ('p', 'a/foreign.jsonl', 'a', now(), 1, 'md5')")
    conn.execute("INSERT INTO session_processor_state VALUES ('q', 'a/other.jsonl', 'a', now(), 1, 'md5')")
    known = positions.load(conn, "p", 3)
    assert known.current == {"a/good.jsonl": hash(CURSOR.signature), "a/unsettled.jsonl": 0, "a/older.jsonl": 0}
    assert known.foreign == {"a/foreign.jsonl": "md5"}


def test_a_state_row_that_another_tool_changed_or_removed_makes_the_cursor_void(conn):
    for name in ("same", "changed", "removed"):
        put(conn, f"a/{name}.jsonl")
    fold(conn)
    conn.execute("UPDATE session_processor_state SET file_hash = 'x' WHERE session_file = 'a/changed.jsonl'")
    conn.execute("DELETE FROM session_processor_state WHERE session_file = 'a/removed.jsonl'")
    corrections.reconcile(conn)
    current = positions.load(conn, "p", 3).current
    assert {key for key, signature in current.items() if signature} == {"a/same.jsonl"}


def test_invalidating_makes_a_processor_start_anew_on_one_session_or_all(conn):
    put(conn, "a/s.jsonl")
    put(conn, "a/t.jsonl")
    put(conn, "a/s.jsonl", "q")
    with transaction(conn):
        assert corrections.invalidate(conn, "p", "a/s.jsonl") == [("p", "a/s.jsonl")]
    assert positions.find(conn, "p", "a/s.jsonl").version == 0
    assert positions.find(conn, "p", "a/t.jsonl") == CURSOR
    with transaction(conn):
        assert len(corrections.invalidate(conn, "p", None)) == 2
    assert positions.find(conn, "q", "a/s.jsonl") == CURSOR


def test_the_runs_of_the_last_while_are_known_oldest_first(conn):
    for name, age in (("new", 10), ("old", 100), ("middle", 50)):
        put(conn, f"a/{name}.jsonl", at=AT - timedelta(seconds=age))
    fold(conn)
    assert positions.recent_runs(conn, "p", AT, 60) == [("a/middle.jsonl", 50), ("a/new.jsonl", 10)]


@pytest.mark.parametrize("folded", [False, True])
def test_the_former_names_of_an_inode_are_found(conn, folded):
    put(conn, "a/old.jsonl")
    put(conn, "a/other.jsonl", signature=Signature(1, 2, 3, 4, 5))
    if folded:
        fold(conn)
    new = [("a/new.jsonl", CURSOR.signature._replace(size=7)), ("a/unknown.jsonl", Signature(9, 9, 9, 9, 9))]
    assert positions.same_inode(conn, new) == {"a/new.jsonl": ["a/old.jsonl"]}
