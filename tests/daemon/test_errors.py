"""What is shown of a text or an error can act on nothing."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.errors import QueryError, describe, printable


@given(st.text(st.characters()) | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Cn"])))
@example("\x1b]0;title\x07\x9b31m\x7f\u202e\u2028\u200b\ufeff\U000e0041\ud800\r\n\t")
def test_what_is_shown_of_any_text_is_printable_and_tells_it_apart_from_what_was_so_before(text):
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert (shown == text) == text.isprintable()
    shown.encode()


def _raised(error):
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret\x1b[2J"),
        type("\x1b[2J\u202e", (Exception,), {})("secret"),
        OSError(5, "secret\x1b[2J".replace("secret", "")),
        FileNotFoundError(2, "No such file", "secret\n"),
        KeyError("secret"),
        UnicodeDecodeError("utf-8", b"secret\xff", 6, 7, "secret"),
    ],
    ids=lambda error: type(error).__name__.encode("ascii", "replace").decode(),
)
def test_what_is_said_of_an_error_quotes_nothing_and_is_harmless(error):
    for each in (error, _raised(error)):
        assert describe(each).isprintable()
        assert "secret" not in describe(each)


def test_an_error_of_ours_says_what_it_says_on_one_line():
    assert describe(QueryError("a\nb\x1b", "c\u202e")) == r"a\nb\x1b (c\u202e)"


def test_code_of_a_hostile_name_is_named_harmlessly():
    def ends():
        raise RuntimeError

    ends.__code__ = ends.__code__.replace(co_name="f\x1b[2J", co_filename="x\n\x1b.py")
    with pytest.raises(RuntimeError) as caught:
        ends()
    assert describe(caught.value).isprintable()
