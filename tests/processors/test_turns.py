"""One definition of a well-formed line: UTF-8, and one object to the standard library's json."""

import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processors import Batch, Turn, parse_jsonl, turns
from processors.turns import LineDecoder, liberal, load_object

TEXT = st.text(max_size=8) | st.sampled_from(["\u2028", "\ud800", "\udc00x", "\0", "/", "\\", '"', "é", "😀"])
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from([2**64, -(2**63) - 1, 10**400, "2026-01-01T00:00:00Z", "no time", "user", "assistant"])
)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)
KEYS = ["type", "uuid", "timestamp", "isSidechain", "message", "content", "role", "usage", "input_tokens", "id"]
OBJECT = st.dictionaries(st.sampled_from(KEYS) | TEXT, VALUE, max_size=5)


def _as_line(value, ascii_only: bool) -> bytes:
    text = json.dumps(value, ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass").replace(b"\n", b" ")


@st.composite
def mutated(draw):
    """An object as a line, with a few bytes of it exchanged, inserted or cut out."""
    line = bytearray(_as_line(draw(OBJECT), draw(st.booleans())))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(line)))
        piece = draw(st.binary(max_size=2) | st.sampled_from([b"{", b"}", b'"', b"\\", b",", b"NaN", b"-", b"\xed"]))
        line[at : at + draw(st.integers(0, 2))] = piece
    return bytes(line).replace(b"\n", b" ")


