"""The views of usage: each response once, over all files, whatever copies of it there are."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import open_database, run_processor
from processors import Table, View
from processors.registry import ProcessorError, register
from processors.usage import UsageProcessor
from processors.usage.place import place_of

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
    lines = [
        copy(None, "r"),
        copy(None, "r"),
        copy(None, None),
        copy("", "r"),
        copy("", ""),
        copy("", "", sidechain=True),
    ]
    found = counted({"ada/a.jsonl": lines, "bob/b.jsonl": [copy("", "r")]})
    assert [row[0] for row in found] == [None] * 7


def test_an_empty_request_id_is_none(counted):
    assert counted({"ada/a.jsonl": [copy("m", ""), copy("m", None)]}) == [("m", None, 5, "ada/a.jsonl")]


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


def tool(number, use, *, second=0, name="Bash", session="s", uuid=None):
    """A line with a tool call."""
    block = {"type": "tool_use", "id": use, "name": name, "input": {"skill": "p:tidy"}}
    line = copy(f"m{number}", f"r{number}", second=second)
    line["message"]["content"] = [block]
    return line | {"sessionId": session, "uuid": uuid or f"u{number}", "cwd": "/home/ada/project"}


def outcome(use, *, second=0, error=False, session="s"):
    """A line with the result of a call."""
    block = {"type": "tool_result", "tool_use_id": use, "content": "", "is_error": error}
    message = {"role": "user", "content": [block]}
    at = f"2026-01-01T00:00:{second:02}Z"
    return {"type": "user", "timestamp": at, "sessionId": session, "message": message}


CALLS = "SELECT tool_use_id, is_error, duration_ms, session_file FROM usage_calls ORDER BY ALL"


def test_a_call_that_a_resumed_session_copies_into_a_new_file_counts_once_with_its_result(counted):
    old = [tool(1, "t1"), tool(2, "t2", second=1)]
    found = counted(
        {
            "ada/a.jsonl": old,
            "ada/b.jsonl": [*(line | {"sessionId": "b"} for line in old), outcome("t2", second=9, error=True)],
        },
        CALLS,
    )
    assert found == [("t1", None, None, "ada/a.jsonl"), ("t2", True, 8000, "ada/a.jsonl")]


def test_calls_of_different_lines_and_times_are_different_calls_and_of_different_users_the_same(counted):
    found = counted(
        {
            "ada/a.jsonl": [tool(1, "t1"), tool(1, "t1", second=1), tool(1, "t1", uuid="other")],
            "bob/a.jsonl": [tool(1, "t1")],
        },
        "SELECT count(*), count(DISTINCT id) FROM usage_calls",
    )
    assert found == [(3, 3)]


def test_lines_without_ids_are_different_events(counted):
    line = tool(1, None)
    del line["uuid"]
    sql = "SELECT count(*), count(DISTINCT id) FROM usage_calls"
    assert counted({"ada/a.jsonl": [line, line], "ada/b.jsonl": [line]}, sql) == [(3, 3)]


def test_the_id_of_an_event_is_the_same_on_every_machine_and_in_every_version(counted):
    assert counted({"ada/a.jsonl": [tool(1, "t1")]}, "SELECT id FROM usage_events") == [(-2100451064433592484,)]


def test_tools_and_skills_by_day(counted):
    lines = [
        tool(1, "t1"),
        outcome("t1", second=1, error=True),
        tool(2, "t2", second=2),
        outcome("t2", second=5),
        tool(3, "t3", second=6, name="Skill"),
    ]
    sessions = {"ada/a.jsonl": lines, "bob/b.jsonl": [tool(4, "t4", session="other")]}
    assert counted(sessions, "SELECT * EXCLUDE (day) FROM usage_tool_daily ORDER BY ALL") == [
        ("Bash", 3, 1, 2, 2, 2000.0, 2900.0),
        ("Skill", 1, 0, 1, 1, None, None),
    ]
    assert counted(sessions, "SELECT * EXCLUDE (day) FROM usage_skill_daily") == [("p:tidy", "p", 1, 0, 1, 1)]


def test_files_of_subagents_count_to_their_parent_session_and_can_be_told_apart(counted):
    side = tool(2, "t2", session="parent")
    old = tool(3, "t3", session="parent")
    sessions = {
        "ada/p/parent.jsonl": [tool(1, "t1", session="parent")],
        "ada/p/parent/subagents/agent-a1.jsonl": [side | {"sessionId": None}],
        "ada/p/parent/subagents/workflows/w1/agent-a2.jsonl": [tool(4, "t4", session="odd")],
        "ada/p/agent-a3.jsonl": [old],
    }
    wanted = [("parent", None), ("parent", "a1"), ("parent", "a2"), ("parent", "a3")]
    for table in ("usage_events", "usage_messages", "usage_session_summary", "usage_tokens", "usage_calls"):
        assert counted(sessions, f"SELECT session_id, agent_id FROM {table} ORDER BY ALL NULLS FIRST") == wanted
    assert counted(sessions, "SELECT sum(sessions) FROM usage_tool_daily") == [(1,)]


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("ada/s.jsonl", (None, None)),
        ("ada/p/258C7280-ae70-4798-800f-63464d01a85d.jsonl", ("258C7280-ae70-4798-800f-63464d01a85d", None)),
        ("ada/258c7280-ae70-4798-800f-63464d01a85d-old.jsonl", (None, None)),
        ("ada/subagents/agent-1.jsonl", (None, "1")),
        ("ada/p/s/subagents/other.jsonl", ("s", "other")),
        ("ada/s/subagents/t/subagents/agent-2.jsonl", ("s", "2")),
        ("subagents/s.jsonl", (None, None)),
        ("ada/agent-.jsonl", (None, None)),
        ("agent-1/s.jsonl", (None, None)),
    ],
)
def test_what_a_name_says_of_its_session(key, place):
    assert place_of(key) == place


def windows(seconds):
    """The rule said plainly: start, and responses, of each window."""
    found = []
    for second in sorted(seconds):
        if not found or second > found[-1][0] + 5 * 3600 or second - found[-1][2] > 5 * 3600:
            found.append([second // 3600 * 3600, 0, second])
        found[-1][1] += 1
        found[-1][2] = second
    return [(start, count) for start, count, _ in found]


HOURS = st.integers(0, 60).map(lambda hour: hour * 3600)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(HOURS, st.integers(0, 60 * 3600)), min_size=1, max_size=25), st.lists(HOURS, max_size=5))
def test_billing_windows_are_as_the_rule_says(tmp_path_factory, ada, bob):
    folder = tmp_path_factory.mktemp("blocks")
    for user, seconds in (("ada", ada), ("bob", bob)):
        (folder / "root" / user).mkdir(parents=True)
        lines = []
        for number, second in enumerate(seconds):
            at = datetime.fromtimestamp(second, UTC).isoformat()
            lines.append(copy(f"{user}{number}", "r") | {"timestamp": at})
        (folder / "root" / user / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with open_database(folder / "x.duckdb") as conn:
        run_processor(conn, UsageProcessor(), folder / "root")
        sql = "SELECT username, epoch(started_at)::BIGINT, responses FROM usage_blocks ORDER BY ALL"
        found = conn.execute(sql).fetchall()
        lasts = conn.execute("SELECT count(*) FROM usage_blocks WHERE last_at > ends_at OR first_at < started_at")
        assert lasts.fetchall() == [(0,)]
    assert found == [(user, *row) for user, seconds in (("ada", ada), ("bob", bob)) for row in windows(seconds)]


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", ["2026-03-28", "2026-03-29", "2026-03-29"]),
        ("Europe/Berlin", ["2026-03-29", "2026-03-29", "2026-03-30"]),  # clocks go forward in that night
        ("America/New_York", ["2026-03-28", "2026-03-28", "2026-03-29"]),
    ],
)
def test_days_begin_and_end_in_the_time_zone_of_the_settings(tmp_path, zone, days):
    (tmp_path / "root" / "ada").mkdir(parents=True)
    stamps = ("2026-03-28T23:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T22:30:00Z")
    lines = [copy(f"m{number}", "r") | {"timestamp": stamp} for number, stamp in enumerate(stamps)]
    lines = [line | {"message": line["message"] | {"content": tool(9, "t")["message"]["content"]}} for line in lines]
    (tmp_path / "root" / "ada" / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with open_database(tmp_path / "x.duckdb") as conn:
        run_processor(conn, register(UsageProcessor, options={"timezone": zone}).processor, tmp_path / "root")
        daily = conn.execute(
            "SELECT day::VARCHAR, sum(responses) FROM usage_daily GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        tools = conn.execute(
            "SELECT day::VARCHAR, sum(calls) FROM usage_tool_daily GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert daily == tools == sorted(Counter(days).items())


def test_projects_by_folder_and_branch(counted):
    lines = [
        tool(1, "t1") | {"gitBranch": "main"},
        tool(2, "t2") | {"gitBranch": "fix"},
        tool(3, "t3") | {"cwd": None},
    ]
    sql = "SELECT cwd, git_branch, users, sessions, responses FROM usage_projects ORDER BY ALL"
    assert counted({"ada/a.jsonl": lines, "bob/b.jsonl": [lines[0] | {"sessionId": "b"}]}, sql) == [
        ("/home/ada/project", "fix", 1, 1, 1),
        ("/home/ada/project", "main", 1, 1, 1),
        (None, None, 1, 1, 1),
    ]


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
