"""What a notebook shows, and the notebook of the examples."""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import saiseld
from saiseld.conventions.sphere import pixel_of_angles
from saiseld.data.recordings import recording_of_array
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.sound_events import SoundEvent, SoundEvents
from saiseld.pipeline.prediction import Prediction
from saiseld.pipeline.sample import sample
from saiseld.runtime.errors import OutputError

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_recording.ipynb"


def prediction_of(name: str, masks: list[EnergyMask]) -> Prediction:
    rate = np.arange(24000) // 2400
    audio = np.repeat(rate[:, None] / 20, 4, axis=1)
    return Prediction(recording_of_array(audio, 24000, name), masks, 10)


@pytest.fixture
def prediction() -> Prediction:
    x, y = pixel_of_angles(60, 20)
    grid = np.stack(np.meshgrid(x + np.arange(-12, 13, 6), y + np.arange(-12, 13, 6)), axis=-1)
    blob = np.concatenate([grid.reshape(-1, 2), np.ones((25, 1))], axis=1)
    return prediction_of("<b>", [EnergyMask(k, 0, 3, (blob,), 150.0, 0.5) for k in range(2, 8)])


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.seen.append(tag)


def test_reprs_are_one_short_line(prediction: Prediction) -> None:
    for value in (prediction, prediction.masks[0], prediction.events(), prediction.events()[0]):
        assert "\n" not in repr(value) and len(repr(value)) < 200 and "Telephone" in repr(value)
    assert repr(prediction.plot(3)).startswith("Picture(")
    assert "18, 20, 24" in repr(prediction.plot(3)[0, 0])
    assert repr(SoundEvents()) == "SoundEvents(none)"


def test_html_has_picture_and_escaped_table(prediction: Prediction) -> None:
    html = prediction._repr_html_()
    tags = Tags(html).seen
    assert tags.count("img") == 1 and tags.count("td") == 8 and "b" not in tags
    assert 'src="data:image/jpeg;base64,' in html and len(html) < 200_000
    assert Tags(prediction_of("silence", [])._repr_html_()).seen.count("td") == 0


def test_a_long_list_of_events_is_cut_and_says_so() -> None:
    event = SoundEvent(1, 11, "Bell", 0.3, 1.0, 12.34, -5.0, None, 0.8)
    html = SoundEvents([event] * 720).to_html()
    assert Tags(html).seen.count("tr") == 51 and "670 more" in html


def test_a_picture_is_shown_as_one(prediction: Prediction) -> None:
    assert prediction.plot(3)._repr_png_().startswith(b"\x89PNG")
    assert prediction.plot(3)[0]._repr_png_() is None


def test_tables_become_data_frames(prediction: Prediction) -> None:
    frame = prediction.to_pandas()
    assert list(frame.frame) == [2, 3, 4, 5, 6, 7] and set(frame.class_name) == {"Telephone"}
    assert list(prediction.events().to_pandas().class_name) == ["Telephone"]
    empty = prediction_of("silence", []).to_pandas()
    assert list(empty.columns) == list(frame.columns) and not len(empty)


def test_what_a_missing_package_would_bring_is_named(prediction: Prediction, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    for call, package in (
        (prediction.to_pandas, "saiseld[pandas]"),
        (prediction.events().to_pandas, "saiseld[pandas]"),
        (prediction.play, "ipython"),
    ):
        with pytest.raises(OutputError) as refused:
            call()
        assert refused.value.advice == f"pip install '{package}'"


def test_play_gives_the_asked_sound(prediction: Prediction, monkeypatch) -> None:
    display = ModuleType("IPython.display")
    display.Audio = lambda samples, rate: (samples, rate)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    samples, rate = prediction.play(0.2, 0.4)
    assert rate == 24000 and len(samples) == 4800
    assert samples[0] == pytest.approx(0.1) and samples[-1] == pytest.approx(0.15)
    assert len(prediction.play()[0]) == 24000
    with pytest.raises(ValueError, match="no sound"):
        prediction.play(2.0)


def test_the_sample_has_a_truth() -> None:
    scene = sample()
    assert scene.recording.is_file() and scene.video.is_file()
    assert scene.true_masks() and all(event.score == 1 for event in scene.true_events())


def test_the_notebook_of_the_examples_runs(tmp_path, monkeypatch, capsys, short_demo) -> None:
    """On a part of the packaged scene."""
    monkeypatch.setattr("saiseld.pipeline.sample.DEMO", short_demo)
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    names: dict[str, object] = {}
    for number, cell in enumerate(c for c in notebook["cells"] if c["cell_type"] == "code"):
        assert not cell["outputs"]
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    assert isinstance(names["prediction"], saiseld.Prediction)
    assert (tmp_path / "first_recording.txt").read_text()
    assert "SoundEvent(1, " in capsys.readouterr().out
