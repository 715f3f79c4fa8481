"""Clients that misbehave, the socket that they come through, and loopback: nobody loses anything to them."""

import http.client
import json
import os
import random
import re
import socket
import stat
import struct
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from daemon.api import replies, server
from processors import ProcessorResult, Table

ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * 7 = b.range * 3 + a.range % 2"
READS = ("/healthz", "/status", "/sessions", "/quarantine", "/metrics")
ORDERS = ("/scan", "/processors/usage/run", "/processors/usage/reprocess", "/quarantine/requeue")


class Big:
    """A row of 10,000 characters per line."""

    name = "big"
    tables = (Table("big", {"text": "VARCHAR"}),)

    def process(self, batch):
        rows = [((turn.uuid or "") * 1_500,) for turn in batch.turns()]
        return ProcessorResult(len(rows), {"big": rows})


def plugged(path):
    """Connected to a Unix socket, by way of its folder: an address holds 107 bytes."""
    client = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_PATH)
    try:
        client.connect(f"/proc/self/fd/{folder}/{path.name}")  # with a timeout, it would not wait for its turn
        client.settimeout(60)
    except OSError:
        client.close()
        raise
    finally:
        os.close(folder)
    return client


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("sessiond", timeout=60)
        self._path = path

    def connect(self):
        self.sock = plugged(self._path)


class Asking:
    """Asks the daemon of a box."""

    def __init__(self, path):
        self.path = path

    def raw(self, *pieces):
        """A connection on which these bytes were sent."""
        client = plugged(self.path)
        for piece in pieces:
            client.sendall(piece)
        return client

    def __call__(self, method, address, body=None, **headers):
        """Status and body; JSON is decoded."""
        with closing(Unix(self.path)) as connection:
            return answered(connection, method, address, body, **headers)


def answered(connection, method, address, body=None, **headers):
    connection.request(method, address, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    told = response.read()
    return response.status, json.loads(told) if response.headers["content-type"] == "application/json" else told


@pytest.fixture
def asking(box):
    return Asking(Path(f"{box.db}.sock"))


def request(method, address, body=b"", length=None):
    """A request as bytes; ``length``: of the body, if that is a lie."""
    head = (
        f"{method} {address} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body


def read_to_end(client):
    """What comes until the other side closes."""
    told = bytearray()
    with suppress(ConnectionResetError):
        while piece := client.recv(65536):
            told += piece
    return bytes(told)


def holds(pid):
    """How many descriptors and threads a process has."""
    return [len(list(Path(f"/proc/{pid}/{what}").iterdir())) for what in ("fd", "task")]


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def settles(until, pid, before):
    until(lambda: all(now <= then for now, then in zip(holds(pid), before, strict=True)))


def warm(asking, pid):
    """What the daemon holds once it has done everything that starts a thread or opens a file."""
    for method, address in (*(("GET", address) for address in READS), ("POST", "/scan")):
        assert asking(method, address)[0] == 200
    descriptors, threads = holds(pid)
    return [descriptors, threads]


# Clients that say nothing, half of it, or too much


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"G",
        b"GET /status HTTP/1.1\r\nHost: x\r\n",
        b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nSELECT 1",
        b"POST /query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nSEL",
        b"POST /scan HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{",
    ],
)
def test_a_client_that_does_not_finish_is_dropped_and_holds_nothing(box, asking, line, monkeypatch, until, said):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(replies, "BODY_SECONDS", 0.2)
    live = box.live()
    before = warm(asking, "self")
    clients = [asking.raw(said) for _ in range(30)]
    for client in clients:
        told = read_to_end(client)
        assert told == b"" or told.startswith(b"HTTP/1.1 408 "), told
        client.close()
    settles(until, "self", before)
    box.append("ada/a.jsonl", line(0))
    live.wait_ids("ada/a.jsonl", [0])
    assert asking("GET", "/healthz") == (200, {"healthy": True, "reasons": []})


