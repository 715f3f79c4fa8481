"""What becomes of knowledge as sessions grow, move, are rewritten and left out, and daemons are killed."""

import json
import random
import shutil
import threading

import pytest

from daemon.client import connect
from processors.verification import VerificationProcessor
from processors.verification.options import VerificationOptions
from processors.verification.redaction import MARK

ALWAYS = {"processors": '["verification"]', "options": '{"verification": {"cadence_minutes": 0}}'}
CHURN = "We define churn as customers who cancelled their subscription within the last 30 days."
FISCAL = "Our convention is that the fiscal year starts in February."
OTHERS = [f"We define metric_{number} as the number of rows in table_{number}." for number in range(40)]
EVIDENCE = "SELECT session_file, turn_uuid FROM verification_evidence ORDER BY ALL"
FACTS = "SELECT * EXCLUDE (extracted_at) FROM verification_facts ORDER BY ALL"
STATUSES = "SELECT content, status FROM knowledge_items ORDER BY status, content"
SECRET = "sk-ant-api03-" + "Ab3dE5" * 16


def nested(text, number, cwd="/work"):
    at = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
    turn = {"type": "user", "uuid": f"u{number}", "timestamp": at, "cwd": cwd}
    return json.dumps(turn | {"message": {"role": "user", "content": text}}).encode() + b"\n"


def live(box, *, kind=VerificationProcessor, **options):
    return box.live(kind(VerificationOptions(**{"cadence_minutes": 0} | options)))


def scan(box, **settings):
    done = box.scan(**ALWAYS | settings)
    assert done.returncode == 0, done.stderr


def test_within_its_cadence_a_session_is_processed_once_it_is_idle(box, until):
    daemon = live(box, cadence_minutes=15.0, idle_minutes=0.02)
    box.append("ada/a.jsonl", nested(CHURN, 1))
    until(lambda: daemon.query("SELECT count(*) FROM verification_facts"), [(1,)])
    box.append("ada/a.jsonl", nested(FISCAL, 2))
    until(lambda: daemon.query("SELECT count(*) FROM verification_facts"), [(2,)])
    runs = len(daemon.of("processed"))
    for number, text in enumerate(OTHERS[:20], 3):  # each comes before the session is idle
        box.append("ada/a.jsonl", nested(text, number))
    until(lambda: daemon.query("SELECT count(*) FROM verification_facts"), [(22,)])
    assert len(daemon.of("processed")) <= runs + 2, "what comes together is one run"


# One row of evidence per fact and turn


def test_a_session_is_evidence_once_whatever_happens_to_its_file(box, until):
    daemon = live(box)
    box.append("ada/a.jsonl", nested(CHURN, 1), nested(FISCAL, 2))

    def wanted(*keys):
        return sorted((key, f"u{number}") for key in keys for number in (1, 2))

    def evidence():
        return daemon.query(EVIDENCE)

    until(evidence, wanted("ada/a.jsonl"))
    box.append("ada/a.jsonl", nested(CHURN, 1), nested(FISCAL, 2))  # a client that writes its lines again
    daemon.wait_lines("ada/a.jsonl", 4, "verification")
    assert evidence() == wanted("ada/a.jsonl")
    box.path("ada/a.jsonl").rename(box.path("ada/moved.jsonl"))
    until(evidence, wanted("ada/moved.jsonl"))
    shutil.copy(box.path("ada/moved.jsonl"), box.path("ada/resumed.jsonl"))
    until(evidence, wanted("ada/moved.jsonl", "ada/resumed.jsonl"))
    box.path("ada/resumed.jsonl").write_bytes(nested(FISCAL, 2))
    until(evidence, [*wanted("ada/moved.jsonl"), ("ada/resumed.jsonl", "u2")])
    before = daemon.query(FACTS)
    for _ in range(2):
        runs = len(daemon.of("processed"))
        assert connect(socket=f"{box.db}.sock").reprocess("verification")
        daemon.wait("processed", runs + 2)
        daemon.wait_idle()
        until(lambda: daemon.query(FACTS), before)
    assert daemon.query("SELECT DISTINCT verifiers FROM knowledge_items") == [(1,)]


