"""Recipes as TOML: built-in ones of a package by name, or a file that may extend one of them."""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from saiseld.runtime.errors import RecipeError, refusing
from saiseld.runtime.toml import finite_number, parse_toml, read_toml_text

CHANGES = "--set"
"""What an error calls the source of a change."""
_EXPECTED = "the keys and values of a recipe"
_log = logging.getLogger(__name__)


class RecipeModel(BaseModel):
    """Base of a recipe and of the tables in it; a string below a key says what the key means."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    package: ClassVar[str]
    """Where the built-in recipes are, in a folder ``builtin``."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Keys' names of a version ago, with their tables, which are still read; and today's."""

    @classmethod
    def read(cls, name: str, changes: Sequence[str] = ()) -> Self:
        """Return a built-in recipe by name, or the one in a TOML file, checked.

        A file may say ``extends = "<built-in>"`` and hold only what it changes: tables are merged
        key by key, lists and values are replaced.

        Parameters
        ----------
        name
            Name of a built-in recipe, or path of a TOML file.
        changes
            ``key=value`` each, as in TOML, put over the recipe in their order;
            ``augmentation.flip=0`` for a key in a table.

        Raises
        ------
        RecipeError
            If there is no such recipe, a key is unknown or a value impossible.
        """
        changed: dict[str, Any] = {}
        for change in changes:
            changed = _merged(changed, _current_names(_change(change), cls, CHANGES))
        keys = _merged(_keys(name, cls), changed)
        try:
            with refusing(RecipeError, name, _EXPECTED):
                return cls.model_validate(keys)
        except RecipeError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            # A misspelt key is told before the one that is missing for it.
            problems = error.__cause__.errors()
            first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
            source = CHANGES if changed and _holds(changed, first["loc"]) else name
            raise _refusal(source, first, cls) from None


@dataclass(frozen=True)
class RecipeKey:
    """A key of a recipe.

    Attributes
    ----------
    name
        With the tables that it is in: ``augmentation.flip``; ``groups[].rate`` in a list of them.
    values
        What it may be, in words.
    default
        As TOML; empty where a recipe must give it.
    meaning
        From the recipe's own description.
    """

    name: str
    values: str
    default: str
    meaning: str


def builtin_names(package: str) -> tuple[str, ...]:
    """Return the names of the recipes in a package's folder ``builtin``."""
    files = resources.files(package).joinpath("builtin").iterdir()
    return tuple(sorted(Path(f.name).stem for f in files if f.name.endswith(".toml")))


def builtin_summary(name: str, package: str) -> str:
    """Return what the first comment of a built-in recipe says, on one line."""
    lines = iter(_builtin_text(name, package).splitlines())
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return " ".join(comment)


def recipe_keys(model: type[RecipeModel]) -> list[RecipeKey]:
    """Return the keys of a recipe, those of its tables too, in the order they are declared."""
    schema = model.model_json_schema()
    return list(_schema_keys(schema, schema.get("$defs", {}), ""))


def recipe_toml(recipe: RecipeModel) -> str:
    """Return a recipe as a TOML file with all its keys."""
    values = recipe.model_dump(mode="json")
    plain = {k: v for k, v in values.items() if not isinstance(v, dict) and v is not None}
    lines = [f"{key} = {_toml(value)}" for key, value in plain.items()]
    for key, table in values.items():
        if isinstance(table, dict):
            lines += ["", f"[{key}]"]
            lines += [f"{k} = {_toml(v)}" for k, v in table.items() if v is not None]
    return "\n".join(lines) + "\n"


def _keys(name: str, model: type[RecipeModel]) -> dict[str, Any]:
    names = builtin_names(model.package)
    if name in names:
        text = _builtin_text(name, model.package)
    else:
        expected = f"a built-in recipe ({', '.join(names)}) or a TOML file"
        with refusing(RecipeError, name, expected):
            text = read_toml_text(name, RecipeError)
    keys = _current_names(parse_toml(text, RecipeError, name), model, name)
    base = keys.pop("extends", None)
    if base is None:
        return keys
    if base not in names or base == name:
        raise RecipeError(
            name,
            place="extends",
            expected=f"a built-in recipe ({', '.join(names)})",
            found=repr(base),
        )
    return _merged(_keys(base, model), keys)


