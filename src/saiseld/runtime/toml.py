"""TOML that others wrote: bounded before the standard library parses it.

`tomllib` takes memory with the square of the parts of a dotted key: 20,000 parts are 1.7 GB.
"""

from __future__ import annotations

import re
import tomllib
from math import isfinite
from pathlib import Path
from typing import Any

from saiseld.runtime.errors import InputError, refusing
from saiseld.runtime.limits import Limit

TOML_BYTES = Limit("toml_bytes", 1 << 20)
KEY_PARTS = Limit("toml_key_parts", 16)
"""Of a dotted key, and tables and arrays inside one another."""

_TOKEN = re.compile(
    r'"""|' + r"'''" + r'|"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'" + r"|[\w+-]+|[ \t]+|#[^\n]*|[^\w]"
)


def read_toml(path: str | Path, kind: type[InputError], expected: str = "TOML") -> dict[str, Any]:
    """Return the keys of a TOML file.

    Parameters
    ----------
    path
        The file.
    kind
        Of the error where it is none, or larger or deeper than `TOML_BYTES` and `KEY_PARTS`.
    expected
        What the error says is expected where the file cannot be read.
    """
    with refusing(kind, path, expected):
        text = read_toml_text(path, kind)
    return parse_toml(text, kind, path)


def read_toml_text(path: str | Path, kind: type[InputError]) -> str:
    """Return the text of a TOML file, which is no larger than `TOML_BYTES`.

    Raises
    ------
    InputError
        Of ``kind`` if it is.
    OSError, UnicodeDecodeError
        If it cannot be read, or is no text.
    """
    TOML_BYTES.check(Path(path).stat().st_size, kind, path, place="bytes")
    return Path(path).read_text("utf-8")


def parse_toml(text: str, kind: type[InputError], source: str | Path) -> dict[str, Any]:
    """Return the keys of a TOML text; raises an error of ``kind``, which names ``source``."""
    with refusing(kind, source, "TOML"):
        _check_depth(text, kind, source)
        return tomllib.loads(text, parse_float=finite_number)


def _check_depth(text: str, kind: type[InputError], source: str | Path) -> None:
    parts = depth = 0
    after_dot = False
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token == ".":
            after_dot = parts > 0
        elif token[0] in " \t":
            continue
        elif token[0] in "\"'" or token[0].isalnum() or token[0] in "_+-":
            parts = parts + 1 if after_dot else 1
            after_dot = False
            KEY_PARTS.check(parts, kind, source, place="a key's parts")
        else:
            parts, after_dot = 0, False
            depth += (token in "[{") - (token in "]}")
            KEY_PARTS.check(depth, kind, source, place="nested values")


def finite_number(text: str) -> float:
    """Return a number of TOML, which knows ``nan`` and ``inf`` too: no comparison refuses a NaN."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text}, which is not finite")
    return value