@pytest.mark.parametrize("seed", range(2))
def test_kills_among_appends_and_rewrites_leave_one_row_per_fact_and_turn(box, seed):
    rng, moment, number = random.Random(seed), threading.Event(), 0
    for _ in range(5):
        daemon = box.daemon(**ALWAYS, debounce_ms=rng.choice((0, 5)), chunk_bytes=1 << 10, max_attempts=100)
        for _ in range(rng.randrange(10, 60)):
            key = f"{rng.choice('abc')}/{rng.randrange(3)}.jsonl"
            number += 1
            text = "\n".join(rng.sample(OTHERS, 2))
            if rng.random() < 0.05:
                box.path(key).write_bytes(nested(text, number))
            else:
                box.append(key, nested(text, number) * rng.choice((1, 1, 2)))
        moment.wait(rng.uniform(0, 0.3))  # the moment of the kill is meant to be any
        daemon.kill()
    daemon = box.daemon(**ALWAYS, max_attempts=100)
    daemon.wait_quiet()
    assert daemon.stop() == 0
    rows = box.query("SELECT item_id, session_file, turn_uuid FROM verification_evidence")
    assert len(rows) == len(set(rows)) > 50
    fresh = box.folder / "fresh.duckdb"
    scan(box)  # takes the steps, too, which a daemon that ends does not wait for
    scan(box, db=fresh)
    assert box.query(FACTS) == box.query(FACTS, db=fresh)
    assert box.query("FROM knowledge_canonical ORDER BY ALL") == box.query(
        "FROM knowledge_canonical ORDER BY ALL", db=fresh
    )


# What people decided


class Later(VerificationProcessor):
    version = 2


def test_decisions_outlive_everything_that_happens_to_the_transcripts(box, until):
    daemon = live(box)
    box.append("ada/a.jsonl", nested(CHURN, 1), nested(FISCAL, 2), nested(OTHERS[0], 3))
    until(lambda: len(daemon.query(STATUSES)), 3)
    names = dict(daemon.query("SELECT content, id FROM knowledge_items"))
    client = connect(socket=f"{box.db}.sock")
    client.order("verification", "approve", {"item": names[CHURN]})
    client.order("verification", "reject", {"item": names[FISCAL]})
    wanted = [(CHURN, "approved"), (OTHERS[0], "pending"), (FISCAL, "rejected")]
    assert daemon.query(STATUSES) == wanted
    client.reprocess("verification")
    daemon.wait("processed", len(daemon.of("processed")) + 1)
    assert daemon.query(STATUSES) == wanted
    assert daemon.stop() == 0
    daemon = live(box, kind=Later)
    until(lambda: daemon.query("SELECT DISTINCT processor_version FROM verification_facts"), [(2,)])
    assert daemon.query(STATUSES) == wanted
    box.path("ada/a.jsonl").write_bytes(nested("hello", 1))
    until(lambda: daemon.query(STATUSES), [wanted[0], wanted[2]])
    assert daemon.query("SELECT evidence, verifiers, source_user FROM knowledge_items") == [(0, 0, "ada")] * 2
    box.path("ada/a.jsonl").unlink()
    assert daemon.stop() == 0
    done = box.sessiond("rebuild", box.root, "--db", box.db, **ALWAYS)
    assert done.returncode == 0, done.stderr
    assert box.query(STATUSES) == [wanted[0], wanted[2]]
    # It is found again, by somebody else: it is what it was decided to be.
    box.append("bob/b.jsonl", nested(FISCAL, 1))
    scan(box)
    assert box.query("SELECT status, evidence, source_user FROM knowledge_items WHERE status = 'rejected'") == [
        ("rejected", 1, "bob")
    ]


# What is left out


