"""A round counts each session once: with the first run that begins in it."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.round import MOST_DETAILS, Round


def test_a_run_under_way_when_the_round_begins_does_not_count():
    one = Round("p", ["a"])
    one.note("a", "processed", items=3)
    one.ended("a")
    assert one.left() == 1
    one.began("a")
    one.ended("a")  # nothing was left to do
    assert (one.left(), one.counts.scanned) == (0, 0)


def test_a_large_file_is_one_session_with_the_items_of_all_its_runs():
    one = Round("p", ["a"])
    for items in (1, 2, 3):
        one.began("a")
        one.note("a", "processed", items=items)
    one.note("a", "skipped")
    one.ended("a")
    assert (one.counts.scanned, one.counts.processed, one.counts.items_extracted) == (1, 1, 6)


def test_a_failure_after_a_part_was_processed_is_an_error():
    one = Round("p", ["a"])
    one.began("a")
    one.note("a", "processed", items=1)
    one.note("a", "failed", error="ValueError")
    one.ended("a")
    assert (one.counts.processed, one.counts.errors) == (0, 1)
    assert one.counts.errors_detail == [{"session_file": "a", "error": "ValueError"}]


def test_details_are_bounded_and_counts_are_not():
    keys = [f"a/{number}" for number in range(MOST_DETAILS + 5)]
    one = Round("p", keys)
    for key in keys:
        one.began(key)
        one.note(key, "failed", error="x")
        one.ended(key)
    assert (one.counts.errors, len(one.counts.errors_detail), one.left()) == (len(keys), MOST_DETAILS, 0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["began", "processed", "skipped", "failed", "ended"])))
)
def test_whatever_happens_each_session_counts_at_most_once_and_the_sums_agree(happened):
    one = Round("p", "ab")
    for key, what in happened:
        if what in {"began", "ended"}:
            getattr(one, what)(key)
        else:
            one.note(key, what, items=1)
    counts = one.counts
    assert counts.scanned == counts.processed + counts.skipped + counts.errors <= 2 - one.left()
    assert counts.errors == len(counts.errors_detail)
