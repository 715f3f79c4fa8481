"""The HTTP API over its real socket, with a daemon that processes live appends at the same time."""

import http.client
import json
import os
import resource
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.api import endpoint, server
from daemon.client import connect
from daemon.config import Settings, socket_of
from processors import Batch, ProcessorResult, Table

SLOW_SQL = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * 7 = b.range * 3 + a.range % 2"


class Counted:
    """A row per line, and as slow or as wrong as it is told to be."""

    name = "counted"
    tables = (Table("counted", {"line": "BIGINT", "text": "VARCHAR"}),)
    wait: threading.Event | None = None
    began = threading.Event()
    fails = False
    cadence_minutes = 0.0

    def process(self, batch: Batch) -> ProcessorResult:
        type(self).began.set()
        if self.wait is not None:
            assert self.wait.wait(60)
        if type(self).fails:
            raise ValueError("as told")
        first = batch.carry or 0
        rows = [(first + number, turn.uuid) for number, turn in enumerate(batch.turns())]
        return ProcessorResult(len(rows), {"counted": rows}, carry=first + len(rows))


@pytest.fixture
def counted():
    kind = type("Fresh", (Counted,), {"began": threading.Event()})
    yield kind
    if kind.wait is not None:
        kind.wait.set()


class Http(http.client.HTTPConnection):
    """A connection to a Unix socket, as any HTTP library makes it."""

    def __init__(self, path):
        super().__init__("sessiond", timeout=60)
        self._path = path

    def connect(self):
        self.sock = endpoint.connect(self._path)


def ask(box, method, address, body=None, accept="application/json", kind="application/sql"):
    """Status and body; JSON is decoded."""
    connection = Http(socket_of(Settings(root=box.root, db=box.db)))
    data = json.dumps(body) if isinstance(body, dict) else body
    headers = {"Accept": accept, "Content-Type": "application/json" if isinstance(body, dict) else kind}
    connection.request(method, address, data, headers)
    response = connection.getresponse()
    told = response.read()
    connection.close()
    return response.status, json.loads(told) if "json" in response.headers["content-type"] else told


def get(box, address):
    status, told = ask(box, "GET", address)
    assert status == 200, told
    return told


def post(box, address, body=None, status=200):
    got, told = ask(box, "POST", address, body)
    assert got == status, told
    return told


def audited(box):
    rows = post(
        box, "/query", "SELECT action, outcome, uid, pid, parameters, detail FROM audit_log ORDER BY asked_at"
    )
    assert {(row["uid"], row["pid"]) for row in rows} <= {(os.geteuid(), os.getpid())}
    return [(row["action"], row["outcome"]) for row in rows]


# What only reads


def test_status_sessions_and_health_say_what_was_done(box, line):
    live = box.live()
    box.append("ada/a.jsonl", line(0), b"broken\n", line(1), b'{"unfinished": ')
    live.wait_lines("ada/a.jsonl", 3)
    live.wait_idle()
    assert get(box, "/healthz") == {"healthy": True, "reasons": []}
    told = get(box, "/status")
    assert (told["sessions"], told["watch"]["mode"], told["watch"]["missed"], told["pid"]) == (
        1,
        "inotify",
        0,
        os.getpid(),
    )
    (lane,) = told["lanes"]
    assert {
        lane[name] for name in ("live", "backlog", "running", "delayed", "retrying", "quarantined", "errors")
    } == {0}
    assert (lane["lines"], lane["malformed_lines"], lane["last_error"]) == (2, 1, None)
    assert told["last_scan"]["files"] == 0
    (session,) = get(box, "/sessions")["sessions"]
    usage = session["processors"]["usage"]
    assert (session["session_file"], session["username"]) == ("ada/a.jsonl", "ada")
    assert (usage["state"], usage["malformed_lines"], usage["lines"]) == ("partial", 1, 2)
    assert usage["size"] - usage["offset"] == len(b'{"unfinished": ')
    assert usage["last_run"].endswith("Z")