def test_what_is_left_out_goes_at_the_next_start_with_what_was_decided_on_it(box, until):
    daemon = live(box)
    box.append("ada/a.jsonl", nested(CHURN, 1), nested(OTHERS[0], 2, "/work/secret/deep"))
    box.append("eve/e.jsonl", nested(FISCAL, 1))
    box.append("bob/private/b.jsonl", nested(OTHERS[1], 1))
    until(lambda: len(daemon.query(STATUSES)), 4)
    client = connect(socket=f"{box.db}.sock")
    for (name,) in daemon.query("SELECT id FROM knowledge_items"):
        client.order("verification", "approve", {"item": name})
    assert daemon.stop() == 0
    left_out = {"users": ["eve"], "projects": ["/work/secret"], "sessions": ["bob/private"]}
    options = json.dumps({"verification": {"cadence_minutes": 0, "leave_out": left_out}})
    daemon = box.daemon(**ALWAYS | {"options": options})
    box.append("eve/e.jsonl", nested(OTHERS[2], 2))
    box.append("ada/a.jsonl", nested(OTHERS[3], 3, "/work/secret"), nested(OTHERS[4], 4, "/work/public"))
    daemon.wait_lines("ada/a.jsonl", 2, "verification")
    daemon.wait_lines("eve/e.jsonl", 1, "verification")
    assert daemon.stop() == 0
    assert box.query(STATUSES) == [(CHURN, "approved"), (OTHERS[4], "pending")]
    for table in ("verification_facts", "knowledge_reviews", "verification_evidence", "knowledge_statements"):
        told = repr(box.query(f"SELECT * FROM {table}"))
        assert not [text for text in (FISCAL, *OTHERS[:4], "eve/", "private") if text in told], table
    for (table,) in box.query("SELECT table_name FROM duckdb_tables()"):  # nor in what is carried from run to run
        told = b"".join(
            bytes(value) for row in box.query(f"FROM {table}") for value in row if isinstance(value, bytes)
        )
        assert not [text for text in (FISCAL, OTHERS[0], OTHERS[2], OTHERS[3]) if text.encode() in told], table


def test_a_marker_leaves_a_session_out_wherever_it_stands(box, until):
    daemon = live(box)
    marker = VerificationOptions().marker
    box.append("ada/a.jsonl", nested(CHURN, 1))
    box.append("bob/b.jsonl", nested(FISCAL, 1))
    until(lambda: len(daemon.query(STATUSES)), 2)
    client = connect(socket=f"{box.db}.sock")
    for (name,) in daemon.query("SELECT id FROM knowledge_items"):
        client.order("verification", "approve", {"item": name})
    box.append("ada/a.jsonl", nested(f"By the way:\n  {marker.upper()}  \nthanks", 2), nested(OTHERS[0], 3))
    until(lambda: daemon.query("SELECT left_out FROM verification_sessions ORDER BY 1"), [(False,), (True,)])
    box.append("ada/a.jsonl", nested(OTHERS[1], 4))
    daemon.wait_lines("ada/a.jsonl", 4, "verification")
    assert daemon.query("SELECT DISTINCT username FROM verification_facts") == [("bob",)]
    assert daemon.stop() == 0
    daemon = live(box)
    assert daemon.query(STATUSES) == [(FISCAL, "approved")]
    assert CHURN not in repr(daemon.query("SELECT * FROM knowledge_reviews"))


def test_a_secret_is_neither_in_the_database_s_files_nor_in_the_log(box):
    daemon = box.daemon(**ALWAYS, log_level="debug")
    said = f"We define the churn export as the job that runs with api_key={SECRET} every 30 days."
    for number in range(20):
        box.append("ada/a.jsonl", nested(said, number), nested(f"hello {SECRET}", 100 + number))
    daemon.wait_lines("ada/a.jsonl", 40, "verification")
    files = list(box.db.parent.iterdir())
    while_it_runs = b"".join(file.read_bytes() for file in files if file.is_file())
    assert b"churn export" in while_it_runs
    assert SECRET.encode() not in while_it_runs
    assert daemon.stop() == 0
    assert SECRET.encode() not in b"".join(daemon.raw)
    assert SECRET.encode() not in box.db.read_bytes()
    assert [MARK in quote for (quote,) in box.query("SELECT user_quote FROM verification_facts")] == [True] * 20
    assert box.query("SELECT DISTINCT sensitivity FROM knowledge_items") == [("restricted",)]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "never"])
def test_a_time_that_is_none_costs_nobody_a_session(box, until, at):
    turn = json.loads(nested(CHURN, 1)) | {"timestamp": at}
    box.append("ada/a.jsonl", json.dumps(turn).encode() + b"\n", nested(FISCAL, 2))
    daemon = live(box)
    until(lambda: len(daemon.query(STATUSES)), 2)
    assert not daemon.of("failed")
