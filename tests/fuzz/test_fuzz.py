"""The daemon's reading of lines and files against a plain one: inputs that were found or failed, and random ones.

The long run is ``python -m tests.fuzz``.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import reading
from daemon.lines import split
from tests.fuzz import targets
from tests.fuzz.targets import PIECES, TARGETS

CORPUS = sorted(path for path in (Path(__file__).parent / "corpus").glob("*/*") if path.is_file())
WORDS = [
    b'{"type": "user", ',
    b'"message": {"content": [',
    b'"usage": {"input_tokens": ',
    b'"timestamp": "2026-01-01T00:00:00Z"',
    b'"is_error": ',
    b"NaN",
    b"-0",
    b"1.0",
    b"1e999",
    b"18446744073709551616",
    b"9" * 4400,
    b"null",
    b'"\\ud800"',
    b'"\\u0000"',
    b"\xed\xa0\x80",
    b"[" * 300,
    *b'{}[],:"\\\r\n\t\0',
    *PIECES,
]
WORD = st.sampled_from([word if isinstance(word, bytes) else bytes([word]) for word in WORDS])
LINES = st.lists(WORD | st.binary(max_size=6), max_size=24).map(b"".join)
MOVES = st.lists(st.integers(0, 31) | st.integers(0, 255), max_size=120).map(bytes)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_was_found_once(path):
    TARGETS[path.parent.name](path.read_bytes())


@given(LINES)
@settings(max_examples=200)
def test_every_decoder_says_of_a_line_what_the_standard_library_does(data):
    TARGETS["lines"](data)


@given(MOVES)
@settings(max_examples=80)
def test_any_pieces_read_in_any_chunks_give_the_lines_of_the_whole(data):
    TARGETS["chunks"](data)


@given(MOVES)
@settings(max_examples=80)
def test_whatever_is_done_to_a_file_ends_as_the_plain_reading_of_it(data):
    TARGETS["appends"](data)


def _nothing_of(split):
    return lambda *where, **how: replace(split(*where, **how), data=b"")


@pytest.mark.parametrize(
    ("target", "data", "place", "broken"),
    [
        pytest.param("lines", b"no object", targets, {"load_object": lambda _line: {}}, id="takes anything"),
        pytest.param("chunks", bytes([90, 3, 1, 2, 2, 1]), reading, {"split": _nothing_of(split)}, id="loses lines"),
        pytest.param(
            "appends",
            bytes([0, 199, 5, 1, 2, 2, 0, 15, 5, 1, 1, 1, 0, 15]),
            reading.Reader,
            {"_prefix": lambda _self, _fd, _seen, _cursor, known, **_: known[0]},
            id="takes any change for an append",
        ),
    ],
)
def test_the_comparison_can_fail(target, data, place, broken, monkeypatch):
    for name, value in broken.items():
        monkeypatch.setattr(place, name, value)
    with pytest.raises(AssertionError):
        TARGETS[target](data)
