"""Recipes as TOML: built-in ones of a package by name, or a file that may extend one of them."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from saiseld.runtime.errors import RecipeError

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
    try:
        return model.model_validate(_keys(name, package))
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(
            name,
            place=".".join(str(part) for part in first["loc"]),
            expected="the keys and values of a recipe",
            found=first["msg"],
        ) from error


def _keys(name: str, package: str) -> dict[str, Any]:
    known = builtin_names(package)
    if name in known:
        text = resources.files(package).joinpath(f"builtin/{name}.toml").read_text()
    else:
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(
                name,
                expected=f"a built-in recipe ({', '.join(known)}) or a TOML file",
                found=getattr(error, "strerror", None) or str(error),
            ) from error
    try:
        keys = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(name, expected="TOML", found=str(error)) from error
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
