"""The page and the report in a browser, from the disk: no error, readable on a phone and a desk."""

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from tests.chromium import chromium, needs_chromium

from saiseld.evaluation.comparison import compare_systems
from saiseld.pipeline.image import image_recordings
from saiseld.pipeline.weights import DEMO
from saiseld.viewing.report import write_reports


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The packaged scene's page and report."""
    folder = tmp_path_factory.mktemp("demo")
    (recording,) = DEMO.glob("*.wav")
    image_recordings([recording], folder, video=recording.with_suffix(".mp4"))
    comparison = compare_systems({"demo": folder}, DEMO, cache=folder / "cache")
    write_reports(folder / "report", comparison, {"demo": folder}, DEMO, DEMO)
    return folder


@needs_chromium
@pytest.mark.parametrize("width", [400, 1400])
def test_pages_are_readable_and_nothing_goes_wrong(folder: Path, width: int) -> None:
    with sync_playwright() as started:
        browser = chromium(started)
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.set_default_timeout(60_000)
        wrong: list[str] = []
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        tab.on("requestfailed", lambda request: wrong.append(request.url))
        for page in (folder / "index.html", folder / "report" / "index.html"):
            tab.goto(page.as_uri())
            # Nothing reaches beyond the window; what is wide scrolls in its own place.
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            tab.screenshot(path=folder / f"{page.parent.name}_{width}.png", full_page=True)
        tab.goto((folder / "index.html").as_uri())
        table = tab.locator(".scroll").first
        assert table.evaluate("e => e.scrollWidth <= e.clientWidth")
        # A click on an event takes the video there.
        row = tab.locator("tbody tr").nth(1)
        start = float(row.get_attribute("data-from") or 0)
        row.click()
        tab.wait_for_function(f"document.querySelector('video').currentTime >= {start} - 0.2")
        browser.close()
    assert not wrong
