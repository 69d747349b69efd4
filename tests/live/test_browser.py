"""The page in a browser: heat at the right place, filter, scrub, listen, keyboard, no errors."""

import io
import math
import threading
import time
from contextlib import contextmanager
from itertools import count

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright
from tests.chromium import chromium, needs_chromium
from tests.live.synthetic import frame_at, picture_at, tone_from

from saiseld.conventions.sphere import angles_of_vector, great_circle, unit_vector
from saiseld.live.page import serve

SIZE = {"width": 640, "height": 700}
WAIT_MS = 60_000
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as started:
        browser = chromium(started)
        yield browser
        browser.close()


@pytest.fixture
def live():
    with serve(port=0) as page:
        yield page


@contextmanager
def connected(browser, live):
    """A tab that has the page open and is connected; it must end without an error."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(WAIT_MS)
    tab = context.new_page()
    wrong = []
    tab.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("requestfailed", lambda request: wrong.append(request.url))
    elsewhere = []
    tab.on("request", lambda r: r.url.startswith(("http", "ws")) and elsewhere.append(r.url))
    tab.goto(live.url)
    tab.get_by_text("Connected").wait_for()
    until(tab, "document.querySelectorAll('#boxes input').length === 13")
    yield tab
    assert not wrong
    assert all(url.startswith(live.url) for url in elsewhere)
    context.close()


@pytest.fixture
def tab(browser, live):
    with connected(browser, live) as tab:
        yield tab


@pytest.fixture(scope="module")
def opened(browser):
    with serve(port=0) as page, connected(browser, page) as tab:
        yield page, tab


NUMBER = count()
"""Of the next frame that the shared tab is sent."""


@pytest.fixture
def shared(opened):
    """A page and a tab for tests that leave nothing behind but where one looks and listens."""
    yield opened
    opened[1].evaluate(
        "for (const id of ['grid', 'tracks', 'labels', 'facing', 'banner'])"
        " document.getElementById(id).style.visibility = '';"
        "document.getElementById('keys').close();"
        "if (saiseld.listening.direction) document.getElementById('listen').click();"
        "if (!saiseld.view.flat) document.getElementById('round').click();"
        "saiseld.view.turn(0, 0, 1)"
    )


def until(tab, condition):
    """Wait for a condition; the page's policy forbids Playwright's own way to (it evaluates)."""
    end = time.monotonic() + WAIT_MS / 1000
    while not tab.evaluate(condition):
        assert time.monotonic() < end, condition
        tab.wait_for_timeout(20)


def show(live, tab, frame):
    """Send a frame, and wait until it is drawn."""
    live.show(frame)
    until(tab, f"saiseld.frame === {frame.frame} && !saiseld.view.dirty")


def pixels(tab):
    """Return the panorama as it is seen, (h, w, 3), without labels and tracks over it."""
    tab.evaluate(
        "for (const id of ['grid', 'tracks', 'labels', 'facing', 'banner'])"
        " document.getElementById(id).style.visibility = 'hidden'"
    )
    shot = tab.locator("#view").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), float)


def changed(before, after):
    """Return how much each pixel changed, small changes left out."""
    difference = np.abs(after - before).sum(axis=-1)
    return np.where(difference > 30, difference, 0)


def direction_in_flat_view(amount):
    """Return the direction of the centre of what changed, by this project's convention."""
    height, width = amount.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    per = 360 / width
    vectors = unit_vector(180 - x * per, (height / 2 - y) * per)
    weights = amount * np.cos(np.radians((height / 2 - y) * per))
    return angles_of_vector((weights[..., None] * vectors).sum(axis=(0, 1)))


def round_view(tab):
    tab.keyboard.press("f")
    until(tab, "!saiseld.view.flat && !saiseld.view.dirty")


def silent(number, **options):
    frame = frame_at(number, 0, **options)
    frame.heat[:] = 0
    return frame


DIRECTIONS = ((60, 0), (-75, 20), (130, 35))


