"""The views: one row of evidence per item, session and turn; and how sure an item is, as time goes on."""

from datetime import timedelta

import pytest

from daemon import run_processor
from processors.verification import VerificationProcessor
from processors.verification.model import item_id
from processors.verification.questions import Filters, listed
from processors.verification.redaction import MARK

NOW = "current_localtimestamp()"


class Knowledge:
    """A database of verification, whose facts and reviews are put in as they are needed."""

    def __init__(self, conn, root):
        self.conn = conn
        run_processor(conn, VerificationProcessor(), root)

    def fact(self, content="c", *, title="t", user="ada", session="a", turn="u1", kind="correction", **more):
        """A row; ``at``: when, in SQL."""
        at = more.pop("at", NOW)
        row = {
            "item_id": more.pop("item_id", None) or item_id(title, content),
            "turn_uuid": turn,
            "project": "/work",
            "detection_type": kind,
            "title": title,
            "content": content,
            "user_quote": content,
            "domain": "data",
            "entities": ["Orders"],
            "session_file": f"{user}/{session}.jsonl",
            "username": user,
            "processor_version": 1,
        } | more
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.conn.execute(
            f"INSERT INTO verification_facts ({names}, occurred_at, extracted_at) VALUES ({marks}, {at}, {NOW})",
            list(row.values()),
        )
        return row["item_id"]

    def counts(self, item, canonical):
        self.conn.execute("INSERT INTO knowledge_canonical VALUES (?, ?)", [item, canonical])

    def review(self, item, action="approve", at="2026-01-01", **more):
        row = {"item_id": item, "action": action, "reviewer": "cura", "reviewed_at": at} | more
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.conn.execute(f"INSERT INTO knowledge_reviews ({names}) VALUES ({marks})", list(row.values()))

    def items(self, columns="*"):
        return self.conn.sql(f"SELECT {columns} FROM knowledge_items ORDER BY id").to_arrow_table().to_pylist()

    def item(self, name):
        (row,) = [row for row in self.items() if row["id"] == name]
        return row

    def confidence(self, item):
        return self.item(item)["confidence"]

    def evidence(self, item):
        rows = self.conn.sql("FROM verification_evidence ORDER BY session_file, turn_uuid").to_arrow_table()
        return [row for row in rows.to_pylist() if row["item_id"] == item]


@pytest.fixture
def known(conn, root):
    return Knowledge(conn, root)


# Confidence


@pytest.mark.parametrize(
    ("kind", "base"), [("correction", 0.9), ("unprompted_definition", 0.9), ("confirmation", 0.6)]
)
def test_each_kind_of_statement_has_its_confidence(known, kind, base):
    item = known.fact(kind=kind)
    assert known.confidence(item) == pytest.approx(base, abs=1e-6)
    assert known.item(item)["category"] == kind


def test_each_further_user_makes_an_item_surer_up_to_certainty(known):
    found = []
    for number in range(5):
        item = known.fact(user=f"user{number}")
        found.append(known.confidence(item))
    assert found == pytest.approx([0.9, 0.95, 1.0, 1.0, 1.0], abs=1e-6)
    assert known.item(item)["verifiers"] == 5


def test_the_same_user_again_adds_evidence_and_no_confidence(known):
    for session in "abc":
        for turn in ("u1", "u2"):
            item = known.fact(session=session, turn=turn, kind="confirmation")
    assert known.confidence(item) == pytest.approx(0.6, abs=1e-6)
    assert (known.item(item)["evidence"], known.item(item)["verifiers"]) == (6, 1)


def test_the_best_kind_of_evidence_counts(known):
    known.fact(kind="confirmation", at="TIMESTAMP '2020-01-01'", user="bob")
    item = known.fact(kind="correction")
    assert known.item(item)["category"] == "correction"
    assert known.confidence(item) == pytest.approx(0.95, abs=1e-6)
    assert known.item(item)["source_user"] == "bob", "who stated it first"


@pytest.mark.parametrize(
    ("days", "wanted"),
    [
        (0, 0.9),
        (365.25 / 4, 0.9 * 0.5**0.25),
        (365.25 / 2, 0.9 * 0.5**0.5),
        (365.25, 0.45),
        (730, 0.4),
        (36_500, 0.4),
    ],
)
def test_half_of_it_is_gone_after_twelve_months_down_to_a_floor(known, days, wanted):
    item = known.fact(at=f"{NOW} - INTERVAL ({round(days * 86_400)}) SECOND")
    assert known.confidence(item) == pytest.approx(wanted, abs=1e-6)


def test_new_evidence_renews_an_item(known):
    old = known.fact(at=f"{NOW} - INTERVAL 20 YEAR")
    assert known.confidence(old) == pytest.approx(0.4)
    known.fact(turn="u2")
    assert known.confidence(old) == pytest.approx(0.9, abs=1e-6)
    assert known.item(old)["last_stated_at"] > known.item(old)["created_at"] + timedelta(days=7000)


