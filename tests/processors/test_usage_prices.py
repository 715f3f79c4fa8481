"""What a response costs: as the price library says, own prices on top, and never a silent zero."""

import itertools
import json
from datetime import UTC, datetime

import pytest
from genai_prices import Usage, data_snapshot

from daemon import open_database, run_processor
from processors.registry import ProcessorError, register
from processors.usage import UsageProcessor

ANTHROPIC = next(provider for provider in data_snapshot.get_snapshot().providers if provider.id == "anthropic")
SMALL = {"input": 1_000, "output": 500, "write_5m": 2_000, "write_1h": 300, "read": 40_000, "searches": 2}
LARGE = SMALL | {"read": 250_000}


def answer(number, model, counts, *, day="2026-06-01", speed=None, tier="standard"):
    """A response as a line of a transcript."""
    created = {
        "ephemeral_5m_input_tokens": counts["write_5m"],
        "ephemeral_1h_input_tokens": counts["write_1h"],
    }
    usage = {
        "input_tokens": counts["input"],
        "output_tokens": counts["output"],
        "cache_creation_input_tokens": counts["write_5m"] + counts["write_1h"],
        "cache_creation": created,
        "cache_read_input_tokens": counts["read"],
        "server_tool_use": {"web_search_requests": counts["searches"]},
        "service_tier": tier,
        "speed": speed,
    }
    message = {"id": f"m{number}", "model": model, "role": "assistant", "content": [], "usage": usage}
    return {"type": "assistant", "timestamp": f"{day}T12:00:00Z", "requestId": f"r{number}", "message": message}


def by_the_library(model, counts, day, context):
    """What genai-prices itself says; it counts cached tokens among the input."""
    written = counts["write_5m"] + counts["write_1h"]
    usage = Usage(
        input_tokens=counts["input"] + written + counts["read"],
        output_tokens=counts["output"],
        cache_write_tokens=written,
        cache_write_1h_tokens=counts["write_1h"],
        cache_read_tokens=counts["read"],
        web_searches=counts["searches"],
    )
    at = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
    return float(model.calc_price(usage, ANTHROPIC, genai_request_timestamp=at, price_context=context).total_price)


@pytest.fixture
def costs(tmp_path):
    """The costs of responses, in their order."""

    def ask(lines, options=None):
        root = tmp_path / "root"
        (root / "ada").mkdir(parents=True)
        (root / "ada" / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        with open_database(tmp_path / "usage.duckdb") as conn:
            processor = register(UsageProcessor, options=options or {}).processor
            assert run_processor(conn, processor, root)["errors"] == 0
            found = conn.execute("SELECT message_id, cost_usd FROM usage_tokens").fetchall()
            return [dict(found)[f"m{number}"] for number in range(len(lines))]

    return ask


def test_every_model_day_size_and_tier_costs_what_the_library_says(costs):
    days = ("2025-01-01", "2026-03-12", "2026-03-13", "2026-10-13", "2026-10-14", "2027-01-01")
    tiers = (
        ("standard", None, None),
        ("standard", "fast", {"speed": "fast"}),
        ("batch", None, {"processing": "batch"}),
    )
    cases = [
        (model, counts, day, tier, speed, context)
        for model, counts, day, (tier, speed, context) in itertools.product(
            ANTHROPIC.models, (SMALL, LARGE), days, tiers
        )
        if speed is None or any(variant.when == context for variant in model.price_variants or ())
    ]
    names = {
        model.id: model.id.removesuffix("-0") if model.id.endswith("4-0") else model.id for model in ANTHROPIC.models
    }
    lines = [
        answer(number, names[model.id], counts, day=day, tier=tier, speed=speed)
        for number, (model, counts, day, tier, speed, _) in enumerate(cases)
    ]
    wanted = [by_the_library(model, counts, day, context) for model, counts, day, _, _, context in cases]
    assert len(wanted) > 500
    assert costs(lines) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic/claude-sonnet-4.5",
        "claude-sonnet-4-5@20250929",
        "claude-sonnet-4-5-20250929[1m]",
        "Claude-Sonnet-4-5",
    ],
)
def test_the_same_model_behind_a_cloud_or_a_gateway_costs_the_same(costs, name):
    assert costs([answer(0, name, SMALL), answer(1, "claude-sonnet-4-5", SMALL)]) == [pytest.approx(0.0518)] * 2


def test_a_model_whose_price_is_not_known_has_its_tokens_counted_and_no_cost(costs):
    lines = [answer(0, "gpt-99", SMALL), answer(1, None, SMALL), answer(2, "claude-sonnet-4-5", SMALL)]
    assert [cost is None for cost in costs(lines)] == [True, True, False]


def test_a_speed_whose_price_is_not_known_has_no_cost(costs):
    lines = [
        answer(0, "claude-sonnet-4-5", SMALL, speed="fast"),
        answer(1, "claude-opus-5", SMALL, speed="ludicrous"),
    ]
    assert costs(lines) == [None, None]


def test_a_response_without_a_time_costs_what_it_costs_now(costs):
    line = answer(0, "claude-opus-4-6", LARGE)
    del line["timestamp"]
    assert costs([line, answer(1, "claude-opus-4-6", LARGE, day="2026-11-01")])[0] == pytest.approx(0.178)