@pytest.mark.parametrize(
    "said",
    [
        b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nSELECT 1",
        b"POST /processors/usage/run HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_a_client_that_goes_away_in_its_request_is_no_error_of_the_daemon(box, asking, until, said):
    live = box.live()
    asking.raw(said).close()
    until(lambda: len(live.of("asked")), 1)
    assert [entry["event"] for entry in live.entries if entry["level"] in {"warning", "error"}] == []


def test_a_client_that_sends_a_byte_now_and_then_gets_no_more_time_than_others(box, asking, monkeypatch):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.3)
    box.live()
    pause = threading.Event()

    def dribble(client):
        for byte in request("GET", "/status").ljust(10_000, b"x"):
            client.sendall(bytes([byte]))
            pause.wait(0.01)

    with asking.raw() as client, pytest.raises((BrokenPipeError, ConnectionResetError)):
        dribble(client)


def test_a_hundred_megabytes_are_refused_whatever_they_pretend_to_be(box, asking, line, until):
    child = box.daemon()
    child.wait("listening")
    asking("POST", "/query", "SELECT 1")
    pid = child.process.pid
    before, memory = holds(pid), resident(pid)
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    chunked = b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for said, piece in (
        (b"GET /" + b"x" * 1000, b"x" * 65536),
        (b"GET / HTTP/1.1\r\nX: ", b"x" * 65536),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 10_000),
        (b"", b"\0" * 65536),
        (request("POST", "/query", length=100 << 20), b"x" * 65536),
        (request("POST", "/processors/usage/reprocess", length=100 << 20), b"x" * 65536),
        (b"POST /query" + chunked, chunk),
        (b"POST /scan" + chunked, chunk),
        (b"POST /nosuch" + chunked, chunk),
        (b"GET /status" + chunked, chunk),
    ):
        with asking.raw(said) as client, suppress(BrokenPipeError, ConnectionResetError):
            for _ in range((100 << 20) // len(piece)):
                client.sendall(piece)
    settles(until, pid, before)
    assert resident(pid) - memory < 50 << 20
    box.append("ada/a.jsonl", line(0))
    child.wait_lines("ada/a.jsonl", 1)
    assert asking("GET", "/healthz")[0] == 200
    assert child.of("request_failed") == []
    assert child.stop() == 0


def test_what_is_no_http_is_answered_with_an_error_of_the_client_or_not_at_all(box, asking):
    live = box.live()
    chaos = random.Random(0)
    said = [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /status HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET \xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n",
        b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n",
        b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /scan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /scan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    ]
    chaotic = [chaos.randbytes(chaos.randrange(1, 2000)) for _ in range(200)]
    chaotic += [
        request("GET", "/status")[: chaos.randrange(40)] + chaos.randbytes(40) + b"\r\n\r\n" for _ in range(200)
    ]
    for each in said + chaotic:
        with asking.raw(each) as client:
            client.shutdown(socket.SHUT_WR)
            told = read_to_end(client)
        assert told == b"" or re.match(rb"HTTP/1\.1 4\d\d ", told) or (each in chaotic and b" 200 OK" in told), each
    assert asking("GET", "/healthz")[0] == 200
    assert live.of("request_failed") == live.of("api_failed") == []


def test_addresses_and_bodies_that_make_no_sense_are_refused_by_name(box, asking):
    live = box.live()
    for method, address, body, status in (
        ("GET", "/sessions?limit=" + "9" * 5000, None, 422),
        ("GET", "/sessions?limit=1e3", None, 422),
        ("GET", "/sessions?limit=-1", None, 422),
        ("GET", "/sessions?state=", None, 422),
        ("GET", "/sessions?user=a&user=b", None, 422),
        ("GET", "/sessions?user=%00", None, 200),
        ("GET", "/sessions?user=%ff%fe", None, 200),
        ("GET", "/sessions?after=%ed%a0%80", None, 200),
        ("GET", "/sessions?user='%20OR%201=1--", None, 200),
        ("GET", "/nosuch", None, 404),
        ("GET", "/%0a%1b[31m", None, 404),
        ("DELETE", "/status", None, 405),
        ("GET", "/scan", None, 405),
        ("POST", "/processors/a%0ab/run", None, 404),
        ("POST", "/processors/..%2f..%2fetc/run", None, 404),
        ("POST", "/processors/usage/run", b"[]", 422),
        ("POST", "/processors/usage/run", b'{"user": "ada"}', 422),
        ("POST", "/processors/usage/reprocess", b'{"user": 5}', 422),
        ("POST", "/processors/usage/reprocess", b'{"user": "\\ud800"}', 422),
        ("POST", "/processors/usage/reprocess", b'{"session": "\\u0000"}', 404),
        ("POST", "/processors/usage/reprocess", b"\xff", 422),
        ("POST", "/processors/usage/reprocess", b"[" * 100_000, 422),
        ("POST", "/quarantine/requeue", b'{"session": {"a": 1}}', 422),
        ("POST", "/quarantine/requeue", b'{"processor": "\'; --"}', 404),
        ("POST", "/scan", b"true", 422),
        ("GET", "/export?table=nosuch", None, 404),
        ("GET", '/export?table=usage_events"%20--', None, 404),
    ):
        got, told = asking(method, address, body)
        assert got == status, (address, body, told)
        if status != 200:
            assert told["error"]
            assert told["error"].isprintable()
    assert live.of("request_failed") == []
    assert all(entry["request"].isprintable() for entry in live.of("asked"))


# Clients that go away


def test_clients_that_go_away_at_any_moment_leave_nothing_behind(box, asking, line, until):
    child = box.daemon(processors='["usage"]', query_seconds=5)
    pid = child.process.pid
    asks = [
        request("GET", "/status"),
        request("GET", "/sessions"),
        request("GET", "/metrics"),
        request("GET", "/export"),
        request("POST", "/query", b"SELECT 1"),
        request("POST", "/query", b"FROM range(500000)"),
        request("POST", "/query", ENDLESS.encode()),
        *(request("POST", address) for address in ORDERS),
    ]

    def misbehave(seed):
        chaos = random.Random(seed)
        for number in range(150):
            said = asks[number % len(asks)]
            client = asking.raw(said[: chaos.choice([len(said), len(said), chaos.randrange(len(said))])])
            with client:
                match chaos.randrange(4):
                    case 0:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    case 1:
                        client.settimeout(chaos.random() / 100)
                        with suppress(TimeoutError):
                            client.recv(chaos.randrange(1, 5000))
                    case 2:
                        client.shutdown(chaos.choice([socket.SHUT_WR, socket.SHUT_RDWR]))

    misbehave(0)
    until(lambda: asking("GET", "/metrics")[1].count(b"sessiond_queries_running 0.0\n"), 1)
    before = holds(pid)
    with ThreadPoolExecutor(4) as pool:
        rounds = [pool.submit(misbehave, seed) for seed in range(1, 5)]
        for number in range(100):
            box.append(f"ada/{number % 5}.jsonl", line(number))
        for each in rounds:
            each.result()
    until(lambda: asking("GET", "/metrics")[1].count(b"sessiond_queries_running 0.0\n"), 1)
    # Keep-alive ends by itself, and threads that carry out orders are kept for the next one.
    settles(until, pid, [before[0], before[1] + 8])
    child.wait_quiet()
    assert child.of("part_failed") == child.of("api_failed") == []
    assert child.stop() == 0
    assert box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events") == [(100, 100)]


def test_a_query_ends_with_its_client_and_those_that_wait_go_on(box, asking, until):
    live = box.live(queries=1, query_seconds=3600)
    running = live.service._queries.watch.running
    gone = asking.raw(request("POST", "/query", ENDLESS.encode()))
    until(running, 1)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(asking, "POST", "/query", "SELECT 1 AS one")
        also_gone = [asking.raw(request("POST", "/query", ENDLESS.encode())) for _ in range(5)]
        gone.close()
        for each in also_gone:
            each.close()
        assert waits.result(60) == (200, [{"one": 1}])
    until(running, 0)


def test_queries_of_clients_that_have_gone_take_no_place_in_the_queue(box, asking, until):
    live = box.live(queries=1, query_seconds=3600)
    with asking.raw(request("POST", "/query", ENDLESS.encode())) as first:
        until(live.service._queries.watch.running, 1)
        for _ in range(5):
            clients = [asking.raw(request("POST", "/query", b"SELECT 1")) for _ in range(50)]
            until(lambda: len(live.service._server._server.server_state.tasks), 51)
            for each in clients:
                each.close()
            until(lambda: len(live.service._server._server.server_state.tasks), 1)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(asking, "POST", "/query", "SELECT 1 AS one")
            until(lambda: asked.done() or len(live.service._server._server.server_state.tasks) == 2)
            first.close()
            assert asked.result(60) == (200, [{"one": 1}])


def test_a_query_ends_with_its_client_even_if_that_has_said_too_much(box, asking, until):
    live = box.live(queries=1, query_seconds=3600)
    for more in (b"\r\n", request("GET", "/status"), b"x" * 1000):
        client = asking.raw(request("POST", "/query", ENDLESS.encode()) + more)
        until(live.service._queries.watch.running, 1)
        client.close()
        until(live.service._queries.watch.running, 0)


def test_an_export_ends_with_its_client(box, asking, line, until):
    live = box.live(Big, queries=1)
    box.append("ada/a.jsonl", *map(line, range(5_000)))
    live.wait_lines("ada/a.jsonl", 5_000, "big")
    with asking.raw(request("GET", "/export")) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert live.service._queries.watch.running() == 1  # the client has to read on
    until(live.service._queries.watch.running, 0)
    assert asking("POST", "/query", "SELECT count(*) AS n FROM big") == (200, [{"n": 5_000}])


def test_a_client_that_does_not_read_on_holds_up_nobody_else_and_is_dropped(box, asking, line, monkeypatch, until):
    monkeypatch.setattr(replies, "SEND_SECONDS", 0.5)
    live = box.live(Big, queries=1)
    box.append("ada/a.jsonl", *map(line, range(5_000)))
    live.wait_lines("ada/a.jsonl", 5_000, "big")
    with asking.raw(request("POST", "/query", b"SELECT text FROM big")) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert asking("POST", "/query", "SELECT count(*) AS n FROM big") == (200, [{"n": 5_000}])
        until(lambda: live.of("asked", request="POST /query", status=200)[1:])
        assert len(read_to_end(client)) < 50_000_000


# Connections


def test_a_connection_may_ask_many_times_and_is_kept_while_it_does(box, asking, monkeypatch, until):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.2)
    live = box.live()
    over = threading.Event()
    threading.Timer(1.0, over.set).start()  # five times as long as somebody may say nothing
    with closing(Unix(asking.path)) as connection:
        connection.connect()
        first = connection.sock
        while not over.is_set():
            assert answered(connection, "GET", "/healthz")[0] == 200
            assert connection.sock is first
    assert live.of("request_failed") == []


