"""The views of usage: each response once, over all files, whatever copies of it there are."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import open_database, run_processor
from processors import Table, View
from processors.registry import ProcessorError, register
from processors.usage import UsageProcessor

DATA = Path(__file__).parents[2].parent / "shared" / "data"
KINDS = ("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens")


def copy(message, request, output=5, *, sidechain=False, speed=None, model="claude-x", second=0):
    """A line of a response."""
    usage = {"input_tokens": 3, "output_tokens": output, "speed": speed}
    return {
        "type": "assistant",
        "timestamp": f"2026-01-01T00:00:{second:02}Z",
        "requestId": request,
        "isSidechain": sidechain,
        "message": {"id": message, "model": model, "role": "assistant", "content": [], "usage": usage},
    }


@pytest.fixture
def counted(tmp_path):
    """What the view says of sessions, given as lists of lines by key: message, request, output tokens, key."""

    def ask(
        sessions, sql="SELECT message_id, request_id, output_tokens, session_file FROM usage_tokens ORDER BY ALL"
    ):
        root = tmp_path / "root"
        for key, lines in sessions.items():
            path = root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        with open_database(tmp_path / "usage.duckdb") as conn:
            assert run_processor(conn, UsageProcessor(), root)["errors"] == 0
            return conn.execute(sql).fetchall()

    return ask


def test_a_response_written_as_several_lines_with_growing_usage_is_not_counted_several_times(counted):
    lines = [copy("m", "r", output, second=output) for output in (1, 4, 9)]
    assert counted({"ada/a.jsonl": lines}) == [("m", "r", 9, "ada/a.jsonl")]


def test_a_resumed_session_that_copies_old_lines_into_a_new_file_is_not_counted_again(counted):
    old = [copy("m1", "r1", 5), copy("m2", "r2", 6)]
    found = counted({"ada/a.jsonl": old, "ada/b.jsonl": [*old, copy("m3", "r3", 7)]})
    assert [row[:3] for row in found] == [("m1", "r1", 5), ("m2", "r2", 6), ("m3", "r3", 7)]


def test_the_responses_in_files_of_subagents_are_not_missed(counted):
    found = counted(
        {
            "ada/p/s.jsonl": [copy("m1", "r1", 5)],
            "ada/p/s/subagents/agent-1.jsonl": [copy("m2", "r2", 6, sidechain=True)],
            "ada/p/agent-2.jsonl": [copy("m3", "r3", 7, sidechain=True)],
        }
    )
    assert [row[:3] for row in found] == [("m1", "r1", 5), ("m2", "r2", 6), ("m3", "r3", 7)]


def test_the_same_message_of_two_requests_is_two_responses(counted):
    assert len(counted({"ada/a.jsonl": [copy("m", "r1"), copy("m", "r2"), copy("m", None)]})) == 3


def test_a_copy_in_a_sidechain_is_the_same_response_whatever_its_request_and_never_wins(counted):
    main, side = copy("m", "r1", 5), copy("m", "r2", 50, sidechain=True)
    for first, second in ((main, side), (side, main)):
        assert [row[:3] for row in counted({"ada/a.jsonl": [first], "bob/b.jsonl": [second]})] == [("m", "r1", 5)]


def test_copies_in_sidechains_only_are_one_response(counted):
    lines = [copy("m", "r1", 5, sidechain=True), copy("m", "r2", 8, sidechain=True)]
    assert counted({"ada/a.jsonl": lines}) == [("m", "r2", 8, "ada/a.jsonl")]


def test_lines_without_a_message_id_are_never_merged(counted):
    assert len(counted({"ada/a.jsonl": [copy(None, "r"), copy(None, "r"), copy(None, None)]})) == 3


def test_of_equal_copies_the_one_with_a_speed_counts_then_the_earliest(counted):
    sql = "SELECT occurred_at::VARCHAR FROM usage_tokens"
    lines = [copy("m", "r", second=1), copy("m", "r", second=2, speed="fast"), copy("m", "r", second=3, speed="fast")]
    assert counted({"ada/a.jsonl": lines}, sql) == [("2026-01-01 00:00:02",)]


def test_what_the_client_says_itself_is_no_response(counted):
    assert counted({"ada/a.jsonl": [copy("m", "r", model="<synthetic>")]}) == []


def model_of(copies):
    """The rule said plainly: one (message, request, total) per response; a copy's total is its output."""
    alone = [(message, total) for message, _, total, _ in copies if message is None]
    kept = {}
    for message, request, total, sidechain in copies:
        if message is not None:
            kept.setdefault(message, {True: {}, False: {}})[sidechain].setdefault(request, []).append(total)
    for message, by_side in kept.items():
        groups = by_side[False] or {None: [total for totals in by_side[True].values() for total in totals]}
        alone += [(message, max(totals)) for totals in groups.values()]
    return sorted(alone, key=repr)


COPIES = st.lists(
    st.tuples(
        st.sampled_from([None, "m1", "m2"]), st.sampled_from([None, "r1", "r2"]), st.integers(0, 9), st.booleans()
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(COPIES, st.lists(st.integers(0, 2), min_size=8, max_size=8))
def test_any_copies_in_any_files_are_counted_as_the_rule_says(tmp_path_factory, copies, places):
    folder = tmp_path_factory.mktemp("copies")
    for (message, request, total, sidechain), place in zip(copies, places, strict=False):
        path = folder / "root" / "ada" / f"{place}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(copy(message, request, total, sidechain=sidechain)) + "\n")
    with open_database(folder / "x.duckdb") as conn:
        run_processor(conn, UsageProcessor(), folder / "root")
        found = conn.execute("SELECT message_id, output_tokens FROM usage_tokens").fetchall()
    assert sorted(found, key=repr) == model_of(copies)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The rows of all recorded sessions and what is known about them from an independent count."""
    if not (DATA / "expected_usage.json").is_file():
        pytest.skip(f"the recorded sessions are not part of the project: {DATA} is not there")
    with open_database(tmp_path_factory.mktemp("state") / "usage.duckdb") as conn:
        run_processor(conn, UsageProcessor(), DATA / "sessions")
        yield conn, json.loads((DATA / "expected_usage.json").read_text(encoding="utf-8"))


def test_recorded_sessions_have_the_tokens_of_an_independent_count(recorded):
    conn, expected = recorded
    sums = ", ".join(f"sum({kind})::BIGINT" for kind in KINDS)
    (row,) = conn.execute(f"SELECT count(*), {sums} FROM usage_tokens").fetchall()
    assert row == (expected["responses"], *(expected["tokens"][kind] for kind in KINDS))
    for column, wanted in (("day::VARCHAR", "tokens_by_day_utc"), ("model", "tokens_by_model")):
        found = conn.execute(f"SELECT {column}, {sums} FROM usage_daily GROUP BY ALL").fetchall()
        assert {name: dict(zip(KINDS, counts, strict=True)) for name, *counts in found} == expected[wanted]


def test_a_view_has_a_name_of_its_own():
    class Odd:
        name = "odd"
        tables = (Table("odd_rows", {"n": "BIGINT"}),)
        views = ("SELECT 1",)

        def process(self, batch):
            raise NotImplementedError

    with pytest.raises(ProcessorError, match=r"views holds 'SELECT 1'; it has to be processors\.View"):
        register(Odd)
    with pytest.raises(ValueError, match="is not a plain lower-case identifier"):
        View('a"b', "SELECT 1")
