"""What a person looks at: panoramas with masks, overlay videos, pages."""

import os
import sys
from importlib.util import find_spec


def _drop_missing_backend() -> None:
    """Forget a Matplotlib backend of a notebook that is not installed here.

    A script that a notebook starts inherits its ``MPLBACKEND``, and importing Matplotlib fails for
    a backend that is not there, though nothing here opens a window.
    """
    kind, _, module = os.environ.get("MPLBACKEND", "").partition("module://")
    if module and not kind and "matplotlib" not in sys.modules:
        try:
            found = find_spec(module)
        except (ImportError, ValueError):
            found = None
        if found is None:
            del os.environ["MPLBACKEND"]


_drop_missing_backend()