def test_days_before_the_first_price_and_after_the_last_have_the_nearest(costs):
    days = ("1969-07-20", "0001-01-01", "2025-01-01", "9999-12-31", "2027-01-01")
    found = costs([answer(number, "claude-sonnet-4-5", LARGE, day=day) for number, day in enumerate(days)])
    assert found[:2] == [found[2]] * 2
    assert found[3] == found[4] is not None


FEW = dict.fromkeys(SMALL, 0) | {"input": 1_000_000}


def test_an_own_price_without_a_speed_holds_at_any_speed_and_for_batches(costs):
    own = {"prices": [{"model": "glm", "input": 7, "output": 1}]}
    lines = [
        answer(0, "glm", FEW, speed="turbo"),
        answer(1, "glm", FEW, tier="batch"),
        answer(2, "glm", FEW, speed="turbo", tier="batch"),
        answer(3, "glm", FEW, speed=""),
        answer(4, "glm", FEW, tier="priority"),
    ]
    assert costs(lines, own) == [7] * 5


def test_an_own_price_of_a_speed_holds_for_batches_too_and_standard_is_that_of_responses_without_one(costs):
    own = {
        "prices": [
            {"model": "glm", "input": 7, "output": 1, "speed": "standard"},
            {"model": "glm", "input": 9, "output": 1, "speed": "turbo"},
        ]
    }
    lines = [
        answer(0, "glm", FEW, speed="standard", tier="batch"),
        answer(1, "glm", FEW),
        answer(2, "glm", FEW, speed="turbo"),
        answer(3, "glm", FEW, speed="fast"),
    ]
    assert costs(lines, own) == [7, 7, 9, None]


def test_an_empty_speed_is_that_of_a_response_without_one(costs):
    assert costs([answer(0, "claude-opus-5", SMALL, speed=""), answer(1, "claude-opus-5", SMALL)])[0] is not None


def test_a_web_search_under_an_own_price_is_never_free_unless_it_says_so(costs):
    own = {
        "prices": [
            {"model": "glm", "input": 1, "output": 1},
            {"model": "claude-*", "input": 1, "output": 1},
            {"model": "kimi", "input": 1, "output": 1, "web_search": 3},
            {"model": "free", "input": 1, "output": 1, "web_search": 0},
        ]
    }
    asked = dict.fromkeys(SMALL, 0) | {"searches": 1_000}
    lines = [answer(number, name, asked) for number, name in enumerate(["glm", "claude-opus-5", "kimi", "free"])]
    assert costs(lines, own) == [10, 10, 3, 0]


def test_own_prices_go_first_and_the_first_that_fits_counts(costs):
    own = {
        "prices": [
            {"model": "glm-*", "input": 1, "output": 2, "cache_read": 0.5},
            {"model": "glm-4", "input": 100, "output": 100},
            {"model": "Claude-Sonnet-4-5[1m]", "input": 7, "output": 0},
            {"model": "claude-haiku-4-5", "input": 3, "output": 0, "speed": "fast"},
        ]
    }
    few = dict.fromkeys(SMALL, 0) | {"input": 1_000_000, "output": 1_000_000}
    lines = [
        answer(0, "glm-4", few | {"read": 1_000_000, "write_5m": 1_000_000}),
        answer(1, "claude-sonnet-4-5[1M]", few),
        answer(2, "claude-haiku-4-5", few, speed="fast"),
        answer(3, "claude-haiku-4-5", few),
        answer(4, "glm-4", few, speed="fast"),
        answer(5, "my-glm-4", few),
    ]
    assert costs(lines, own) == [4.5, 7, 3, 6, 3, None]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timezone": "Middle/Earth"}, "'Middle/Earth' is no time zone"),
        ({"timezone": "../../etc/passwd"}, "is no time zone"),
        ({"prices": [{"model": "x", "input": -1, "output": 1}]}, "not negative"),
        ({"prices": [{"model": "x", "input": 1, "output": 1, "web_search": -1}]}, "not negative"),
        ({"timezone": "posix/Europe/Berlin"}, "is no time zone"),
        ({"prices": [{"model": "x", "input": 1}]}, "missing required field `output`"),
        ({"prices": [{"model": "x", "input": 1, "output": 1, "currency": "EUR"}]}, "unknown field `currency`"),
        ({"zone": "UTC"}, "unknown field `zone`"),
    ],
)
def test_options_that_are_wrong_are_refused_and_named(options, said):
    with pytest.raises(ProcessorError, match=said):
        register(UsageProcessor, options=options)


def test_a_price_that_is_corrected_counts_for_old_responses_too(tmp_path):
    (tmp_path / "root" / "ada").mkdir(parents=True)
    (tmp_path / "root" / "ada" / "s.jsonl").write_text(json.dumps(answer(0, "glm-4", SMALL)) + "\n")
    found = []
    with open_database(tmp_path / "usage.duckdb") as conn:
        for prices in (
            [],
            [
                {
                    "model": "glm-4",
                    "input": 1000,
                    "output": 0,
                    "cache_read": 0,
                    "cache_write_1h": 0,
                    "cache_write_5m": 0,
                    "web_search": 0,
                }
            ],
        ):
            processor = register(UsageProcessor, options={"prices": prices}).processor
            run_processor(conn, processor, tmp_path / "root")
            found.append(conn.execute("SELECT cost_usd FROM usage_tokens").fetchall())
    assert found == [[(None,)], [(1.0,)]]
