"""Usage: what was called and how it ended, tokens counted once per response, one summary per session."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import run_processor
from processors.testing import check_fold, fold
from processors.usage import UsageProcessor

DATA = Path(__file__).parents[2].parent / "shared" / "data"
MICROSECONDS = 1_000_000


def stamp(second: int) -> str:
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000Z"


def line(kind: str, second: int, **more) -> dict:
    return {"type": kind, "sessionId": "s", "timestamp": stamp(second), **more}


def said(second: int, text) -> dict:
    return line("user", second, message={"role": "user", "content": text})


def answer(second: int, *blocks, message: str | None = "m1", request: str | None = "r1", output: int = 5, **more):
    usage = {"input_tokens": 3, "output_tokens": output, "cache_read_input_tokens": 100}
    usage["cache_creation_input_tokens"] = 10
    body = {"id": message, "model": "claude-x", "role": "assistant", "content": list(blocks), "usage": usage}
    return line("assistant", second, requestId=request, message=body | more)


def call(tool: str, use: str = "t1", **arguments) -> dict:
    return {"type": "tool_use", "id": use, "name": tool, "input": arguments}


def result(second: int, use: str = "t1", *, error: bool | None = None) -> dict:
    block = {"type": "tool_result", "tool_use_id": use, "content": "done"}
    return said(second, [block if error is None else block | {"is_error": error}])


def rows(*batches):
    return fold(
        UsageProcessor(),
        [[entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in batch] for batch in batches],
    )


def summary(*lines):
    return rows(lines)["usage_session_summary"][0]


def tokens(of: dict) -> tuple:
    return tuple(of[f"{kind}_tokens"] for kind in ("input", "output", "cache_read", "cache_creation"))


def test_a_response_written_as_several_lines_counts_once_with_its_last_word_on_tokens():
    one = summary(answer(0, output=1), answer(1, output=1), answer(2, output=9), answer(3, output=9))
    assert tokens(one) == (3, 9, 100, 10)
    assert one["assistant_messages"] == 1


def test_a_response_that_comes_in_several_batches_counts_once_too():
    one = rows([answer(0, output=1)], [answer(1, output=9)], [answer(2, output=4)])["usage_session_summary"][0]
    assert tokens(one) == (3, 9, 100, 10)


def test_different_responses_add_up():
    one = summary(answer(0), answer(1, message="m2", request="r2"), answer(2, message="m3", request=None))
    assert tokens(one) == (9, 15, 300, 30)
    assert one["assistant_messages"] == 3


def test_every_assistant_line_with_usage_is_a_row_as_it_stands():
    found = rows([answer(0, output=1), answer(1, output=9), said(2, "thanks")])["usage_messages"]
    assert [row["output_tokens"] for row in found] == [1, 9]
    assert {(row["message_id"], row["request_id"], row["model"]) for row in found} == {("m1", "r1", "claude-x")}


def test_the_split_of_the_cache_creation_adds_up_to_its_total():
    split = {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6}
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 10, "cache_creation": split}
    found = rows([answer(0, usage=usage)])
    assert found["usage_session_summary"][0]["cache_creation_tokens"] == 10
    row = found["usage_messages"][0]
    assert (row["cache_creation_5m_tokens"], row["cache_creation_1h_tokens"]) == (4, 6)


@pytest.mark.parametrize("absurd", [-5, 2**63, 10**30, "many", None, 1e300])
def test_an_absurd_number_of_tokens_spoils_nothing(absurd):
    spoilt = answer(0, usage={"input_tokens": absurd, "output_tokens": 7})
    assert tokens(summary(spoilt)) == (0, 7, 0, 0)


def test_a_message_of_the_client_itself_costs_nothing_and_is_no_model():
    one = summary(answer(0, model="<synthetic>"), answer(1, message="m2"))
    assert tokens(one) == (3, 5, 100, 10)
    assert one["primary_model"] == "claude-x"


def test_a_call_has_no_outcome_until_its_result_is_there():
    (event,) = rows([answer(0, call("Bash"))])["usage_events"]
    assert (event["event_type"], event["tool_name"], event["tool_use_id"]) == ("tool_use", "Bash", "t1")
    assert (event["is_error"], event["finished_at"], event["duration_ms"]) == (None, None, None)


@pytest.mark.parametrize("error", [True, False, None])
@pytest.mark.parametrize("together", [True, False])
def test_a_result_settles_its_call_in_the_same_batch_or_a_later_one(error, together):
    lines = [answer(0, call("Bash")), said(5, "meanwhile"), result(90, error=error)]
    found = rows(lines) if together else rows(lines[:1], lines[1:2], lines[2:])
    (event,) = found["usage_events"]
    assert event["is_error"] == bool(error)
    assert event["duration_ms"] == 90_000
    assert event["finished_at"] - event["occurred_at"] == 90 * MICROSECONDS
    assert found["usage_session_summary"][0]["tool_errors"] == bool(error)


def test_a_result_counts_for_its_own_call_and_only_once():
    found = rows(
        [answer(0, call("Bash", "t1"), call("Read", "t2"))],
        [result(3, "t2", error=True), result(4, "t2", error=True), result(5, "unknown", error=True)],
    )
    assert [(event["tool_name"], event["is_error"]) for event in found["usage_events"]] == [
        ("Bash", None),
        ("Read", True),
    ]
    assert found["usage_session_summary"][0]["tool_errors"] == 1


def test_commands_skills_subagents_and_mcp_calls_are_told_apart():
    found = rows(
        [
            said(0, "<command-message>x</command-message> <command-name>/my-plugin:debug</command-name>"),
            said(1, [{"type": "text", "text": "<command-name>clear</command-name>"}]),
            answer(2, call("Skill", "t1", skill="my-plugin:tidy"), call("Skill", "t2", name="plain")),
            answer(3, call("Task", "t3", subagent_type="explorer"), call("Agent", "t4", subagent_type="p:a")),
            answer(4, call("mcp__github__create__issue", "t5")),
        ]
    )
    wanted = [
        {"event_type": "slash_command", "command_name": "my-plugin:debug", "plugin": "my-plugin"},
        {"event_type": "slash_command", "command_name": "clear", "plugin": None},
        {"event_type": "tool_use", "skill_name": "my-plugin:tidy", "plugin": "my-plugin"},
        {"event_type": "tool_use", "skill_name": "plain", "plugin": None},
        {"event_type": "subagent", "subagent_type": "explorer", "plugin": None},
        {"event_type": "subagent", "subagent_type": "p:a", "plugin": "p"},
        {"event_type": "mcp_call", "mcp_server": "github", "mcp_tool": "create__issue"},
    ]
    for event, fields in zip(found["usage_events"], wanted, strict=True):
        assert {name: event[name] for name in fields} == fields
    one = found["usage_session_summary"][0]
    assert (one["slash_commands"], one["skill_invocations"], one["subagent_dispatches"], one["mcp_calls"]) == (
        2,
        2,
        2,
        1,
    )
    assert (one["tool_calls"], one["distinct_tools"], one["distinct_skills"]) == (5, 4, 2)


def test_slash_commands_are_not_counted_as_zero_though_what_is_written_is_no_slash_command():
    typed = "<command-message>is running</command-message>\n<command-name>/review</command-name>\n"
    found = rows([said(0, typed), said(1, [{"type": "text", "text": typed}]), said(2, "/review is plain text")])
    assert [event["command_name"] for event in found["usage_events"]] == ["review", "review"]
    assert found["usage_session_summary"][0]["slash_commands"] == 2


def test_only_what_a_person_wrote_is_a_user_message():
    one = summary(
        said(0, "a question"),
        said(1, [{"type": "text", "text": "with"}, {"type": "image"}]),
        said(2, "<local-command-stdout>output</local-command-stdout>"),
        said(3, "   "),
        result(4),
        said(5, "meta") | {"isMeta": True},
        said(6, "compacted") | {"isCompactSummary": True},
    )
    assert one["user_messages"] == 2


def test_a_long_pause_is_wall_time_but_no_active_time():
    one = summary(said(0, "a"), said(60, "b"), said(10_000, "c"), said(10_030, "d"))
    assert (one["active_seconds"], one["wall_seconds"]) == (90, 10_030)


def test_lines_and_malformed_lines_are_counted_over_all_batches():
    found = rows([said(0, "a"), b"nonsense", b""], [b"42", said(1, "b")], [{"type": "new", "timestamp": 7}])
    one = found["usage_session_summary"][0]
    assert (one["lines"], one["malformed_lines"]) == (3, 3)


def test_a_summary_line_gives_the_session_its_title():
    assert summary({"type": "summary", "summary": "First"}, {"type": "summary", "summary": "Last"})["title"] == "Last"


USES = st.sampled_from(["t1", "t2", "t3"])
SECONDS = st.sampled_from([0, 60, 700]) | st.integers(0, 80_000)
ENTRIES = (
    st.builds(answer, SECONDS, message=st.sampled_from(["m1", "m2", None]), output=st.integers(0, 50))
    | st.builds(
        lambda second, use, name, uuid: answer(second, call(name, use, skill="a:b")) | {"uuid": uuid},
        SECONDS,
        USES,
        st.sampled_from(["Bash", "Skill", "Task", "mcp__a__b"]),
        st.sampled_from(["u1", "u2", None]),
    )
    | st.builds(answer, SECONDS, model=st.sampled_from(["<synthetic>", None]), usage=st.sampled_from([None, {}]))
    | st.builds(result, SECONDS, USES, error=st.sampled_from([True, False, None]))
    | st.builds(said, SECONDS, st.sampled_from(["hello", "<command-name>/x</command-name>", [], "", None]))
    | st.builds(lambda entry: {name: entry[name] for name in ("type", "message")}, st.builds(result, SECONDS, USES))
    | st.sampled_from([{"type": "summary", "summary": "x"}, {}, {"type": 1}, {"type": "user", "message": []}])
)
MARKS = st.sampled_from(
    [{}, {}, {"sessionId": None}, {"sessionId": "other"}, {"isSidechain": True}, {"requestId": "r2"}]
)
MARKED = st.builds(lambda entry, mark: entry | mark, ENTRIES, MARKS)
ENCODED = MARKED.map(lambda entry: json.dumps(entry).encode()) | st.sampled_from([b"", b"nonsense", b"\xff", b"[]"])


@given(st.lists(ENCODED, max_size=12), st.lists(st.integers(0, 12), max_size=4))
def test_cut_anywhere_it_gives_the_same_rows(lines, cuts):
    check_fold(UsageProcessor(), lines, cuts)


@pytest.mark.parametrize("cut", range(5))
def test_a_call_whose_line_was_written_twice_gives_the_same_rows_wherever_it_is_cut(cut):
    lines = [answer(0, call("Bash")), answer(0, call("Bash")), said(1, "x"), result(2, error=True)]
    check_fold(UsageProcessor(), [json.dumps(entry).encode() for entry in lines], [cut])


FILES = sorted((DATA / "sessions").rglob("*.jsonl"))


@pytest.mark.skipif(not FILES, reason=f"the recorded sessions are not part of the project: {DATA} is not there")
@pytest.mark.parametrize("seed", range(3))
def test_recorded_sessions_cut_anywhere_give_the_same_rows(seed):
    chance = random.Random(seed)
    for path in FILES:
        lines = path.read_bytes().split(b"\n")[:-1]
        check_fold(
            UsageProcessor(), lines, [chance.randrange(len(lines) + 1) for _ in range(chance.choice([1, 5, 40]))]
        )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The rows of all recorded sessions and what is known about them from an independent count."""
    if not (DATA / "expected_usage.json").is_file():
        pytest.skip(f"the recorded sessions are not part of the project: {DATA} is not there")
    from daemon import open_database  # noqa: PLC0415

    with open_database(tmp_path_factory.mktemp("state") / "usage.duckdb") as conn:
        counts = run_processor(conn, UsageProcessor(), DATA / "sessions")
        expected = json.loads((DATA / "expected_usage.json").read_text(encoding="utf-8"))
        assert (counts["errors"], counts["processed"]) == (0, len(expected["sessions"]))
        yield conn, expected


