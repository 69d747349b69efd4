"""Assert what an error names, by its fields: wording may change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saiseld.runtime.errors import InputError

Field = str | Path | re.Pattern[str] | None


@contextmanager
def raises(
    kind: type[InputError],
    source: Field = None,
    *,
    place: Field = None,
    expected: Field = None,
    found: Field = None,
    advice: Field = None,
) -> Iterator[pytest.ExceptionInfo[InputError]]:
    """Assert that a block raises this very kind of error, with these fields, on one line.

    A text must be in the field, and an empty one says that the field is empty; a pattern must match
    in it; None asks nothing of it.
    """
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    assert type(error) is kind
    asked = {
        "source": source, "place": place, "expected": expected, "found": found, "advice": advice,
    }  # fmt: skip
    for name, value in asked.items():
        if value is not None:
            told = getattr(error, name)
            assert _fits(value, told), f"{name} is {told!r}, asked for {value!r}: {error}"
    assert "\n" not in str(error)


def _fits(asked: str | Path | re.Pattern[str], told: str) -> bool:
    if isinstance(asked, re.Pattern):
        return asked.search(told) is not None
    return str(asked) in told if asked != "" else told == ""
