"""The page of `saiseld serve` in a browser: upload, follow, look at what came of it."""

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.chromium import chromium, needs_chromium
from tests.serve.asking import wav
from tests.serve.fake import work

from saiseld.serve.api import serve

TOKEN = "a-token-of-some-length"


@pytest.mark.slow
@needs_chromium
def test_one_uploads_and_looks_at_the_result(tmp_path):
    with (
        serve(tmp_path, port=0, token=TOKEN, do=work) as server,
        sync_playwright() as started,
    ):
        browser = chromium(started)
        tab = browser.new_page()
        tab.set_default_timeout(120_000)
        wrong = []
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        tab.goto(server.url.partition("?")[0])
        del wrong[:]  # Chromium says that the first answer was 401
        tab.get_by_label("Token").fill(TOKEN)
        tab.get_by_role("button", name="Log in").click()
        tab.get_by_text("At most 4.3 GB a file").wait_for()
        files = {"name": "sleep 0", "mimeType": "audio/wav", "buffer": wav()}
        tab.get_by_label("Recording").set_input_files(files)
        tab.get_by_role("button", name="Image it").click()
        tab.get_by_role("link", name="sleep 0").click()
        tab.get_by_text("done").wait_for()
        tab.go_back()
        tab.get_by_text("hums at 50 Hz").wait_for()
        tab.get_by_label("Recording").set_input_files({**files, "buffer": b"no sound"})
        assert not wrong
        tab.get_by_role("button", name="Image it").click()
        tab.get_by_text("recording: expected a WAV or FLAC recording").wait_for()
        bins = tab.get_by_role("button", name="Delete sleep 0")
        expect(bins).to_have_count(1)  # what was refused is gone again
        bins.click()
        tab.get_by_role("button", name="Keep it").click()
        expect(bins).to_have_count(1)
        bins.click()
        tab.get_by_role("button", name="Delete for ever").click()
        tab.get_by_role("link", name="sleep 0").wait_for(state="detached")
        browser.close()
