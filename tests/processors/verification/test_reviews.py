"""What people decide: each order is a row, and nothing that has no meaning is taken."""

from datetime import datetime

import pytest

from daemon import run_processor
from daemon.errors import ConfigError, UnknownNameError
from daemon.overall import changed, remove
from daemon.processor_orders import carry_out, find
from daemon.steps import take_step
from daemon.store import transaction
from processors.registry import register
from processors.verification import VerificationProcessor
from processors.verification.model import item_id
from processors.verification.options import LeaveOut
from processors.verification.processor import removals
from processors.verification.reviews import MOST_NOTE, decided
from processors.verification.tables import FACTS, SESSIONS

TEXT = "Forecasted churn is computed monthly by summing the projected cancellations of the whole period."
ODD = ["kv_\n\x1b[31mred", "kv_'; DROP TABLE knowledge_reviews; --", '"', "", "kv_\x00", "\u202e", "x" * 100_000]


class Curator:
    """A database of verification, and somebody who decides about what is in it."""

    def __init__(self, conn, root):
        self.conn, self.spec = conn, register(VerificationProcessor)
        run_processor(conn, self.spec.processor, root)

    def fact(self, content, at="2026-01-01", *, user="ada", session="a", kind="unprompted_definition", **more):
        row = {
            "item_id": item_id(content[:20], content),
            "turn_uuid": "u1",
            "occurred_at": at,
            "project": "/work",
            "detection_type": kind,
            "title": content[:20],
            "content": content,
            "user_quote": content,
            "domain": "data",
            "entities": [],
            "session_file": f"{user}/{session}.jsonl",
            "username": user,
            "processor_version": 1,
            "extracted_at": "2026-02-01",
        } | more
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.conn.execute(f"INSERT INTO {FACTS.name} ({names}) VALUES ({marks})", list(row.values()))
        self.settle()
        return row["item_id"]

    def settle(self):
        take_step(self.conn, self.spec.steps[0], lambda changes: changed(self.conn, changes), lambda: False)

    def __call__(self, action, item, other=None, **more):
        fields = {"item": item} | ({"other": other} if other else {}) | more
        order = find(self.spec, action, fields)
        with transaction(self.conn):
            answer = carry_out(self.conn, order, fields, "cura")
        if "duplicates" in order.steps:
            self.settle()
        return answer

    def ask(self, sql, *values):
        return self.conn.execute(sql, list(values)).fetchall()

    def statuses(self):
        return dict(self.ask("SELECT id, status FROM knowledge_items"))

    def counts_to(self):
        return dict(self.ask("FROM knowledge_canonical"))

    def actions(self):
        return self.ask("SELECT action, item_id, other_id FROM knowledge_reviews ORDER BY reviewed_at")


@pytest.fixture
def curator(conn, root):
    return Curator(conn, root)


def test_a_decision_is_a_row_with_who_when_why_and_the_item_as_it_was(curator):
    item = curator.fact("a")
    assert curator("approve", item, note="seen") == {"item": item, "was": "pending", "status": "approved"}
    (row,) = curator.conn.sql("FROM knowledge_reviews").to_arrow_table().to_pylist()
    assert (row["action"], row["reviewer"], row["note"], row["content"]) == ("approve", "cura", "seen", "a")
    assert (row["source_user"], row["source_ref"], row["session_file"]) == ("ada", "ada/a.jsonl#u1", "ada/a.jsonl")
    assert curator("reject", item)["was"] == "approved"
    assert curator("reopen", item) == {"item": item, "was": "rejected", "status": "pending"}


def test_decisions_have_an_order_whatever_the_clock_does(curator, monkeypatch):
    item = curator.fact("a")
    for at, action, status in [(3, "approve", "approved"), (1, "reject", "rejected"), (1, "reopen", "pending")]:
        monkeypatch.setattr("daemon.processor_orders.utc_now", lambda at=at: datetime(2026, 1, at))  # noqa: DTZ001
        assert curator(action, item)["status"] == status
    assert [row[0] for row in curator.actions()] == ["approve", "reject", "reopen"]


@pytest.mark.parametrize("odd", ODD)
def test_an_id_of_nothing_is_refused_in_one_harmless_line_and_nothing_is_kept(curator, odd):
    item = curator.fact("a")
    for action, *given in [("approve", odd), ("merge", odd, item), ("separate", item, odd or "\t")]:
        with pytest.raises(UnknownNameError) as raised:
            curator(action, *given)
        assert str(raised.value).isprintable()
    assert curator.actions() == []


def test_what_is_missing_or_too_much_is_refused(curator):
    item = curator.fact("a")
    with pytest.raises(ConfigError, match="no other is given"):
        curator("merge", item)
    with pytest.raises(ConfigError, match="given twice"):
        curator("merge", item, item)
    with pytest.raises(ConfigError, match="it takes: item, note"):
        curator("approve", item, colour="red")
    with pytest.raises(UnknownNameError, match="takes no order paint"):
        curator("paint", item)
    with pytest.raises(ConfigError, match="2,001 characters"):
        curator("approve", item, note="x" * (MOST_NOTE + 1))
    assert curator.actions() == []
    curator("approve", item, note="x" * MOST_NOTE)


def test_what_counts_to_another_item_is_decided_on_there(curator):
    first, second = curator.fact(TEXT), curator.fact(TEXT + "!", "2026-01-02", user="bob")
    assert curator.counts_to() == {second: first}
    with pytest.raises(ConfigError, match=f"counts to {first}.*separate {second} {first}"):
        curator("approve", second)
    curator("separate", second, first)
    assert curator.counts_to() == {}
    assert curator("approve", second)["status"] == "approved"


