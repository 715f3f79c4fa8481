"""What the rules find, what they leave alone, and that no text keeps them long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.verification.model import DOMAINS, MOST_CONTENT, MOST_TITLE, Said, Window
from processors.verification.rules import RulesExtractor
from tests.labelled import FIXTURES, corpus, fixtures

METRIC = "The churn rate is the number of customers lost, divided by all customers at the end of the period."


def found(prompt, assistant=""):
    context = (Said("person", "Show me the numbers."), Said("assistant", assistant)) if assistant else ()
    return RulesExtractor().extract(Window(context, prompt))


def only(prompt, assistant=""):
    candidates = found(prompt, assistant)
    assert len(candidates) == 1
    return candidates[0]


needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the sessions in ../shared are not there")


@needs_fixtures
def test_each_expected_item_of_the_fixtures_is_found_and_no_other():
    for case in fixtures():
        quotes = [candidate.user_quote for candidate in RulesExtractor().extract(case.window)]
        assert quotes == [expected.quote for expected in case.expected], case.id


@needs_fixtures
def test_types_and_domains_of_the_fixtures_are_the_expected_ones():
    for case in fixtures():
        for candidate, expected in zip(RulesExtractor().extract(case.window), case.expected, strict=True):
            assert candidate.domain == expected.domain, case.id
            if case.window.context:  # what comes first answers nothing
                assert candidate.detection_type == expected.detection_type, case.id


@pytest.mark.parametrize(
    ("prompt", "content"),
    [
        ("No, churn is lost MRR divided by starting MRR.", "Churn is lost MRR divided by starting MRR."),
        ("That's wrong. Our churn is based on MRR.", "Our churn is based on MRR."),
        ("Not quite \u2014 we count churn by MRR.", "We count churn by MRR."),
        ("thats not right, churn is always based on revenue", "Churn is always based on revenue"),
        ("Actually, our churn rate is measured on revenue, not on customers.", None),
        ("Churn is based on revenue, not on customers.", None),
        ("Hmm, no. We don\u2019t count customers, we count lost MRR.", None),
        ("Nein, Churn wird bei uns immer auf Basis von MRR berechnet.", None),
    ],
)
def test_a_correction_states_how_it_is(prompt, content):
    candidate = only(prompt, METRIC)
    assert candidate.detection_type == "correction"
    assert candidate.user_quote == prompt
    assert content in {None, candidate.content}


@pytest.mark.parametrize(
    "prompt",
    [
        "Yes, that's correct. order_id is the primary key of the orders table.",
        "Right, the primary key of orders is order_id.",
        "yep, order_id is the primary key",
    ],
)
def test_a_confirmation_states_it_again(prompt):
    candidate = only(prompt, "The primary key of the orders table appears to be order_id.")
    assert candidate.detection_type == "confirmation"
    assert candidate.user_quote == prompt
    assert "order_id" in candidate.entities
    assert candidate.domain == "data"


def test_a_bare_yes_confirms_what_the_question_states():
    candidate = only("Yes, exactly.", "So forecasted churn is computed monthly, right?")
    assert candidate.detection_type == "confirmation"
    assert candidate.user_quote == "Yes, exactly."
    assert candidate.content == "Forecasted churn is computed monthly"


@pytest.mark.parametrize(
    "question",
    [
        "Should I compute churn monthly?",
        "Do you want me to use the orders table?",
        "I would compute churn monthly. Is that OK?",
        "What shall I do next?",
        "Churn is computed monthly.",
    ],
)
def test_a_bare_yes_to_a_plan_or_to_no_question_is_nothing(question):
    assert not found("Yes, exactly.", question)


@pytest.mark.parametrize(
    "prompt",
    [
        "Our convention is that all money is stored in cents.",
        "We define churn as lost MRR over starting MRR.",
        "FYI, our retention metric is defined as the share of users active in two months in a row.",
        "By active user we mean somebody who has logged in within 30 days.",
        "For reference: our CAC is calculated as marketing spend divided by new customers.",
        "Our fiscal year starts in February.",
        "We always bill annual contracts in advance.",
        "Never commit customer data in this company, it stays in the EU region.",
        "Zur Info: unser Geschäftsjahr beginnt im Oktober.",
    ],
)
def test_a_definition_answers_nothing(prompt):
    candidate = only(prompt)
    assert candidate.detection_type == "unprompted_definition"
    assert candidate.user_quote == prompt


@pytest.mark.parametrize(
    ("assistant", "prompt"),
    [
        ("I've used a while loop.", "no, use a for loop"),
        ("The tests pass now.", "wrong, the test still fails"),
        ("I named it bar.", "actually rename it to foo"),
        ("Shall I push it?", "don't push yet"),
        ("The function returns a list.", "No, it should return a tuple."),
        ("I've added the index.", "Perfect. Now do the same for invoices."),
        (METRIC, "Great, thanks"),
        (METRIC, "No, thanks."),
        (METRIC, "Yes"),
        ("", "How do we define churn?"),
        ("", "Show me revenue by month, net of refunds"),
        ("", "Suppose our churn is 5%, how many customers are left?"),
        ("", "I think our fiscal year starts in July"),
        ("", "Oh sure, our policy is obviously to delete every failing test."),
        ("", "our pipeline is broken"),
        ("", 'From the wiki: "Our fiscal year starts in May. We always bill in advance."'),
        ("", "> Our fiscal year starts in May.\nIs that still so?"),
        ("", "```\nOur fiscal year starts in May.\n```\nwhat is this?"),
        ("", "Summarise this:\n\nOur fiscal year starts in May."),
        ("", "see below\n\nFrom: Ann\nSubject: Year\n\nOur fiscal year starts in May."),
        ("", "<system-reminder>\nOur fiscal year starts in May.\n</system-reminder>"),
        ("Git stores diffs.", "No, git stores snapshots, not diffs."),
    ],
)
def test_what_is_no_knowledge_of_an_organisation_is_left_alone(assistant, prompt):
    assert not found(prompt, assistant)


def test_two_facts_are_two_candidates_and_what_adds_to_one_belongs_to_it():
    prompt = (
        "Not quite. We use a rolling 90-day NPS. The current score is around 52.\n\n"
        "Also, FYI, our retention metric is defined as users active in two months. We call it MAU retention."
    )
    first, second = found(prompt, "The NPS score for last quarter was 45.")
    assert first.user_quote + "\n\n" + second.user_quote == prompt
    assert [first.detection_type, second.detection_type] == ["correction", "unprompted_definition"]


def test_items_of_a_list_are_candidates_of_their_own():
    prompt = (
        "Our definitions:\n- churn = lost MRR over starting MRR\n- ARPU is always net of refunds\nNow fix the chart."
    )
    assert [candidate.content for candidate in found(prompt)] == [
        "Churn = lost MRR over starting MRR",
        "ARPU is always net of refunds",
    ]


def test_long_statements_are_cut_at_a_word_and_their_quote_is_not():
    prompt = "We define churn as lost MRR " + "and everything that counts towards it " * 20 + "of the month."
    candidate = only(prompt)
    assert len(candidate.title) <= MOST_TITLE
    assert len(candidate.content) <= MOST_CONTENT
    assert candidate.content.endswith("\u2026")
    assert candidate.user_quote == prompt


def test_a_statement_deep_in_a_long_prompt_is_found():
    filler = "Then I opened the page. " * 20_000
    assert [each.user_quote for each in found(f"{filler}\n\nOur fiscal year starts in May.")] == [
        "Our fiscal year starts in May."
    ]


PIECES = [case.window.prompt for case in corpus("dev")]
PIECES += [
    "No, ",
    "yes ",
    "- ",
    "\n",
    "\n\n",
    '"',
    "```\n",
    ": ",
    "\u2014 ",
    "it's ",
    "our churn is ",
    ", not ",
    "\u0130",
    "? ",
]


@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=10), max_size=6).map("".join),
    st.sampled_from(["", METRIC, "So churn is computed monthly, right?"]),
)
def test_a_candidate_keeps_to_its_limits_and_its_quote_stands_in_the_prompt(prompt, assistant):
    for candidate in found(prompt, assistant):
        assert candidate.user_quote in prompt
        assert candidate.user_quote == candidate.user_quote.strip() != ""
        assert 0 < len(candidate.title) <= MOST_TITLE
        assert 0 < len(candidate.content) <= MOST_CONTENT
        assert candidate.domain in DOMAINS
        assert len({name.lower() for name in candidate.entities}) == len(candidate.entities) <= 8
    assert found(prompt, assistant) == found(prompt, assistant)


@pytest.mark.parametrize(
    "piece",
    [
        "no, no, no, ",
        "no. ",
        "- ",
        "\u2014",
        "a",
        "\n",
        "> x\n",
        '"',
        "<a>",
        "fyi ",
        "We use orders, not invoices, and ",
        "a_",
        "| ",
    ],
)
def test_the_time_grows_with_the_length(piece):
    def seconds(size):
        prompt = piece * (size // len(piece))
        started = time.process_time()
        found(prompt, METRIC)
        return time.process_time() - started

    assert seconds(160_000) < 4 * 4 * seconds(40_000) + 0.2, "four times the length: some four times as long"