def test_sessions_come_in_pages_and_by_user_and_state(box, line):
    live = box.live()
    for number in range(5):
        box.append(f"user{number % 2}/{number}.jsonl", line(number))
    live.wait("processed", 5)
    live.wait_idle()
    seen, after = [], ""
    while after is not None:
        page = get(box, f"/sessions?limit=2&after={after}")
        assert len(page["sessions"]) <= 2
        seen += [session["session_file"] for session in page["sessions"]]
        after = page["next"]
    assert seen == sorted(f"user{number % 2}/{number}.jsonl" for number in range(5))
    assert [session["session_file"] for session in get(box, "/sessions?user=user1")["sessions"]] == seen[3:]
    assert get(box, "/sessions?state=quarantined")["sessions"] == []
    assert len(get(box, "/sessions?state=processed")["sessions"]) == 5
    assert ask(box, "GET", "/sessions?state=odd")[0] == 422
    assert ask(box, "GET", "/sessions?limit=0")[0] == 422
    assert ask(box, "GET", "/sessions?nosuch=1")[0] == 422


def test_a_session_that_waits_is_listed_as_what_it_is_doing(box, line, counted):
    counted.wait = threading.Event()
    live = box.live(counted)
    box.append("ada/a.jsonl", line(0))
    assert counted.began.wait(30)
    (session,) = get(box, "/sessions?state=running")["sessions"]
    assert session["processors"] == {"counted": {"state": "running"}}
    counted.wait.set()
    live.wait_idle()
    assert get(box, "/sessions?state=running")["sessions"] == []


def test_a_query_is_answered_in_each_form(box, line):
    live = box.live()
    box.append("ada/a.jsonl", line(0))
    live.wait_lines("ada/a.jsonl", 1)
    sql = "SELECT username, count(*) AS n FROM usage_events GROUP BY ALL"
    assert ask(box, "POST", "/query", sql) == (200, [{"username": "ada", "n": 1}])
    assert ask(box, "POST", "/query", sql, "text/csv") == (200, b'"username","n"\n"ada",1\n')
    assert ask(box, "POST", "/query", sql, "application/x-ndjson") == (200, {"username": "ada", "n": 1})
    arrow = ask(box, "POST", "/query", sql, "application/vnd.apache.arrow.stream")[1]
    assert pa.ipc.open_stream(arrow).read_all().to_pylist() == [{"username": "ada", "n": 1}]
    body = {"sql": "SELECT ? AS v", "parameters": ["x"]}
    assert ask(box, "POST", "/query", body) == (200, [{"v": "x"}])
    assert ask(box, "POST", "/query", sql, "image/png")[0] == 406
    assert ask(box, "POST", "/query", {"nosuch": 1})[0] == 400
    assert ask(box, "POST", "/query", b"\xff")[0] == 400


def test_what_is_wrong_with_a_query_is_400_and_what_is_too_much_is_422(box):
    box.live(query_seconds=3.0, query_rows=100)
    status, told = ask(box, "POST", "/query", "SELECT 1 +")
    assert (status, "LINE 1" in told["error"]) == (400, True)
    assert ask(box, "POST", "/query", "DROP TABLE usage_events")[0] == 400
    status, told = ask(box, "POST", "/query", SLOW_SQL)
    assert (status, told["limit"]) == (422, "query_seconds")
    assert "query_seconds" in told["hint"]
    status, told = ask(box, "POST", "/query", "FROM range(1000)")
    assert (status, told["limit"]) == (422, "query_rows")


