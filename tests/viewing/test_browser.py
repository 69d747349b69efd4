"""The page and the report in a browser, from the disk: no error, readable on a phone and a desk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.chromium import chromium, needs_chromium

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.evaluation.comparison import compare_systems
from saiseld.formats.sound_events import SoundEvent
from saiseld.pipeline.image import image_recordings
from saiseld.viewing.page import Section, Summary, write_index, write_page
from saiseld.viewing.report import write_reports


@pytest.fixture(scope="module")
def folder(short_demo: Path, tmp_path_factory) -> Path:
    """The page and the report of the packaged scene's first 2 seconds."""
    folder = tmp_path_factory.mktemp("demo")
    (recording,) = short_demo.glob("*.wav")
    image_recordings([recording], folder, video=recording.with_suffix(".mp4"))
    comparison = compare_systems({"demo": folder}, short_demo, cache=folder / "cache")
    write_reports(folder / "report", comparison, {"demo": folder}, short_demo, short_demo)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        browser = chromium(started)
        yield browser
        browser.close()


CUT = """[...document.querySelectorAll('td, #scroll')]
    .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"""


def _problems(tab: Page) -> list[str]:
    wrong: list[str] = []
    tab.set_default_timeout(60_000)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    tab.on("requestfailed", lambda request: wrong.append(request.url))
    return wrong


def _is_seen(tab: Page, selector: str) -> bool:
    return bool(
        tab.locator(selector).first.evaluate(
            "e => { const r = e.getBoundingClientRect(); return r.top >= 0 && r.top < innerHeight }"
        )
    )


@needs_chromium
@pytest.mark.parametrize("width", [400, pytest.param(1400, marks=pytest.mark.slow)])
def test_pages_are_readable_and_nothing_goes_wrong(
    folder: Path, browser: Browser, width: int
) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 900})
    wrong = _problems(tab)
    for page in (folder / "index.html", folder / "report" / "index.html"):
        tab.goto(page.as_uri())
        # Nothing reaches beyond the window; what is wide scrolls in its own place.
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.goto((folder / "index.html").as_uri())
    # A click on an event takes the video there, and all that shows it is on the screen.
    row = tab.locator("tbody tr").last
    start = float(tab.evaluate("events.at(-1).s"))
    row.locator("button").click()
    tab.wait_for_function(f"Math.abs(document.querySelector('video').currentTime - {start}) < 0.1")
    for shown in ("video", "#lanes", "tr.picked"):
        assert _is_seen(tab, shown)
    assert tab.locator("tr.on.picked td").nth(6).inner_text() != "–"
    # So does one on the time line.
    box = tab.locator("#lanes").bounding_box() or pytest.fail("no time line")
    tab.mouse.click(box["x"] + box["width"] - 8, box["y"] + 30)
    tab.wait_for_function("document.querySelector('video').currentTime > 1.8")
    tab.locator("#in").click()
    assert tab.locator("#range").inner_text().endswith("of 0:02")
    tab.close()
    assert not wrong


@needs_chromium
def test_many_events_and_many_recordings(tmp_path: Path, browser: Browser) -> None:
    events = [
        SoundEvent(
            n + 1, n % 13, CLASS_NAMES[n % 13], n * 1.5, n * 1.5 + 1, -123.0, -45.0, 150.0, 0.5
        )
        for n in range(720)
    ]
    write_page(tmp_path / "long.page.html", Section("long", 1200, events))
    pages = [(f"{k}.page.html", Summary(f"take {k}", 60, {"Bell": k}, k % 2)) for k in range(1440)]
    write_index(tmp_path / "index.html", pages)
    tab = browser.new_page(viewport={"width": 1400, "height": 900})
    wrong = _problems(tab)
    tab.goto((tmp_path / "long.page.html").as_uri())
    assert "density of 720 events" in tab.locator("#range").inner_text()
    assert tab.locator("tbody tr").count() < 720  # the rest come into sight first
    for width in (1400, 400):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_function(f"document.documentElement.scrollWidth <= {width}")
        assert tab.evaluate(CUT) == []
    tab.set_viewport_size({"width": 1400, "height": 900})
    for _ in range(4):
        tab.keyboard.press("+")
    assert "density" not in tab.locator("#range").inner_text()
    tab.goto((tmp_path / "index.html").as_uri())
    assert tab.locator("tbody tr").count() < 500
    tab.locator("#search").fill("warning take 14")
    assert tab.locator("#count").inner_text() == "30 of 1440 recordings"
    tab.close()
    assert not wrong
