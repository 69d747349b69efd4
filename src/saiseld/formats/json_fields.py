"""JSON that people write by hand: the fields of a value type, and no others."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from saiseld.runtime.errors import InputError, refusing

T = TypeVar("T")


def read_json_fields(path: Path, value_type: type[T], kind: type[InputError], expected: str) -> T:
    """Return a dataclass of a JSON file whose keys are its fields; one misspelled is not ignored.

    Raises
    ------
    InputError
        Of ``kind``, if the file is none such.
    """
    with refusing(kind, path, expected):
        given = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    known = [field.name for field in fields(value_type)]  # type: ignore[arg-type]
    if unknown := sorted(set(given) - set(known)):
        raise kind(
            path, place=unknown[0], expected=f"the keys {', '.join(known)}", found="this one"
        )
    with refusing(kind, path, expected):
        return msgspec.convert(given, value_type)
