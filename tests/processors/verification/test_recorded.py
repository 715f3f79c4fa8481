"""The fixtures of shared/data/verification, in both shapes: what is found, and how it is cut does not matter."""

import json
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import PauseError
from processors.testing import fold
from processors.verification import VerificationProcessor
from processors.verification.llm import LlmOptions
from processors.verification.options import VerificationOptions
from tests.processors.verification.llm.server import DATA, Fault, model_server, recorded

__all__ = ["model_server"]

NAMES = sorted(path.stem for path in (DATA / "sessions").glob("*.jsonl"))
pytestmark = pytest.mark.skipif(not NAMES, reason="NOT TESTED: ../shared is not there")
KEPT = ("detection_type", "title", "content", "user_quote", "domain", "entities")


def flat(name):
    return (DATA / "sessions" / f"{name}.jsonl").read_bytes().splitlines()


def nested(name):
    """The same as Claude Code writes it."""
    return [
        json.dumps(
            {
                "type": turn["role"],
                "uuid": f"{name}-{number}",
                "timestamp": f"2026-01-01T00:00:{number:02}Z",
                "message": {"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]},
            }
        ).encode()
        for number, turn in enumerate(map(json.loads, flat(name)))
    ]


SHAPES = pytest.mark.parametrize("shape", [flat, nested])


def expected(name):
    """As rows have them: an item that is expected once is found once."""
    items = json.loads((DATA / "expected" / f"{name}.json").read_text())["verifications"]
    return [tuple(item[key] if key != "entities" else tuple(item[key]) for key in KEPT) for item in items]


def found(rows):
    return [tuple(row[key] if key != "entities" else tuple(row[key]) for key in KEPT) for row in rows]


@pytest.fixture(params=["anthropic", "openai"])
def llm(request, model_server, tmp_path):
    """The processor with the extractor llm, which is asked over the real protocol and has the recorded answers."""
    model_server.answers = recorded()
    made = LlmOptions(**model_server.options(request.param), answers=str(tmp_path / "answers.sqlite"), retries=0)
    return VerificationProcessor(VerificationOptions(extractor="llm", llm=made))


@SHAPES
def test_a_language_model_finds_each_item_that_is_expected(llm, shape):
    for name in NAMES:
        rows = fold(llm, [shape(name)])["verification_facts"]
        assert Counter(found(rows)) == Counter(expected(name)), name
        assert len({(row["item_id"], row["turn_uuid"]) for row in rows}) == len(rows)


@SHAPES
def test_rules_find_each_item_that_is_expected_and_nothing_else(shape):
    """Precision and recall of 1.0, by the quotes; which kind one is, and its words, are the rules' own."""
    processor = VerificationProcessor()
    for name in NAMES:
        rows = fold(processor, [shape(name)])["verification_facts"]
        quotes = [" ".join(quote.split()) for _, _, _, quote, _, _ in expected(name)]
        assert [row["user_quote"] for row in rows] == quotes, name


@pytest.mark.parametrize("name", ["mixed_session", "correction_churn_metric"])
def test_growth_in_any_split_gives_the_same_and_pays_for_no_window_twice(llm, model_server, name):
    lines = nested(name)
    whole = fold(llm, [lines])
    asked = len(model_server.received)

    @settings(max_examples=25)
    @given(st.lists(st.integers(0, len(lines)), max_size=4))
    def split(cuts):
        edges = sorted({0, len(lines), *cuts})
        assert fold(llm, [lines[start:end] for start, end in pairwise(edges)]) == whole

    split()
    assert len(model_server.received) == asked == sum(b'"user"' in line for line in lines)


def test_a_failure_in_the_middle_is_no_result_and_what_was_answered_is_not_asked_again(llm, model_server):
    lines = nested("mixed_session")
    model_server.faults.extend([None, None, Fault(529, "overloaded_error")])
    with pytest.raises(PauseError):
        fold(llm, [lines])
    before = len(model_server.received)
    rows = fold(llm, [lines])["verification_facts"]
    assert Counter(found(rows)) == Counter(expected("mixed_session"))
    prompts = [received.prompt for received in model_server.received]
    assert len(prompts) > before
    assert all(count == 1 for prompt, count in Counter(prompts).items() if prompt != prompts[before - 1])
