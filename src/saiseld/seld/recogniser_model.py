"""The recogniser of `saiseld.seld.recogniser` in torch: encoder and head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.formats.checkpoint import (
    check_header,
    load_weights,
    read_checkpoint,
    write_checkpoint,
)
from saiseld.formats.graph import write_graph
from saiseld.seld.encoders import PretrainedEncoder, YAMNetEncoder
from saiseld.seld.inputs import HOPS_PER_FRAME, MELS
from saiseld.seld.network import frame_embeddings
from saiseld.seld.recogniser import GRAPH
from saiseld.seld.yamnet import CHANNELS

KIND = "recogniser"
HIDDEN = 256


class RecogniserModel(nn.Module):
    """Log-mels of a beam, (T, 10, 64), to log probabilities (T, 14).

    Parameters
    ----------
    encoder
        Pretrained, on the inputs' own mels.
    head
        Of `make_head`.
    """

    def __init__(self, encoder: PretrainedEncoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the opinion on a single beam."""
        (mels,) = inputs
        embedding = self.encoder(None, mels.flatten(0, 1)[None])
        opinion: Tensor = self.head(frame_embeddings(embedding, len(mels))[0])
        return opinion.log_softmax(-1)


def make_head(channels: int = CHANNELS) -> nn.Sequential:
    """Return a head on the encoder's embedding: logits of 13 classes and of none."""
    return nn.Sequential(
        nn.LayerNorm(channels),
        nn.Dropout(0.3),
        nn.Linear(channels, HIDDEN),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(HIDDEN, NUM_CLASSES + 1),
    )


def save_recogniser(path: Path, model: RecogniserModel, header: Mapping[str, Any]) -> Path:
    """Write a checkpoint in 16 bits and its graph beside it; return the graph's path.

    Parameters
    ----------
    header
        What is to be known of it.
    """
    state = {key: value.half() for key, value in model.state_dict().items()}
    identity = {"kind": KIND, "classes": list(CLASS_NAMES), "encoder": "yamnet"}
    write_checkpoint(path, state, {**header, **identity})
    return write_recogniser_graph(path)


def write_recogniser_graph(path: Path) -> Path:
    """Write the graph of a recogniser's checkpoint beside it; return its path.

    Raises
    ------
    CheckpointError
        If it is no recogniser's, or of other classes.
    """
    model = _read(path)
    mels = torch.rand(50, HOPS_PER_FRAME, MELS)
    return write_graph(path, GRAPH, _Traced(model), [mels], {"kind": KIND})


class TorchRecogniser:
    """A `saiseld.seld.recogniser.Recogniser` in torch, on the CPU.

    Raises
    ------
    CheckpointError
        If it is no recogniser's, or of other classes.
    """

    def __init__(self, path: str | Path) -> None:
        self._model = _read(path)

    @torch.inference_mode()
    def __call__(self, mels: NDArray[np.float32], /) -> NDArray[np.float32]:
        """See `saiseld.seld.recogniser.Recogniser`."""
        opinion: Tensor = self._model(torch.from_numpy(np.ascontiguousarray(mels)))
        return np.asarray(opinion.numpy())


def _read(path: str | Path) -> RecogniserModel:
    state, header = read_checkpoint(path)
    check_header(path, header, kind=KIND, classes=list(CLASS_NAMES))
    model = RecogniserModel(YAMNetEncoder(), make_head())
    load_weights(model, state, path)
    model.eval().requires_grad_(False)
    return model


class _Traced(nn.Module):
    def __init__(self, model: RecogniserModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        return (self.model(*inputs),)
