"""From turns to facts: what is read, what is kept, and that it does not matter where a session is cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import Batch, PauseError
from processors.testing import as_rows, check_fold, fold
from processors.verification import VerificationProcessor
from processors.verification.fold import Fold, checked
from processors.verification.model import Candidate, Window, item_id
from processors.verification.options import LeaveOut, VerificationOptions
from processors.verification.redaction import MARK
from processors.verification.tables import FACTS
from processors.verification.windows import MOST_CONTEXT, MOST_PROMPT, MOST_TURNS, Context, pieces, windows

NOTE = "NOTE: "


class Notes:
    """An extractor at the seam: each line of a prompt that begins with ``NOTE:`` is a fact."""

    def __init__(self, error=None):
        self.seen = []
        self.error = error

    def extract(self, window):
        self.seen.append(window)
        if self.error is not None:
            raise self.error
        lines = [line for line in window.prompt.splitlines() if line.startswith(NOTE)]
        return [Candidate("correction", line[:30], line, line, "data", ("orders", "Orders", "")) for line in lines]


def verification(extractor=None, **options):
    processor = VerificationProcessor(VerificationOptions(**options))
    processor._extractor = extractor or Notes()
    return processor


def nested(role, text, number, **more):
    content = text if number % 2 else [{"type": "text", "text": text}]
    turn = {"type": role, "uuid": f"u{number}", "timestamp": f"2026-01-01T00:{number % 60:02}:00Z", "cwd": "/work"}
    return json.dumps(turn | {"message": {"role": role, "content": content}} | more).encode()


def flat(role, text, _number=0):
    return json.dumps({"role": role, "content": text}).encode()


def facts(processor, lines, key="alice/a.jsonl"):
    return fold(processor, [lines], key)["verification_facts"]


def quotes(processor, lines, key="alice/a.jsonl"):
    return [row["user_quote"] for row in facts(processor, lines, key)]


@pytest.mark.parametrize("line", [nested, flat])
def test_both_shapes_of_a_line_are_read(line):
    lines = [line("assistant", "Is it so?", 1), line("user", "NOTE: it is so", 2), line("user", "and more", 3)]
    notes = Notes()
    rows = facts(verification(notes), lines)
    assert [row["user_quote"] for row in rows] == ["NOTE: it is so"]
    assert rows[0]["turn_uuid"] == ("u2" if line is nested else "line-2")
    assert rows[0]["item_id"] == item_id(rows[0]["title"], rows[0]["content"])
    assert rows[0]["entities"] == ["orders"]
    assert [said.text for said in notes.seen[0].context] == ["Is it so?"]


TEXTS = st.one_of(
    st.sampled_from(
        ["NOTE: a is b", "NOTE: c", "hello", "NOTE: x\nNOTE: y\nNOTE: x", "", "NOTE: password = hunter2xyz"]
    ),
    st.text(max_size=30),
)
LINES = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXTS, st.booleans()), max_size=12)


@given(LINES, st.lists(st.integers(0, 12), max_size=6))
def test_any_split_gives_the_same_facts_as_one_go(said, cuts):
    lines = [(nested if wrapped else flat)(role, text, n) for n, (role, text, wrapped) in enumerate(said)]
    check_fold(verification(), lines, cuts)


@given(LINES, st.lists(st.integers(0, 12), max_size=6))
def test_any_split_shows_the_extractor_the_same_windows(said, cuts):
    lines = [nested(role, text, n) for n, (role, text, _) in enumerate(said)]
    edges = sorted({0, len(lines), *(min(cut, len(lines)) for cut in cuts)})
    whole, split = Notes(), Notes()
    fold(verification(whole), [lines])
    fold(verification(split), [lines[a:b] for a, b in itertools.pairwise(edges)])
    assert split.seen == whole.seen


@given(LINES, st.integers(0, 12), st.lists(st.integers(0, 12), max_size=4))
def test_any_split_of_a_session_with_the_marker_leaves_nothing(said, place, cuts):
    lines = [nested(role, text, n) for n, (role, text, _) in enumerate(said)]
    lines.insert(min(place, len(lines)), nested("user", "well\n  Sessiond: Leave this session OUT \nok", 50))
    check_fold(verification(), lines, cuts)
    result = fold(verification(), [lines[: len(lines) // 2], lines[len(lines) // 2 :]])
    assert result["verification_facts"] == []
    assert [row["left_out"] for row in result["verification_sessions"]] == [True]


@pytest.mark.parametrize(
    "line",
    [
        nested("user", "NOTE: x", 1, isMeta=True),
        nested("user", "NOTE: x", 1, isSidechain=True),
        nested("user", "NOTE: x", 1, isCompactSummary=True),
        nested("user", "<command-name>/x</command-name>\nNOTE: x", 1),
        nested("user", "<bash-input>\nNOTE: x</bash-input>", 1),
        nested("user", "<local-command-stdout>\nNOTE: x", 1),
        nested("user", "<system-reminder>\nNOTE: x\n</system-reminder>", 1),
        nested("assistant", "NOTE: x", 1),
        json.dumps(
            {"type": "user", "message": {"role": "user", "content": [{"type": "tool_result", "content": "NOTE: x"}]}}
        ).encode(),
        json.dumps({"type": "summary", "summary": "NOTE: x"}).encode(),
        b"not JSON NOTE: x",
    ],
)
def test_only_what_a_person_wrote_can_hold_a_fact(line):
    assert quotes(verification(), [line]) == []


def test_a_reminder_within_a_prompt_is_left_out_of_it():
    line = nested("user", "before <system-reminder>\nNOTE: no\n</system-reminder>\nNOTE: yes", 1)
    assert quotes(verification(), [line]) == ["NOTE: yes"]
    unclosed = nested("user", "what does <system-reminder> mean?\nNOTE: yes", 1)
    assert quotes(verification(), [unclosed]) == ["NOTE: yes"]


def test_a_turn_gives_one_row_per_item_however_often_it_is_found_in_it():
    rows = facts(verification(), [nested("user", "NOTE: x\nNOTE: y\nNOTE: x", 1), nested("user", "NOTE: x", 2)])
    assert [(row["turn_uuid"], row["content"]) for row in rows] == [
        ("u1", "NOTE: x"),
        ("u1", "NOTE: y"),
        ("u2", "NOTE: x"),
    ]


@pytest.mark.parametrize("error", [PauseError("no", 1), RuntimeError()])
def test_what_an_extractor_raises_is_no_empty_result(error):
    batch = Batch("alice/a.jsonl", nested("user", "NOTE: x", 1) + b"\n", is_first=True)
    with pytest.raises(type(error)):
        verification(Notes(error)).process(batch)


@pytest.mark.parametrize(
    ("quote", "kept"),
    [
        ("NOTE:  a\n b", "NOTE: a b"),
        ("a b", "a b"),
        ("A b", None),
        ("a c", None),
        ("", None),
        ("   ", None),
    ],
)
def test_a_quote_has_to_stand_in_the_prompt_and_only_white_space_may_differ(quote, kept):
    window = Window((), "well, NOTE: a \n\tb!")
    fact = checked(Candidate("correction", "t", "c", quote, "data"), window)
    assert (None if fact is None else fact.user_quote) == kept


def test_what_stands_in_the_context_only_is_dropped_and_counted():
    class Inventive(Notes):
        def extract(self, window):
            said = [said.text for said in window.context]
            return [Candidate("confirmation", "t", "c", text, "data") for text in said] + super().extract(window)

    lines = [nested("assistant", "the sky is green", 1), nested("user", "NOTE: x", 2)]
    result = fold(verification(Inventive()), [lines])
    assert [row["user_quote"] for row in result["verification_facts"]] == ["NOTE: x"]
    (session,) = result["verification_sessions"]
    assert (session["prompts"], session["facts"], session["dropped"]) == (1, 1, 1)


def test_titles_and_contents_have_bounds_and_items_of_no_kind_or_domain_are_none():
    window = Window((), "q")
    long = checked(Candidate("correction", "word " * 50, "w" * 900, "q", "data", ("e" * 200,)), window)
    assert len(long.title) <= 60
    assert long.title.endswith("word…")
    assert len(long.content) == 500
    assert [len(entity) for entity in long.entities] == [60]
    assert checked(Candidate("opinion", "t", "c", "q", "data"), window) is None
    assert checked(Candidate("correction", "t", "c", "q", "sports"), window) is None
    assert checked(Candidate("correction", " ", "c", "q", "data"), window) is None


def test_secrets_are_neither_stored_nor_shown_to_an_extractor():
    secret = "sk-ant-api03-" + "Ab3dE5" * 16
    lines = [
        nested("assistant", f"I use {secret}", 1),
        nested("user", f"NOTE: our key is {secret} here", 2),
    ]
    notes = Notes()
    processor = verification(notes)
    data = b"".join(line + b"\n" for line in lines)
    result = processor.process(Batch("alice/a.jsonl", data, is_first=True))
    (row,) = as_rows(result.rows["verification_facts"], FACTS)
    assert MARK in row["user_quote"]
    assert secret not in repr((result, notes.seen, result.carry))


def test_users_sessions_and_projects_can_be_left_out():
    lines = [nested("user", "NOTE: x", 1), nested("user", "NOTE: y", 2, cwd="/work/secret/deep")]
    assert quotes(verification(leave_out=LeaveOut(users=("bob",))), lines) == ["NOTE: x", "NOTE: y"]
    assert quotes(verification(leave_out=LeaveOut(users=("alice",))), lines) == []
    assert quotes(verification(leave_out=LeaveOut(sessions=("alice/a.jsonl",))), lines) == []
    assert quotes(verification(leave_out=LeaveOut(sessions=("alice/p/",))), lines, "alice/p/x.jsonl") == []
    assert quotes(verification(leave_out=LeaveOut(sessions=("alice/a",))), lines) == ["NOTE: x", "NOTE: y"]
    notes = Notes()
    assert quotes(verification(notes, leave_out=LeaveOut(projects=("/work/secret",))), lines) == ["NOTE: x"]
    assert "NOTE: y" not in repr(notes.seen)


def test_nothing_that_was_said_before_the_marker_is_sent_or_carried():
    notes = Notes()
    processor = verification(notes)
    first = Fold(processor._options, processor.carry_type())
    turns = [nested("user", "NOTE: private", 1), nested("user", "sessiond: leave this session out", 2)]
    first.read(Batch("alice/a.jsonl", b"\n".join(turns) + b"\n", is_first=True).turns())
    result = first.result(notes, is_first=True)
    assert notes.seen == []
    assert "private" not in repr(result)


@given(st.text(alphabet=st.sampled_from("ab \n.!?é"), max_size=300), st.integers(1, 40))
def test_pieces_are_all_of_a_prompt_and_none_is_longer_than_it_may_be(text, most):
    found = list(pieces(text, most))
    assert "".join(found) == text
    assert all(len(piece) <= most for piece in found)


def test_a_long_prompt_is_read_to_its_end():
    prompt = "\n\n".join(f"NOTE: fact number {number} of this text" for number in range(2000))
    notes = Notes()
    rows = facts(verification(notes), [nested("user", prompt, 1)])
    assert len(rows) == 2000
    assert len(notes.seen) > 5
    assert all(len(window.prompt) <= MOST_PROMPT for window in notes.seen)
    assert notes.seen[1].context[-1].text in notes.seen[0].prompt


@given(st.lists(st.tuples(st.sampled_from(["person", "assistant"]), st.text(max_size=4000)), max_size=30))
def test_context_is_bounded_and_its_end_is_what_was_said_last(said):
    context = Context()
    for role, text in said:
        context.add(role, text)
    assert len(context.roles) == len(context.texts) <= MOST_TURNS
    assert sum(map(len, context.texts)) <= MOST_CONTEXT
    if said:
        assert context.roles[-1] == said[-1][0]
        assert said[-1][1].endswith(context.texts[-1][-1500:]) or context.texts[-1].endswith(said[-1][1])
    assert all(len(window.context) <= MOST_TURNS for window in windows(context.said(), "x" * 20_000))


@pytest.mark.parametrize(
    "wrong",
    [{"extractor": "magic"}, {"leave_out": {"users": [""]}}, {"cadence_minutes": -1}, {"marker": " "}, {"x": 1}],
)
def test_settings_that_are_wrong_are_refused(wrong):
    from processors.registry import ProcessorError, register  # noqa: PLC0415

    with pytest.raises(ProcessorError):
        register(VerificationProcessor, options=wrong)
