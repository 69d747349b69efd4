"""Recipes as TOML: built-in ones of a package by name, or a file that may extend one of them."""

from __future__ import annotations

import tomllib
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from saiseld.runtime.errors import RecipeError, refusing

Model = TypeVar("Model", bound=BaseModel)


def builtin_names(package: str) -> tuple[str, ...]:
    """Return the names of the recipes in a package's folder ``builtin``."""
    files = resources.files(package).joinpath("builtin").iterdir()
    return tuple(sorted(Path(f.name).stem for f in files if f.name.endswith(".toml")))


def read_recipe_file(name: str, package: str, model: type[Model]) -> Model:
    """Return a built-in recipe by name, or the one in a TOML file, as a checked ``model``.

    A file may say ``extends = "<built-in>"`` and hold only what it changes.

    Raises
    ------
    RecipeError
        If there is no such recipe, a key is unknown or a value impossible.
    """
    keys, expected = _keys(name, package), "the keys and values of a recipe"
    try:
        with refusing(RecipeError, name, expected):
            return model.model_validate(keys)
    except RecipeError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        first = error.__cause__.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RecipeError(name, place=place, expected=expected, found=first["msg"]) from None


def _finite(text: str) -> float:
    """Return a number of TOML, which knows ``nan`` and ``inf`` too: no comparison refuses a NaN."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text}, which is not finite")
    return value


def _keys(name: str, package: str) -> dict[str, Any]:
    known = builtin_names(package)
    if name in known:
        text = resources.files(package).joinpath(f"builtin/{name}.toml").read_text()
    else:
        expected = f"a built-in recipe ({', '.join(known)}) or a TOML file"
        with refusing(RecipeError, name, expected):
            text = Path(name).read_text("utf-8")
    with refusing(RecipeError, name, "TOML"):
        keys = tomllib.loads(text, parse_float=_finite)
    base = keys.pop("extends", None)
    if base is None:
        return keys
    if base not in known or base == name:
        raise RecipeError(
            name,
            place="extends",
            expected=f"a built-in recipe ({', '.join(known)})",
            found=repr(base),
        )
    return _keys(base, package) | keys