def test_the_cap_comes_before_the_decay(known):
    for number in range(9):
        item = known.fact(user=f"user{number}", at=f"{NOW} - INTERVAL '31557600' SECOND")
    assert known.confidence(item) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("at", ["NULL", "TIMESTAMP '9999-12-31'", f"{NOW} + INTERVAL 1 YEAR"])
def test_what_has_no_time_or_one_to_come_was_stated_when_it_was_read(known, at):
    item = known.fact(at=at)
    assert known.confidence(item) == pytest.approx(0.9, abs=1e-6)
    read = known.conn.execute("SELECT max(extracted_at) FROM verification_facts").fetchall()[0][0]
    assert known.item(item)["last_stated_at"] == known.item(item)["created_at"] == read
    assert known.evidence(item)[0]["created_at"] == read


# Evidence


def test_a_turn_is_one_row_of_evidence_however_often_it_is_there(known):
    item = known.fact()
    known.fact()
    other = known.fact("d", kind="confirmation")
    known.counts(other, item)
    (row,) = known.evidence(item)
    assert (row["detection_type"], row["source_ref"]) == ("correction", "ada/a.jsonl#u1")
    assert known.item(item)["evidence"] == 1


def test_evidence_of_an_item_that_counts_to_another_is_the_other_s(known):
    item, other = known.fact(), known.fact("d", user="bob")
    known.counts(other, item)
    assert [row["stated_as"] for row in known.evidence(item)] == [item, other]
    assert [row["id"] for row in known.items()] == [item]
    assert known.item(item)["verifiers"] == 2


def test_a_secret_that_was_redacted_makes_an_item_restricted(known):
    item = known.fact(user_quote=f"the key is {MARK}")
    assert known.item(item)["sensitivity"] == "restricted"
    assert known.item(known.fact("other"))["sensitivity"] == "internal"


def test_tags_are_the_entities_in_lower_case(known):
    assert known.item(known.fact())["tags"] == ["orders"]
    assert known.item(known.fact("none", entities=None))["tags"] is None


# What people decided


def test_the_last_decision_is_the_status(known):
    item = known.fact()
    assert known.item(item)["status"] == "pending"
    for number, (action, status) in enumerate(
        [("approve", "approved"), ("merge", "approved"), ("reject", "rejected"), ("reopen", "pending")], 1
    ):
        known.review(item, action, f"2026-01-0{number}")
        assert known.item(item)["status"] == status


def test_what_was_decided_on_stays_though_it_is_found_no_more(known):
    known.review(
        "kv_0", title="t", content="c", category="correction", domain="data", base_confidence=0.9,
        source_user="ada", first_stated_at="2020-01-01", last_stated_at="2020-01-02",
    )  # fmt: skip
    known.review("kv_1", "reject")
    (item,) = known.items()
    assert (item["id"], item["status"], item["content"], item["evidence"]) == ("kv_0", "approved", "c", 0)
    assert (item["confidence"], item["source_user"], item["verifiers"]) == (pytest.approx(0.4), "ada", 0)


def test_an_item_says_what_it_said_when_it_was_decided_on_whatever_else_has_its_id(known):
    item = known.fact("what a person saw", title="b", item_id="kv_0")
    known.review(item, title="b", content="what a person saw", domain="data", base_confidence=0.9)
    known.fact("a text that has the same id", title="a", item_id="kv_0", at="TIMESTAMP '2020-01-01'")
    assert (known.item(item)["title"], known.item(item)["content"]) == ("b", "what a person saw")


def test_of_two_texts_with_one_id_an_item_has_one_and_not_parts_of_both(known):
    known.fact("a", title="z", item_id="kv_0", at="TIMESTAMP '2020-01-02'")
    known.fact("z", title="a", item_id="kv_0", at="TIMESTAMP '2020-01-01'")
    (row,) = known.items()
    assert (row["title"], row["content"]) == ("a", "z")


# What is asked


def test_items_are_found_by_what_they_are(known):
    a, b = known.fact("Churn is x'%_", kind="confirmation"), known.fact("b", domain="finance", user="bob")
    known.review(b)

    def found(**filters):
        sql, parameters = listed(Filters(**filters))
        return [row[0] for row in known.conn.execute(sql, parameters).fetchall()]

    assert found() == [b, a]
    assert found(status="approved") == found(domain="finance") == found(user="bob") == [b]
    assert found(category="confirmation") == found(text="CHURN") == found(text="x'%_") == [a]
    assert found(least_confidence=0.61) == [b]
    assert found(status="rejected") == found(text="b%") == []
