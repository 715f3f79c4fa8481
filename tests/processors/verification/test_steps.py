"""The steps over all items: the same rows whenever they are taken, and no pair judged twice."""

from datetime import datetime

import pyarrow as pa
import pytest

from processors import PauseError
from processors.verification import duplicates
from processors.verification.llm.judge import Contradiction
from processors.verification.options import VerificationOptions
from processors.verification.steps import COMPARED, JUDGED, ContradictionsStep, DuplicatesStep, steps
from processors.verification.tables import CANONICAL, CONTRADICTIONS, RELATIONS

TEXT = "Forecasted churn is computed monthly by summing the projected cancellations of the period number {}."
ROW = {"entities": [], "corrects": False, "approved": False, "rejected": False, "domain": "data"}
EMPTY = {
    "decided": pa.table({name: pa.array([], pa.string()) for name in ("item_id", "other_id", "action")}),
    "canonical": pa.table({name: pa.array([], pa.string()) for name in CANONICAL.columns}),
    "compared": pa.table({name: pa.array([], pa.string()) for name in COMPARED.columns}),
    "judged": pa.table({name: pa.array([], pa.string()) for name in JUDGED.columns}),
    "known": pa.table({name: pa.array([], pa.string()) for name in CONTRADICTIONS.columns}),
    "relations": pa.table({"item_a": pa.array([], pa.string()), "item_b": [], "score": [], "reason": []}),
}


def item(name, content=TEXT, day=1, **more):
    at = datetime(2026, 1, day)  # noqa: DTZ001
    return {"id": name, "title": name, "content": content.format(name), "created_at": at} | ROW | more


def table(rows, names):
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]) if rows else None


def given(items, **tables):
    """What a step is given; tables as rows of the declared columns."""
    made = dict(EMPTY)
    columns = {
        "decided": ("item_id", "other_id", "action"),
        "canonical": CANONICAL.columns,
        "compared": COMPARED.columns,
        "judged": JUDGED.columns,
        "known": CONTRADICTIONS.columns,
        "relations": ("item_a", "item_b", "score", "reason"),
    }
    for name, rows in tables.items():
        made[name] = table(rows, columns[name]) or EMPTY[name]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("id", "title", "content", "domain")),
            ("entities", pa.list_(pa.string())),
            *((name, pa.bool_()) for name in ("corrects", "approved", "rejected")),
            ("created_at", pa.timestamp("us")),
        ]
    )
    return made | {"items": pa.Table.from_pylist(items, schema)}


def going_on():
    return False


# Duplicates


def related(result):
    return [(a, b, score, reason) for a, b, _, score, reason in result.rows[RELATIONS.name]]


def test_likely_duplicates_count_to_one_and_a_correction_to_itself():
    items = [item("a", day=3), item("b", day=2), item("c", corrects=True), item("d", "something else entirely")]
    result = DuplicatesStep().work(given(items), going_on)
    assert result.rows[CANONICAL.name] == [("a", "c"), ("b", "c")], "what is said after a correction counts to it"
    items = [item("a"), item("b", day=2, corrects=True), item("c", day=3, approved=True)]
    assert DuplicatesStep().work(given(items), going_on).rows[CANONICAL.name] == [("a", "c")]
    assert {row[:2] for row in related(result)} == {("a", "b"), ("a", "c"), ("b", "c")}


def test_a_step_gives_the_same_rows_again_and_after_a_restart_compares_nothing(monkeypatch):
    items = [item(name) for name in "abcd"]
    step = DuplicatesStep()
    first = step.work(given(items), going_on)
    assert step.work(given(items), going_on) == first
    monkeypatch.setattr(duplicates, "alike", lambda *_args, **_more: pytest.fail("they are compared already"))
    monkeypatch.setattr(duplicates, "_Shelf", lambda *_args: pytest.fail("they are compared already"))
    stored = {"compared": first.rows[COMPARED.name], "relations": related(first)}
    assert DuplicatesStep().work(given(items, **stored), going_on) == first


def test_what_vanishes_changes_or_comes_leaves_what_a_fresh_look_gives():
    step, stored = DuplicatesStep(), {}
    every = [item(name) for name in "abcdef"]
    changes = [
        every,
        every[1:],
        [*every[2:], item("g")],
        [],
        every[:3],
        [replace_text(every[0]), *every[1:3]],
        [item("a", domain="finance"), *every[1:]],
    ]
    for items in changes:
        live = step.work(given(items, **stored), going_on)
        fresh = DuplicatesStep().work(given(items), going_on)
        restarted = DuplicatesStep().work(given(items, **stored), going_on)
        assert live == fresh == restarted
        stored = {"compared": live.rows[COMPARED.name], "relations": related(live)}


def replace_text(row):
    return row | {"content": "something that is not like the others at all, of about that length"}


def test_people_go_first():
    items = [item("a"), item("b", day=2), item("c", "nothing like the others")]
    decided = [("a", "b", "separate"), ("a", "c", "merge")]
    result = DuplicatesStep().work(given(items, decided=decided), going_on)
    assert result.rows[CANONICAL.name] == [("a", "c")]


