import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from saiseld.formats.annotation import EnergyMask
from saiseld.formats.sound_events import SoundEvent
from saiseld.viewing.page import Section, fullest_frame, read_summary, write_index, write_page

BELL = SoundEvent(1, 11, "Bell", 0.3, 1.0, 12.34, -5.0, 150.4, 0.8)
POINT = (np.array([[180.0, 90.0, 1.0]]),)
MASKS = [EnergyMask(frame, 1, 11, POINT, 150.0, score) for frame, score in ((3, 0.4), (5, 0.8))]


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self._id = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._id = dict(attrs).get("id", "") if tag == "script" else None

    def handle_endtag(self, tag):
        self._id = None

    def handle_data(self, data):
        if self._id:
            self.scripts[self._id] = json.loads(data)


def written(path, section):
    write_page(path, section)
    return Tags(path.read_text())


def test_page_holds_scores_of_masks_and_of_events(tmp_path):
    section = Section("take", 10, [BELL], MASKS, 0.2, "take.overlay.mp4", b"jpeg")
    page = written(tmp_path / "take.page.html", section)
    (event,) = page.scripts["data"]["events"]
    # Picture and list show each mask's score, the table their mean; the CSV holds the highest.
    assert (event["f"], event["m"], event["mean"], event["top"]) == (3, [40, None, 80], 60, 80)
    assert (event["s"], event["e"], event["d"]) == (0.3, 1.0, 150)
    assert page.scripts["data"]["start"] == 0.5 == fullest_frame(MASKS) / 10
    (video,) = [a for tag, a in page.tags if tag == "video"]
    assert video["src"] == "take.overlay.mp4" and video["poster"].startswith("data:image/jpeg")
    assert "0.20 or more" in (tmp_path / "take.page.html").read_text()


def test_nothing_is_fetched_and_nothing_of_a_name_takes_effect(tmp_path):
    name = '</script><script>alert(1)</script>"&'
    section = Section(name, 1, [], video=f"{name}.mp4", notes=[name], warnings=[name])
    page = written(tmp_path / "a.page.html", section)
    assert not re.search(r"https?://", (tmp_path / "a.page.html").read_text())
    assert [tag for tag, _ in page.tags].count("script") == 3
    summary = read_summary(tmp_path / "a.page.html")
    assert (summary.name, summary.warnings, summary.classes) == (name, 1, {})
    write_index(tmp_path / "index.html", [("a.page.html", summary)])
    index = Tags((tmp_path / "index.html").read_text())
    assert [tag for tag, _ in index.tags].count("script") == 2
    assert index.scripts["data"][0]["name"] == name


def test_page_shows_truth_beside_and_what_is_assumed(tmp_path):
    assumed = replace(BELL, elevation_assumed=True)
    section = Section("a", 10, [assumed], MASKS, true_events=[BELL], true_masks=MASKS)
    data = written(tmp_path / "a.page.html", section).scripts["data"]
    assert data["truth"] == [{**data["events"][0], "q": False}]
    assert "assumed" in (tmp_path / "a.page.html").read_text()


def test_foreign_pages_are_not_listed(tmp_path):
    (tmp_path / "b.page.html").write_text("<html>")
    assert read_summary(tmp_path / "b.page.html") is None
