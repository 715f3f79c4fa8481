"""Reports: what is counted when they are about some days, a project or a model, and when days begin."""

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest

from processors.usage.filters import Filters, today
from processors.usage.options import known_zone
from processors.usage.reports import REPORTS, shown
from processors.usage.statements import statement

OPUS, SONNET = "claude-opus-4-5", "claude-sonnet-4-5"


def said(at, text="go", *, session="s", cwd="/w/p"):
    body = {"role": "user", "content": text}
    return {"type": "user", "timestamp": at, "sessionId": session, "uuid": f"p{at}", "message": body, "cwd": cwd}


def answer(at, *, model=SONNET, session="s", cwd="/w/p", calls=0, **more):
    content = [{"type": "tool_use", "id": f"{at}{n}", "name": "Bash", "input": {}} for n in range(calls)]
    usage = {"input_tokens": 10, "output_tokens": 5}
    body = {"id": f"m{at}", "model": model, "role": "assistant", "content": content, "usage": usage}
    line = {"type": "assistant", "timestamp": at, "sessionId": session, "uuid": f"a{at}", "requestId": "r"}
    return line | {"message": body, "cwd": cwd} | more


TWO_DAYS = [
    *(said(f"2026-03-01T10:0{minute}:00Z") for minute in range(6)),
    answer("2026-03-01T10:06:00Z", calls=2),
    said("2026-03-10T10:00:00Z"),
    answer("2026-03-10T10:01:00Z", model=OPUS, cwd="/w/q", calls=1),
]


@pytest.mark.parametrize("name", ["users", "sessions"])
def test_of_some_days_only_what_was_done_in_them_is_counted(usage, name):
    made = usage({"ada/s.jsonl": TWO_DAYS})
    columns = ("prompts", "calls", "responses")
    (row,) = made.report(name, since=date(2026, 3, 10))
    assert tuple(row[column] for column in columns) == (1, 1, 1)
    (row,) = made.report(name, until=date(2026, 3, 9))
    assert tuple(row[column] for column in columns) == (6, 2, 1)


@pytest.mark.parametrize("name", ["users", "sessions"])
def test_who_was_idle_in_these_days_is_not_listed_though_a_session_lasted_through_them(usage, name):
    made = usage({"ada/s.jsonl": TWO_DAYS})
    assert made.report(name, since=date(2026, 3, 5), until=date(2026, 3, 5)) == []
    assert len(made.report(name)) == 1


def test_a_session_in_which_nothing_was_done_is_listed_among_whole_sessions(usage):
    made = usage({"ada/s.jsonl": [{"type": "system", "timestamp": "2026-03-01T10:00:00Z", "sessionId": "s"}]})
    assert [(row["session_id"], row["prompts"], row["cost_usd"]) for row in made.report("sessions")] == [
        ("s", 0, None)
    ]
    assert made.report("sessions", since=date(2026, 1, 1)) == []


@pytest.mark.parametrize("name", ["users", "sessions"])
def test_the_time_at_work_is_left_out_where_it_is_not_known(usage, name):
    made = usage({"ada/s.jsonl": TWO_DAYS})
    assert made.report(name)[0]["active_seconds"] == 420
    assert made.report(name, user="ada")[0]["active_seconds"] == 420
    for filters in ({"since": date(2026, 3, 1)}, {"until": date(2026, 4, 1)}, {"project": "p"}, {"model": "opus"}):
        assert "active_seconds" not in made.report(name, **filters)[0]
    assert "prompts" not in made.report(name, model="opus")[0]


@pytest.mark.parametrize("name", ["users", "sessions"])
def test_of_a_project_prompts_and_commands_are_a_part(usage, name):
    command = said("2026-03-02T10:00:00Z", "<command-name>/clear</command-name>", session="t", cwd="/w/r")
    made = usage({"ada/s.jsonl": TWO_DAYS, "ada/t.jsonl": [command]})
    assert [row["prompts"] for row in made.report(name, project="/w/r")] == [1]
    assert [row["prompts"] for row in made.report(name, project="/w/q")] == [0]
    assert made.report("commands", project="/w/r")[0]["calls"] == 1


def test_the_subagents_of_a_session_are_those_that_did_something(usage):
    made = usage(
        {
            "ada/s.jsonl": [said("2026-03-01T10:00:00Z")],
            "ada/s/subagents/agent-1.jsonl": [answer("2026-03-02T10:00:00Z", calls=3)],
            "ada/s/subagents/agent-2.jsonl": [answer("2026-03-03T10:00:00Z")],
        }
    )
    assert [(row["subagents"], row["calls"]) for row in made.report("sessions")] == [(2, 3)]
    assert [(row["subagents"], row["calls"]) for row in made.report("sessions", since=date(2026, 3, 3))] == [(1, 0)]