def test_heat_is_where_the_sound_is(shared):
    live, tab = shared
    show(live, tab, silent(next(NUMBER)))
    before = pixels(tab)
    for direction in DIRECTIONS:
        show(live, tab, frame_at(next(NUMBER), *direction))
        amount = changed(before, pixels(tab))
        assert great_circle(*direction_in_flat_view(amount), *direction) < 2, direction
        if direction == (60, 0):  # positive to the left
            assert amount[:, : amount.shape[1] // 2].sum() == amount.sum()


def test_heat_at_the_seam_has_no_gap(shared):
    live, tab = shared
    round_view(tab)
    show(live, tab, silent(next(NUMBER)))
    tab.evaluate("saiseld.view.turn(180, 0)")
    until(tab, "!saiseld.view.dirty")
    before = pixels(tab)
    show(live, tab, frame_at(next(NUMBER), 180, 0))
    amount = changed(before, pixels(tab))
    height, width = amount.shape
    middle = amount[height // 2 - 8, width // 2 - 12 : width // 2 + 12]
    # The meridian's line shows through the heat.
    assert (middle > 0).all() and np.abs(middle - middle[::-1]).max() < 80


def test_a_sound_to_the_left_is_seen_to_the_left_in_perspective(shared):
    live, tab = shared
    round_view(tab)
    show(live, tab, silent(next(NUMBER)))
    before = pixels(tab)
    show(live, tab, frame_at(next(NUMBER), 30, 0))
    amount = changed(before, pixels(tab))
    height, width = amount.shape
    seen = np.unravel_index(np.argmax(amount), amount.shape)[1]
    # The view is 100 degrees high; the blob's peak is white and flat, so a few pixels wide.
    expected = width / 2 - height / 2 * math.tan(math.radians(30)) / math.tan(math.radians(50))
    assert abs(seen - expected) < 0.05 * width


def test_picture_and_heat_are_on_the_same_place(shared):
    live, tab = shared
    show(live, tab, silent(next(NUMBER), picture=picture_at(45, -20)))
    until(tab, "saiseld.view.pictured && !saiseld.view.dirty")
    white = np.where(pixels(tab).min(axis=-1) > 200, 1.0, 0.0)
    white[[*range(8), *range(-8, 0)]] = 0  # the ring that says what has the keyboard
    white[:, [*range(8), *range(-8, 0)]] = 0
    assert great_circle(*direction_in_flat_view(white), 45, -20) < 1.5


def test_classes_and_threshold_choose_what_is_seen(live, tab):
    show(live, tab, silent(0))
    before = pixels(tab)
    show(live, tab, frame_at(1, 10, 0, class_id=11))
    assert changed(before, pixels(tab)).any()
    tab.locator("#marks").get_by_text("10° left, 1.5 m").wait_for()
    tab.get_by_text("since 0:00; score 0.90").wait_for()
    tab.get_by_text("Threshold and classes").click()
    tab.get_by_role("checkbox", name="Bell").uncheck()
    tab.get_by_text("Nothing credible").wait_for()
    until(tab, "!saiseld.view.dirty")
    assert not changed(before, pixels(tab)).any()
    tab.get_by_role("checkbox", name="Bell").check()
    tab.get_by_text("since 0:00; score 0.90").wait_for()
    tab.get_by_label("Show scores from").fill("0.95")
    tab.get_by_text("Nothing credible").wait_for()
    until(tab, "!saiseld.view.dirty")
    assert not changed(before, pixels(tab)).any()


def test_one_scrubs_back_while_the_stream_goes_on(live, tab):
    show(live, tab, silent(0))
    before = pixels(tab)
    for number in range(1, 40):
        live.show(frame_at(number, 80 - 4 * number))
        if number % 10 == 9:  # two seconds wait for a browser, no more
            until(tab, f"document.getElementById('scrub').max === '{number}'")
    tab.get_by_label("Moment shown").fill("10")
    until(tab, "saiseld.frame === 10 && !saiseld.view.dirty")
    tab.get_by_text("s ago").wait_for()
    assert great_circle(*direction_in_flat_view(changed(before, pixels(tab))), 40, 0) < 2
    for number in range(40, 50):  # more comes in meanwhile and does not move what is shown
        live.show(frame_at(number, 170))
    until(tab, "document.getElementById('scrub').max === '49'")
    assert tab.evaluate("saiseld.frame") == 10
    tab.get_by_role("button", name="Live", exact=True).click()
    until(tab, "saiseld.frame === 49 && !saiseld.view.dirty")
    assert great_circle(*direction_in_flat_view(changed(before, pixels(tab))), 170, 0) < 2


def test_one_listens_to_a_direction(live, tab):
    show(live, tab, frame_at(0, 60))
    tab.get_by_role("button", name="Listen to Male speech").click()
    tab.get_by_text("Listening: 60° left").wait_for()
    stop = threading.Event()

    def sound():
        number = 1
        while not stop.wait(0.1):
            live.show(frame_at(number, 60, sound=tone_from(60, 0, 1000, number)))
            number += 1

    sender = threading.Thread(target=sound)
    sender.start()
    try:
        until(tab, "saiseld.listening.heard > 12000")
        towards = tab.evaluate("saiseld.listening.peak")
        # Away from it: turn the view and listen to its middle.
        tab.evaluate("saiseld.view.turn(-120, 0)")
        tab.locator("#view").press("l")
        tab.get_by_text("Listening: 120° right").wait_for()
        heard = tab.evaluate("saiseld.listening.heard")
        until(tab, f"saiseld.listening.heard > {heard + 24000}")
        away = tab.evaluate("saiseld.listening.peak")
    finally:
        stop.set()
        sender.join()
    assert towards == pytest.approx(0.1, rel=0.1) and away < 0.5 * towards
    tab.get_by_role("button", name="Stop listening").click()
    until(tab, "saiseld.listening.direction === null")


def test_a_click_says_where_to_listen(shared):
    live, tab = shared
    show(live, tab, frame_at(next(NUMBER), 0))
    box = tab.locator("#view").bounding_box()
    tab.get_by_role("button", name="Listen", exact=True).click()
    tab.locator("#view").click(position={"x": box["width"] / 4, "y": box["height"] / 2})
    tab.get_by_text("Listening: 90° left").wait_for()


def test_the_keyboard_turns_and_a_drag_pulls_the_scene(shared):
    live, tab = shared
    round_view(tab)
    show(live, tab, frame_at(next(NUMBER), 0))
    view = tab.locator("#view")
    view.press("ArrowLeft")
    assert tab.evaluate("saiseld.view.yaw") == 5
    view.press("Home")
    box = view.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(*middle)
    tab.mouse.down()
    tab.mouse.move(middle[0] + 50, middle[1], steps=3)
    tab.mouse.up()
    assert tab.evaluate("saiseld.view.yaw") > 5  # pulled to the right: one looks further left


def test_new_sounds_are_said_and_everything_has_a_name(live, tab):
    show(live, tab, frame_at(0, 42, 10))
    log = tab.get_by_role("log")
    until(tab, "document.getElementById('told').textContent !== ''")
    assert log.text_content() == "Male speech, 42° left, 10° up"
    unnamed = tab.evaluate(
        "[...document.querySelectorAll('button, input, canvas, meter')].filter(e =>"
        " !e.ariaLabel && !e.textContent.trim() && !e.labels?.length && !e.ariaHidden"
        " && !e.hasAttribute('aria-labelledby')).map(e => e.outerHTML)"
    )
    assert unnamed == []


def test_latency_and_dropped_frames_are_shown(shared):
    live, tab = shared
    for dropped in range(3):
        show(live, tab, frame_at(next(NUMBER), 0, dropped=dropped))
    until(tab, "document.getElementById('dropped').textContent === '2'")
    until(tab, "document.getElementById('latency').textContent.includes('ms')")


def test_a_sound_out_of_view_has_its_name_at_the_edge(live, tab):
    round_view(tab)
    show(live, tab, frame_at(0, 170))
    label, view = tab.locator("#labels span"), tab.locator("#view").bounding_box()
    assert label.text_content() == "Male speech170° left, 1.5 m"
    assert tab.locator("#tracks path").get_attribute("fill") != "none"  # the arrow
    assert label.bounding_box()["x"] < view["x"] + view["width"] / 4


def test_keys_work_anywhere_and_are_listed(shared):
    live, tab = shared
    show(live, tab, frame_at(next(NUMBER), 0))
    tab.get_by_role("button", name="Front").focus()
    tab.keyboard.press("?")
    tab.get_by_role("dialog", name="Keys").wait_for()
    tab.keyboard.press("f")  # not behind the list
    assert tab.evaluate("saiseld.view.flat")
    tab.keyboard.press("Escape")
    tab.keyboard.press("f")
    until(tab, "!saiseld.view.flat")


def test_the_end_of_a_stream_is_seen(browser):
    tab = browser.new_page(viewport=SIZE)
    with serve(port=0) as page:
        for number in range(20):
            page.show(frame_at(number, 10))
        tab.goto(page.url)
        until(tab, "saiseld.frame === 19")  # of the past: the stream has stopped
        until(tab, "document.getElementById('clock').textContent === '0:01'")
    tab.get_by_text("The stream ended at").wait_for(timeout=WAIT_MS)
    assert tab.evaluate("getComputedStyle(saiseld.view.canvas).filter").startswith("grayscale(1)")
    tab.close()


def test_it_finds_a_server_again(live, tab):
    show(live, tab, frame_at(5, 0))
    live.server.drop()
    tab.get_by_text("trying again").wait_for()
    tab.get_by_text("Connected", exact=True).wait_for()
    show(live, tab, frame_at(6, 0))


def test_a_program_started_again_is_said(live, tab, monkeypatch):
    show(live, tab, frame_at(5, 0))
    monkeypatch.setattr(live, "session", "another")
    live.server.drop()
    tab.get_by_text("Connecting …", exact=True).wait_for()
    show(live, tab, frame_at(6, 0))
    tab.get_by_text("Connected; a new session since").wait_for()


def test_a_phone_sees_all_of_it(browser, live):
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True)
    tab = context.new_page()
    tab.goto(live.url)
    tab.get_by_text("Connected").wait_for(timeout=WAIT_MS)
    wide = tab.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    context.close()
