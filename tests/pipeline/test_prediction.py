"""What was imaged, in three lines of Python."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saiseld.arrays.converter import converter_for
from saiseld.arrays.description import read_array
from saiseld.conventions.sphere import pixel_of_angles
from saiseld.data.recordings import recording_of_array
from saiseld.formats.annotation import EnergyMask, read_annotations
from saiseld.formats.sound_events import read_sound_events
from saiseld.pipeline.prediction import Prediction
from saiseld.runtime.errors import OutputError


@pytest.fixture
def prediction() -> Prediction:
    x, y = pixel_of_angles(60, 20)
    grid = np.stack(np.meshgrid(x + np.arange(-12, 13, 6), y + np.arange(-12, 13, 6)), axis=-1)
    blob = np.concatenate([grid.reshape(-1, 2), np.ones((25, 1))], axis=1)
    masks = [EnergyMask(k, 0, 3, (blob,), 150.0, 0.5) for k in range(2, 8)]
    masks.append(EnergyMask(9, 0, 5, (blob,), None, 0.01))
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (24000, 4))
    return Prediction(recording_of_array(audio, 24000, "take"), masks, 10)


def test_events_tell_what_is_credible(prediction: Prediction) -> None:
    (event,) = prediction.events()
    assert (event.class_name, event.start_s, event.end_s) == ("Telephone", 0.2, 0.8)
    assert event.azimuth == pytest.approx(60, abs=0.5)
    assert event.elevation == pytest.approx(20, abs=0.5)
    assert prediction.events().to_arrow().num_rows == 1


def test_energy_lies_where_the_mask_is(prediction: Prediction) -> None:
    energy = prediction.energy(2)
    assert energy.shape == (180, 360) and energy.max() == pytest.approx(0.5)
    row, column = np.argwhere(energy > 0.4).mean(axis=0)
    x, y = pixel_of_angles(60, 20)
    assert abs(column + 0.5 - x) < 3 and abs(row + 0.5 - y) < 3
    assert not prediction.energy(0).any()
    with pytest.raises(IndexError, match="frame 10 of 10"):
        prediction.energy(10)


def test_table_and_plot(prediction: Prediction) -> None:
    table = prediction.table()
    assert table.num_rows == 7 and table["class_name"].to_pylist()[0] == "Telephone"
    plain, drawn = prediction.plot(0), prediction.plot(3)
    assert plain.shape == drawn.shape and (plain != drawn).any()


def test_a_planar_array_s_elevations_are_said_to_be_assumed_in_every_output(
    prediction: Prediction, tmp_path: Path
) -> None:
    square = converter_for(read_array("respeaker-usb-4"))
    planar = replace(prediction, recording=replace(prediction.recording, converter=square))
    assert [event.elevation_assumed for event in planar.events()] == [True]
    assert set(planar.table()["elevation_assumed"].to_pylist()) == {True}
    assert set(prediction.table()["elevation_assumed"].to_pylist()) == {False}
    page = planar.save(tmp_path, overlay=False)
    assert "assumed and not measured" in page.read_text()
    assert [e.elevation_assumed for e in read_sound_events(tmp_path / "take.events.csv")] == [True]
    for ending, key in ((".jams", '"elevation_assumed": true'), (".txt", "(assumed)")):
        planar.save(tmp_path / f"take{ending}")
        assert key in (tmp_path / f"take{ending}").read_text()
    planar.save(tmp_path / "take.coco.json")
    coco = json.loads((tmp_path / "take.coco.json").read_text())
    assert {a["elevation_assumed"] for a in coco["annotations"]} == {True}


def test_save(prediction: Prediction, tmp_path: Path) -> None:
    page = prediction.save(tmp_path / "out")
    assert page.name == "index.html" and "Telephone" in page.read_text()
    assert len(read_annotations(tmp_path / "out" / "take.json")) == 7
    assert (tmp_path / "out" / "take.overlay.mp4").is_file()


def test_save_a_file_by_its_ending(prediction: Prediction, tmp_path: Path) -> None:
    assert prediction.save(tmp_path / "take.json") == tmp_path / "take.json"
    assert len(read_annotations(tmp_path / "take.json")) == 7
    prediction.save(tmp_path / "take.events.csv")
    assert [e.class_name for e in read_sound_events(tmp_path / "take.events.csv")] == ["Telephone"]
    prediction.save(tmp_path / "take.txt")
    start, end, label = (tmp_path / "take.txt").read_text().split("\t")
    assert (float(start), float(end), label.split(",")[0]) == (0.2, 0.8, "Telephone")
    with pytest.raises(OutputError) as refused:
        prediction.save(tmp_path / "take.docx")
    assert refused.value.found == ".docx"
    assert {path.name for path in tmp_path.iterdir()} == {
        "take.json",
        "take.events.csv",
        "take.txt",
    }
