"""``saiseld recipes``: built-in recipes, what keys mean, and a whole recipe to begin with."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Literal

import typer

from saiseld.runtime.errors import RecipeError
from saiseld.runtime.recipe_files import builtin_names, builtin_summary, recipe_keys, recipe_toml

Kind = Literal["simulation", "detector", "seld"]

KINDS: dict[Kind, tuple[str, str]] = {
    "simulation": ("saiseld.simulation", "simulate"),
    "detector": ("saiseld.training.detector", "train detector"),
    "seld": ("saiseld.training.seld", "train seld"),
}
"""Kinds of recipes: package, and the command that takes them."""


def recipes(
    kind: Annotated[
        Kind | None,
        typer.Argument(
            help="Kind of recipe whose keys are listed. Default: list all built-in recipes."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Argument(help="Print this recipe with all its keys, as a TOML file.")
    ] = None,
) -> None:
    """List the built-in recipes and the keys that a recipe may have.

    saiseld recipes detector compact > mine.toml
    """
    if kind is None:
        for each in KINDS:
            typer.echo(f"{each} (saiseld {KINDS[each][1]} --recipe NAME|FILE)")
            for recipe, summary in summaries(each):
                typer.echo(f"  {recipe:14} {summary}")
        typer.echo("saiseld recipes KIND lists the keys, saiseld recipes KIND NAME prints a recipe")
        return
    package, _ = KINDS[kind]
    module = import_module(f"{package}.recipes")
    if name is None:
        for key in recipe_keys(module.Recipe):
            default = f", {key.default} by default" if key.default else ""
            typer.echo(f"{key.name}: {key.values}{default}")
            if key.meaning:
                typer.echo(f"    {key.meaning}")
        return
    names = builtin_names(package)
    if name not in names:
        raise RecipeError(
            name, expected=f"a built-in recipe ({', '.join(names)})", found="another name"
        )
    typer.echo(recipe_toml(module.read_recipe(name)), nl=False)


def summaries(kind: Kind) -> list[tuple[str, str]]:
    """Return name and summary of each built-in recipe of a kind."""
    package, _ = KINDS[kind]
    return [(name, builtin_summary(name, package)) for name in builtin_names(package)]


def recipes_page() -> str:
    """Return built-in recipes and keys of all kinds as Markdown, for the documentation."""
    lines = []
    for kind, (package, command) in KINDS.items():
        lines += [f"## {kind}", "", f"For `saiseld {command} --recipe`.", ""]
        lines += ["| built-in | what it is for |", "|---|---|"]
        lines += [f"| `{name}` | {_cell(text)} |" for name, text in summaries(kind)]
        lines += ["", "| key | values | default | meaning |", "|---|---|---|---|"]
        for key in recipe_keys(import_module(f"{package}.recipes").Recipe):
            default = f"`{key.default}`" if key.default else "required"
            lines.append(
                f"| `{key.name}` | {_cell(key.values)} | {_cell(default)} | {_cell(key.meaning)} |"
            )
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
