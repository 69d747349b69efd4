"""Where there is nothing to hear the packaged weights tell of nothing, whatever there is to see."""

import numpy as np
import pytest

from saiseld.data.recordings import recording_of_array
from saiseld.pipeline.imager import load_imager
from saiseld.pipeline.networks import NetworkOptions
from saiseld.pipeline.weights import DEMO

SECONDS = 1
NOISE = np.random.default_rng(0).standard_normal((SECONDS * 24_000, 4))


@pytest.mark.parametrize(
    "audio",
    [
        pytest.param(0 * NOISE, id="digital silence"),
        pytest.param(np.round(0.3 * NOISE) / 32768, id="the last bit"),
        pytest.param(1e-4 * NOISE, id="microphones' own noise"),
        pytest.param(0 * NOISE + 0.1, id="a constant"),
        pytest.param(1e-2 * NOISE * [1, 0, 0, 0], id="three channels dead"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_told_of_nothing(audio: np.ndarray) -> None:
    recording = recording_of_array(audio.astype(np.float32), 24_000)
    for video in (None, DEMO / "fold4_room2_mix001.mp4"):
        prediction = load_imager(NetworkOptions()).image(recording, video)
        assert prediction.events() == []
        # Not by a hair: no mask is worth a quarter of the threshold.
        assert max((mask.score or 0.0 for mask in prediction.masks), default=0.0) < 0.05
