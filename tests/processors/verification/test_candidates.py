"""Which pairs a judge of contradictions is given: few, the closest, none twice."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.verification.candidates import LEAST_SIMILARITY, SHARED, pair, pairs_to_judge
from processors.verification.model import Item
from processors.verification.similarity import names, normalised, similarity

WEEK = datetime.fromisoformat("2026-01-05")
LONG = "Forecasted churn is computed monthly by summing projected cancellations of the period."


def item(name, content=LONG, entities=(), domain="finance"):
    return Item(name, name, content, domain, tuple(entities), False, False, WEEK)


ITEMS = st.lists(
    st.builds(
        item,
        st.sampled_from("abcdefghijkl"),
        st.text("ab c", min_size=1, max_size=14),
        st.lists(st.sampled_from(["MRR", "mrr", "churn", "orders"]), max_size=3),
        st.sampled_from(["finance", "data"]),
    ),
    max_size=12,
    unique_by=lambda item: item.id,
)
NEW = st.sets(st.sampled_from("abcdefghijkl"))


def brute(items, new, most):
    """Each with each."""
    found = set()
    for one in items:
        ranked = []
        for other in items:
            if other.id == one.id or other.domain != one.domain:
                continue
            score = similarity(one.content, other.content)
            shared = min(2, len(names(one.entities) & names(other.entities)))
            if shared or score >= LEAST_SIMILARITY:
                ranked.append((-score - shared * SHARED, len(normalised(other.content)), other.id))
        if one.id in new:
            found |= {pair(one.id, other) for _, _, other in sorted(ranked)[:most]}
    return sorted(found)


def test_a_new_item_is_paired_with_what_is_alike_or_shares_an_entity():
    items = [
        item("new", entities=["churn"]),
        item("alike", LONG.replace("monthly", "weekly")),
        item("about", "A customer who pauses has not left.", ["Churn"]),
        item("other", "NPS: 90 days.", ["NPS"]),
        item("else", entities=["churn"], domain="data"),
    ]
    assert pairs_to_judge(items, {"new"}, {}) == [("about", "new"), ("alike", "new")]


def test_without_new_items_there_is_nothing_to_judge():
    assert pairs_to_judge([item("a"), item("b")], (), {}) == []


def test_items_that_count_to_another_are_represented_by_it():
    items = [item("a"), item("b"), item("c")]
    assert pairs_to_judge(items, {"a", "b"}, {"a": "a", "b": "a", "c": "c"}) == [("a", "c")]


def test_what_was_judged_is_not_given_again_nor_replaced_by_the_next_best():
    items = [item("a"), item("b"), item("c", LONG + " Or so.")]
    assert pairs_to_judge(items, {"a"}, {}, most=1) == [("a", "b")]
    assert pairs_to_judge(items, {"a"}, {}, {("a", "b")}, most=1) == []


def test_a_nearly_identical_text_goes_before_one_that_only_shares_an_entity():
    items = [
        item("new", entities=["churn"]),
        item("a", "A customer who pauses has not left.", ["churn"]),
        item("b", LONG.replace("monthly", "weekly")),
    ]
    assert pairs_to_judge(items, {"new"}, {}, most=1) == [("b", "new")]


@given(ITEMS, NEW, st.integers(1, 4))
def test_they_are_the_closest_of_all(items, new, most):
    assert pairs_to_judge(items, new, {}, most=most) == brute(items, new, most)


@given(ITEMS, NEW, st.integers(0, 4), st.randoms())
def test_the_order_of_the_items_makes_no_difference_and_they_are_few(items, new, most, rng):
    expected = pairs_to_judge(items, new, {}, most=most)
    rng.shuffle(items)
    assert pairs_to_judge(items, new, {}, most=most) == expected
    assert len(expected) <= most * len(new)
    assert all(a < b and new & {a, b} for a, b in expected)


@pytest.mark.parametrize("entities", [(), ("churn",), ("churn", "MRR")])
def test_a_crowd_that_needs_several_slices_gives_the_closest(entities):
    crowd = [item(f"{number:05}", f"{LONG} {'x' * (number % 90)}", entities) for number in range(4000)]
    assert pairs_to_judge([*crowd, item("new", entities=entities)], {"new"}, {}, most=3) == [
        ("00000", "new"),
        ("00090", "new"),
        ("00180", "new"),
    ]


def test_it_gives_way_between_its_slices():
    turns = []
    pairs_to_judge(
        [item(f"{number:05}") for number in range(3000)], {"00000"}, {}, between=lambda: turns.append(None)
    )
    assert len(turns) > 5