def test_metrics_are_what_prometheus_reads(box, line):
    live = box.live()
    box.append("ada/a.jsonl", line(0), b"broken\n", b'{"unfinished": ')
    live.wait_lines("ada/a.jsonl", 2)
    live.wait_idle()
    text = get(box, "/metrics").decode()
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    usage = ("processor", "usage")
    assert samples["sessiond_lines_total", usage] == 1
    assert samples["sessiond_malformed_lines_total", usage] == 1
    assert samples["sessiond_run_duration_seconds_count", usage] >= 1  # one more when it is quiet
    assert samples["sessiond_commits_total",] >= 1
    assert samples["sessiond_commit_duration_seconds_count",] == samples["sessiond_commits_total",]
    assert samples["sessiond_watches",] == 2
    assert samples["sessiond_files", ("ingested", "less"), usage] == 1
    assert samples["sessiond_lane_sessions", usage, ("state", "quarantined")] == 0
    assert not any(name.endswith("_created") for name, *_ in samples)
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not there to check the names (Debian's package prometheus has it)")
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_unknown_addresses_and_methods_are_told(box):
    box.live()
    status, told = ask(box, "GET", "/nosuch")
    assert (status, "/healthz" in told["hint"]) == (404, True)
    assert ask(box, "GET", "/query")[0] == 405
    assert ask(box, "POST", "/status")[0] == 405


def test_health_is_503_with_reasons_while_the_root_is_gone(box, until):
    live = box.live()
    box.root.rename(box.folder / "elsewhere")
    until(lambda: ask(box, "GET", "/healthz")[0], 503)
    assert "is not there" in " ".join(ask(box, "GET", "/healthz")[1]["reasons"])
    (box.folder / "elsewhere").rename(box.root)
    until(lambda: ask(box, "GET", "/healthz")[0], 200)
    assert live.of("part_failed") == []


def test_health_says_which_part_is_wrong_without_asking_the_database(box, monkeypatch, until):
    live = box.live()
    health = live.service._health
    for patched, value, said in (
        ((live.engine.writer.persistence, "blocked_since"), time.monotonic(), "cannot be written"),
        ((live.service._progress._parts[0], "slow"), -1.0, "the writer makes no progress"),
        ((live.service._progress._parts[2], "slow"), -1.0, "usage makes no progress"),
        ((live.engine, "paused"), lambda: ["usage"], "usage is paused"),
        ((live.survey, "overdue"), lambda _seconds: True, "scan is overdue"),
        ((live.watch, "doubt"), lambda: "a thread is dead", "watcher may be deaf"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*patched, value)
            until(lambda said=said: said in " ".join(health.reasons()))
            status, told = ask(box, "GET", "/healthz")
            assert (status, told["healthy"]) == (503, False)
    until(lambda: ask(box, "GET", "/healthz")[0], 200)


# Orders


def test_run_processes_what_is_unprocessed_and_answers_the_counters(box, line, counted):
    counted.cadence_minutes = 600.0
    live = box.live(counted)
    box.append("ada/a.jsonl", line(0))
    live.wait_lines("ada/a.jsonl", 1, "counted")
    box.append("ada/a.jsonl", line(1))
    while not get(box, "/status")["lanes"][0]["delayed"]:
        pass
    told = post(box, "/processors/counted/run")
    assert told == {
        "processor": "counted", "scanned": 1, "processed": 1, "skipped": 0, "errors": 0, "items_extracted": 1,
        "errors_detail": [],
    }  # fmt: skip
    assert live.query("SELECT line FROM counted ORDER BY line") == [(0,), (1,)]
    assert post(box, "/processors/counted/run")["scanned"] == 0
    assert audited(box) == [("run", "done"), ("run", "done")]


def test_run_tells_what_failed_and_the_next_call_is_free(box, line, counted):
    counted.fails = True
    box.live(counted, backoff_seconds=3600, backoff_max_seconds=3600)
    box.append("ada/a.jsonl", line(0))
    told = post(box, "/processors/counted/run")
    while not told["errors"]:  # the change may not have been heard of yet
        told = post(box, "/processors/counted/run")
    assert (told["scanned"], told["processed"], told["errors"]) == (1, 0, 1)
    (detail,) = told["errors_detail"]
    assert (detail["session_file"], "ValueError" in detail["error"]) == ("ada/a.jsonl", True)
    assert "as told" not in detail["error"]
    counted.fails = False
    assert post(box, "/processors/counted/run")["processed"] == 1


def test_an_unknown_processor_is_404_naming_the_known(box):
    box.live()
    for action in ("run", "reprocess"):
        assert post(box, f"/processors/nosuch/{action}", status=404)["hint"] == "there are: usage"
    assert audited(box) == [("run", "failed"), ("reprocess", "failed")]


def test_only_one_run_at_a_time_and_the_lock_is_freed_when_the_client_goes(box, line, counted, until):
    counted.wait = threading.Event()
    live = box.live(counted)
    box.append("ada/a.jsonl", line(0))
    assert counted.began.wait(30)
    first = Http(socket_of(Settings(root=box.root, db=box.db)))
    first.request("POST", "/processors/counted/run")
    until(lambda: ask(box, "POST", "/processors/counted/run")[0], 409)
    first.close()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(until, lambda: ask(box, "POST", "/processors/counted/run")[0], 200)
        until(lambda: ("run", "given up") in audited(box))
        counted.wait.set()
        asked.result(60)
    live.wait_idle()
    assert live.query("SELECT line FROM counted") == [(0,)]


def test_what_a_lane_does_meanwhile_is_not_done_twice(box, line, counted):
    counted.wait = threading.Event()
    live = box.live(counted)
    for number in range(20):
        box.append(f"ada/{number}.jsonl", line(number))
    assert counted.began.wait(30)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(post, box, "/processors/counted/run")
        counted.wait.set()
        told = asked.result(60)
    live.wait("processed", 20)
    live.wait_idle()
    assert told["errors"] == 0
    assert live.query("SELECT count(*), count(DISTINCT session_file) FROM counted") == [(20, 20)]


@pytest.mark.parametrize(
    ("body", "again"),
    [
        ({}, ["ada/0.jsonl", "ada/1.jsonl", "bob/2.jsonl"]),
        ({"user": "ada"}, ["ada/0.jsonl", "ada/1.jsonl"]),
        ({"session": "bob/2.jsonl"}, ["bob/2.jsonl"]),
    ],
)
def test_reprocess_makes_rows_anew_for_all_a_user_or_a_session(box, line, counted, body, again):
    live = box.live(counted)
    for number, key in enumerate(["ada/0.jsonl", "ada/1.jsonl", "bob/2.jsonl"]):
        box.append(key, line(number))
        live.wait_lines(key, 1, "counted")
    before = dict(live.query("SELECT session_file, extracted_at FROM counted"))
    told = post(box, "/processors/counted/reprocess", body)
    assert [each["session_file"] for each in told["sessions"]] == again
    live.wait("processed", 3 + len(again))
    live.wait_idle()
    rows = live.query("SELECT session_file, extracted_at FROM counted")
    assert len(rows) == 3
    assert sorted(key for key, at in rows if at != before[key]) == again
    assert audited(box) == [("reprocess", "done")]


def test_a_run_under_way_does_not_hold_up_a_reprocess_and_does_not_undo_it(box, line, counted):
    live = box.live(counted)
    box.append("ada/a.jsonl", line(0))
    live.wait_lines("ada/a.jsonl", 1, "counted")
    live.wait_idle()
    (before,) = live.query("SELECT extracted_at FROM counted")
    counted.wait, counted.began = threading.Event(), threading.Event()
    box.append("ada/a.jsonl", line(1))
    assert counted.began.wait(30)
    assert len(post(box, "/processors/counted/reprocess")["sessions"]) == 1
    counted.wait.set()
    live.wait("processed", 2)
    live.wait_idle()
    rows = live.query("SELECT line, extracted_at FROM counted ORDER BY line")
    assert [number for number, _ in rows] == [0, 1]
    assert before < min((at,) for _, at in rows)


def test_reprocess_refuses_what_it_does_not_understand(box):
    box.live()
    assert post(box, "/processors/usage/reprocess", {"user": "a", "session": "b"}, status=422)
    assert post(box, "/processors/usage/reprocess", {"nosuch": "a"}, status=422)
    assert post(box, "/processors/usage/reprocess", b"[1]", status=422)
    assert post(box, "/processors/usage/reprocess", {"user": "nobody"}, status=404)


def test_a_reprocess_outlives_the_daemon(box, line, counted):
    live = box.live(counted)
    box.append("ada/a.jsonl", line(0))
    live.wait_lines("ada/a.jsonl", 1, "counted")
    counted.wait = threading.Event()
    counted.began.clear()
    post(box, "/processors/counted/reprocess")
    assert counted.began.wait(30)
    counted.fails = True
    counted.wait.set()
    live.wait("run_failed")
    live.stop()
    counted.fails = False
    again = box.live(counted)
    again.wait("processed")
    assert again.query("SELECT line FROM counted") == [(0,)]


def test_what_is_in_quarantine_is_listed_and_gets_a_new_chance(box, line, counted):
    counted.fails = True
    live = box.live(counted, max_attempts=1)
    box.append("ada/a.jsonl", line(0))
    live.wait("quarantined")
    live.wait_idle()
    (told,) = get(box, "/quarantine")["quarantine"]
    assert (told["processor"], told["session_file"], told["attempts"]) == ("counted", "ada/a.jsonl", 1)
    assert post(box, "/processors/counted/run")["scanned"] == 0
    counted.fails = False
    assert post(box, "/quarantine/requeue", {"processor": "counted"})["sessions"] == [
        {"processor": "counted", "session_file": "ada/a.jsonl"}
    ]
    live.wait_lines("ada/a.jsonl", 1, "counted")
    assert get(box, "/quarantine") == {"quarantine": [], "retrying": []}
    assert live.query("SELECT count(*) FROM session_failures") == [(0,)]
    assert post(box, "/quarantine/requeue", {"processor": "nosuch"}, status=404)
    assert post(box, "/quarantine/requeue")["sessions"] == []


def test_a_change_whose_run_failed_is_late_until_it_is_committed(box, line, counted, until):
    counted.fails = True
    live = box.live(counted, backoff_seconds=3600, backoff_max_seconds=3600)
    box.append("ada/a.jsonl", line(0))
    live.wait("run_failed")
    until(lambda: get(box, "/status")["lanes"][0]["retrying"], 1)
    before = get(box, "/status")["lag_seconds"]
    until(lambda: get(box, "/status")["lag_seconds"] > before)
    assert before > 0
    counted.fails = False
    assert post(box, "/processors/counted/run")["processed"] == 1
    until(lambda: get(box, "/status")["lag_seconds"], 0.0)


def test_a_run_that_fails_during_a_requeue_leaves_nothing_behind(box, line, counted, monkeypatch):
    counted.fails = True
    live = box.live(counted, max_attempts=1)
    box.append("ada/a.jsonl", line(0))
    live.wait("quarantined")
    live.wait_idle()
    writer = live.engine.writer
    carry_out = writer.carry_out

    def slowly(work, timeout):
        answer = carry_out(work, timeout)
        if not counted.fails:
            return answer
        box.append("ada/a.jsonl", line(1))  # its run fails after the database has forgotten the failure before
        live.wait("quarantined", 2)
        live.wait_idle()
        counted.fails = False
        return answer

    monkeypatch.setattr(writer, "carry_out", slowly)
    assert len(post(box, "/quarantine/requeue")["sessions"]) == 1
    live.wait_idle()
    box.append("ada/a.jsonl", line(2))
    live.wait_lines("ada/a.jsonl", 3, "counted")
    live.wait_idle()
    assert live.query("SELECT count(*) FROM session_failures") == [(0,)]
    assert get(box, "/quarantine") == {"quarantine": [], "retrying": []}


def test_what_failed_is_not_shown_as_ingested(box, line, counted):
    counted.fails = True
    live = box.live(counted, max_attempts=1)
    box.append("ada/a.jsonl", line(0))
    live.wait("quarantined")
    live.wait_idle()
    (lane,) = live.engine.lanes
    assert lane.shares() == {"100": 0, "95-99": 0, "less": 1}
    counted.fails = False
    box.append("ada/a.jsonl", line(1))
    live.wait_lines("ada/a.jsonl", 2, "counted")
    live.wait_idle()
    assert lane.shares() == {"100": 1, "95-99": 0, "less": 0}
    counted.fails = True
    box.append("ada/a.jsonl", line(2))
    live.wait("quarantined", 2)
    live.wait_idle()
    assert lane.shares() == {"100": 0, "95-99": 0, "less": 1}


def test_a_first_scan_that_does_not_end_is_overdue(box, monkeypatch):
    live = box.live(scan_seconds=60)
    assert not live.survey.overdue(100)
    monkeypatch.setattr(live.survey, "scanned_at", 0.0)
    assert not live.survey.overdue(100)
    monkeypatch.setattr(live.survey, "_there_since", time.monotonic() - 161)
    assert live.survey.overdue(100)


def test_an_order_that_a_stop_ends_early_is_recorded_as_such(box, line, counted, until):
    counted.wait = threading.Event()
    counted.cadence_minutes = 600.0
    live = box.live(counted, stop_seconds=0.2)
    conn = live.engine.connect()
    with ThreadPoolExecutor(1) as caller:
        box.append("ada/a.jsonl", line(0))
        assert counted.began.wait(30)
        order = caller.submit(ask, box, "POST", "/processors/counted/run")
        until(lambda: live.service._asked.orders.wait(0), wanted=False)
        live.stop()
        order.exception()
    with conn:
        assert conn.execute("SELECT action, outcome FROM audit_log").fetchall() == [("run", "given up")]


def test_more_orders_than_are_carried_out_at_a_time_are_refused(box, line, counted, monkeypatch, until):
    monkeypatch.setattr("daemon.api.orders.MOST", 1)
    counted.wait = threading.Event()
    live = box.live(counted)
    with ThreadPoolExecutor(1) as caller:
        box.append("ada/a.jsonl", line(0))
        assert counted.began.wait(30)
        order = caller.submit(ask, box, "POST", "/processors/counted/run")
        until(lambda: live.service._asked.orders.wait(0), wanted=False)
        refused = ask(box, "POST", "/quarantine/requeue")
        assert (refused[0], "1 orders are being" in refused[1]["error"]) == (409, True)
        counted.wait.set()
        assert order.result()[0] == 200


def test_a_scan_is_waited_for(box, line):
    live = box.live()
    box.append("ada/a.jsonl", line(0))
    told = post(box, "/scan")
    assert (told["files"], told["folders"]) == (1, 2)
    live.wait_lines("ada/a.jsonl", 1)
    shutil.rmtree(box.root)
    while "is not there" not in ask(box, "POST", "/scan")[1].get("error", ""):
        pass


def test_orders_in_any_number_at_once_leave_each_line_counted_once(box, line, counted):
    live = box.live(counted, max_attempts=2)
    keys = [f"user{number % 3}/{number}.jsonl" for number in range(12)]
    over = threading.Event()
    statuses = set()

    def order(address, body=None):
        while not over.is_set():
            statuses.add(ask(box, "POST", address, body)[0])

    orders = [
        ("/processors/counted/run",),
        ("/processors/counted/run",),
        ("/processors/counted/reprocess", {"user": "user1"}),
        ("/processors/counted/reprocess", {"session": keys[0]}),
        ("/quarantine/requeue",),
        ("/scan",),
    ]
    threads = [threading.Thread(target=order, args=each) for each in orders]
    for thread in threads:
        thread.start()
    numbers = {key: [] for key in keys}
    for number in range(240):
        key = keys[number % len(keys)]
        counted.fails = number % 40 in {7, 8, 9}
        box.append(key, line(number))
        numbers[key].append(f"u{number}")
        get(box, "/status")
    counted.fails = False
    over.set()
    for thread in threads:
        thread.join()
    post(box, "/quarantine/requeue")
    live.wait_idle()
    while post(box, "/processors/counted/run")["scanned"]:
        pass
    rows = live.query("SELECT session_file, list(text ORDER BY line) FROM counted GROUP BY ALL")
    assert dict(rows) == numbers
    assert statuses <= {200, 409, 404}
    assert live.of("part_failed") == live.of("request_failed") == []


def test_a_stop_ends_what_is_asked_and_takes_seconds(box, line):
    child = box.daemon()
    clients = []
    for method, address, body in (("POST", "/query", SLOW_SQL), ("POST", "/processors/usage/run", None)):
        client = Http(socket_of(Settings(root=box.root, db=box.db)))
        client.request(method, address, body)
        clients.append(client)
    assert child.stop() == 0
    assert child.of("stopped", clean=True)
    for client in clients:
        client.close()


def test_while_the_database_cannot_grow_everything_but_orders_is_answered(box, line, until):
    child = box.daemon()
    box.append("ada/a.jsonl", line(0))
    child.wait_lines("ada/a.jsonl", 1)
    resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    box.append("ada/a.jsonl", line(1))
    child.wait("store_blocked")
    status, told = ask(box, "GET", "/healthz")
    assert (status, "cannot be written" in " ".join(told["reasons"])) == (503, True)
    assert get(box, "/status")["lag_seconds"] > 0
    assert post(box, "/query", "SELECT count(*) AS n FROM usage_events") == [{"n": 1}]
    assert len(get(box, "/sessions")["sessions"]) == 1
    assert get(box, "/metrics")
    refused = post(box, "/processors/usage/reprocess", {"session": "ada/a.jsonl"}, status=503)
    assert "cannot be written" in refused["error"]
    resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    child.wait("store_resumed")
    until(lambda: ask(box, "GET", "/healthz")[0], 200)
    child.wait_lines("ada/a.jsonl", 2)
    child.wait_quiet()
    assert child.stop() == 0
    assert box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events") == [(2, 2)]


def test_an_export_beside_appends_and_checkpoints_is_as_of_one_moment(box, line):
    """Two tables always have the same rows, however often they are written."""

    class Twice:
        name = "twice"
        tables = (Table("first", {"text": "VARCHAR"}), Table("second", {"text": "VARCHAR"}))

        def process(self, batch):
            rows = [(turn.uuid,) for turn in batch.turns()]
            return ProcessorResult(len(rows), {"first": rows, "second": rows})

    live = box.live(Twice, debounce_ms=0)
    live.query("SET checkpoint_threshold = '32KB'")
    over = threading.Event()

    def write():
        number = 0
        while not over.is_set():
            box.append(f"user{number % 5}/{number % 7}.jsonl", line(number))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for each in range(5):
            live.wait("committed", 20 * (each + 1))
            written = connect(db=box.db).export(box.folder / "out")
            assert written["first"] == written["second"] > 0
    finally:
        over.set()
        writer.join()
    live.wait_idle()
    assert live.of("part_failed") == []


def test_the_api_is_started_anew_if_it_dies(box, until, monkeypatch):
    monkeypatch.setattr(server, "RESTART_SECONDS", 0.0)
    live = box.live()
    live.service._server._server.should_exit = True
    live.wait("listening", 2)
    assert get(box, "/healthz")["healthy"]
    assert live.stop() == 0
