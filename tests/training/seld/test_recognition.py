"""The recogniser: beams of known scenes, a head that learns them, and a checkpoint that is used."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.pipeline.weights import PACKAGED
from saiseld.seld.encoders import read_encoder
from saiseld.seld.recogniser import (
    RECOGNISER,
    GraphRecogniser,
    SourceRecognition,
    recogniser_beside,
)
from saiseld.seld.recogniser_model import RecogniserModel, save_recogniser
from saiseld.training.seld.mixing import Scene, Track
from saiseld.training.seld.recognition import (
    NONE,
    HeadRecipe,
    accuracy,
    train_head,
    training_beams,
)


@pytest.fixture(scope="module")
def encoder():
    return read_encoder(PACKAGED / "seld.safetensors")[1]


def scene(*class_ids: int, frames: int = 10) -> Scene:
    whole = np.ones(frames)
    tracks = tuple(
        Track(class_id, whole > 0, whole * (90 * k - 90), whole * 0, whole * 100)
        for k, class_id in enumerate(class_ids)
    )
    noise = np.random.default_rng(0).normal(0, 0.1, (4, 2400 * frames))
    return Scene(noise.astype(np.float32), tracks)


def test_every_source_gives_beams_of_its_class(encoder):
    beams = training_beams(scene(5, 7, -1), encoder, np.random.default_rng(1))
    assert beams["embedding"].shape == (len(beams["label"]), encoder.channels)
    assert {5, 7, NONE} <= set(beams["label"].tolist())


def test_a_scene_without_sources_gives_none(encoder):
    rng = np.random.default_rng(0)  # draws no beam towards nothing
    assert not len(training_beams(scene(), encoder, rng)["label"])


def test_a_head_learns_what_embeddings_tell_apart():
    rng = np.random.default_rng(0)
    label = np.arange(560) % (NONE + 1)
    centre = rng.normal(0, 1, (NONE + 1, 2048))
    embedding = centre[label] + rng.normal(0, 0.3, (len(label), 2048))
    beams = {"embedding": embedding.astype(np.float16), "label": label.astype(np.int8)}
    head = train_head(beams, HeadRecipe(epochs=8, batch=70))
    assert accuracy(head, beams) > 0.95


@pytest.mark.slow
def test_a_saved_recogniser_is_found_and_says_what_the_model_says(tmp_path, encoder):
    torch.manual_seed(0)
    from saiseld.seld.recogniser_model import make_head

    model = RecogniserModel(encoder, make_head().eval())
    save_recogniser(tmp_path / RECOGNISER, model, {})
    path = recogniser_beside(tmp_path / "seld.safetensors")
    assert path is not None
    mels = np.random.default_rng(0).normal(-3, 1, (20, 10, 64)).astype(np.float32)
    said = GraphRecogniser(path)(mels)
    assert said.shape == (20, NUM_CLASSES + 1)
    np.testing.assert_allclose(np.exp(said).sum(1), 1, atol=1e-4)
    with torch.inference_mode():
        expected = model(torch.from_numpy(mels)).numpy()
    np.testing.assert_allclose(said, expected, atol=0.02)
    # A checkpoint that has no graph yet, as while a system is trained, is used all the same.
    for graph in tmp_path.glob("*.onnx"):
        graph.unlink()
    without = SourceRecognition.load(path).recogniser(mels)
    np.testing.assert_allclose(without, said, atol=1e-3)
