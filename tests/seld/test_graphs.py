"""The packaged ear's graphs against the ear in torch, on the packaged scene."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from tests.errors import raises

from saiseld.data.recordings import open_recording
from saiseld.formats.candidates import joined
from saiseld.pipeline.weights import DEMO, PACKAGED
from saiseld.runtime.errors import CheckpointError
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.decode import candidates
from saiseld.seld.encoders import PretrainedEncoder
from saiseld.seld.export import write_seld_graphs
from saiseld.seld.graphs import GraphSeld
from saiseld.seld.model import Seld
from saiseld.seld.network import SeldNetwork

WEIGHTS = PACKAGED / "seld.safetensors"


@pytest.fixture(scope="module")
def ears() -> tuple[AudioBranch, AudioBranch]:
    graphs = AudioBranch.load(WEIGHTS)
    assert isinstance(graphs.network, GraphSeld)
    return graphs, AudioBranch(Seld.load(WEIGHTS), recognition=graphs.recognition)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    (path,) = DEMO.glob("*.wav")
    return np.concatenate(list(open_recording(path).blocks()))


@pytest.mark.parametrize(
    ("frames", "views", "last"), [(50, 4, 50), (50, 1, 5), (33, 2, 20), (7, 1, 7), (1, 1, 1)]
)
def test_windows_of_any_length_and_views(ears, sound, frames, views, last) -> None:
    audio = sound[: frames * 2400].T
    heard = []
    for ear in ears:
        heard.append(AudioBranch(ear.network, tta=views).window(audio, last=last))
    np.testing.assert_allclose(heard[0], heard[1], rtol=0, atol=1e-5)


def test_graphs_give_what_torch_gives(ears, sound) -> None:
    own, expected = (list(ear.blocks([sound])) for ear in ears)
    # Maps are compared as probabilities: what is drawn of them round a peak steps from one triangle
    # of directions to the next, so it may differ by more than what it is drawn from.
    for name in ("classes", "maps", "activity"):
        pair = (
            expit(np.concatenate([getattr(p, name) for p in parts])) for parts in (own, expected)
        )
        np.testing.assert_allclose(*pair, rtol=0, atol=1e-5)
    own, expected = (
        joined(list(candidates("scene", len(sound) // 2400, parts, {})))
        for parts in (own, expected)
    )
    np.testing.assert_array_equal(own.frame, expected.frame)
    np.testing.assert_array_equal(own.class_id, expected.class_id)
    np.testing.assert_allclose(own.score, expected.score, rtol=0, atol=1e-4)
    np.testing.assert_allclose(own.box, expected.box, rtol=0, atol=0.05)
    assert own.score.max() > 0.2


class OwnSpectrum(PretrainedEncoder):
    channels = 4


def test_an_encoder_with_its_own_spectrum_has_no_graphs(tmp_path: Path) -> None:
    seld = Seld("own", OwnSpectrum(), SeldNetwork(4))
    with raises(CheckpointError, place="prior", expected="yamnet: graphs have no other"):
        write_seld_graphs(seld, tmp_path / "seld.safetensors")
