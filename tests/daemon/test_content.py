"""The hash of a content: the same however it came, another for any other content, plain where nothing is empty."""

import os

import pytest
from blake3 import blake3
from hypothesis import example, given
from hypothesis import strategies as st

from daemon import compute_file_hash, content
from daemon.content import BLOCK_BYTES, Content, Hasher

PIECES = st.lists(st.binary(max_size=12) | st.integers(0, 40), max_size=8)
"""Bytes, and numbers of zeros."""


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_BYTES", 8)
        yield


def plain(data):
    """The definition, block by block."""
    blocks = [data[at : at + 8] for at in range(0, len(data), 8)]
    rest, runs = b"", []
    for number, block in enumerate(blocks):
        if block != bytes(8):
            rest += block
        elif runs and sum(runs[-1]) == number:
            runs[-1][1] += 1
        else:
            runs.append([number, 1])
    return rest, runs


def name_of(pieces, *, as_holes):
    hasher = Hasher()
    for piece in pieces:
        if isinstance(piece, bytes):
            hasher.update(piece)
        elif as_holes:
            hasher.hole(piece)
        else:
            hasher.update(bytes(piece))
        hasher.copy().update(b"something else")
        hasher.named()
    return hasher.named()


def joined(pieces):
    return b"".join(piece if isinstance(piece, bytes) else bytes(piece) for piece in pieces)


@given(PIECES, PIECES)
@example([8], [7])
@example([8, b"x"], [b"x", 8])
@example([16], [8])
@example([4, b"x" * 4, 8], [8, 4, b"x" * 4])
def test_two_contents_have_one_name_exactly_if_they_are_one_content(one, other):
    names = {name_of(one, as_holes=True), name_of(one, as_holes=False), name_of([joined(one)], as_holes=True)}
    assert len(names) == 1
    assert (name_of(other, as_holes=True) in names) == (joined(one) == joined(other))


@given(PIECES)
def test_a_name_is_the_plain_hash_where_no_block_is_empty_and_says_so_where_one_is(pieces):
    data = joined(pieces)
    _, runs = plain(data)
    name = name_of(pieces, as_holes=True)
    if runs:
        assert name.startswith("blake3-holes:")
    else:
        assert name == f"blake3:{blake3(data).hexdigest()}"


def test_holes_of_terabytes_are_hashed_without_being_read(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "BLOCK_BYTES", BLOCK_BYTES)
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 40)
        file.write(b"middle")
        file.truncate(2 << 40)
    reader = Content()
    with path.open("rb") as file:
        if not reader.hole(file.fileno(), BLOCK_BYTES, 1 << 40):
            pytest.skip("NOT TESTED: this file system does not tell where its holes are")
        first = reader.hash(file.fileno(), 2 << 40).named()
    assert reader.bytes_read < 16 * BLOCK_BYTES
    assert compute_file_hash(path) == first
    with path.open("r+b") as file:
        file.seek(1 << 39)
        file.write(bytes(2 * BLOCK_BYTES))  # what is a hole and what was written is one content
    assert compute_file_hash(path) == first
    os.truncate(path, (2 << 40) - 1)
    assert compute_file_hash(path) != first
