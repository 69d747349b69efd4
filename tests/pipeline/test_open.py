"""What is wrong with a recording or its video is said before it is imaged."""

import av
import numpy as np
import pytest
import soundfile
from tests.errors import raises
from tests.pictures import black

from saiseld.arrays.converter import converter_for
from saiseld.arrays.description import MicrophoneArray
from saiseld.checks.recording import check_recording, open_for
from saiseld.pipeline.open import open_checked
from saiseld.runtime.errors import AudioError

NOISE = 0.1 * np.random.default_rng(0).standard_normal((24_000, 4))


def test_a_flat_video_is_said(tmp_path, caplog) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        container.mux(stream.encode(black(640, 360)))
        container.mux(stream.encode())
    soundfile.write(tmp_path / "a.wav", NOISE, 24_000)
    open_checked(tmp_path / "a.wav", video=tmp_path / "a.mp4")
    assert "640 x 360 pixels, but a 360 degree panorama is twice as wide as high" in caplog.text


def test_four_channels_alike_are_said(tmp_path, caplog) -> None:
    soundfile.write(tmp_path / "a.wav", np.repeat(NOISE[:, :1], 4, axis=1), 24_000)
    open_checked(tmp_path / "a.wav")
    assert "channels 1 and 2 hold the same sound" in caplog.text


@pytest.mark.parametrize(("channels", "kind"), [(4, "em32"), (32, "foa"), (32, "mic")])
def test_other_channels_than_said_are_refused(tmp_path, channels: int, kind: str) -> None:
    soundfile.write(tmp_path / "a.wav", np.tile(NOISE, channels // 4), 24_000)
    with pytest.raises(AudioError) as caught:
        open_checked(tmp_path / "a.wav", kind)
    assert (caught.value.place, caught.value.found) == ("channels", str(channels))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_arrays_of_three_microphones(tmp_path, channels: int) -> None:
    positions = 0.04 * np.array([[1, 0, 0], [-0.5, 0.8, 0], [-0.5, -0.8, 0]])
    array = MicrophoneArray("triangle", "open", positions, (1, 2, 4), half="up")
    soundfile.write(tmp_path / "a.wav", NOISE[:, :channels], 24_000)
    if channels == 2:
        with raises(AudioError, place="channels", expected="3, or 4 and more, for triangle"):
            open_checked(tmp_path / "a.wav", array)
        assert check_recording(tmp_path / "a.wav", None, array)[0].severity == "error"
        return
    assert open_for(tmp_path / "a.wav", array).converted_by(converter_for(array)).frames == 10


def test_slow_sampling_is_refused(tmp_path) -> None:
    soundfile.write(tmp_path / "a.wav", NOISE, 8_000)
    with raises(AudioError, place="sample rate"):
        open_checked(tmp_path / "a.wav")
