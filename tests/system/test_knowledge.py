"""What a curator does with knowledge: by the commands, beside a daemon and without, and by the socket."""

import http.client
import json
import random
import re
import socket
import threading

import pytest

from daemon.api import endpoint
from daemon.client import connect
from daemon.errors import ConfigError
from processors.verification import VerificationProcessor
from processors.verification.options import VerificationOptions
from tests.system.test_hostile_words import NAME, WORDS, Terminal, assert_harmless

ALWAYS = {"processors": '["verification"]', "options": '{"verification": {"cadence_minutes": 0}}'}
CHURN = "We define churn as customers who cancelled their subscription within the last 30 days."
CHURN_TOO = "We define churn as customers who cancelled their subscription within the last 30 days, exactly."
FISCAL = "Our convention is that the fiscal year starts in February."
OTHERS = [f"We define metric_{number} as the number of rows in table_{number}." for number in range(40)]


def nested(text, number):
    message = {"role": "user", "content": text}
    turn = {"type": "user", "uuid": f"u{number}", "timestamp": f"2026-01-01T00:00:{number:02}Z", "message": message}
    return json.dumps(turn).encode() + b"\n"


def flat(text):
    return json.dumps({"role": "user", "content": text}).encode() + b"\n"


def live(box, **options):
    return box.live(VerificationProcessor(VerificationOptions(cadence_minutes=0, **options)))


def scan(box, **settings):
    done = box.scan(**ALWAYS | settings)
    assert done.returncode == 0, done.stderr


class Knowledge:
    """The commands, as on a terminal."""

    def __init__(self, box):
        self._box, self._terminal = box, Terminal(box, **ALWAYS)
        self.close = self._terminal.close

    def text(self, *arguments, code=0):
        done = self._terminal("knowledge", *arguments, "--db", self._box.db)
        assert done["code"] == code, done
        assert_harmless(done["shown"])
        return done["shown"]

    def __call__(self, *arguments):
        return json.loads(self.text(*arguments, "--json"))


@pytest.fixture
def knowledge(box):
    known = Knowledge(box)
    yield known
    known.close()


@pytest.fixture(params=[True, False], ids=["beside a daemon", "without one"])
def known(request, box, until):
    """A client; three people have stated three things, of which two are likely the same."""
    box.append("ada/a.jsonl", nested(CHURN, 1))
    if request.param:
        daemon = box.daemon(**ALWAYS)
    box.append("ada/a.jsonl", nested(FISCAL, 2))
    box.append("bob/b.jsonl", flat(CHURN_TOO))
    if request.param:
        daemon.wait_lines("ada/a.jsonl", 2, "verification")
        daemon.wait_lines("bob/b.jsonl", 1, "verification")
    else:
        scan(box)
    client = connect(db=box.db)
    assert client.running == request.param
    # The step is taken a moment later.
    until(lambda: client.query("FROM knowledge_canonical").num_rows, 1)
    yield client
    if request.param:
        assert daemon.stop() == 0


def test_what_a_curator_decides_shows_everywhere(known, knowledge, box):
    items = {item["content"]: item for item in knowledge("list")}
    assert items.keys() == {CHURN, FISCAL}
    churn, fiscal = items[CHURN]["id"], items[FISCAL]["id"]
    assert (items[CHURN]["verifiers"], items[CHURN]["evidence"], items[CHURN]["status"]) == (2, 2, "pending")
    (other,) = knowledge("show", churn)["related"]
    assert other["counts_to"] == churn
    assert [row["status"] for row in knowledge("approve", churn, fiscal, "--note", "yes")] == ["approved"] * 2
    assert knowledge("reject", fiscal) == [{"item": fiscal, "was": "approved", "status": "rejected", "settled": True}]
    assert knowledge("reopen", fiscal)[0]["status"] == "pending"
    assert knowledge("separate", other["id"], churn)["settled"]
    assert len(knowledge("list")) == 3
    assert knowledge("merge", other["id"], churn)["settled"]
    assert len(knowledge("list")) == 2
    assert "there is no item kv_no" in knowledge.text("approve", "kv_no", code=1)
    assert f"counts to {churn}" in knowledge.text("approve", other["id"], code=1)
    assert f"it counts to {churn}" in knowledge.text("show", other["id"], code=2)
    shown = knowledge("show", churn)
    decisions = [("approve", "yes"), ("separate", None), ("merge", None)]
    assert [(row["action"], row["note"]) for row in shown["reviews"]] == decisions
    assert {row["source_ref"] for row in shown["evidence"]} == {"ada/a.jsonl#u1", "bob/b.jsonl#line-1"}
    audit = known.query("SELECT action, outcome, parameters FROM audit_log ORDER BY asked_at").to_pylist()
    assert [(row["action"], row["outcome"]) for row in audit] == [
        *(("approve", "done"), ("approve", "done"), ("reject", "done"), ("reopen", "done")),
        *(("separate", "done"), ("merge", "done"), ("approve", "failed"), ("approve", "failed")),
    ]
    assert json.loads(audit[0]["parameters"]) == {"processor": "verification", "item": churn, "note": "yes"}


