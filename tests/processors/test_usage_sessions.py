"""Whose is what: files with lines of several sessions, resumed sessions, copies, and results out of order."""

import json
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.testing import check_fold, fold
from processors.usage import UsageProcessor

DAY = date(2026, 3, 1)
UUID = "258c7280-ae70-4798-800f-63464d01a85d"
SUMS = ("responses", "input_tokens", "output_tokens", "cost_usd")


def at(second: int) -> str:
    return f"2026-03-01T10:{second // 60:02}:{second % 60:02}Z"


def said(second, text="go", *, session="s1", **more):
    return {
        "type": "user",
        "timestamp": at(second),
        "sessionId": session,
        "message": {"role": "user", "content": text},
        "cwd": "/w/p",
    } | more


def answer(second, *calls, message="m", request="r", tokens=10, session="s1", speed=None, **more):
    usage = {"input_tokens": tokens, "output_tokens": 5, "speed": speed}
    content = [{"type": "tool_use", "id": use, "name": "Bash", "input": {}} for use in calls]
    body = {"id": message, "model": "claude-sonnet-4-5", "role": "assistant", "content": content, "usage": usage}
    line = {"type": "assistant", "uuid": f"{message}-{second}", "requestId": request, "cwd": "/w/p"}
    return line | {"timestamp": at(second), "sessionId": session, "message": body} | more


def result(second, use, *, error=True, **more):
    return said(second, [{"type": "tool_result", "tool_use_id": use, "is_error": error}], **more)


def without(line, *names):
    return {name: value for name, value in line.items() if name not in names}


def encoded(lines):
    return [json.dumps(line).encode() for line in lines]


MIXED = [
    said(0),
    answer(1, message="m1"),
    without(answer(2, message="m2", tokens=1_000), "sessionId"),
    answer(3, "t1", message="m3", tokens=10_000, session="s2"),
]


def totals(rows, names=SUMS):
    return [sum(row[name] or 0 for row in rows) for name in names]


@pytest.mark.parametrize(
    "lines",
    [
        MIXED,
        MIXED[::-1],
        [without(line, "sessionId") for line in MIXED],
        [line | {"sessionId": ""} for line in MIXED],
        [{"type": "summary", "summary": "x"}, without(MIXED[0], "sessionId"), *MIXED[1:]],
    ],
)
def test_users_and_sessions_lose_nothing_of_a_file_whose_lines_have_mixed_or_missing_session_ids(usage, lines):
    made = usage({"ada/a.jsonl": lines, "bob/b.jsonl": [answer(9, message="m9", session="s1")]})
    days = made.report("daily")
    assert days[0]["responses"] == 4
    for name in ("users", "sessions", "models", "projects", "blocks"):
        assert totals(made.report(name)) == pytest.approx(totals(days)), name
    assert len(made.report("sessions")) == 2
    assert sum(row["calls"] for row in made.report("users")) == sum(row["calls"] for row in made.report("tools"))


LINES = st.one_of(
    st.builds(
        answer,
        st.integers(0, 99),
        message=st.sampled_from(["m1", "m2", None]),
        request=st.sampled_from(["r1", "r2", None]),
        tokens=st.integers(0, 9),
        session=st.sampled_from(["s1", "s2", None]),
        isSidechain=st.booleans(),
    ),
    st.builds(said, st.integers(0, 99), session=st.sampled_from(["s1", "s2", None]), isSidechain=st.booleans()),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(LINES, min_size=1, max_size=8), st.lists(LINES, max_size=4))
def test_whatever_lines_there_are_all_reports_and_the_summary_have_the_same_totals(usage, lines, more):
    one = usage({"ada/a.jsonl": lines})
    sums = "sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT"
    summed = one.ask(f"SELECT {sums} FROM usage_session_summary")
    assert summed == one.ask(f"SELECT coalesce({sums.replace(', ', ', 0), coalesce(')}, 0) FROM usage_tokens")
    one.write({"bob/b.jsonl": more})
    days = totals(one.report("daily"))
    for name in ("users", "sessions", "models", "projects", "blocks"):
        assert totals(one.report(name)) == pytest.approx(days), name
    prompts = {sum(row["prompts"] for row in one.report(name)) for name in ("users", "sessions")}
    assert prompts == {one.ask("SELECT count(*) FROM usage_prompts")[0][0]}


def test_a_file_is_one_session_and_lines_of_another_in_it_are_copies():
    found = fold(UsageProcessor(), [encoded(MIXED)])
    for table in ("usage_messages", "usage_events", "usage_prompt_lines", "usage_session_summary"):
        assert {row["session_id"] for row in found[table]} == {"s1"}, table


def test_a_resumed_session_that_begins_with_lines_of_another_is_called_as_its_file():
    found = fold(UsageProcessor(), [encoded(MIXED)], f"ada/{UUID}.jsonl")
    assert {row["session_id"] for row in found["usage_messages"]} == {UUID}


@pytest.mark.parametrize("cut", range(5))
@pytest.mark.parametrize(
    "key", ["ada/a.jsonl", f"ada/{UUID}.jsonl", "ada/p/agent-1.jsonl", "ada/s/subagents/x.jsonl"]
)
def test_which_session_it_is_does_not_depend_on_where_it_is_cut(cut, key):
    check_fold(UsageProcessor(), encoded(MIXED), [cut])
    lines = encoded([{"type": "summary", "summary": "x"}, without(MIXED[0], "sessionId"), *MIXED[1:]])
    edges = [lines[:cut], lines[cut:]]
    assert fold(UsageProcessor(), edges, key) == fold(UsageProcessor(), [lines], key)


