"""The recogniser of `saiseld.seld.recogniser` in torch: encoder, head and AudioSet evidence.

AudioSet has no sex of adult speakers among YAMNet's classes, so both classes of speech get the same
evidence. Groups follow the definitions of the task (docs/sounds.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.formats.checkpoint import load_weights, read_checkpoint, write_checkpoint
from saiseld.formats.graph import write_graph
from saiseld.runtime.errors import CheckpointError
from saiseld.seld.encoders import YAMNetEncoder
from saiseld.seld.inputs import HOPS_PER_FRAME, MELS
from saiseld.seld.network import frame_embeddings
from saiseld.seld.recogniser import GRAPH
from saiseld.seld.yamnet import CHANNELS

KIND = "recogniser"
HIDDEN = 256

_SPEECH = (0, 1, 2, 3, 5)
AUDIOSET_GROUPS: tuple[tuple[int, ...], ...] = (
    _SPEECH,
    _SPEECH,
    (58, 62),
    (383, 384, 385, 386),
    (13, 14, 15, 16, 17, 18),
    (362, 363, 367, 371, 376, 405, 406, 407, 450),
    (46, 47, 48),
    (348, 351, 352, 355, 356, 357, 480),
    (*range(211, 277), 24, 25, 31),
    (87, *range(133, 195), *range(203, 211)),
    (364, 365, 366, 443, 444, 446),
    (195, 196, 197, 198, 199, 200, 349, 350, 477),
    (353, 354),
)
"""Numbers of YAMNet's 521 AudioSet classes that belong to each of the 13 classes."""

_USED = sorted({number for group in AUDIOSET_GROUPS for number in group})
_LAST = 1024
"""Channels of the encoder's last depth, which AudioSet's classifier is on."""


class RecogniserModel(nn.Module):
    """Log-mels of a beam, (T, 10, 64), to log probabilities (T, 14) and evidence (T, 13)."""

    joint_weight: Tensor
    joint_bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = YAMNetEncoder()
        self.head = make_head()
        self.audioset = nn.Linear(_LAST, len(_USED))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return both opinions of a single beam."""
        (mels,) = inputs
        embedding = self.encoder(None, mels.flatten(0, 1)[None])
        frames = frame_embeddings(embedding, len(mels))[0]
        return self.opinions(frames)

    def opinions(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return both opinions of embeddings (..., 2048)."""
        head = self.head(frames).log_softmax(-1)
        return head, grouped(self.audioset(frames[..., -_LAST:]))


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


def grouped(logits: Tensor) -> Tensor:
    """Return (..., 13): the largest of the used AudioSet classes' logits in each group."""
    columns = {number: column for column, number in enumerate(_USED)}
    parts = [
        logits[..., [columns[number] for number in group]].amax(-1) for group in AUDIOSET_GROUPS
    ]
    return torch.stack(parts, dim=-1)


def audioset_rows(kernel: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias of `RecogniserModel.audioset` of YAMNet's own (1024, 521), (521,)."""
    return kernel.T[_USED].contiguous(), bias[_USED].contiguous()


def save_recogniser(
    path: Path,
    model: RecogniserModel,
    joint: tuple[Tensor, Tensor],
    header: Mapping[str, Any],
) -> Path:
    """Write a checkpoint in 16 bits and its graph beside it; return the graph's path.

    Parameters
    ----------
    joint
        Weight (3, 14) and bias (14,) of `saiseld.seld.recogniser.Joint`.
    header
        What is to be known of it.
    """
    state = {key: value.half() for key, value in model.state_dict().items()}
    state |= {"joint.weight": joint[0].float(), "joint.bias": joint[1].float()}
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
    state, header = read_checkpoint(path)
    for name, expected in (("kind", KIND), ("classes", list(CLASS_NAMES))):
        if header.get(name) != expected:
            found = str(header.get(name))
            raise CheckpointError(path, place=name, expected=str(expected), found=found)
    model = RecogniserModel()
    weights = {key: value for key, value in state.items() if not key.startswith("joint.")}
    load_weights(model, weights, path)
    model.eval().requires_grad_(False)
    mels = torch.rand(50, HOPS_PER_FRAME, MELS)
    return write_graph(path, GRAPH, _Traced(model), [mels], {"kind": KIND})


class _Traced(nn.Module):
    def __init__(self, model: RecogniserModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        head, audioset = self.model(*inputs)
        return head, audioset