@pytest.mark.parametrize("column", ["lines", "malformed_lines", "tool_errors", "assistant_messages"])
def test_recorded_sessions_have_the_totals_of_an_independent_count(recorded, column):
    conn, expected = recorded
    found = dict(conn.execute(f"SELECT session_file, {column} FROM usage_session_summary").fetchall())
    assert found == {key: session[column] for key, session in expected["sessions"].items()}


@pytest.mark.parametrize(
    ("group", "column", "where"),
    [
        ("tools", "tool_name", "event_type <> 'slash_command'"),
        ("slash_commands", "command_name", "event_type = 'slash_command'"),
        ("skills", "skill_name", "skill_name IS NOT NULL"),
        ("subagents", "subagent_type", "event_type = 'subagent'"),
        ("mcp_calls", "tool_name", "event_type = 'mcp_call'"),
    ],
)
def test_recorded_sessions_have_the_events_of_an_independent_count(recorded, group, column, where):
    conn, expected = recorded
    found = conn.execute(f"SELECT session_file, {column} FROM usage_events WHERE {where}").fetchall()
    wanted = {(key, name): n for key, session in expected["sessions"].items() for name, n in session[group].items()}
    assert Counter(found) == wanted


def test_recorded_responses_have_the_tokens_of_an_independent_count(recorded):
    conn, expected = recorded
    each = conn.execute("""
        SELECT max_by(struct_pack(i := input_tokens, o := output_tokens, r := cache_read_tokens,
            c := cache_creation_5m_tokens + cache_creation_1h_tokens),
            input_tokens + output_tokens + cache_read_tokens + cache_creation_5m_tokens + cache_creation_1h_tokens)
        FROM usage_messages GROUP BY message_id, request_id, if(message_id IS NULL, rowid, NULL)""").fetchall()
    assert len(each) == expected["responses"]
    names = {"i": "input_tokens", "o": "output_tokens", "r": "cache_read_tokens", "c": "cache_creation_tokens"}
    assert {name: sum(row[0][short] for row in each) for short, name in names.items()} == expected["tokens"]
