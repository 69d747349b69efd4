"""The check of a recording's geometry, and recordings of described arrays."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from saiseld.arrays.description import read_array, tetrahedron
from saiseld.arrays.responses import array_response
from saiseld.checks.recording import check_recording
from saiseld.conventions.sphere import fibonacci_sphere, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.pipeline.open import open_checked
from saiseld.runtime.errors import AudioError

SAMPLES = 24_000


def recorded(array, path, *, count=None, dead=()):
    """Write two sources, one after another, in a diffuse field, as an array records them."""
    rng = np.random.default_rng(0)
    frequency = np.fft.rfftfreq(SAMPLES, 1 / SAMPLE_RATE)
    directions = np.concatenate([unit_vector([60, -100], [0, 20]), fibonacci_sphere(3).T])
    response = array_response(array, frequency, directions)
    sources = rng.standard_normal((len(directions), SAMPLES)) * 0.004
    sources[0, : SAMPLES // 2] += 0.1 * rng.standard_normal(SAMPLES // 2)
    sources[1, SAMPLES // 2 :] += 0.1 * rng.standard_normal(SAMPLES // 2)
    spectra = np.einsum("fdm,df->fm", response, np.fft.rfft(sources))
    sound = np.zeros((SAMPLES, count or array.microphones))
    channels = [c - 1 for c in array.channels] if count else slice(None)
    sound[:, channels] = np.fft.irfft(spectra, SAMPLES, axis=0)
    sound[:, list(dead)] = 0
    soundfile.write(path, sound, SAMPLE_RATE, subtype="FLOAT")
    return path


def warnings(findings):
    return [finding for finding in findings if finding.severity == "warning"]


def test_a_planar_array_taken_for_capsules_is_warned_of(tmp_path) -> None:
    path = recorded(read_array("respeaker-usb-4"), tmp_path / "x.wav")
    found = [f for f in warnings(check_recording(path, None, "mic")) if "do not fit" in f.what]
    assert len(found) == 1 and "ReSpeaker USB 4" in found[0].what and "--array" in found[0].advice


def test_a_format_is_told_by_the_radius_that_its_phases_show(tmp_path) -> None:
    path = recorded(read_array("ambeo"), tmp_path / "x.wav")
    for channels in ("auto", "a-format"):
        (found,) = [f for f in check_recording(path, None, channels) if "phases" in f.what]
        assert found.severity == "note" and "1.5 cm" in found.what and "4.2 cm" in found.what
    path = recorded(read_array("respeaker-usb-4"), tmp_path / "y.wav")
    found = [f for f in warnings(check_recording(path, None, "a-format")) if "fit" in f.what]
    assert len(found) == 1 and "ReSpeaker USB 4" in found[0].what


def test_the_right_array_is_not_warned_of(tmp_path) -> None:
    path = recorded(read_array("respeaker-usb-4"), tmp_path / "x.wav", count=6)
    findings = check_recording(path, None, read_array("respeaker-usb-4"))
    assert [finding.severity for finding in findings] == ["note"]
    assert "elevation assumed" in findings[0].what
    own = recorded(tetrahedron(), tmp_path / "own.wav")
    assert not warnings(check_recording(own, None, "mic"))


def test_a_wrong_description_is_warned_of(tmp_path) -> None:
    path = recorded(read_array("respeaker-core-6"), tmp_path / "x.wav")
    wrong = read_array("respeaker-core-6")
    object.__setattr__(wrong, "positions_m", wrong.positions_m / 2)
    (found,) = warnings(check_recording(path, None, wrong))
    assert "do not fit" in found.what


def test_a_dead_microphone_is_an_error_that_names_its_channel(tmp_path) -> None:
    array = read_array("respeaker-usb-4")
    path = recorded(array, tmp_path / "x.wav", count=6, dead=[3])
    errors = [f for f in check_recording(path, None, array) if f.severity == "error"]
    assert [f.what for f in errors] == ["channel 4 is dead"]


def test_a_recording_of_an_array_is_opened_as_four_capsules(tmp_path) -> None:
    array = read_array("respeaker-usb-4")
    recording = open_checked(recorded(array, tmp_path / "x.wav", count=6), array)
    (block,) = recording.blocks()
    assert block.shape == (SAMPLES, 4) and recording.elevation_assumed
    assert recording.channels == 6 and array.name in recording.layout
    assert not open_checked(recorded(tetrahedron(), tmp_path / "own.wav")).elevation_assumed
    with pytest.raises(AudioError) as error:
        open_checked(tmp_path / "own.wav", read_array("uma-8"))
    assert error.value.place == "channels"
