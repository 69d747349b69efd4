"""Packages that not every installation has."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from saiseld.runtime.errors import OutputError


def optional_module(module: str, package: str, what: str) -> Any:
    """Return a module of a package that may not be installed.

    Parameters
    ----------
    module
        The module.
    package
        What pip installs to bring it: a package, or ``saiseld[EXTRA]``.
    what
        What it is needed for.

    Raises
    ------
    OutputError
        If it is not there.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise OutputError(
            what,
            expected=f"the package {module.partition('.')[0]}",
            found=f"no {error.name}",
            advice=f"pip install '{package}'",
        ) from None
