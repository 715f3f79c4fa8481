"""``sessiond usage``: the same reports with and without a daemon, in each form; and the watch over the format."""

import csv
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from daemon.client import connect
from daemon.store import open_database
from processors.usage.filters import Filters
from processors.usage.reports import REPORTS
from processors.usage.statements import TOTAL, statement

OPUS = "claude-opus-4-5-20251101"


def response(number, *, at, model=OPUS, tokens=1_000_000, speed=None, cwd="/home/ada/shop", more=()):
    """A line with a response that costs 5 dollars for a million tokens of input, and a tool call."""
    usage = {"input_tokens": tokens, "output_tokens": 0, "speed": speed}
    block = {"type": "tool_use", "id": f"t{number}", "name": "Bash", "input": {}}
    body = {"id": f"m{number}", "model": model, "role": "assistant", "content": [block], "usage": usage}
    line = {
        "type": "assistant",
        "uuid": f"u{number}",
        "requestId": "r",
        "sessionId": "s",
        "timestamp": at,
        "cwd": cwd,
    }
    return json.dumps(line | {"message": body} | dict(more)).encode() + b"\n"


def write(box):
    """Two users: three responses of three days, one of them copied into another file; one model without a price."""
    first = response(1, at="2026-03-01T23:30:00Z")
    box.append("ada/a.jsonl", first, response(2, at="2026-03-03T10:00:00Z", cwd="/home/ada/shop/api"))
    box.append("ada/b.jsonl", first, response(3, at="2026-03-04T10:00:00Z", tokens=2_000_000, cwd="/srv/shop"))
    box.append("bob/c.jsonl", response(4, at="2026-03-04T12:00:00Z", model="gpt-99", cwd="/home/bob/tool"))


@pytest.fixture
def scanned(box):
    """A box with these sessions, and no daemon."""
    write(box)
    assert box.scan().returncode == 0
    return box


@pytest.fixture
def made(scanned):
    """The database of these sessions."""
    return connect(db=scanned.db)


@pytest.fixture(params=["beside a daemon", "without one"])
def used(request, box):
    """A box with these sessions."""
    write(box)
    if request.param == "beside a daemon":
        daemon = box.daemon()
        daemon.wait_quiet()
        box.up_to_date = lambda: daemon.wait_lines("eve/e.jsonl", 1)
    else:
        box.up_to_date = lambda: box.scan().check_returncode()
        box.up_to_date()
    return box


def told(box, *arguments, code=0):
    done = box.sessiond("usage", *arguments, "--db", box.db)
    assert done.returncode == code, done.stderr
    if code:
        return done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def rows(box, *arguments, columns=("responses", "cost_usd")):
    found = told(box, *arguments, "--json")["rows"]
    return [tuple(row[name] for name in (*row,)[:1] + tuple(columns)) for row in found]


def test_daily_counts_each_response_once_and_names_what_has_no_price(used):
    found = told(used, "--json")
    assert [(row["day"], row["responses"], row["cost_usd"], row["users"]) for row in found["rows"]] == [
        ("2026-03-01", 1, 5.0, 1),
        ("2026-03-03", 1, 5.0, 1),
        ("2026-03-04", 2, 10.0, 2),
    ]
    totals = found["totals"]
    assert (totals["responses"], totals["cost_usd"], totals["unpriced_responses"], totals["users"]) == (4, 20.0, 1, 2)
    assert found["unpriced"] == [{"model": "gpt-99", "speed": None, "responses": 1}]


def test_weeks_months_and_days_of_another_time_zone(scanned):
    assert rows(scanned, "weekly") == [("2026-02-23", 1, 5.0), ("2026-03-02", 3, 15.0)]
    assert rows(scanned, "monthly") == [("2026-03-01", 4, 20.0)]
    assert rows(scanned, "daily", "--timezone", "Europe/Berlin")[0] == ("2026-03-02", 1, 5.0)


@pytest.mark.parametrize(
    ("filters", "responses"),
    [
        ({"user": "ada"}, 3),
        ({"user": "eve"}, 0),
        ({"model": "OPUS"}, 3),
        ({"project": "/home/ada/shop"}, 2),
        ({"project": "/home/ada/shop/"}, 2),
        ({"project": "shop"}, 2),
        ({"project": "sho"}, 0),
        ({"project": "/"}, 4),
        ({"since": date(2026, 3, 3)}, 3),
        ({"since": date(2026, 3, 3), "until": date(2026, 3, 3)}, 1),
        ({"until": date(2026, 3, 1), "timezone": "Europe/Berlin"}, 0),
        ({"until": date(2026, 3, 1), "timezone": "America/New_York"}, 1),
        ({"user": "ada' OR true --"}, 0),
        ({"since": date.min, "until": date.max}, 4),
        ({"since": date.min, "until": date.max, "timezone": "Asia/Tokyo"}, 4),
        ({"since": date.min, "until": date.max, "timezone": "America/New_York"}, 4),
    ],
)
def test_filters_leave_the_same_responses_in_every_report(made, filters, responses):
    for name, report in REPORTS.items():
        found = made.query(statement(name, Filters(**filters))).to_pylist()
        if "responses" in report.columns:
            assert sum(row["responses"] for row in found if not row.get(TOTAL)) == responses, name
        assert set(report.columns) <= {*(found[0] if found else report.columns)}
        assert (found[-1][TOTAL] if report.exact else True) is True