def plainly(line: bytes):
    """The definition, with nothing but the standard library."""
    try:
        value = json.loads(line.decode("utf-8-sig"), parse_int=float)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def storable(value):
    """Lone surrogates as they are stored, and numbers that are equal to themselves."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


@given(mutated() | st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")))
@example(b'{"type": "user", "x": NaN}')
@example(b'{"x": "\xed\xa0\x80"}')
@example(b'\xef\xbb\xbf{"type": "user"}')
@example(b'{"x": "\\uZZZZ"}')
@example(b'{"x": "a\x01b"}')
@example(b'{"x": 01}')
@example(b'{"x": 1}\0')
@example(b'{"x": 1}\x0c')
@example(b'{"x": 1}\r')
def test_a_line_is_well_formed_exactly_if_the_standard_library_says_so(line):
    well_formed = plainly(line) is not None
    assert (load_object(line) is not None) == well_formed
    batch = Batch("alice/s.jsonl", line + b"\n", is_first=True)
    assert len(list(batch.turns())) == well_formed
    assert (batch.well_formed_lines, batch.malformed_lines) == (well_formed, not well_formed)


@given(mutated())
def test_an_object_has_the_values_that_the_standard_library_gives(line):
    value = load_object(line)
    if value is not None:
        assert storable(value) == storable(json.loads(line.decode("utf-8-sig")))
        json.dumps(value, ensure_ascii=False).encode()  # no database could store a lone surrogate


@pytest.mark.parametrize(
    "line",
    [b"", b"   ", b"\t", b'"text"', b"42", b"null", b"[{}]", b"{", b"{}}", b"{}{}", b"\xff", b"\0", b"nonsense"],
)
def test_blank_lines_and_what_is_no_object_are_malformed(line):
    assert load_object(line) is None
    assert LineDecoder(Turn)(line) is None


@pytest.mark.parametrize(
    "number", ["18446744073709551616", "-9223372036854775809", "1e400", "9" * 400, "9" * 5000, "-" + "9" * 5000]
)
def test_every_way_of_decoding_agrees_about_huge_numbers(number):
    for name in ("unknown", "type", "message"):
        line = f'{{"uuid": "u", "{name}": {number}}}\n'.encode()
        batches = [Batch("alice/s.jsonl", line, is_first=True) for _ in range(3)]
        ways = [len(list(batches[0].turns())), len(list(batches[1].objects())), batches[2].well_formed_lines]
        assert len(set(ways)) == 1, ways


def test_deep_nesting_is_one_malformed_line_and_its_neighbours_are_kept():
    deep = b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    batch = Batch("alice/s.jsonl", b'{"n": 1}\n' + deep + b'\n{"n": 2}\n', is_first=True)
    assert [value["n"] for value in batch.objects()] == [1, 2]
    assert len(list(batch.turns())) == 2
    assert batch.malformed_lines == 1


def test_ordinary_nesting_is_no_reason_to_drop_a_line():
    assert load_object(b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}") is not None


def test_a_lone_surrogate_is_replaced_and_a_pair_is_one_character():
    turn = LineDecoder(Turn)(b'{"type": "user", "cwd": "\\ud800", "gitBranch": "\\ud83d\\ude00"}')
    assert (turn.type, turn.cwd, turn.git_branch) == ("user", "\ufffd", "😀")


def test_a_field_of_the_wrong_type_takes_its_default_and_the_rest_of_the_line_is_kept():
    line = {
        "type": "assistant",
        "uuid": 7,
        "isSidechain": "yes",
        "timestamp": "yesterday",
        "sessionId": "s",
        "message": {
            "id": "m",
            "model": ["no"],
            "usage": {"input_tokens": 5, "output_tokens": "many", "cache_creation": 3},
            "content": ["no block", {"type": "text", "text": 9}, {"type": "tool_use", "name": "Bash", "input": 1}],
        },
    }
    turn = LineDecoder(Turn)(json.dumps(line).encode())
    assert (turn.type, turn.uuid, turn.is_sidechain, turn.timestamp, turn.session_id) == (
        "assistant",
        None,
        None,
        None,
        "s",
    )
    message = turn.message
    assert (message.id, message.model) == ("m", None)
    assert (message.usage.input_tokens, message.usage.output_tokens, message.usage.cache_creation) == (5, None, None)
    assert [(block.type, block.text, block.name, block.input) for block in message.content] == [
        ("text", None, None, None),
        ("tool_use", None, "Bash", None),
    ]


@given(OBJECT)
def test_the_liberal_way_never_fails_and_agrees_with_the_quick_one(fields):
    turn = liberal(Turn, fields)
    try:
        quick = msgspec.convert(fields, Turn)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return  # it takes neither other types nor lone surrogates
    assert turn == quick


def test_times_are_read_with_and_without_an_offset():
    decode = LineDecoder(Turn)
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    assert decode(b'{"timestamp": "2026-01-02T03:04:05.678Z"}').timestamp == moment
    assert decode(b'{"timestamp": "2026-01-02T05:04:05.678+02:00"}').timestamp == moment


@pytest.fixture
def file(tmp_path):
    return tmp_path / "s.jsonl"


def test_parse_jsonl_gives_all_objects_in_order_and_nothing_else(file):
    file.write_bytes(
        b'\xef\xbb\xbf{"n": 1}\r\n\n   \nnonsense\n"text"\n42\n[1]\n\xff\xfe\n{"n": "\xff"}\n\0\n{"n": 2}\n{"n": 3'
    )
    assert parse_jsonl(file) == [{"n": 1}, {"n": 2}]


def test_parse_jsonl_ends_lines_at_a_newline_only(file):
    text = "\u2028\u2029\x85\v\f"
    file.write_text(json.dumps({"text": text[:3]}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert parse_jsonl(str(file)) == [{"text": "\u2028\u2029\x85"}]
    file.write_bytes(b'{"n":\r1}\n')
    assert parse_jsonl(file) == [{"n": 1}]


def test_parse_jsonl_takes_a_last_line_without_a_newline_if_it_is_whole(file):
    file.write_bytes(b'{"n": 1}\n{"n": 2}')
    assert parse_jsonl(file) == [{"n": 1}, {"n": 2}]


def test_parse_jsonl_of_an_empty_file_is_empty(file):
    file.touch()
    assert parse_jsonl(file) == []


@given(st.lists(OBJECT | st.text(max_size=5) | st.none(), max_size=6))
def test_parse_jsonl_gives_back_what_was_written(tmp_path_factory, values):
    file = tmp_path_factory.mktemp("jsonl") / "s.jsonl"
    file.write_bytes(b"".join(_as_line(value, ascii_only=True) + b"\n" for value in values))
    assert storable(parse_jsonl(file)) == [storable(value) for value in values if isinstance(value, dict)]


def test_parse_jsonl_follows_no_link_and_waits_for_no_fifo(tmp_path, file):
    file.write_bytes(b"{}\n")
    (tmp_path / "link.jsonl").symlink_to(file)
    os.mkfifo(tmp_path / "fifo.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("link.jsonl", "fifo.jsonl", "folder.jsonl", "missing.jsonl"):
        with pytest.raises(OSError, match=name):
            parse_jsonl(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


@pytest.mark.parametrize("hole", [0, 1 << 20, 1 << 40])
def test_a_line_over_the_limit_is_skipped_and_holes_in_it_are_not_read(tmp_path, hole, monkeypatch):
    monkeypatch.setattr(turns, "LONGEST_LINE", 1000)
    path = tmp_path / "s.jsonl"
    with path.open("wb") as file:
        file.write(b'{"n": 1}\n' + b"x" * 990 + b'{"m": 1}\n')  # of 998 bytes, and no object
        file.write(b'{"n": 2, "text": "%s"}\n' % (b"x" * 979) + b"x" * 3000)
        file.seek(hole, os.SEEK_CUR)
        file.write(b'x\n{"n": 3}\n{"n": 4, "text": "%s"}\n' % (b"x" * 2000))
        file.write(b'{"n": 5}')
    assert [value["n"] for value in parse_jsonl(path)] == [1, 2, 3, 5]
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + 5 + hole)
    assert [value["n"] for value in parse_jsonl(path)] == [1, 2, 3]


def test_a_file_that_is_appended_to_while_it_is_read_is_read_to_where_it_ended(tmp_path, monkeypatch):
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'{"n": 1}\n' * 3)
    decode = turns.load_object

    def append(line):
        with path.open("ab") as file:
            file.write(b'{"n": 2}\n' * 3)
        return decode(line)

    monkeypatch.setattr(turns, "load_object", append)
    assert [value["n"] for value in parse_jsonl(path)] == [1, 1, 1]
