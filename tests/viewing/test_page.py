import re
from dataclasses import replace
from html.parser import HTMLParser

from saiseld.formats.sound_events import SoundEvent
from saiseld.viewing.page import Section, write_page

BELL = SoundEvent(1, 11, "Bell", 0.3, 1.0, 12.34, -5.0, 150.4, 0.8)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_events_stand_in_the_time_line_and_the_table(tmp_path):
    write_page(tmp_path / "index.html", [Section("take", 10, [BELL], "take.overlay.mp4")])
    tags = Tags((tmp_path / "index.html").read_text()).tags
    (button,) = [a for tag, a in tags if tag == "button"]
    assert button["style"].startswith("left:3.000%;width:7.000%")
    assert [a["data-from"] for tag, a in tags if "data-from" in a] == ["0.300", "0.300"]
    (video,) = [a for tag, a in tags if tag == "video"]
    assert video["src"] == "take.overlay.mp4"


def test_assumed_elevations_are_in_brackets(tmp_path):
    event = replace(BELL, elevation_assumed=True)
    write_page(tmp_path / "index.html", [Section("take", 10, [BELL, event])])
    text = (tmp_path / "index.html").read_text()
    assert "<td>-5°</td>" in text and "<td>(-5°)</td>" in text and "assumed" in text


def test_nothing_is_fetched_and_nothing_of_a_name_takes_effect(tmp_path):
    name = '<script>alert(1)</script>"&'
    write_page(tmp_path / "index.html", [Section(name, 1, [], f"{name}.mp4", [name])])
    text = (tmp_path / "index.html").read_text()
    assert not re.search(r"https?://", text)
    tags = Tags(text).tags
    assert [tag for tag, _ in tags].count("script") == 1
    assert "Nothing credible was heard" in text