def test_requests_that_come_at_once_are_answered_in_their_order(box, asking):
    box.live()
    asked = [request("POST", "/query", f"SELECT {number} AS n".encode()) for number in range(20)]
    asked.append(b"GET /nosuch HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    with asking.raw(b"".join(asked)) as client:
        told = read_to_end(client)
    assert [int(n) for n in re.findall(rb'"n":(\d+)', told)] == list(range(20))
    assert told.count(b"HTTP/1.1 200 ") == 20
    assert told.count(b"HTTP/1.1 404 ") == 1


def test_a_body_may_wait_for_its_permission(box, asking):
    box.live()
    head = (
        b"POST /query HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n"
    )
    with asking.raw(head) as client:
        assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"SELECT 1")
        assert b"HTTP/1.1 200 " in read_to_end(client)


def test_more_connections_than_there_may_be_are_told_so_and_end(box, asking, line, monkeypatch, until):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 1.0)
    live = box.live()
    before = warm(asking, "self")
    clients = [asking.raw() for _ in range(300)]
    assert asking("GET", "/healthz")[0] == 503
    box.append("ada/a.jsonl", line(0))
    live.wait_ids("ada/a.jsonl", [0])
    until(lambda: asking("GET", "/healthz")[0], 200)
    for client in clients:
        assert read_to_end(client) == b""
        client.close()
    settles(until, "self", before)


