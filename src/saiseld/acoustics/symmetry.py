"""Symmetries of the array by the names that recipes and commands give them."""

from __future__ import annotations

from saiseld.conventions.symmetry import SYMMETRIES, Symmetry
from saiseld.runtime.errors import RecipeError


def symmetry_named(name: str) -> Symmetry:
    """Return a symmetry by name."""
    if name not in SYMMETRIES:
        raise RecipeError("symmetry", expected=f"one of {', '.join(SYMMETRIES)}", found=name)
    return SYMMETRIES[name]