def test_a_day_may_be_given_as_so_many_days_back(used):
    today = datetime.now(UTC).date()
    used.append("ada/now.jsonl", response(9, at=f"{today - timedelta(1)}T00:00:01Z"))
    assert told(used, "--json", "--since", "2000-01-01", "--until", "9d")["totals"]["responses"] == 4
    assert told(used, "--json", "--since", "today")["rows"] == []
    assert told(used, "--json", "--since", "0d")["rows"] == []


def test_sessions_users_and_projects(used):
    columns = ("username", "calls", "responses", "cost_usd")
    assert sorted(rows(used, "sessions", columns=columns)) == [("s", "ada", 3, 3, 20.0), ("s", "bob", 1, 1, None)]
    assert rows(used, "users", columns=("sessions", "calls", "cost_usd")) == [
        ("ada", 1, 3, 20.0),
        ("bob", 1, 1, None),
    ]
    assert sorted(rows(used, "projects")) == [
        ("/home/ada/shop", 1, 5.0),
        ("/home/ada/shop/api", 1, 5.0),
        ("/home/bob/tool", 1, None),
        ("/srv/shop", 1, 10.0),
    ]
    assert told(used, "sessions", "--json", "--project", "tool")["totals"]["responses"] == 1


def test_a_report_is_csv_where_there_is_no_terminal(scanned):
    for name in ("daily", "tools", "errors"):
        header, *lines = csv.reader(told(scanned, name).splitlines())
        assert header == list(REPORTS[name].columns)
        assert len(lines) == len(told(scanned, name, "--json")["rows"])


def test_csv_names_what_has_no_price_too_where_it_disturbs_nobody(scanned):
    scanned.append("eve/e.jsonl", response(8, at="2026-03-05T10:00:00Z", speed="ludicrous"))
    assert scanned.scan().returncode == 0
    for form in ("--csv", "--json"):
        done = scanned.sessiond("usage", form, "--db", scanned.db)
        assert "no price is known for" not in done.stdout
        assert f"no price is known for: {OPUS} at speed ludicrous (1), gpt-99 (1); they are in no cost" in done.stderr
    assert scanned.sessiond("usage", "tools", "--csv", "--db", scanned.db).stderr == ""


def test_prices_that_are_newer_than_what_the_database_was_made_with_are_told_until_they_count(scanned):
    config = scanned.folder / "config.toml"
    config.write_text('[[options.usage.prices]]\nmodel = "gpt-*"\ninput = 7\noutput = 1\n')

    def ask(*arguments):
        done = scanned.sessiond("usage", "--json", "--db", scanned.db, *arguments)
        return json.loads(done.stdout)["totals"]["cost_usd"], "costs are of other prices than" in done.stderr

    assert ask() == (20.0, False)
    assert ask("--config", config) == (20.0, True)
    assert scanned.sessiond("scan", scanned.root, "--db", scanned.db, "--config", config).returncode == 0
    assert ask("--config", config) == (27.0, False)
    assert ask() == (27.0, True)
    with open_database(scanned.db) as conn:  # as a version before this one leaves it
        conn.execute("DROP VIEW usage_settings")
    assert ask("--config", config) == (27.0, True)
    assert scanned.sessiond("usage", "tools", "--db", scanned.db).stderr == ""


def test_calls_and_windows(used):
    assert rows(used, "tools", columns=("calls", "errors", "users", "sessions")) == [("Bash", 4, 0, 2, 1)]
    assert [
        (row["username"], row["started_at"], row["responses"]) for row in told(used, "blocks", "--json")["rows"]
    ] == [
        ("bob", "2026-03-04T12:00:00", 1),
        ("ada", "2026-03-04T10:00:00", 1),
        ("ada", "2026-03-03T10:00:00", 1),
        ("ada", "2026-03-01T23:00:00", 1),
    ]
    assert told(used, "errors", "--json")["rows"] == []


@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_a_table_fits_the_terminal_and_has_totals(scanned, width):
    shown = scanned.on_a_terminal("usage", "models", width=width).decode()
    table = [line for line in shown.splitlines() if line and line[0] in "┏┃┡│├└"]
    assert max(map(len, (plain(line) for line in table))) <= int(width)
    assert "total" in shown
    assert "$20.00" in shown
    assert "no price is known for: gpt-99 (1)" in shown