def test_what_is_known_is_listed_exported_and_counted(known, knowledge, box):
    (row,) = known.query("SELECT id FROM knowledge_items WHERE content = ?", [CHURN]).to_pylist()
    assert knowledge("export") == []
    known.order("verification", "approve", {"item": row["id"]})
    (exported,) = knowledge("export")
    assert (exported["id"], len(exported["evidence"])) == (row["id"], 2)
    assert [item["content"] for item in knowledge("list", "--status", "pending", "--user", "ada")] == [FISCAL]
    assert knowledge("list", "--text", "FISCAL", "--confidence", "1") == []
    assert "there is no status odd" in knowledge.text("list", "--status", "odd", code=2)
    knowledge.text("export", "--status", "all", "-o", box.folder / "k.md")
    document = (box.folder / "k.md").read_text()
    assert document.startswith("# Knowledge\n")
    assert document.count("\n### ") == 2
    assert document.count("“We define churn as") == 2
    shown = knowledge.text("list")
    assert row["id"] in shown
    assert "approved" in shown
    status = known.status()
    assert (status["sessions"], [lane["processor"] for lane in status["lanes"]]) == (2, ["verification"])


def test_a_database_without_knowledge_says_so(box, line, knowledge):
    box.append("ada/a.jsonl", line(1))
    assert box.scan().returncode == 0
    assert "no knowledge in it yet" in knowledge.text("list", code=2)
    assert "no knowledge in it yet" in knowledge.text("export", code=2)
    assert "there is no item kv_x" in knowledge.text("approve", "kv_x", code=1)


