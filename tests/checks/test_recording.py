"""The doctor names what is wrong with a recording, and has no complaint about a sound one."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from tests.pictures import black

from saiseld.arrays.description import em32
from saiseld.arrays.responses import array_response
from saiseld.checks.recording import check_recording
from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.sphere import unit_vector


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Three sources on the 32 capsules of the sphere, and a little noise: (48000, 32)."""
    rng = np.random.default_rng(0)
    frequency = np.fft.rfftfreq(48000, 1 / 24000)
    directions = unit_vector([30, -100, 170], [10, -30, 50])
    low = frequency < 11e3
    response = np.zeros((len(frequency), 3, 32), complex)
    response[low] = array_response(em32(), frequency[low], directions)
    sources = np.fft.rfft(rng.standard_normal((3, 48000)))
    spectrum = np.einsum("fdm,df->mf", response, sources)
    return 0.05 * np.fft.irfft(spectrum).T + 1e-4 * rng.standard_normal((48000, 32))


def told(tmp_path: Path, audio: np.ndarray, rate: int = 24000) -> dict[str, str]:
    path = tmp_path / "scene.wav"
    soundfile.write(path, audio, rate, subtype="FLOAT")
    return {finding.what: finding.severity for finding in check_recording(path)}


def test_a_sound_recording_has_no_complaint(tmp_path: Path, scene: np.ndarray) -> None:
    assert told(tmp_path, scene) == {}
    four = told(tmp_path, scene[:, TETRAHEDRON])
    assert four == {"the order of four channels cannot be told from sound alone": "note"}


def test_channel_faults_are_named(tmp_path: Path, scene: np.ndarray) -> None:
    faults = {
        "channels 4 and 18 are swapped": lambda a: a.__setitem__(
            (slice(None), [3, 17]), a[:, [17, 3]]
        ),
        "channel 8 has inverted polarity": lambda a: a.__setitem__((slice(None), 7), -a[:, 7]),
        "channel 10 is dead": lambda a: a.__setitem__((slice(None), 9), 0),
        "channels 9 and 10 hold the same sound": lambda a: a.__setitem__((slice(None), 9), a[:, 8]),
    }
    for what, spoil in faults.items():
        spoilt = scene.copy()
        spoil(spoilt)
        assert told(tmp_path, spoilt) == {what: "error"}


def test_capsules_that_one_wave_reaches_at_once_are_no_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wave = rng.standard_normal(2400)
    spectra = (
        np.fft.rfft(wave)[:, None]
        * array_response(
            em32(), np.fft.rfftfreq(2400, 1 / 24000), unit_vector([[3]], [[1]]).reshape(1, 3)
        )[:, 0]
    )
    audio = 0.1 * np.fft.irfft(spectra, 2400, axis=0)
    assert not [what for what in told(tmp_path, audio) if "same sound" in what]


def test_a_whole_other_order_is_noticed(tmp_path: Path, scene: np.ndarray) -> None:
    (what,) = told(tmp_path, scene[:, ::-1])
    assert "does not fit the em32's geometry" in what


def test_levels(tmp_path: Path, scene: np.ndarray) -> None:
    loud = scene.copy()
    loud[:, 9] *= 4
    assert "channel 10 is +12.0 dB from the others at low frequency" in told(tmp_path, loud)
    clipped = told(tmp_path, np.clip(30 * scene[:, TETRAHEDRON], -1, 1))
    assert sum("samples at full scale" in what for what in clipped) == 4
    assert told(tmp_path, 0 * scene) == {"every sample is zero": "error"}
    paused = scene.copy()
    paused[2400:7200] = 0
    assert told(tmp_path, paused) == {"2 of 20 frames are exactly zero": "warning"}


def test_rate_and_unreadable_files(tmp_path: Path, scene: np.ndarray) -> None:
    assert "sample rate 48000 Hz, not 24000 Hz" in told(tmp_path, scene, 48000)
    (tmp_path / "a.wav").write_text("text")
    (finding,) = check_recording(tmp_path / "a.wav")
    assert finding.severity == "error" and "expected a WAV" in finding.what
    (finding,) = check_recording(tmp_path / "absent.wav")
    assert "no such file" in finding.what


def test_a_short_video_is_said(tmp_path: Path, scene: np.ndarray) -> None:
    from PIL import Image

    for number in (0, 1, 2, 4):
        Image.new("RGB", (360, 180)).save(tmp_path / f"scene_{number:04d}.png")
    soundfile.write(tmp_path / "scene.wav", scene, 24000, subtype="FLOAT")
    whats = [finding.what for finding in check_recording(tmp_path / "scene.wav", tmp_path)]
    assert whats == [
        "5 video frames for 20 frames of sound",
        "1 of 5 frames are missing in the folder",
    ]


def test_ambisonics_are_no_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    audio = 1e-4 * rng.standard_normal((48000, 4))
    for x, y, z in unit_vector([30, -100, 170, 80], [10, -30, 50, 0]):
        audio += 0.05 * rng.standard_normal((48000, 1)) * [1, y, z, x]
    assert list(told(tmp_path, audio).values()) == ["note"]


def test_channels_of_mere_noise_are_said_to_be_odd(tmp_path: Path) -> None:
    noise = 0.01 * np.random.default_rng(2).standard_normal((48000, 4))
    assert "warning" in told(tmp_path, noise).values()


def test_the_video_is_found_in_a_folder_as_image_finds_it(tmp_path: Path, scene) -> None:
    soundfile.write(tmp_path / "scene.wav", scene[:, TETRAHEDRON], 24000, subtype="FLOAT")
    (tmp_path / "videos").mkdir()
    video = tmp_path / "videos" / "SCENE.MKV"
    with av.open(str(video), "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 360, 180, "yuv420p"
        for number in range(20):
            frame = black(360, 180)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    findings = check_recording(tmp_path / "scene.wav", tmp_path / "videos")
    assert {finding.severity for finding in findings} == {"note"}
    video.rename(video.with_name("other.mkv"))
    findings = check_recording(tmp_path / "scene.wav", tmp_path / "videos")
    assert [f.severity for f in findings if "scene.mp4" in f.what] == ["warning"]
    findings = check_recording(tmp_path / "scene.wav", tmp_path / "nowhere")
    assert [f.severity for f in findings if f.path == tmp_path / "nowhere"] == ["error"]