# The socket


def test_the_socket_is_for_its_owner_and_group_whatever_the_mask(box, asking):
    old = os.umask(0)
    try:
        child = box.daemon()
    finally:
        os.umask(old)
    assert stat.S_IMODE(asking.path.stat().st_mode) == 0o660
    assert [path.name for path in asking.path.parent.glob(".*")] == []
    assert child.stop() == 0
    assert not asking.path.exists()


def test_the_socket_of_a_killed_daemon_is_replaced(box, asking):
    for _ in range(2):
        child = box.daemon()
        child.wait("listening")
        child.kill()
        assert asking.path.is_socket()
        with pytest.raises(ConnectionRefusedError):
            plugged(asking.path)
    child = box.daemon()
    assert asking("GET", "/status")[1]["pid"] == child.process.pid


def test_the_socket_of_a_living_daemon_is_its_own_and_the_second_is_told_whose(box, line):
    path = box.folder / "shared.sock"
    first = box.daemon(socket=path)
    other = box.sessiond("run", box.root, "--db", box.folder / "other.duckdb", socket=path)
    assert other.returncode == 2
    assert str(first.process.pid) in other.stderr
    assert "stop that process" in other.stderr
    box.append("ada/a.jsonl", line(0))
    first.wait_lines("ada/a.jsonl", 1)
    assert Asking(path)("GET", "/status")[1]["pid"] == first.process.pid
    assert first.stop() == 0
    assert not path.exists()


