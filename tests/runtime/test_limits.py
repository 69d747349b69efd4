"""A limit is told with the variable that lifts it."""

import pytest
from tests.errors import raises

from saiseld.runtime.errors import DataError, RecipeError
from saiseld.runtime.limits import FRAMES, Limit


def test_more_is_refused_and_may_be_asked_for(monkeypatch):
    ten = Limit("rows", 10)
    ten.check(10, DataError, "f")
    message = "^f: rows: expected at most 10, found 11. If that is meant, set SAISELD_MAX_ROWS$"
    with pytest.raises(DataError, match=message):
        ten.check(11, DataError, "f")
    monkeypatch.setenv("SAISELD_MAX_ROWS", "11")
    ten.check(11, DataError, "f")


@pytest.mark.parametrize("text", ["-1", "many", "1e9", "9" * 5000])
def test_a_limit_is_a_whole_number(monkeypatch, text):
    monkeypatch.setenv("SAISELD_MAX_FRAMES", text)
    with raises(RecipeError, "SAISELD_MAX_FRAMES", expected="a whole number"):
        _ = FRAMES.most