def test_two_curators_at_once_leave_one_order_of_decisions(box, until):
    daemon = live(box)
    box.append("ada/a.jsonl", *(nested(text, number) for number, text in enumerate(OTHERS[:4])))
    until(lambda: len(daemon.query("SELECT id FROM knowledge_items")), 4)
    names = [name for (name,) in daemon.query("SELECT id FROM knowledge_items ORDER BY id")]
    begin, refused = threading.Barrier(4), []

    def curate(seed):
        rng, client = random.Random(seed), connect(socket=f"{box.db}.sock")
        begin.wait(30)
        for _ in range(6):
            item, other = rng.sample(names, 2)
            action = rng.choice(["approve", "reject", "merge", "merge", "separate"])
            fields = {"item": item} | ({"other": other} if action in {"merge", "separate"} else {})
            try:
                client.order("verification", action, fields)
            except ConfigError as error:  # a circle, or it counts to another: as somebody else has decided
                refused.append(str(error))

    threads = [threading.Thread(target=curate, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all("counts to" in error for error in refused), refused
    times = daemon.query("SELECT count(*), count(DISTINCT reviewed_at) FROM knowledge_reviews")
    assert times == [(24 - len(refused), 24 - len(refused))]
    assert daemon.query("SELECT count(*) FROM audit_log") == [(24,)]
    assert daemon.engine.steps.ask("verification", 30)
    # All of it is evidence of something, and nothing counts to what counts to another.
    assert daemon.query("SELECT sum(evidence) FROM knowledge_items") == [(4,)]
    assert not daemon.query(
        "FROM knowledge_canonical WHERE canonical_id IN (SELECT item_id FROM knowledge_canonical)"
    )


# By the socket


def post(box, address, body, path=None):
    """Status and answer."""
    connection = http.client.HTTPConnection("sessiond", timeout=60)
    connection.sock = endpoint.connect(path or box.db.with_name(f"{box.db.name}.sock"))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", f"/processors/{address}", data, {"Content-Type": "application/json"})
    response = connection.getresponse()
    told = json.loads(response.read())
    connection.close()
    return response.status, told


ODD = ["", "kv_\n\x1b[31m", "'; DROP TABLE knowledge_reviews; --", "\x00", "\ud800", "\u202e", "x" * 10_000]


def test_orders_are_answered_as_what_they_are(box, until):
    daemon = live(box)
    box.append("ada/a.jsonl", nested(CHURN, 1), nested(FISCAL, 2))
    until(lambda: len(daemon.query("SELECT id FROM knowledge_items")), 2)
    item, other = (name for (name,) in daemon.query("SELECT id FROM knowledge_items ORDER BY id"))
    orders = "verification/orders"
    assert post(box, f"{orders}/approve", {"item": item})[0] == 200
    assert post(box, f"{orders}/merge", {"item": item, "other": other})[0] == 200
    for odd in ODD:
        for status, told in (
            post(box, f"{orders}/approve", {"item": odd}),
            post(box, f"{orders}/merge", {"item": other, "other": odd}),
        ):
            assert status == (422 if odd == "\ud800" else 404), told
            assert told["error"].isprintable()
    assert post(box, f"{orders}/merge", {"item": other, "other": item})[0] == 422, "a circle"
    assert post(box, f"{orders}/approve", {"item": item})[0] == 422, "it counts to another"
    for wrong in ({}, {"item": other, "colour": "red"}, {"item": other, "note": "x" * 2_001}):
        status, told = post(box, f"{orders}/approve", wrong)
        assert status == 422, told
    for wrong in ({"item": 5}, {"item": [other]}, [], b"no JSON", {"item": {"a": 1}}):
        status, told = post(box, f"{orders}/approve", wrong)
        assert status in {400, 422}, told
    assert post(box, f"{orders}/paint", {})[0] == 404
    assert post(box, "usage/orders/approve", {"item": item})[0] == 404
    assert post(box, f"{orders}/%0a%1b", {})[0] == 404
    assert daemon.query("SELECT action FROM knowledge_reviews ORDER BY reviewed_at") == [("approve",), ("merge",)]
    assert not daemon.of("request_failed")
    assert daemon.stop() == 0


def test_what_only_reads_takes_no_orders(box, until):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    daemon = box.live(VerificationProcessor(VerificationOptions(cadence_minutes=0)), listen=f"127.0.0.1:{port}")
    box.append("ada/a.jsonl", nested(CHURN, 1))
    until(lambda: len(daemon.query("SELECT id FROM knowledge_items")), 1)
    ((item,),) = daemon.query("SELECT id FROM knowledge_items")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"item": item})
    connection.request("POST", "/processors/verification/orders/approve", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status in {403, 404, 405}
    assert daemon.query("SELECT status FROM knowledge_items") == [("pending",)]
    assert daemon.query("SELECT count(*) FROM knowledge_reviews") == [(0,)]


# What is hostile

SAID = [
    f"We define churn as {WORDS} [red]owned[/red] the **cancelled** customers, see <b>http://x</b> table_1.",
    "Our convention is that `fiscal` years start in <script>alert(1)</script> [February](javascript:x) \u202e.",
    "We define # revenue as | gross | minus ~~refunds~~ &lt; $x$ www.example.com of table_2.",
]


def test_what_a_person_wrote_acts_neither_on_a_terminal_nor_in_a_document(box, knowledge):
    cwd = {"cwd": f"/home/{WORDS}", "uuid": f"u#{WORDS}"}
    lines = [json.dumps(json.loads(nested(text, number)) | cwd).encode() for number, text in enumerate(SAID)]
    box.append(f"eve{NAME}/{NAME}.jsonl", *(line + b"\n" for line in lines))
    scan(box)
    items = knowledge("list")
    assert len(items) == len(SAID)
    names = [item["id"] for item in items]
    assert_harmless(knowledge.text("approve", *names, f"kv_{NAME}", "--note", WORDS, code=1))
    for arguments in (
        *(("show", name) for name in names),
        ("show", f"kv_{WORDS}"),
        ("merge", names[0], f"kv_{WORDS}"),
        ("list", "--user", f"eve{NAME}"),
        ("list", "--text", WORDS),
        ("list", "--status", WORDS),
        ("list", "--domain", WORDS),
        ("export",),
        ("export", "-o", f"/nowhere/{NAME}"),
    ):
        done = knowledge._terminal("knowledge", *arguments, "--db", box.db)
        assert_harmless(done["shown"])
        assert done["code"] in {0, 2}, done
    knowledge.text("export", "-o", box.folder / "k.md")
    document = (box.folder / "k.md").read_text()
    assert_harmless(document)
    assert "owned" in document
    bare = re.sub(r"\\.", "", document)  # what means itself
    assert not set("*<>[]|~$&@") & set(bare)
    assert not re.search(r"://|www\.", document)
    begins = [line.split(" ")[0] for line in document.splitlines() if line]
    assert sorted(set(begins) & {"#", "##", "###", "-", ">", "1.", "+"}) == ["#", "##", "###", "-"]
    assert begins.count("###") == len(SAID)