def test_the_first_rows_are_shown_and_it_is_said_how_many_there_are(scanned):
    assert "the first 1 of 4 rows" in scanned.on_a_terminal("usage", "projects", "--limit", "1").decode()


def plain(line):
    """Without what colours it."""
    return "".join(part.partition("m")[2] if number else part for number, part in enumerate(line.split("\x1b[")))


def test_what_a_session_says_does_not_act_on_a_terminal(used):
    evil = "\x1b]0;owned\x07[red]\x9b31m"
    line = response(7, at="2026-03-05T10:00:00Z", model=evil, cwd=f"/x/{evil}", more={"gitBranch": evil})
    used.append("eve/e.jsonl", line.replace(b'"Bash"', json.dumps(evil).encode()))
    used.up_to_date()
    for report in ("models", "projects", "tools", "errors"):
        shown = used.on_a_terminal("usage", report)
        assert b"\x1b]" not in shown
        assert b"\x07" not in shown
        assert "\x9b".encode() not in shown


def test_charts_on_the_terminal_and_as_pictures(scanned):
    shown = plain(scanned.on_a_terminal("usage", "--plot").decode())
    assert "2026-03-02" in shown  # a day without anything is a part of the series
    for name, begins in (("usage.svg", b"<?xml"), ("usage.png", b"\x89PNG")):
        told(scanned, "weekly", "-o", scanned.folder / name)
        assert (scanned.folder / name).read_bytes().startswith(begins)
    told(scanned, "--user", "nobody", "-o", scanned.folder / "empty.svg")


def test_times_that_cannot_be_spoil_no_report(box):
    stamps = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "garbage", "2026-01-01T00:00:00+14:00")
    box.append("eve/e.jsonl", *(response(number, at=stamp) for number, stamp in enumerate(stamps)))
    assert box.scan().returncode == 0
    client = connect(db=box.db)
    for name in REPORTS:
        for zone in ("UTC", "Pacific/Apia"):
            client.query(statement(name, Filters(timezone=zone)))
    assert "too long to be drawn" in told(box, "--plot", code=2)
    assert "2025-12-31" in told(box, "--plot", "--since", "2025-01-01", "--until", "2026-12-31")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "there is no report nosuch"),
        (["--since", "yesterday"], "yesterday is no day"),
        (["--since", "99999999999d"], "is no day"),
        (["--since", "2026-02-01", "--until", "2026-01-31"], "2026-02-01 is after 2026-01-31"),
        (["--timezone", "Middle/Earth"], "is no time zone"),
        (["--timezone", "localtime"], "is no time zone"),
        (["commands", "--model", "opus"], "commands have no model"),
        (["tools", "--plot"], "tools is no series over time"),
        (["-o", "x.gif"], "x.gif is no picture"),
        (["--json", "--csv"], "given in one form"),
        (["-o", "/nosuch/x.svg"], "cannot write /nosuch/x.svg"),
    ],
)
def test_what_is_wrong_is_said(box, arguments, said):
    assert box.scan().returncode == 0
    assert said in told(box, *arguments, code=2)


def test_a_database_without_usage_says_so(box):
    with open_database(box.db):
        pass
    assert "no usage of this version in it yet" in told(box, code=2)


def test_the_time_zone_and_prices_of_the_settings_count(scanned):
    config = scanned.folder / "config.toml"
    config.write_text('[options.usage]\ntimezone = "Europe/Berlin"\n')
    done = scanned.sessiond("usage", "--json", "--db", scanned.db, "--config", config)
    assert json.loads(done.stdout)["rows"][0]["day"] == "2026-03-02"


def test_options_for_nobody_are_told(box):
    config = box.folder / "config.toml"
    config.write_text("[options.nosuch]\nx = 1\n")
    done = box.sessiond("scan", box.root, "--db", box.db, "--config", config)
    assert "options are given for 'nosuch'" in done.stderr


def test_a_change_of_the_format_is_told_in_the_log(box, line):
    daemon = box.daemon(debounce_ms=0)
    written = Counter()

    def append(number, lines):
        key = f"ada/{number % 12}.jsonl"
        box.append(key, *lines)
        written[key] += len(lines)
        daemon.wait_lines(key, written[key])

    for number in range(40):
        append(number, [line(number * 50 + place) for place in range(50)])
    assert not daemon.of("ratio_jumped")
    for number in range(40):
        append(number, [json.dumps({"type": "assistant_v2", "n": number}).encode() + b"\n"] * 50)
    told = daemon.of("ratio_jumped")[0]
    assert (told["processor"], told["ratio"], told["was"]) == ("usage", "unknown_lines", 0.0)
    assert told["now"] > 0.05
