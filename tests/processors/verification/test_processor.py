"""What the settings leave out, from the first turn to what is carried to the next run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import run_processor
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


def test_names_of_any_length_are_not_copied_into_every_row():
    lines = [
        json.dumps(json.loads(line(text, "/" + "x" * 100_000)) | {"uuid": "u" * 100_000}).encode() for text in "ab"
    ]
    result = verification().process(batch(*lines))
    assert len(repr(result)) < 50_000
    assert [row[1] for row in result.rows["verification_facts"]] == ["line-1", "line-2"]


def test_any_text_is_stored_as_it_is_said(conn, root):
    said = ["a\x00b", "lone \ud800 half", "\x1b[31m", "\u202e", "'; DROP TABLE verification_facts; --", "x" * 7_000]
    (root / "ada").mkdir()
    (root / "ada" / "a.jsonl").write_bytes(b"".join(line(text) + b"\n" for text in said))
    assert run_processor(conn, verification(), root)["errors"] == 0
    quotes = [quote for (quote,) in conn.execute("SELECT user_quote FROM verification_facts").fetchall()]
    assert sorted(quotes) == sorted(text.replace("\ud800", "\ufffd") for text in said)
    assert conn.execute("SELECT count(*) FROM knowledge_items").fetchall() == [(len(said),)]
