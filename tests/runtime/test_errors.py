"""Every message is one line of bounded length that a terminal only shows."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.errors import raises

from saiseld.runtime.errors import DataError, InputError, OutputError, one_line, refusing

ANYTHING = st.text(st.characters(exclude_categories=[]))


@given(ANYTHING, ANYTHING, ANYTHING)
def test_one_line_whatever_the_input_holds(source, place, found):
    message = str(InputError(source, place=place, expected="a name", found=found))
    assert message.isprintable() and message.encode()


@given(st.integers(0, 100_000))
def test_messages_are_bounded(length):
    assert len(str(InputError("f", expected="a number", found="\x1b" * length))) < 500


def test_what_is_plain_is_left_as_it_is():
    assert one_line("Besprechung über 3 µs, 会議.wav") == "Besprechung über 3 µs, 会議.wav"
    assert one_line("red \x1b[31m\n\udcff") == r"red \x1b[31m\n\udcff"


def test_a_decoder_that_fails_is_one_error():
    with (
        raises(DataError, expected="a table", found="bad magic"),
        refusing(DataError, "f", "a table"),
    ):
        raise ArithmeticError("bad magic\nat line 3\nin zlib")
    with raises(DataError, found="KeyError"), refusing(DataError, "f", "a table"):
        raise KeyError
    with pytest.raises(OutputError), refusing(DataError, "f", "a table"):
        raise OutputError("g", expected="", found="")


def test_errors_survive_the_way_between_processes():
    error = DataError("f", place="line 3", expected="a number", found="none", advice="Mend it")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301