# Contradictions


class Judge:
    """Finds that everything with ``not`` contradicts what is without; may fail on some items."""

    def __init__(self, **fails):
        self.asked = []
        self.fails = fails

    def judge(self, judged, others):
        for other in others:
            self.asked.append(tuple(sorted((judged.id, other.id))))
        if error := self.fails.get(judged.id):
            raise error
        return [
            Contradiction(*sorted((judged.id, other.id)), "one says not", "hard", "ask")
            for other in others
            if ("not" in judged.content) != ("not" in other.content)
        ]


ITEMS = [item("a"), item("b"), item("c", TEXT + " not"), item("d", TEXT + " not")]
FOUND = [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]
EVERY = [("a", "b"), *FOUND, ("c", "d")]


def pairs(result):
    return [row[:2] for row in result.rows[CONTRADICTIONS.name]]


def after(result):
    """What the tables hold then."""
    return {"judged": result.rows[JUDGED.name], "known": result.rows[CONTRADICTIONS.name]}


def test_each_pair_is_judged_once():
    judge = Judge()
    step = ContradictionsStep(judge)
    first = step.work(given(ITEMS), going_on)
    assert pairs(first) == FOUND
    assert sorted(judge.asked) == EVERY == first.rows[JUDGED.name]
    assert first.pause is None
    again = step.work(given(ITEMS, **after(first)), going_on)
    assert again == first
    assert ContradictionsStep(judge).work(given(ITEMS, **after(first)), going_on) == first
    assert len(judge.asked) == len(EVERY), "neither again nor after a restart"
    more = step.work(given([*ITEMS, item("e")], **after(first)), going_on)
    assert sorted(judge.asked[len(EVERY) :]) == [(name, "e") for name in "abcd"]
    assert pairs(more) == [*FOUND, ("c", "e"), ("d", "e")]


def test_a_pause_keeps_what_was_found_and_goes_on_from_there():
    judge = Judge(b=PauseError("no more today", 5))
    step = ContradictionsStep(judge)
    first = step.work(given(ITEMS), going_on)
    assert (first.pause.reason, first.pause.seconds) == ("no more today", 5)
    assert pairs(first) == [("a", "c"), ("a", "d")]
    asked = len(judge.asked)
    judge.fails.clear()
    for going in (step, ContradictionsStep(judge)):
        judge.asked[asked:] = []
        rest = going.work(given(ITEMS, **after(first)), going_on)
        assert rest.pause is None
        assert pairs(rest) == FOUND
        assert sorted(judge.asked[asked:]) == [("b", "c"), ("b", "d"), ("c", "d")]


def test_an_item_that_cannot_be_judged_keeps_no_other_and_is_asked_again_after_a_start():
    judge = Judge(a=RuntimeError("no answer"))
    step = ContradictionsStep(judge)
    first = step.work(given(ITEMS), going_on)
    assert pairs(first) == [("b", "c"), ("b", "d")]
    assert not set(first.rows[JUDGED.name]) & {("a", name) for name in "bcd"}
    asked = len(judge.asked)
    assert step.work(given(ITEMS, **after(first)), going_on) == first
    assert len(judge.asked) == asked
    judge.fails.clear()
    assert pairs(ContradictionsStep(judge).work(given(ITEMS, **after(first)), going_on)) == FOUND


@pytest.mark.parametrize(
    "without",
    [
        lambda: {"items": ITEMS[1:]},
        lambda: {"items": [ITEMS[0] | {"rejected": True}, *ITEMS[1:]]},
        lambda: {"items": ITEMS, "canonical": [("a", "b")]},
        lambda: {"items": [ITEMS[0] | {"domain": "finance"}, *ITEMS[1:]]},
    ],
    ids=["vanished", "rejected", "counts to another", "of another domain now"],
)
@pytest.mark.parametrize("judge", [Judge(), None], ids=["judge", "none"])
def test_what_is_no_item_of_the_domain_has_no_contradictions_and_gets_them_back(without, judge):
    step = ContradictionsStep(judge)
    first = ContradictionsStep(Judge()).work(given(ITEMS), going_on)
    fewer = without()
    left = step.work(given(fewer.pop("items"), **fewer, **after(first)), going_on)
    assert pairs(left) == [("b", "c"), ("b", "d")]
    if judge is not None:
        assert pairs(step.work(given(ITEMS, **after(left)), going_on)) == FOUND


def test_without_a_judge_nothing_is_judged_and_nothing_is_lost():
    first = ContradictionsStep(Judge()).work(given(ITEMS), going_on)
    assert ContradictionsStep(None).work(given(ITEMS), going_on).rows == {CONTRADICTIONS.name: [], JUDGED.name: []}
    assert ContradictionsStep(None).work(given(ITEMS, **after(first)), going_on) == first


def test_the_steps_write_what_the_tables_have():
    for step in steps(VerificationOptions()):
        result = step.work(given([item("a"), item("b")]), going_on)
        assert result.rows.keys() == {table.name for table in step.writes}
        for written in step.writes:
            assert all(len(row) == len(written.columns) for row in result.rows[written.name])