def test_of_daemons_that_start_at_once_on_one_socket_one_lives(box):
    path = box.folder / "shared.sock"
    arguments = [("run", str(box.root), "--db", str(box.folder / f"{number}.duckdb")) for number in range(4)]
    children = [box.child(*each, socket=path) for each in arguments]
    ended = [child for child in children if not _lives(child)]
    (first,) = [child for child in children if child not in ended]
    assert [child.ended() for child in ended] == [2, 2, 2]
    assert Asking(path)("GET", "/status")[1]["pid"] == first.process.pid
    assert first.stop() == 0


def _lives(child):
    """Whether it serves, once that is known."""
    while child.process.poll() is None:
        if child.of("ready"):
            return True
    return False


@pytest.mark.parametrize("there", ["a file", "a folder", "a link", "a pipe"])
def test_what_is_no_socket_is_left_alone_and_the_daemon_does_not_start(box, there):
    path = box.folder / "taken"
    match there:
        case "a file":
            path.write_text("mine")
        case "a folder":
            path.mkdir()
        case "a link":
            path.symlink_to("nowhere")
        case "a pipe":
            os.mkfifo(path)
    before = path.lstat()
    told = box.sessiond("run", box.root, "--db", box.db, socket=path)
    assert (told.returncode, "is no socket" in told.stderr) == (2, True)
    assert path.lstat()[:2] == before[:2]
    assert [each.name for each in box.folder.glob(".taken*")] == []


def test_a_socket_that_cannot_be_made_is_said_with_its_name(box):
    (box.folder / "file").write_text("")
    told = box.sessiond("run", box.root, "--db", box.db, socket=box.folder / "file" / "x.sock")
    assert (told.returncode, "x.sock" in told.stderr) == (2, True)
    told = box.sessiond("run", box.root, "--db", box.db, socket=box.folder / ("x" * 300))
    assert (told.returncode, "Traceback" in told.stderr) == (2, False)


def test_who_asks_is_logged_as_the_kernel_knows_it(box, asking):
    child = box.daemon()
    asking("POST", "/scan", None, User_Agent="root (uid 0, pid 1)")
    entry = child.wait("asked", request="POST /scan")
    assert f"uid {os.geteuid()}, pid {os.getpid()})" in entry["by"]
    assert entry["status"] == 200
    script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(asking.path)!r});"
    script += f"s.sendall({request('POST', '/quarantine/requeue')!r}); s.recv(100)"
    with subprocess.Popen([os.sys.executable, "-c", script], cwd="/") as other:
        assert other.wait(60) == 0
    assert f"pid {other.pid})" in child.wait("asked", request="POST /quarantine/requeue")["by"]
    ((pid,),) = [
        row.values() for row in asking("POST", "/query", "SELECT pid FROM audit_log WHERE action = 'requeue'")[1]
    ]
    assert pid == other.pid


# Loopback


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def over_tcp(port, method, address, body=None, **headers):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        return answered(connection, method, address, body, **headers)


def test_loopback_is_told_what_only_reads(box, asking, line, port):
    live = box.live(listen=f"127.0.0.1:{port}")
    box.append("ada/a.jsonl", line(0))
    live.wait_ids("ada/a.jsonl", [0])
    live.wait_idle()
    for address in READS:
        assert over_tcp(port, "GET", address)[0] == 200
    assert over_tcp(port, "GET", "/sessions") == asking("GET", "/sessions")
    sql = "SELECT count(*) AS n FROM usage_events"
    for kind in ("application/sql", "application/json; charset=utf-8"):
        body = json.dumps({"sql": sql}) if "json" in kind else sql
        assert over_tcp(port, "POST", "/query", body, Content_Type=kind) == (200, [{"n": 1}])
    assert {entry["by"] for entry in live.of("asked") if entry["by"] != "loopback"} == {
        entry["by"] for entry in live.of("asked", request="GET /sessions")
    } - {"loopback"}


