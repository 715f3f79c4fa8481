"""What the settings leave out, from the first turn to what is carried to the next run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import Batch
from processors.registry import ProcessorError, register
from processors.testing import check_fold, fold
from processors.verification import VerificationProcessor
from processors.verification.model import Candidate
from processors.verification.options import MARKER, LeaveOut, VerificationOptions

HERE, SECRET = "/work", "/secret"


class Echo:
    """Finds each prompt to be a fact, and remembers what it was shown."""

    def __init__(self):
        self.seen = []

    def extract(self, window):
        self.seen.append(window)
        return [Candidate("correction", window.prompt[:20], window.prompt, window.prompt, "data")]


def verification(**left_out):
    processor = VerificationProcessor(VerificationOptions(leave_out=LeaveOut(**left_out)))
    processor._extractor = Echo()
    return processor


def line(text, cwd=HERE, role="user"):
    return json.dumps({"type": role, "cwd": cwd, "message": {"role": role, "content": text}}).encode()


def batch(*lines, carry=None):
    return Batch("ada/a.jsonl", b"".join(each + b"\n" for each in lines), is_first=carry is None, carry=carry)


def test_the_marker_counts_in_a_project_that_is_left_out_too():
    lines = [line("a"), line(f"x\n {MARKER}", SECRET), line("b")]
    result = fold(verification(projects=(SECRET,)), [lines])
    assert (result["verification_facts"], result["verification_sessions"][0]["left_out"]) == ([], True)


@pytest.mark.parametrize("left_out", [{"users": ("ada",)}, {"sessions": ("ada/",)}, {"projects": (SECRET + "/",)}])
def test_what_is_left_out_later_is_no_context_any_more(left_out):
    before = verification().process(batch(line("private", SECRET), line("noted", SECRET, "assistant")))
    assert "private" in repr(before.carry)
    processor = verification(**left_out)
    after = processor.process(batch(line("more", SECRET), line("public"), carry=before.carry))
    assert "private" not in repr((after.carry, processor._extractor.seen))
    assert "noted" not in repr((after.carry, processor._extractor.seen))


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", MARKER]), st.sampled_from([HERE, SECRET]), st.booleans()), max_size=9
    ),
    st.lists(st.integers(0, 9), max_size=5),
)
def test_any_split_of_a_session_in_several_projects_gives_the_same(said, cuts):
    lines = [line(text, cwd, "user" if person else "assistant") for text, cwd, person in said]
    check_fold(verification(projects=(SECRET,)), lines, cuts)


@pytest.mark.parametrize(
    "nothing",
    [
        {"users": ["ada/"]},
        {"users": ["/data/ada"]},
        {"sessions": ["/data/ada/a.jsonl"]},
        {"sessions": ["./ada"]},
        {"projects": ["~/secret"]},
        {"projects": ["../secret"]},
        {"users": ["/"]},
    ],
)
def test_what_names_nothing_would_leave_nothing_out_and_is_refused(nothing):
    with pytest.raises(ProcessorError):
        register(VerificationProcessor, options={"leave_out": nothing})
