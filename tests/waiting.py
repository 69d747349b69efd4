"""Wait for what another thread or process does, for as long as a busy machine may take."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 600.0
"""Nothing takes this long by right: only a test that fails waits until then."""


def wait_until(condition: Callable[[], object], message: object = "") -> None:
    """Return as soon as a condition holds; fail after `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, message
        time.sleep(0.02)