def test_loopback_gives_no_orders_and_no_export(box, asking, port):
    live = box.live(listen=f"127.0.0.1:{port}")
    for method, address in (
        *(("POST", address) for address in ORDERS),
        *(("POST", f"{address}/") for address in ORDERS),
        ("POST", "//scan"),
        ("POST", "/%73can"),
        ("POST", "/scan?x=/status"),
        ("POST", "/status"),
        ("GET", "/query?sql=SELECT"),
        ("GET", "/export"),
        ("OPTIONS", "/query"),
        ("TRACE", "/status"),
        ("CONNECT", f"127.0.0.1:{port}"),
    ):
        status, _ = over_tcp(port, method, address, X_HTTP_Method_Override="GET")
        assert status == 403, (method, address)
    assert len(live.of("scanned")) == 1
    assert asking("POST", "/query", "FROM audit_log") == (200, [])


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_loopback_answers_only_to_the_names_of_this_host(box, port, name):
    box.live(listen=f"127.0.0.1:{port}")
    assert over_tcp(port, "GET", "/status", Host=f"{name}:{port}")[0] == 200
    for host in (
        name,
        f"{name}:{port + 1}",
        f"{name}:{port}0",
        f"{name}.evil.example:{port}",
        f"evil.example:{port}",
        f"evil@{name}:{port}",
        f"{name}:{port}, evil.example",
        "evil.example",
        "0.0.0.0",
        "",
    ):
        assert over_tcp(port, "GET", "/status", Host=host)[0] == 421, host
    for raw in (
        f"GET /status HTTP/1.1\r\nHost: {name}:{port}\r\nHost: evil.example\r\n\r\n",
        "GET /status HTTP/1.0\r\n\r\n",
        f"GET http://{name}:{port}/status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(raw.encode())
            assert re.match(rb"HTTP/1\.1 4\d\d ", client.recv(4096)), raw


def test_web_pages_are_told_nothing(box, port):
    live = box.live(listen=f"127.0.0.1:{port}")
    sql = {"Content_Type": "application/sql"}
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port}", f"http://localhost:{port}", ""):
        assert over_tcp(port, "GET", "/status", Origin=origin)[0] == 403, origin
        assert over_tcp(port, "POST", "/query", "SELECT 1", Origin=origin, **sql)[0] == 403, origin
    for site in ("cross-site", "same-site", "same-origin"):
        assert over_tcp(port, "GET", "/sessions", Sec_Fetch_Site=site)[0] == 403, site
    # What a page may send without the browser asking first.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert over_tcp(port, "POST", "/query", "SELECT 1", Content_Type=kind)[0] == 415, kind
    assert over_tcp(port, "GET", "/status", Sec_Fetch_Site="none")[0] == 200  # typed by a person
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/status", headers={"Origin": "http://evil.example"})
        told = connection.getresponse()
        assert [name for name in told.headers if name.lower().startswith("access-control")] == []
        told.read()
    assert live.service._queries.watch.running() == 0


ELSEWHERE = (
    *("0.0.0.0:8765", "[::]:8765", "192.168.0.1:8765", "128.0.0.1:8765", "localhost.evil.example:8765", ":8765"),
    *("127.0.0.1", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:0", "127.0.0.999:8765", "127.0.0.1:8765\n"),
)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_what_is_not_only_of_this_host_is_refused_before_anything_starts(box, asking, address):
    told = box.sessiond("run", box.root, "--db", box.db, listen=address)
    assert told.returncode == 2
    assert "listen" in told.stderr
    assert not asking.path.exists()


def test_a_port_that_is_taken_is_said_and_leaves_no_socket(box, asking):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        told = box.sessiond("run", box.root, "--db", box.db, listen=address)
    assert (told.returncode, address in told.stderr) == (2, True)
    assert not asking.path.exists()


@pytest.mark.parametrize("said", [b"", b"GET /status HTTP/1.1\r\nHost: ", b"POST /query HTTP/1.1\r\nHost: "])
def test_silent_clients_on_loopback_are_dropped_too(box, asking, monkeypatch, until, port, said):
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.2)
    box.live(listen=f"127.0.0.1:{port}")
    before = warm(asking, "self")
    clients = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(20)]
    for client in clients:
        client.sendall(said)
    for client in clients:
        assert read_to_end(client) == b""
        client.close()
    settles(until, "self", before)
    assert over_tcp(port, "GET", "/healthz")[0] == 200
