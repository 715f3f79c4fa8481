"""Usage of hostile lines: the work grows with their length and no quicker, and what is kept of them is bounded."""

import json
import time

import msgspec
import pytest

from processors import Batch, Turn
from processors.testing import check_fold
from processors.turns import LineDecoder
from processors.usage import UsageProcessor
from processors.usage.fold import MAX_COPIES, MAX_EARLY_RESULTS, MAX_OPEN_CALLS, Fold
from processors.usage.summary import MAX_RESPONSES, SUMMARY, Summary


def said(text) -> bytes:
    return json.dumps({"type": "user", "message": {"content": text}}).encode()


def answer(*blocks) -> bytes:
    return json.dumps({"type": "assistant", "uuid": "u", "message": {"content": list(blocks)}}).encode()


def call(use, name="Bash"):
    return {"type": "tool_use", "id": use, "name": name, "input": {}}


def result(use):
    return {"type": "tool_result", "tool_use_id": use, "is_error": True}


def seconds(line: bytes) -> float:
    """How long the quickest of three runs over a line takes."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        UsageProcessor().process(Batch("eve/e.jsonl", line + b"\n", is_first=True))
        took.append(time.perf_counter() - began)
    return min(took)


LINES = {
    "a command that never ends": lambda n: said("<command-name>x" + " " * n + "<"),
    "commands that only begin": lambda n: said("<command-name>" * (n // 10)),
    "commands of spaces": lambda n: said(("<command-name>" + " " * 50 + "/") * (n // 50)),
    "commands": lambda n: said("<command-name>x</command-name>" * (n // 300)),
    "ends of commands": lambda n: said("<command-name>" + "</command-nam" * (n // 10)),
    "reminders": lambda n: said("<system-reminder> </system-reminder> " * (n // 10)),
    "ends of reminders": lambda n: said("</system-reminder>" * (n // 10)),
    "spaces": lambda n: said(" " * n),
    "lone surrogates": lambda n: said("\ud800" * n),
    "a long name of a tool": lambda n: answer(call("t", "mcp__" + "__" * n)),
    "one call many times": lambda n: answer(*[call("t") for _ in range(n // 100)]),
    "many calls": lambda n: answer(*[call(f"t{number}") for number in range(n // 10)]),
    "many results": lambda n: said([result(f"t{number}") for number in range(n // 10)]),
    "a long number": lambda n: b'{"type": "user", "n": ' + b"9" * n + b"}",
    "long numbers": lambda n: b'{"type": "user", "n": [' + b",".join([b"9" * 4299] * (n // 4000)) + b", NaN]}",
    "deep nesting": lambda n: b'{"type": "user", "n": ' + b"[" * n + b"]" * n + b"}",
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_is_eight_times_as_long_takes_about_eight_times_as_long_and_not_sixty_four(name):
    short, long = (LINES[name](length) for length in (40_000, 320_000))
    # 8 would be in proportion, 64 the square; what takes under 2 ms says nothing.
    assert seconds(long) < max(24 * seconds(short), 0.002)


def test_what_is_remembered_of_calls_and_results_that_never_meet_is_bounded():
    fold = Fold("eve/e.jsonl", Summary())

    def add(*lines):
        fold.add(map(LineDecoder(Turn), lines))

    add(*(answer(call(f"t{number}")) for number in range(MAX_OPEN_CALLS + 5_000)))
    add(*(said([result(f"never{number}")]) for number in range(MAX_EARLY_RESULTS + 500)))
    add(*[answer(call("one"))] * (MAX_COPIES + 50))
    summary = fold.summary
    assert MAX_OPEN_CALLS * 0.9 <= len(summary.open_calls) <= MAX_OPEN_CALLS
    assert MAX_EARLY_RESULTS * 0.9 <= len(summary.early_results) <= MAX_EARLY_RESULTS
    assert max(map(len, summary.open_calls.values())) == MAX_COPIES


@pytest.mark.parametrize("cut", [1, 950, 1_001, 1_300, 1_501, 2_200])
def test_results_beyond_the_bound_are_given_up_wherever_it_is_cut(cut):
    lines = [said([result(f"t{number}")]) for number in range(1_500)]
    lines += [answer(call(f"t{number}")) for number in range(1_500)]
    check_fold(UsageProcessor(), lines, [cut])


def test_what_is_remembered_of_responses_is_bounded_and_each_is_counted():
    fold = Fold("eve/e.jsonl", Summary())
    number = MAX_RESPONSES + 5_000

    def add(*names):
        spent = {"input_tokens": 1, "output_tokens": 1}
        lines = [json.dumps({"type": "assistant", "message": {"id": n, "model": "m", "usage": spent}}) for n in names]
        fold.add(map(LineDecoder(Turn), (line.encode() for line in lines)))

    for n in range(number):
        add(f"m{n}", f"m{n}")
    summary = fold.summary
    assert MAX_RESPONSES * 0.9 <= len(summary.responses) <= MAX_RESPONSES
    row = dict(zip(SUMMARY.columns, summary.row(None), strict=True))
    assert (row["assistant_messages"], row["input_tokens"], row["usage_lines"]) == (number, number, 2 * number)
    assert len(msgspec.msgpack.encode(summary)) < 1 << 20
