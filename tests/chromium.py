"""Chromium for the tests of pages, and what draws in it without a graphics processor."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import Browser, Playwright

_PATH = shutil.which("chromium") or shutil.which("chromium-browser")
_SOFTWARE_GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]

needs_chromium = pytest.mark.skipif(
    _PATH is None,
    reason="no Chromium: `make test` installs Debian's where it may, else `apt install chromium`",
)


def chromium(started: Playwright) -> Browser:
    """Start the Chromium of this machine."""
    return started.chromium.launch(executable_path=_PATH, args=_SOFTWARE_GL)