def test_what_is_approved_no_more_is_not_what_others_count_to(curator):
    old = curator.fact(TEXT)
    new = curator.fact(TEXT + "!", "2026-01-02")
    curator("separate", old, new)
    curator("approve", new)
    curator.conn.execute("DELETE FROM knowledge_reviews WHERE action = 'separate'")
    curator.settle()
    assert curator.counts_to() == {old: new}
    curator("reopen", new)
    assert curator.counts_to() == {new: old}


def test_merged_separated_and_merged_again(curator):
    a, b = curator.fact("a"), curator.fact("b", user="bob")
    for _ in range(2):
        curator("merge", a, b)
        assert curator.counts_to() == {a: b}
        assert curator.ask("SELECT evidence FROM knowledge_items") == [(2,)]
        curator("separate", b, a)
        assert curator.counts_to() == {}
    assert curator.statuses() == {a: "pending", b: "pending"}


def test_a_circle_of_merges_is_refused_with_the_way_out(curator):
    a, b, c = (curator.fact(name) for name in "abc")
    curator("merge", a, b)
    curator("merge", b, c)
    assert curator.counts_to() == {a: c, b: c}
    with pytest.raises(ConfigError, match=f"{a} counts to {c} already.*separate {b} {c}"):
        curator("merge", c, a)
    curator("separate", b, c)
    curator("merge", c, a)
    assert curator.counts_to() == {a: b, c: b}


def test_whatever_is_merged_and_separated_before_a_merge_that_is_taken_does_what_it_says(curator):
    a, b, c = (curator.fact(name) for name in "abc")
    curator("merge", a, b)
    curator("merge", a, c)
    curator("separate", a, c)
    assert curator.counts_to() == {a: b}
    with pytest.raises(ConfigError, match="already"):
        curator("merge", b, a)


def test_decided_is_the_last_decision_on_each_pair():
    rows = [("a", "b", "merge"), ("b", "a", "separate"), ("c", "d", "separate"), ("d", "c", "merge")]
    assert decided(rows) == ([("d", "c")], {("a", "b")})


def test_an_approved_item_outlives_its_facts_and_a_pending_one_does_not(curator):
    kept, gone, again = curator.fact("kept"), curator.fact("gone"), curator.fact("again pending")
    curator("approve", kept, note="yes")
    curator("approve", again)
    curator("reopen", again)
    curator("merge", gone, kept)
    curator("separate", gone, kept)
    curator.conn.execute(f"DELETE FROM {FACTS.name}")
    curator.settle()
    assert curator.statuses() == {kept: "approved"}
    assert curator("reject", kept)["was"] == "approved"
    assert curator.ask("SELECT content, evidence FROM knowledge_items WHERE id = ?", kept) == [("kept", 0)]
    again = curator.fact("kept", "2026-01-05", user="bob")
    assert again == kept
    assert curator.ask("SELECT status, source_user FROM knowledge_items WHERE id = ?", kept) == [("rejected", "bob")]


# What is left out


def remove_left_out(curator, **left_out):
    remove(curator.conn, (FACTS, SESSIONS), removals(LeaveOut(**left_out)))
    curator.settle()


def texts(curator):
    return {text for (text,) in curator.ask("SELECT content FROM knowledge_reviews") if text}


@pytest.mark.parametrize(
    "left_out", [{"users": ("eve",)}, {"sessions": ("eve/x",)}, {"projects": ("/home/o'neil",)}], ids=str
)
def test_what_is_left_out_goes_from_what_was_decided_too(curator, left_out):
    secret = curator.fact("private", user="eve", session="x/1", project="/home/o'neil/p")
    other = curator.fact("public")
    curator("approve", secret)
    curator("approve", other)
    remove_left_out(curator, **left_out)
    assert curator.statuses() == {other: "approved"}
    assert texts(curator) == {"public"}
    assert "eve" not in repr(curator.ask("FROM knowledge_reviews"))


def test_a_text_goes_with_whoever_wrote_it_and_not_with_whose_evidence_came_first(curator):
    early = curator.fact("of bob", "2020-01-01", user="bob")
    secret = curator.fact("of eve", user="eve")
    curator("merge", early, secret)
    curator("approve", secret)
    remove_left_out(curator, users=("eve",))
    assert texts(curator) == {"of bob"}
    assert curator.statuses() == {early: "pending"}


@pytest.mark.parametrize("uuid", ["u#1", "#", "/eve#x\n"])
def test_a_text_goes_whatever_its_turn_is_called(curator, uuid):
    curator("approve", curator.fact("private", user="eve", turn_uuid=uuid))
    assert curator.ask("SELECT session_file FROM knowledge_reviews") == [("eve/a.jsonl",)]
    remove_left_out(curator, sessions=("eve/a.jsonl",))
    assert texts(curator) == set()


def test_a_session_that_got_the_marker_later_is_left_out_of_what_was_decided(curator):
    curator("approve", curator.fact("private", user="eve"))
    curator("approve", curator.fact("public"))
    curator.conn.execute(
        f"INSERT INTO {SESSIONS.name}_settled (session_file, left_out)"
        " VALUES ('eve/a.jsonl', true), ('ada/a.jsonl', false)"
    )
    remove_left_out(curator)
    assert texts(curator) == {"public"}
