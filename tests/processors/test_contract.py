"""What a processor is given, and what its declarations may look like."""

import dataclasses
import subprocess
import sys
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import processors
from processors import Batch, IncrementalProcessor, ProcessorResult, SessionProcessor, Table
from processors.batch import is_utf8

LINES = st.lists(
    st.sampled_from([b'{"type": "user"}', b"", b"  ", b"nonsense", b"42", b"\xff", b'{"x": "\xff"}', b'{"x": NaN}'])
    | st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"")),
    max_size=12,
)


def batch_of(lines, **more):
    return Batch("alice/2026/s.jsonl", b"".join(line + b"\n" for line in lines), is_first=True, **more)


def test_the_names_that_processors_are_written_against_are_there():
    names = {"ProcessorResult", "SessionProcessor", "IncrementalProcessor", "Batch", "Table", "parse_jsonl"}
    assert names <= set(processors.__all__)


def test_a_batch_knows_its_session_and_its_user():
    batch = batch_of([b"{}"], carry={"n": 1})
    assert (batch.session_key, batch.username, batch.is_first, batch.carry) == (
        "alice/2026/s.jsonl",
        "alice",
        True,
        {"n": 1},
    )


@given(LINES, st.integers(0, 3))
def test_every_line_is_counted_exactly_once_whichever_way_it_is_read(lines, skipped):
    def batch():
        return batch_of(lines, skipped_lines=skipped)

    objects = list(batch().objects())
    assert batch().lines == lines
    for read in (Batch.turns, Batch.objects, lambda batch: []):
        one = batch()
        assert len(list(read(one))) in {0, len(objects)}
        assert one.well_formed_lines == len(objects)
        assert one.malformed_lines == len(lines) - len(objects) + skipped


def test_a_million_blank_lines_cost_less_than_a_tenth_as_many_that_are_decoded():
    def seconds(data, malformed):
        batch = Batch("alice/s.jsonl", data, is_first=True, utf8=True)
        began = time.process_time()
        assert len(list(batch.turns())) == 1
        took = time.process_time() - began
        assert batch.malformed_lines == malformed
        return took

    blank, others = b"\n" * 500_000, b'{"a": NaN\n' * 50_000
    assert seconds(blank + b"{}\n" + blank, 1_000_000) < seconds(others + b"{}\n" + others, 100_000)


@given(LINES)
def test_turns_and_objects_are_of_the_same_lines(lines):
    types = [turn.type for turn in batch_of(lines).turns()]
    assert types == [
        value["type"] if isinstance(value.get("type"), str) else None for value in batch_of(lines).objects()
    ]


def test_the_counts_are_of_all_lines_even_if_only_some_were_read():
    batch = batch_of([b"{}", b"nonsense", b"{}", b""])
    next(batch.turns())
    assert (batch.well_formed_lines, batch.malformed_lines) == (2, 2)


def test_a_line_that_is_not_utf8_is_malformed_even_where_nobody_asks_for_the_text():
    lines = [b'{"type": "user", "unread": "\xff"}', b'{"type": "user", "unread": "\xc3\xa9"}']
    batch = batch_of(lines)
    assert len(list(batch.turns())) == 1
    assert (batch.well_formed_lines, batch.malformed_lines) == (1, 1)


def test_lines_are_decoded_to_the_model_that_the_processor_asks_for():
    class Mine(msgspec.Struct):
        n: int = 0

    assert [mine.n for mine in batch_of([b'{"n": 3, "more": 1}', b'{"n": "x"}', b"{}"]).turns(Mine)] == [3, 0, 0]


@given(st.binary(max_size=12) | st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_the_quick_check_for_utf8_agrees_with_decoding(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_utf8(data)
    else:
        assert is_utf8(data)


def test_a_result_is_empty_unless_said_otherwise_and_cannot_be_changed():
    result = ProcessorResult()
    assert (result.items_count, result.rows, result.updates, result.carry) == (0, {}, {}, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.items_count = 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("Events", {"a": "INTEGER"}), "Events"),
        (('x"; DROP TABLE y', {"a": "INTEGER"}), "DROP"),
        (("t", {"a b": "INTEGER"}), "a b"),
        (("t", {"username": "VARCHAR"}), "username"),
        (("t", {"a": "INTEGER"}, "append", ("b",)), "b"),
        (("t", {"a": "INTEGER"}, "one_per_session", ("a",)), "append"),
    ],
)
def test_a_table_that_cannot_be_made_says_what_is_wrong_with_it(arguments, named):
    with pytest.raises(ValueError, match=named):
        Table(*arguments)


def test_both_forms_give_their_defaults_to_who_inherits_from_them():
    class Fold(IncrementalProcessor):
        name = "fold"

        def process(self, batch):
            return ProcessorResult()

    class Whole(SessionProcessor):
        name = "whole"

        def process_session(self, session_path, username, session_key, conn):
            return ProcessorResult()

    assert (Fold().version, Fold().cadence_minutes, Fold().tables) == (1, 0, ())
    assert Whole().cadence_minutes == 0
    assert isinstance(Fold(), IncrementalProcessor)
    assert isinstance(Whole(), SessionProcessor)


def test_threads_that_decode_a_model_for_the_first_time_at_once_do_not_crash_the_process():
    script = """
import sys, threading
import msgspec
from processors import Batch

sys.setswitchinterval(1e-6)
for number in range(150):
    inner = msgspec.defstruct(f"Inner{number}", [(f"f{n}", "int | None", None) for n in range(5)])
    model = msgspec.defstruct(f"Model{number}", [("a", inner), ("b", list[inner]), ("c", dict[str, inner])])
    barrier = threading.Barrier(4)

    def work():
        barrier.wait()
        line = b'{"a":{"f1":1},"b":[{"f2":2}],"c":{"x":{"f3":3}}}\\n'
        turns = list(Batch("a/b.jsonl", line, is_first=True).turns(model))
        assert turns[0].c["x"].f3 == 3

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0