WINDOWS = [
    answer("2026-03-01T10:05:00Z", model=OPUS),
    answer("2026-03-01T12:30:00Z", cwd="/w/q"),
    answer("2026-03-01T15:30:00Z"),
]


def blocks(made, **filters):
    return [(row["started_at"].hour, row["responses"]) for row in made.report("blocks", **filters)]


def test_billing_windows_follow_from_all_that_a_user_has_done_whatever_is_counted_in_them(usage):
    made = usage({"ada/s.jsonl": WINDOWS})
    assert blocks(made) == [(15, 1), (10, 2)]
    assert blocks(made, model="sonnet") == [(15, 1), (10, 1)]
    assert blocks(made, project="/w/q") == [(10, 1)]
    assert blocks(made, model="haiku") == []


def test_a_window_over_midnight_counts_what_falls_into_these_days(usage):
    made = usage({"ada/s.jsonl": [answer("2026-03-01T23:30:00Z"), answer("2026-03-02T00:30:00Z")]})
    assert blocks(made) == [(23, 2)]
    assert blocks(made, since=date(2026, 3, 2)) == [(23, 1)]


def test_errors_of_the_service_are_of_no_model(usage):
    failed = answer("2026-03-01T10:00:00Z", model="<synthetic>", isApiErrorMessage=True)
    made = usage({"ada/s.jsonl": [failed]})
    assert [row["name"] for row in made.report("errors")] == ["API error"]
    assert made.report("errors", model="opus") == []


# Clocks go back at one in the morning in Havana and on the Azores, so that a day begins twice; in Beirut and Cairo
# they go forward at midnight, so that it begins at one; in Casablanca they change for Ramadan.
ZONES = {
    "America/Havana": date(2026, 11, 1),
    "Atlantic/Azores": date(2026, 10, 25),
    "Asia/Beirut": date(2026, 3, 29),
    "Africa/Cairo": date(2026, 4, 24),
    "Africa/Casablanca": date(2026, 2, 15),
    "Europe/Berlin": date(2026, 3, 29),
    "Australia/Lord_Howe": date(2026, 4, 5),
    "Asia/Kathmandu": date(2026, 1, 1),
}


def test_a_day_that_is_asked_for_is_the_day_that_the_report_of_all_days_has(usage):
    moments = []
    for day in ZONES.values():
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(1, seconds=7)
        moments += [(begin + timedelta(minutes=15 * n)).isoformat() for n in range(4 * 24 * 3)]
    made = usage({"ada/s.jsonl": [answer(at) for at in sorted(set(moments))]})
    for zone, day in ZONES.items():
        days = {row["day"]: row["responses"] for row in made.report("daily", timezone=zone)}
        for each in (day - timedelta(1), day, day + timedelta(1)):
            (row,) = made.report("daily", since=each, until=each, timezone=zone)
            assert (row["day"], row["responses"]) == (each, days[each]), zone
        (models,) = made.report("models", since=day, until=day, timezone=zone)
        assert models["responses"] == days[day], zone


@pytest.mark.parametrize(
    "name", ["posix/Europe/Berlin", "right/Europe/Berlin", "localtime", "Factory", "posixrules", ""]
)
def test_names_that_the_clocks_of_the_database_do_not_know_are_no_time_zones(name):
    with pytest.raises(ValueError, match="is no time zone"):
        known_zone(name)


def test_today_is_what_it_is_there():
    now = datetime.now(UTC)
    assert today("UTC") in {now.date(), datetime.now(UTC).date()}
    assert abs(today("Pacific/Kiritimati") - today("Pacific/Pago_Pago")) >= timedelta(1)


@pytest.mark.parametrize("name", REPORTS)
def test_every_statement_is_one_for_any_filters(usage, name):
    made = usage({"ada/s.jsonl": TWO_DAYS})
    for some in itertools.product(
        [None, date(2026, 3, 1)], [None, "ada"], [None, "p"], [None, "opus"], ["UTC", "CET"]
    ):
        since, user, project, model, zone = some
        filters = Filters(since, since, user, project, model, zone)
        names = [column[0] for column in made.conn.execute(statement(name, filters)).description]
        assert set(shown(name, filters).columns) <= set(names)