def resumed():
    """A session, and one that resumes it: it begins with copies of all lines."""
    old = [
        said(0, uuid="p1"),
        answer(1, "t1"),
        result(5, "t1", uuid="q1"),
        said(6, "<command-name>/x</command-name>", uuid="p2"),
    ]
    return {
        "ada/a.jsonl": old,
        "ada/b.jsonl": [*(line | {"sessionId": "s2"} for line in old), said(600, uuid="p3", session="s2")],
    }


def test_the_prompts_that_a_resumed_session_copies_are_not_counted_again(usage):
    made = usage(resumed())
    assert made.ask("SELECT session_id, count(*) FROM usage_prompts GROUP BY ALL ORDER BY ALL") == [
        ("s1", 2),
        ("s2", 1),
    ]
    assert [row["prompts"] for row in made.report("users")] == [3]
    found = {row["session_id"]: (row["prompts"], row["calls"]) for row in made.report("sessions")}
    assert found == {"s1": (2, 1), "s2": (1, 0)}


def test_prompts_of_lines_without_ids_are_different_ones(usage):
    made = usage({"ada/a.jsonl": [said(0), said(0)], "ada/b.jsonl": [said(0)]})
    assert made.ask("SELECT count(*), count(DISTINCT id) FROM usage_prompts") == [(3, 3)]


def test_a_copied_response_and_its_own_calls_go_to_the_same_session(usage):
    sessions = resumed()
    sessions["ada/a.jsonl"] = sessions["ada/a.jsonl"][:2]  # the result is in the copy alone
    made = usage(sessions)
    assert made.ask("SELECT session_id, session_file FROM usage_tokens") == [("s1", "ada/a.jsonl")]
    assert made.ask(
        "SELECT session_id, session_file, is_error, duration_ms FROM usage_calls WHERE event_type = 'tool_use'"
    ) == [("s1", "ada/a.jsonl", True, 4000)]


def test_a_copy_without_a_time_loses_against_one_with_it(usage):
    timed, untimed = answer(1), without(answer(1), "timestamp")
    for files in ([untimed, timed], [timed, untimed]):
        made = usage({f"ada/{name}.jsonl": [line] for name, line in zip("ab", files, strict=True)})
        assert [row["responses"] for row in made.report("daily", since=DAY)] == [1]


def test_calls_that_another_user_has_copied_count_once_as_tokens_do(usage):
    lines = [said(0, uuid="p1"), answer(1, "t1"), result(5, "t1")]
    made = usage({"ada/a.jsonl": lines, "bob/a.jsonl": lines})
    assert made.report("tools")[0]["calls"] == 1
    columns = ("username", "prompts", "calls", "responses")
    assert [tuple(row[name] for name in columns) for row in made.report("users")] == [
        ("ada", 1, 1, 1),
        ("bob", 0, 0, 0),
    ]


def test_the_copy_with_a_result_is_the_one_whose_end_is_known_even_without_a_time(usage):
    call, end = answer(1, "t1"), without(result(2, "t1"), "timestamp")
    made = usage({"ada/a.jsonl": [call], "ada/b.jsonl": [call, end]})
    assert made.ask("SELECT is_error, finished_at FROM usage_calls") == [(True, None)]


@pytest.mark.parametrize("cut", range(4))
def test_a_result_that_stands_before_its_call_settles_it_also_over_batches(cut):
    lines = encoded([result(5, "t1"), said(6), answer(7, "t1")])
    check_fold(UsageProcessor(), lines, [cut])
    found = fold(UsageProcessor(), [lines[:cut], lines[cut:]])
    (event,) = found["usage_events"]
    assert (event["is_error"], event["duration_ms"]) == (True, 0)
    one = found["usage_session_summary"][0]
    assert (one["tool_errors"], one["unanswered_calls"]) == (1, 0)


COPIES = [
    answer(0, tokens=10),
    answer(1, tokens=90, request="other", isSidechain=True),
    answer(2, tokens=20),
    answer(3, message="n", tokens=7, isSidechain=True),
    answer(4, message="n", tokens=5, request="other", isSidechain=True),
]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
@pytest.mark.parametrize("cut", range(6))
def test_a_summary_takes_copies_in_sidechains_for_the_same_response_as_usage_tokens_does(usage, order, cut):
    lines = COPIES[order]
    check_fold(UsageProcessor(), encoded(lines), [cut])
    made = usage({"ada/a.jsonl": lines})
    assert made.ask("SELECT input_tokens FROM usage_session_summary") == [(27,)]
    assert made.ask("SELECT sum(input_tokens) FROM usage_tokens") == [(27,)]


def test_a_count_that_is_written_as_a_float_counts(usage):
    found = fold(UsageProcessor(), [encoded([answer(0, tokens=100.0), answer(1, message="n", tokens=0.5)])])
    assert [row["input_tokens"] for row in found["usage_messages"]] == [100, 0]


def test_an_empty_speed_or_tier_is_none():
    line = answer(0, speed="")
    line["message"]["usage"]["service_tier"] = ""
    (row,) = fold(UsageProcessor(), [encoded([line])])["usage_messages"]
    assert (row["speed"], row["service_tier"]) == (None, None)
