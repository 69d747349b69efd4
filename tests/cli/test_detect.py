"""``saiseld detect`` makes each table once, from sound or from features."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from tests.untrained import write_noise

from saiseld.detector.model import Detector
from saiseld.formats.candidates import read_candidates, write_candidates
from saiseld.pipeline.detect import detect
from saiseld.pipeline.weights import DEMO
from saiseld.runtime.errors import DataError


def test_tables_are_made_once(untrained, tmp_path, saiseld) -> None:
    command = ("detect", untrained / "rec.wav", "--weights", untrained, "-o", tmp_path)
    code, told = saiseld(*command)
    assert code == 0 and "1 recording detected" in told and "3 frames without a picture" in told
    path = tmp_path / "rec.candidates.parquet"
    table = read_candidates(path)
    assert (table.recording, table.frames) == ("rec", 3)
    assert 0 < table.has_map.sum() < len(table)
    before = path.stat().st_mtime_ns
    code, told = saiseld(*command)
    assert code == 0 and "0 recordings detected" in told
    assert path.stat().st_mtime_ns == before


def test_a_table_is_never_taken_for_that_of_other_sound_video_or_weights(
    untrained, tmp_path, saiseld
) -> None:
    recording, out, other = tmp_path / "rec.wav", tmp_path / "out", tmp_path / "other"
    write_noise(recording, 3)
    shutil.copytree(untrained, other)
    Detector("compact", "great_circle").save(other / "detector.safetensors")
    command = ("detect", recording, "-o", out, "--weights")
    video = ("--video", DEMO / "fold4_room2_mix001.mp4")
    assert "1 recording " in saiseld(*command, untrained)[1]
    assert "1 recording " in saiseld(*command, other)[1]
    assert "1 recording " in saiseld(*command, other, *video)[1]
    assert "0 recordings" in saiseld(*command, other, *video)[1]
    write_noise(recording, 4)
    assert "1 recording " in saiseld(*command, other, *video)[1]
    path = out / "rec.candidates.parquet"
    table = read_candidates(path)
    assert table.frames == 4
    # What something else made is left alone.
    write_candidates(path, replace(table, provenance={"imager": "mine"}))
    code, told = saiseld(*command, other, *video)
    assert code == 2 and "one that something else made. Choose another folder" in told


def test_an_array_is_converted_and_the_table_says_so(untrained, tmp_path, saiseld) -> None:
    path = tmp_path / "rec.wav"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * 1600, 6))
    soundfile.write(path, noise, 16_000, subtype="FLOAT")
    command = ("detect", path, "--weights", untrained, "-o", tmp_path)
    code, told = saiseld(*command)
    assert code == 2 and "channels: expected 4" in told and "found 6" in told
    code, told = saiseld(*command, "--array", "respeaker-usb-4", "--format", "foa")
    assert code == 2 and "found format foa and an array" in told
    assert saiseld(*command, "--array", "respeaker-usb-4")[0] == 0
    table = read_candidates(tmp_path / "rec.candidates.parquet")
    made_from = table.provenance["made_from"]
    assert table.frames == 3 and made_from["channels"].startswith("ReSpeaker USB 4 Mic Array (")
    assert made_from["elevation_assumed"]
    found = detect(path, array="respeaker-usb-4", weights=untrained)
    np.testing.assert_array_equal(found.azimuth, table.azimuth)
    for wrong in ({"format": "b-format"}, {"array": "zm-1", "format": "foa"}, {"array": "nobody"}):
        with pytest.raises(DataError):
            detect(path, weights=untrained, **wrong)


def test_features_stand_in_for_the_sound(untrained, tmp_path, saiseld) -> None:
    weights = ("--weights", untrained)
    features = tmp_path / "features"
    assert saiseld("features", untrained / "rec.wav", *weights, "-o", features)[0] == 0
    options = ("--features", features, "--all-maps", "-o", tmp_path)
    assert saiseld("detect", untrained / "rec.wav", *weights, *options)[0] == 0
    table = read_candidates(tmp_path / "rec.candidates.parquet")
    assert table.frames == 3 and table.has_map.all()


def test_what_is_absent_is_named(untrained, tmp_path, saiseld) -> None:
    command = ("detect", untrained / "rec.wav", "-o", tmp_path)
    code, told = saiseld(*command, "--weights", untrained, "--features", tmp_path / "none")
    assert code == 2 and "rec.features.safetensors: expected a features file" in told
    code, told = saiseld(*command, "--weights", tmp_path)
    assert code == 2 and "Train them with `saiseld train uplam`, `detector`" in told
    assert not list(tmp_path.glob("*.parquet"))
