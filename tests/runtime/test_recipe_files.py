"""Recipes are read from TOML, and what is none is told in a line."""

from pathlib import Path

import pytest

from saiseld.runtime.errors import RecipeError
from saiseld.simulation.recipes import read_recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends = 'tiny'\ngap_s = [nan]", "expected TOML, found nan, which is not finite"),
        ("extends = 'tiny'\nmoving = inf", "expected TOML, found inf, which is not finite"),
        ("extends = 'tiny'\nseconds = 1e999", "found 1e999, which is not finite"),
        ("extends = ['tiny']", "extends: expected a built-in recipe"),
        ("extends = 'tiny'\nmoving = 2", "moving: expected the keys and values of a recipe"),
        ("a = " + "[" * 100_000, "expected TOML, found"),
        ("seconds = " + "9" * 5000, "expected TOML, found"),
        ("\0", "expected TOML, found"),
    ],
)
def test_what_is_no_recipe_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        read_recipe(str(tmp_path / "a.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a\0b", "n" * 5000, "/"])
def test_names_of_no_recipe(name: str) -> None:
    with pytest.raises(RecipeError, match="expected a built-in recipe"):
        read_recipe(name)
