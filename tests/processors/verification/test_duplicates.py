"""Likely duplicates: which pairs they are, and that looking at what is new alone finds the same."""

import json
from collections import Counter
from contextlib import suppress
from datetime import datetime
from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.verification import duplicates
from processors.verification.duplicates import Duplicates, Relation, find_relations
from processors.verification.model import Item, item_id
from processors.verification.similarity import names, normalised, similarity

EXPECTED = Path(__file__).parents[3].parent / "shared" / "data" / "verification" / "expected"
WEEK = datetime.fromisoformat("2026-01-05")
LONG = "Forecasted churn is computed monthly by summing projected cancellations of the period."


def item(name, content=LONG, entities=(), domain="finance"):
    return Item(name, name, content, domain, tuple(entities), False, False, WEEK)


def pairs(*items):
    return {(relation.item_a, relation.item_b): relation.reason for relation in find_relations(items)}


def brute(items):
    """Each with each."""
    found = {}
    for one, other in combinations(sorted(items, key=lambda item: item.id), 2):
        score = similarity(one.content, other.content)
        long = min(len(normalised(one.content)), len(normalised(other.content))) >= 40
        if one.domain != other.domain:
            continue
        if len(names(one.entities) & names(other.entities)) >= 2 and score >= 0.65:
            found[one.id, other.id] = Relation(one.id, other.id, score, "entities")
        elif long and score >= 0.82:
            found[one.id, other.id] = Relation(one.id, other.id, score, "lexical")
    return [found[pair] for pair in sorted(found)]


def edited(base, start, length, put):
    return base[:start] + put + base[start + length :]


BASES = [
    "abcdefghij klmnopqrst uvwxyz abcd efgh ijkl",
    "the fee is 3.5 percent of each order, no more",
    "zyxwvutsrqponmlkji hgfedcba",
    "order_id",
    "",
]
CONTENTS = st.builds(
    edited, st.sampled_from(BASES), st.integers(0, 40), st.integers(0, 20), st.text("ab 1\u00e9", max_size=12)
)
ITEMS = st.builds(
    item,
    st.sampled_from("abcdefghijkl"),
    CONTENTS,
    st.lists(st.sampled_from(["MRR", "mrr", "churn", "orders", "CRM", " "]), max_size=4),
    st.sampled_from(["finance", "data"]),
)
ALL = st.lists(ITEMS, max_size=12, unique_by=lambda item: item.id)

CLOSE = st.builds(
    item,
    st.sampled_from("abcdefghijkl"),
    st.builds(edited, st.sampled_from(BASES[:2]), st.integers(0, 30), st.integers(0, 9), st.text("ab ", max_size=9)),
    st.sampled_from([(), ("MRR", "churn")]),
)


@st.composite
def histories(draw):
    """What there was at one time after another: items that are alike come and go, and some are not what they were."""
    states = []
    now = {}
    for _ in range(draw(st.integers(1, 5))):
        for gone in draw(st.sets(st.sampled_from("abcdefghijkl"), max_size=4)):
            now.pop(gone, None)
        now |= {new.id: new for new in draw(st.lists(CLOSE, max_size=5))}
        states.append(list(now.values()))
    return states


@pytest.fixture(scope="module")
def expected():
    """Name of each fixture → its first item, and the name by id."""
    if not EXPECTED.is_dir():
        pytest.skip(f"no {EXPECTED}: what is expected of the recorded conversations is not there")
    found = {}
    for path in sorted(EXPECTED.glob("*.json")):
        for number, said in enumerate(json.loads(path.read_text())["verifications"]):
            found[path.stem if not number else f"{path.stem} {number}"] = Item(
                item_id(said["title"], said["content"]),
                said["title"],
                said["content"],
                said["domain"],
                tuple(said["entities"]),
                said["detection_type"] == "correction",
                False,
                WEEK,
            )
    return found


def test_the_expected_items_are_related_as_they_should_be(expected):
    by_id = {item.id: name for name, item in expected.items()}
    found = {
        frozenset((by_id[relation.item_a], by_id[relation.item_b])): relation.reason
        for relation in find_relations(expected.values())
    }
    weekly = "churn_forecast_contradicting_correction"
    assert found == {
        frozenset(("churn_forecast_v1", "churn_forecast_lexical_paraphrase")): "lexical",
        frozenset(("churn_forecast_v1", "churn_forecast_entity_paraphrase")): "entities",
        frozenset(("churn_crm_tracking_v1", "churn_crm_tracking_paraphrase")): "entities",
        frozenset(("churn_forecast_v1", weekly)): "entities",
        frozenset(("churn_forecast_entity_paraphrase", weekly)): "entities",
        frozenset(("churn_forecast_lexical_paraphrase", weekly)): "lexical",
    }


def test_texts_that_are_nearly_the_same_are_related():
    assert pairs(item("a"), item("b", LONG.replace("monthly", "weekly"))) == {("a", "b"): "lexical"}


def test_the_lower_id_goes_first():
    (relation,) = find_relations([item("b"), item("a")])
    assert relation == Relation("a", "b", 1.0, "lexical")


