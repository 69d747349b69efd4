"""What is warned of in a block, kept for whoever looks at the results later."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 20
"""Warnings kept of a block."""


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if len(self.warnings) < MOST and text not in self.warnings:
            self.warnings.append(text)


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Yield a list that takes the first `MOST` warnings logged in this block; they go on as well.

    Warnings of other threads are collected too.
    """
    logger, handler = logging.getLogger("saiseld"), _Collector()
    logger.addHandler(handler)
    try:
        yield handler.warnings
    finally:
        logger.removeHandler(handler)
