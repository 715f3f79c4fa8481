"""The labelled windows are what they say, and the evaluation counts what there is to count."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz, process

from processors.verification.model import DETECTIONS, DOMAINS, Candidate, Said, Window
from tests import extraction
from tests.extraction import evaluate, load, main, match, overlap
from tests.labelled import CORPUS, FIXTURES, Case, Expected, corpus, fixtures

PARTS = [path.stem for path in sorted(CORPUS.glob("*.jsonl"))]
ALIKE = 88
"""Of 100: two prompts of some length that are more similar than this are one prompt twice."""


def label(quote, detection_type="correction", domain="data", entities=()):
    return Expected(detection_type, quote, domain, tuple(entities))


def said(quote, detection_type="correction", domain="data", entities=()):
    return Candidate(detection_type, quote[:60], quote, quote, domain, tuple(entities))


def case(prompt, *labels, category="some", name="w"):
    return Case(name, category, Window((), prompt), labels)


class Told:
    """An extractor that says of each window what the test has told it."""

    def __init__(self, answers):
        self.answers = answers

    def extract(self, window):
        return self.answers.get(window, ())


class Nothing:
    """An extractor that finds nothing."""

    def extract(self, window):
        return ()


@pytest.fixture(params=PARTS)
def part(request):
    return corpus(request.param)


def test_the_parts_are_of_a_size():
    assert PARTS == ["dev", "dev2", "heldout"]
    sizes = [len(corpus(name)) for name in PARTS]
    assert min(sizes) >= 150
    assert max(sizes) - min(sizes) <= 20


@pytest.mark.parametrize("name", PARTS)
def test_each_line_has_these_fields_and_no_others(name):
    for line in (CORPUS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert set(row) == {"id", "category", "context", "prompt", "expected"}
        assert all(set(turn) == {"role", "text"} for turn in row["context"])
        assert all(set(item) == {"detection_type", "quote", "domain", "entities"} for item in row["expected"])


def test_labels_are_of_the_model_and_quote_one_place_of_the_prompt(part):
    for each in part:
        prompt = each.window.prompt
        assert prompt.strip(), each.id
        assert all(turn.role in ("person", "assistant") and turn.text for turn in each.window.context), each.id
        for item in each.expected:
            assert item.detection_type in DETECTIONS, each.id
            assert item.domain in DOMAINS, each.id
            assert prompt.count(item.quote) == 1, each.id
            said_before = "\n".join(turn.text for turn in each.window.context)
            written = f"{prompt}\n{said_before}".casefold()
            assert item.entities, each.id
            assert all(entity.strip() and entity.casefold() in written for entity in item.entities), each.id


def test_labels_of_one_window_do_not_overlap(part):
    for each in part:
        places = sorted((at := each.window.prompt.index(item.quote), at + len(item.quote)) for item in each.expected)
        assert all(end <= start for (_, end), (start, _) in pairwise(places)), each.id


def test_corrections_and_confirmations_follow_something_the_assistant_said(part):
    for each in part:
        if {item.detection_type for item in each.expected} & {"correction", "confirmation"}:
            assert "assistant" in [turn.role for turn in each.window.context], each.id


def test_nearly_half_of_the_windows_hold_an_item(part):
    assert 0.40 <= sum(bool(each.expected) for each in part) / len(part) <= 0.50


def test_no_window_is_there_twice():
    cases = [each for name in PARTS for each in corpus(name)]
    assert len({each.id for each in cases}) == len(cases)
    plain = [re.sub(r"\W+", " ", f"{each.window.context} {each.window.prompt}".casefold()) for each in cases]
    assert len(set(plain)) == len(cases)


def test_no_prompt_of_some_length_is_nearly_another():
    prompts = [
        each.window.prompt.casefold() for name in PARTS for each in corpus(name) if len(each.window.prompt) > 25
    ]
    for at, prompt in enumerate(prompts):
        others = prompts[:at] + prompts[at + 1 :]
        assert process.extractOne(prompt, others, scorer=fuzz.token_sort_ratio)[1] < ALIKE, prompt


def test_the_parts_have_the_same_categories():
    assert len({frozenset(each.category for each in corpus(name)) for name in PARTS}) == 1


def test_known_answers_give_known_figures():
    cases = [
        case("No, the key is order_id. Rerun it.", label("No, the key is order_id."), category="one"),
        case("Churn is monthly. P4 has no SLA.", label("Churn is monthly."), label("P4 has no SLA."), category="two"),
        case("Rename foo to bar.", category="none"),
        case("Thanks, that works!", category="none"),
    ]
    answers = [
        [said("the key is order_id"), said("Rerun it.")],
        [said("P4 has no SLA.", "unprompted_definition", "operations")],
        [said("Rename foo to bar.", "unprompted_definition")],
        [],
    ]
    outcome = evaluate(cases, Told({each.window: found for each, found in zip(cases, answers, strict=True)}))
    figures = outcome.figures()
    total = figures["total"]
    assert (total["windows"], total["expected"], total["found"], total["false"]) == (4, 3, 2, 2)
    assert total["precision"] == pytest.approx(2 / 4)
    assert total["recall"] == pytest.approx(2 / 3)
    assert total["f1"] == pytest.approx(4 / 7)
    correction, definition = figures["types"]["correction"], figures["types"]["unprompted_definition"]
    assert (correction["precision"], correction["recall"]) == (pytest.approx(1 / 2), pytest.approx(2 / 3))
    assert (definition["precision"], definition["recall"], definition["f1"]) == (pytest.approx(1 / 2), None, None)
    assert figures["types"]["confirmation"]["precision"] is None
    assert figures["categories"]["one"]["precision"] == pytest.approx(1 / 2)
    assert figures["categories"]["two"]["recall"] == pytest.approx(1 / 2)
    assert (figures["categories"]["none"]["windows"], figures["categories"]["none"]["false"]) == (2, 1)
    assert (figures["type_accuracy"], figures["domain_accuracy"]) == (pytest.approx(1 / 2), pytest.approx(1 / 2))
    assert (figures["windows_without_item"], figures["left_alone"]) == (2, pytest.approx(1 / 2))
    assert sorted(line.split()[0] for line in outcome.lines) == ["false", "false", "missed"]


def test_an_extractor_that_says_the_labels_is_right_about_everything(part):
    answers = {
        each.window: [said(item.quote, item.detection_type, item.domain, item.entities) for item in each.expected]
        for each in part
    }
    shown = evaluate(part, Told(answers)).figures()
    assert (shown["total"]["precision"], shown["total"]["recall"], shown["total"]["f1"]) == (1, 1, 1)
    assert (shown["type_accuracy"], shown["domain_accuracy"], shown["entity_recall"]) == (1, 1, 1)
    assert (shown["quote_precision"], shown["left_alone"]) == (1, 1)


def test_an_extractor_that_says_nothing_has_no_precision_and_finds_nothing(part):
    figures = evaluate(part, Nothing()).figures()
    assert figures["total"]["precision"] is None
    assert figures["total"]["recall"] == 0
    assert figures["type_accuracy"] is None
    assert figures["left_alone"] == 1


def test_a_second_part_of_a_found_item_is_false_and_counted_as_such():
    one = case("Churn is monthly. It is by revenue.", label("Churn is monthly. It is by revenue."))
    found = [said("Churn is monthly."), said("It is by revenue.")]
    figures = evaluate([one], Told({one.window: found})).figures()
    assert (figures["total"]["found"], figures["total"]["false"], figures["false_parts_of_found"]) == (1, 1, 1)


def test_a_quote_nobody_wrote_is_false():
    one = case("Churn is monthly.", label("Churn is monthly."))
    figures = evaluate([one], Told({one.window: [said("Churn is computed monthly.")]})).figures()
    assert (figures["total"]["found"], figures["total"]["false"], figures["false_not_in_prompt"]) == (0, 1, 1)


def test_a_whole_prompt_finds_one_of_two_items_and_shows_as_a_wide_quote():
    one = case("Churn is monthly. P4 has no SLA.", label("Churn is monthly."), label("P4 has no SLA."))
    figures = evaluate([one], Told({one.window: [said(one.window.prompt)]})).figures()
    assert figures["total"]["found"] == 1
    assert figures["quote_precision"] == pytest.approx(4 / 7)


def test_as_many_items_are_matched_as_can_be():
    one = case("a b c d e f", label("a b c"), label("d e f"))
    assert match(one, [said("a b c d e f"), said("a b c")]) == {0: 1, 1: 0}
    assert match(one, [said("a b c"), said("a b c", "confirmation")]) == {0: 0}
    assert match(one, [said("a b c", "confirmation"), said("a b c")]) == {0: 1}


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ("churn is monthly", "Churn  is\nmonthly.", 1.0),
        ("churn is monthly", "is monthly", 1.0),
        ("churn is monthly", "no", 0.0),
        ("no, churn", "churn is monthly", 0.5),
        ("monthly", "yearly", 0.0),
        ("", "churn", 0.0),
        ("!!", "churn", 0.0),
    ],
)
def test_overlap_is_the_part_of_the_shorter_quote(first, second, share):
    assert overlap(first, second, "no, churn is monthly, not yearly") == share


def test_the_same_words_at_another_place_are_no_overlap():
    assert overlap("it is no", "is no it", "it is no it") == pytest.approx(2 / 3)
    assert overlap("use tabs always", "we use tabs", "use tabs always because we use tabs") == 0


@given(st.lists(st.sampled_from(["a", "b", "no", "is"]), min_size=1, max_size=12), st.data())
def test_overlap_is_symmetric_and_a_part(words, data):
    spans = []
    for _ in range(2):
        start = data.draw(st.integers(0, len(words) - 1))
        spans.append(" ".join(words[start : data.draw(st.integers(start + 1, len(words)))]))
    prompt = " ".join(words)
    share = overlap(*spans, prompt)
    assert 0 <= share <= 1
    assert share == overlap(*reversed(spans), prompt)
    assert overlap(spans[0], spans[0], prompt) == 1
    assert overlap(spans[0], prompt, prompt) == 1


def test_flat_sessions_become_windows(tmp_path):
    for name in ("sessions", "expected"):
        (tmp_path / name).mkdir()
    turns = [("user", "Show it."), ("assistant", "Churn is yearly."), ("user", "No,  it is monthly.")]
    lines = [json.dumps({"role": role, "content": text}) for role, text in turns]
    (tmp_path / "sessions" / "s.jsonl").write_text("\n".join(lines) + "\n")
    item = {"detection_type": "correction", "user_quote": "No, it is monthly.", "domain": "finance", "entities": []}
    answer = tmp_path / "expected" / "s.json"
    answer.write_text(json.dumps({"verifications": [item]}))
    first, second = fixtures(tmp_path)
    assert (first.window, first.expected) == (Window((), "Show it."), ())
    context = (Said("person", "Show it."), Said("assistant", "Churn is yearly."))
    assert second.window == Window(context, "No,  it is monthly.")
    assert second.expected == (label("No, it is monthly.", domain="finance"),)
    answer.write_text(json.dumps({"verifications": [item | {"user_quote": "Churn is yearly."}]}))
    with pytest.raises(ValueError, match="quotes no prompt"):
        fixtures(tmp_path)


def test_the_shared_fixtures_can_be_read():
    if not FIXTURES.is_dir():
        pytest.skip(f"NOT TESTED: {FIXTURES} is not there")
    cases = fixtures()
    assert sum(len(each.expected) for each in cases) >= 10
    assert any(not each.expected for each in cases)


def test_the_command_prints_a_table_and_json(capsys, monkeypatch):
    monkeypatch.setattr(extraction, "load", lambda _: Nothing())
    assert main(["--split", "dev", "--show"]) == 0
    table = capsys.readouterr().out
    assert "recall" in table
    assert "missed dev-" in table
    assert main(["--split", "heldout", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["heldout"]["total"]["recall"] == 0
    assert "lines" not in figures["heldout"]


def test_the_command_says_what_is_not_there(capsys, monkeypatch):
    assert main(["--extractor", "processors.nowhere.at_all:It"]) == 2
    assert "NOT MEASURED: there is no module processors.nowhere.at_all" in capsys.readouterr().err
    assert main(["--extractor", "processors.verification.model:Nobody"]) == 2
    assert "NOT MEASURED: there is no class 'Nobody'" in capsys.readouterr().err
    monkeypatch.setattr(extraction, "load", lambda _: Nothing())
    monkeypatch.setattr(extraction, "fixtures", _absent)
    assert main(["--split", "fixtures"]) == 2
    assert "SKIPPED fixtures" in capsys.readouterr().err
    assert main(["--split", "all"]) == 0


def test_an_import_that_fails_inside_an_extractor_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_extractor.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        load("broken_extractor:It")


def _absent():
    raise FileNotFoundError("the fixtures are not there")