def _current_names(
    keys: dict[str, Any], model: type[RecipeModel], source: str, prefix: str = ""
) -> dict[str, Any]:
    """Return keys with those of a version ago under their names of today."""
    current: dict[str, Any] = {}
    for key, value in keys.items():
        name = model.renamed.get(f"{prefix}{key}", key)
        if name != key:
            _log.warning("%s: %r is called %r now; 0.4 will not know it", source, key, name)
        if isinstance(value, dict):
            value = _current_names(value, model, source, f"{prefix}{key}.")
        if name in current:
            found = f"{key} too, its name of a version ago"
            raise RecipeError(source, place=name, expected="it once", found=found)
        current[name] = value
    return current


def _builtin_text(name: str, package: str) -> str:
    return resources.files(package).joinpath(f"builtin/{name}.toml").read_text("utf-8")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the keys of ``over``, tables key by key."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _change(change: str) -> dict[str, Any]:
    """Return a ``key=value`` as the tables it means; a value that is no TOML is a text."""
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError(CHANGES, expected="key=value", found=repr(change))
    try:
        return tomllib.loads(f"{key} = {value}", parse_float=finite_number)
    except ValueError:
        with refusing(RecipeError, CHANGES, "key=value, with a key and a value of TOML"):
            return tomllib.loads(f"{key} = {json.dumps(value.strip())}")


def _holds(keys: object, place: tuple[int | str, ...]) -> bool:
    """Return whether a place is in these keys, down to a value that is no table."""
    for part in place:
        if not isinstance(keys, Mapping):
            return True
        if part not in keys:
            return False
        keys = keys[part]
    return True


def _refusal(source: str, problem: Any, model: type[BaseModel]) -> RecipeError:
    """Return what pydantic says of a value as one of our errors."""
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return RecipeError(source, place=place, expected=_EXPECTED, found=problem["msg"])
    names = [key.name.replace("[]", "") for key in recipe_keys(model)]  # type: ignore[arg-type]
    unknown = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
    last = {key.rpartition(".")[2]: key for key in names}
    near = get_close_matches(unknown, names, 3, 0.7)
    near += [last[key] for key in get_close_matches(unknown.rpartition(".")[2], last, 3, 0.7)]
    advice = "`saiseld recipes` lists the keys"
    if near:
        advice = f"Did you mean {' or '.join(dict.fromkeys(near))}? {advice}"
    return RecipeError(
        source, place=place, expected="a key of the recipe", found="an unknown one", advice=advice
    )


def _schema_keys(
    schema: Mapping[str, Any], tables: Mapping[str, Any], prefix: str
) -> Iterator[RecipeKey]:
    needed = schema.get("required", ())
    for name, key in schema["properties"].items():
        inner, mark = _table_of(key, tables), ""
        if inner is None and (inner := _table_of(key.get("items", {}), tables)) is not None:
            mark = "[]"
        if inner is not None:
            yield from _schema_keys(inner, tables, f"{prefix}{name}{mark}.")
            continue
        default = "" if name in needed else _toml(key.get("default"))
        meaning = " ".join(str(key.get("description", "")).split())
        yield RecipeKey(f"{prefix}{name}", _values(key), default, meaning)


def _table_of(key: Mapping[str, Any], tables: Mapping[str, Any]) -> Mapping[str, Any] | None:
    name = str(key.get("$ref", "")).rpartition("/")[2]
    table: Mapping[str, Any] | None = tables.get(name)
    return table if table and "properties" in table else None


def _values(key: Mapping[str, Any]) -> str:
    """Return what a JSON schema allows, in words."""
    if "anyOf" in key:
        return " or ".join(_values(one) for one in key["anyOf"] if one.get("type") != "null")
    if "enum" in key or "const" in key:
        return ", ".join(_toml(value) for value in key.get("enum", [key.get("const")]))
    kind = key.get("type", "")
    if kind == "array":
        parts = key.get("prefixItems")
        inner = ", ".join(map(_values, parts)) if parts else f"{_values(key['items'])}, ..."
        return f"[{inner}]"
    bounds = {
        "minimum": "from {}", "exclusiveMinimum": "over {}",
        "maximum": "to {}", "exclusiveMaximum": "below {}",
    }  # fmt: skip
    limits = [words.format(f"{key[bound]:g}") for bound, words in bounds.items() if bound in key]
    names = {
        "number": "number",
        "integer": "whole number",
        "string": "text",
        "boolean": "true, false",
    }
    return " ".join([names.get(kind, kind), *limits])


def _toml(value: object) -> str:
    """Return a value of JSON as TOML on one line; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{k} = {_toml(v)}' for k, v in value.items() if v is not None)} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)