def test_another_domain_is_another_matter():
    assert pairs(item("a"), item("b", domain="data")) == {}


@pytest.mark.parametrize(("length", "related"), [(39, {}), (40, {("a", "b"): "lexical"})])
def test_short_texts_are_not_alike_by_their_words_alone(length, related):
    assert pairs(item("a", "x" * length), item("b", "x" * length)) == related


def test_white_space_makes_no_text_long():
    assert pairs(item("a", "x" + " " * 50 + "x"), item("b", "x" + " " * 50 + "x")) == {}


def test_short_texts_that_share_two_entities_are_related():
    assert pairs(item("a", "MRR is net", ["MRR", "net"]), item("b", "MRR is net.", ["mrr", "NET"])) == {
        ("a", "b"): "entities"
    }


def test_one_entity_named_twice_is_one():
    assert pairs(item("a", "MRR is net", ["MRR", "mrr"]), item("b", "MRR is net.", ["mrr", "MRR"])) == {}


def test_a_short_text_is_no_duplicate_of_a_long_one_that_contains_it():
    assert pairs(item("a", LONG), item("b", f"{LONG} It is not {'x' * 40}", ())) == {}


@given(ALL)
def test_it_finds_what_comparing_each_with_each_finds(items):
    assert find_relations(items) == brute(items)


@given(ALL, st.randoms())
def test_the_order_of_the_items_makes_no_difference(items, rng):
    mixed = list(items)
    rng.shuffle(mixed)
    assert find_relations(mixed) == find_relations(items)


@given(ALL)
def test_a_first_look_at_the_rarer_letters_finds_the_same(items):
    with patch.object(duplicates, "_MANY", 1):
        assert find_relations(items) == brute(items)


@given(histories())
def test_after_each_update_it_is_what_it_would_be_from_scratch(states):
    growing = Duplicates()
    for items in states:
        assert growing.update(items) == find_relations(items)


@given(histories(), st.integers(1, 3))
def test_with_few_relations_each_it_is_what_it_would_be_from_scratch(states, most):
    with patch.object(duplicates, "MOST_RELATIONS", most):
        growing = Duplicates()
        for items in states:
            relations = growing.update(items)
            assert relations == find_relations(items)
            assert len(relations) <= most * len(items)


@given(histories())
def test_it_goes_on_after_a_restart(states):
    last, relations = Duplicates(), []
    for items in states:
        last = Duplicates(last.compared, relations)
        relations = last.update(items)
        assert relations == find_relations(items)


@given(histories(), st.sets(st.sampled_from("abcdefghijkl")))
def test_of_what_it_is_not_known_that_it_was_compared_no_relation_is_kept(states, lost):
    before, after = states[0], states[-1]
    first = Duplicates()
    relations = first.update(before)
    compared = {known_as: digest for known_as, digest in first.compared.items() if known_as not in lost}
    assert Duplicates(compared, relations).update(after) == find_relations(after)


@settings(max_examples=50)
@given(histories(), st.integers(0, 40))
def test_an_update_that_was_ended_is_made_up_for(states, turns):
    before, after = states[0], states[-1]
    growing = Duplicates()
    growing.update(before)
    left = iter(range(turns))

    def end():
        if next(left, None) is None:
            raise InterruptedError

    with suppress(InterruptedError):
        growing.update(after, end)
    assert growing.update(after) == find_relations(after)


def test_what_was_compared_is_not_compared_again():
    items = [item(f"{number:03}", f"{LONG} {number:04}") for number in range(300)]
    turns = Counter()
    growing = Duplicates()
    for what, those in (("first", items), ("again", items), ("one more", [*items, item("new")])):
        growing.update(those, lambda what=what: turns.update([what]))
    assert turns["again"] < turns["one more"] < turns["first"] / 5


def test_items_that_are_gone_are_forgotten():
    growing = Duplicates()
    growing.update([item("a"), item("b")])
    assert growing.update([item("a")]) == []
    assert set(growing.compared) == {"a"}


def test_an_item_whose_closest_is_gone_finds_the_next_one():
    first, second = LONG, LONG.replace("monthly", "weekly")
    items = [item("a", first), item("b", first), item("c", second), item("d", second)]
    with patch.object(duplicates, "MOST_RELATIONS", 1):
        growing = Duplicates()
        assert [(found.item_a, found.item_b) for found in growing.update(items)] == [("a", "b"), ("c", "d")]
        left = [items[0], items[2], items[3]]
        assert [(found.item_a, found.item_b) for found in growing.update(left)] == [("a", "c"), ("c", "d")]


def test_a_crowd_of_equal_texts_has_no_relations_by_the_square():
    crowd = [item(f"{number:03}") for number in range(300)]
    assert len(find_relations(crowd)) <= 300 * duplicates.MOST_RELATIONS


def test_a_text_that_no_encoding_can_hold_is_compared_like_any_other():
    assert pairs(item("a", LONG + "\ud800"), item("b")) == {("a", "b"): "lexical"}
