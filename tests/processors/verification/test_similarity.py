"""How alike two texts are, and that the search by length leaves none out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.verification.similarity import (
    Texts,
    alike,
    frequent,
    in_order,
    lengths,
    names,
    normalised,
    paced,
    similarity,
)

TEXTS = st.text("ab ", max_size=60).map(normalised)
LEAST = st.sampled_from([0.5, 0.65, 0.82, 0.9, 1.0])


def test_case_and_white_space_and_how_a_letter_is_composed_make_no_difference():
    assert similarity("Orders\tare  paid in CAFÉ\n", "orders are paid in cafe\u0301") == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "x is computed monthly",
            "x is computed monthly, by people who were asked to, unless it is not, and then by others",
        ),
        ("sales are divided by orders", "orders are divided by sales"),
        ("the window is n-1 months", "the window is n+1 months"),
        ("the fee is 3.5 percent", "the fee is 35 percent"),
    ],
)
def test_a_part_another_order_and_another_sign_are_not_the_same(one, other):
    assert similarity(one, other) < 1


def test_a_part_of_a_long_text_is_not_alike():
    assert similarity("x is computed monthly", "x is computed monthly" + " and so on" * 10) < 0.5


def test_entities_are_compared_without_case_and_empty_ones_are_none():
    assert names(["MRR", " mrr ", "Churn  rate", "", "  "]) == {"mrr", "churn rate"}


@given(TEXTS, TEXTS)
def test_it_is_symmetric(a, b):
    assert similarity(a, b) == similarity(b, a)


@given(TEXTS, TEXTS, LEAST)
def test_what_is_alike_is_among_the_lengths_that_are_looked_at(a, b, least):
    shortest, longest = lengths(len(a), least)
    if (a or b) and similarity(a, b) >= least:
        assert shortest <= len(b) <= longest


@given(st.integers(0, 5000), st.integers(0, 5000), LEAST)
def test_lengths_leave_out_nothing_that_a_common_subsequence_allows(a, b, least):
    shortest, longest = lengths(a, least)
    if a + b and 2 * min(a, b) / (a + b) >= least:
        assert shortest <= b <= longest


@given(TEXTS, st.lists(TEXTS, max_size=20), LEAST)
def test_the_search_finds_what_comparing_each_finds(text, others, least):
    others.sort(key=len)
    expected = {place: similarity(text, other) for place, other in enumerate(others)}
    assert dict(alike(text, others, least)) == {place: score for place, score in expected.items() if score >= least}


@given(
    TEXTS,
    st.lists(TEXTS, max_size=20),
    LEAST,
    st.integers(0, 5),
    st.integers(0, 20),
    st.sampled_from(["", "a", " b", "ab"]),
)
def test_a_first_look_at_fewer_letters_loses_nothing(text, others, least, start, stop, left_out):
    others.sort(key=len)
    stop = min(stop, len(others))
    expected = {place: similarity(text, others[place]) for place in range(start, stop)}
    found = dict(Texts(others, dict.fromkeys(map(ord, left_out))).alike(text, least, lambda: None, start, stop))
    assert found == {place: score for place, score in expected.items() if score >= least}


def test_the_most_frequent_letters_are_left_out_up_to_a_share():
    assert frequent(["aaaa", "bbbccd"]) == {ord("a"): None}
    assert frequent(["aabbccddee"]) == {ord("a"): None, ord("b"): None, ord("c"): None}
    assert frequent([]) == {}


def test_a_long_search_gives_way_between_its_slices():
    turns = []
    found = list(alike("a" * 500, ["b" * 500] * 5000, 0.8, lambda: turns.append(None)))
    assert not found
    assert len(turns) > 10


@given(st.lists(st.tuples(st.integers(0, 9)), max_size=1200))
def test_sorting_in_parts_sorts(rows):
    assert in_order(rows, lambda: None) == sorted(rows)


def test_a_walk_gives_way_now_and_then():
    turns = []
    assert list(paced(range(2000), lambda: turns.append(None))) == list(range(2000))
    assert len(turns) == 4


@pytest.mark.parametrize("text", ["a" * 1000, " " * 1000, "e\u0301" * 500, "_1" * 500, "\ud800" * 1000])
def test_normalising_takes_time_by_the_length(text):
    def took(times: int) -> float:
        best = 1e9
        for _ in range(3):
            began = time.perf_counter()
            normalised(text * times)
            best = min(best, time.perf_counter() - began)
        return best

    assert took(1000) < 100 * took(100) + 0.05
