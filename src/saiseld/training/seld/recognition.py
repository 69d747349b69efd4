"""Training the recogniser: a head on beams of mixed scenes, and what its opinion weighs.

The head is trained on the bank's training side, sources set apart as in `SoundPool.split`: beams go
towards the true directions of scenes of one to four sources, with errors as localisation makes
them, soft nulls on the other sources, and some towards nothing. The weights of the joint model
(`saiseld.seld.recogniser.Joint`) are fitted on scenes of the sources set apart, which neither the
head nor, with the recipe's share, the network was trained on, in the directions that the network
finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.runtime.files import atomic_path
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.encoders import PretrainedEncoder
from saiseld.seld.recogniser import (
    APART_DEG,
    LIMIT,
    MAX_SOURCES,
    REACH_DEG,
    SMOOTH_FRAMES,
    beam_mels,
    source_directions,
    source_logits,
)
from saiseld.seld.recogniser_model import make_head
from saiseld.training.seld.mixing import Mixer, Scene, Track

NONE = NUM_CLASSES
"""Label of a beam on no source, or on one without a class."""

STRAY_DEG = 4.0
"""Standard deviation of the errors of training directions."""
NULLED = 0.85
"""How often another source is nulled: localisation misses some."""
EMPTY = 0.15
"""How often a scene gives a beam towards nothing."""
STEPS = 8
"""Most embeddings that a beam gives the head's training."""

Arrays = dict[str, NDArray[np.generic]]


@torch.inference_mode()
def training_beams(scene: Scene, encoder: PretrainedEncoder, rng: np.random.Generator) -> Arrays:
    """Return ``embedding`` (N, 2048) and ``label`` (N,) of beams on a scene's sources."""
    tracks = [track for track in scene.tracks if track.active.any()][:MAX_SOURCES]
    middle = [_middle(track) for track in tracks]
    looks = [_stray(direction, rng) for direction in middle]
    labels = [_labels(track, direction) for track, direction in zip(tracks, middle, strict=True)]
    nulls = [
        [
            _stray(other, rng)
            for number, other in enumerate(middle)
            if number != index and _apart(other, direction) > APART_DEG and rng.random() < NULLED
        ]
        for index, direction in enumerate(middle)
    ]
    if rng.random() < EMPTY:
        direction = unit_vector(rng.uniform(-180, 180), rng.normal(0, 30))
        if all(_apart(direction, other) > 2 * APART_DEG for other in middle):
            looks.append(direction)
            nulls.append(list(looks[: MAX_SOURCES - 1]))
            labels.append(np.full(scene.audio.shape[1] // 2400, NONE))
    embeddings, chosen = [], []
    for look, others, label in zip(looks, nulls, labels, strict=True):
        mels = beam_mels(scene.audio.T, np.array([look, *others]))[0]
        embedding = encoder(None, torch.from_numpy(mels.reshape(1, -1, mels.shape[-1])))[0].T
        at = _step_frames(len(embedding), len(label))
        steps = np.flatnonzero(label[at] >= 0)
        steps = rng.permutation(steps)[:STEPS]
        embeddings.append(embedding[steps].numpy().astype(np.float16))
        chosen.append(label[at[steps]].astype(np.int8))
    if not embeddings:
        return {"embedding": np.zeros((0, encoder.channels), np.float16), "label": np.zeros(0, int)}
    return {"embedding": np.concatenate(embeddings), "label": np.concatenate(chosen)}


@torch.inference_mode()
def localised_beams(scene: Scene, encoder: PretrainedEncoder, branch: AudioBranch) -> Arrays | None:
    """Return what the joint model is fitted on, of the sources that a network localises.

    ``embedding`` (K, steps, 2048), ``network`` (K, T, 13) log odds, ``label`` (K, T); None where
    nothing is localised.
    """
    output = branch(scene.audio.T)
    sources = source_directions(output)
    if not len(sources):
        return None
    mels = torch.from_numpy(np.stack(beam_mels(scene.audio.T, sources)))
    embedding = encoder(None, mels.flatten(1, 2)).mT
    return {
        "embedding": embedding.numpy().astype(np.float16),
        "network": source_logits(output, sources).swapaxes(0, 1).astype(np.float32),
        "label": np.stack([_nearest(scene, direction) for direction in sources]).astype(np.int8),
    }


def _middle(track: Track) -> NDArray[np.float64]:
    frames = np.flatnonzero(track.active)
    frame = frames[len(frames) // 2]
    return np.asarray(unit_vector(track.azimuth[frame], track.elevation[frame]), float)


def _stray(direction: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    moved = direction + np.radians(STRAY_DEG) / np.sqrt(2) * rng.standard_normal(3)
    return np.asarray(moved / np.linalg.norm(moved))


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.degrees(np.arccos(np.clip(one @ other, -1, 1))))


def _labels(track: Track, direction: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (T,) the class where the track sounds from there, -1 elsewhere."""
    there = unit_vector(track.azimuth, track.elevation) @ direction > np.cos(np.radians(REACH_DEG))
    label = track.class_id if track.class_id >= 0 else NONE
    return np.asarray(np.where(track.active & there, label, -1))


def _nearest(scene: Scene, direction: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (T,) the class of the nearest source that sounds within reach, else `NONE`."""
    label = np.full(scene.audio.shape[1] // 2400, NONE)
    best = np.full(len(label), np.cos(np.radians(REACH_DEG)))
    for track in scene.tracks:
        cosine = unit_vector(track.azimuth, track.elevation) @ direction
        nearer = track.active & (cosine > best)
        label[nearer] = track.class_id if track.class_id >= 0 else NONE
        best[nearer] = cosine[nearer]
    return label


def _step_frames(steps: int, frames: int) -> NDArray[np.int64]:
    """Return (steps,) the frame that each step of an encoder is in."""
    frame = ((np.arange(steps) + 0.5) * frames / steps).astype(int)
    return np.asarray(np.minimum(frame, frames - 1))


def make_beams(
    mixer: Mixer,
    encoder: PretrainedEncoder,
    branch: AudioBranch | None,
    folder: Path,
    numbers: Sequence[int],
    seed: int,
) -> None:
    """Write a file for every number that has none: 8 scenes each, a function of (seed, number).

    Parameters
    ----------
    branch
        For `localised_beams`; `training_beams` without it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        path = folder / f"{number:05d}.safetensors"
        if path.exists():
            continue
        parts: list[Arrays] = []
        for index in range(8):
            rng = np.random.default_rng([seed, number, index])
            scene = mixer.scene(rng)
            if branch is None:
                parts.append(training_beams(scene, encoder, rng))
            elif (found := localised_beams(scene, encoder, branch)) is not None:
                parts.append(found)
        if not parts:
            continue
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        with atomic_path(path) as temporary:
            save_file(whole, temporary)


def read_beams(folder: Path) -> Arrays:
    """Return what `make_beams` wrote, in order, with ``file`` (N,) the number of its file."""
    files = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    whole = {name: np.concatenate([file[name] for file in files]) for name in files[0]}
    whole["file"] = np.repeat(np.arange(len(files)), [len(file["label"]) for file in files])
    return whole


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """How the head is trained."""

    epochs: int = 12
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    smoothing: float = 0.05
    mix: float = 0.3
    """Share of examples mixed with another of the batch."""


def train_head(beams: Arrays, recipe: HeadRecipe, seed: int = 0) -> nn.Sequential:
    """Return a head trained on `training_beams`, each class as often as the next."""
    torch.manual_seed(seed)
    embedding = torch.from_numpy(np.asarray(beams["embedding"]))
    label = torch.from_numpy(np.asarray(beams["label"])).long()
    count = torch.bincount(label, minlength=NONE + 1).clamp(min=1)
    weight = (1 / count)[label].double()
    head = make_head(embedding.shape[1])
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    steps = recipe.epochs * (len(label) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, steps)
    head.train()
    for _ in range(steps):
        rows = torch.multinomial(weight, recipe.batch, replacement=True)
        target = functional.one_hot(label[rows], NONE + 1).float()
        given = embedding[rows].float()
        other = torch.randperm(recipe.batch)
        share = torch.where(torch.rand(recipe.batch) < recipe.mix, torch.rand(recipe.batch), 1.0)
        share = torch.maximum(share, 1 - share)[:, None]
        given = share * given + (1 - share) * given[other]
        target = share * target + (1 - share) * target[other]
        loss = functional.cross_entropy(head(given), target, label_smoothing=recipe.smoothing)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return head.eval().requires_grad_(False)


class JointData:
    """Opinions on localised beams: log odds of the network, log probabilities, evidence, labels."""

    def __init__(self, network: Tensor, head: Tensor, audioset: Tensor, label: Tensor) -> None:
        best = network.amax(-1, keepdim=True)
        none = torch.zeros_like(best)
        self.opinions = torch.stack(
            [
                torch.cat([network, best], -1).clamp(-LIMIT, LIMIT),
                head,
                torch.cat([audioset.clamp(-LIMIT, LIMIT), none], -1),
            ],
            dim=-2,
        )
        self.label = label

    def rows(self, chosen: Tensor) -> JointData:
        """Return some rows."""
        part = object.__new__(JointData)
        part.opinions, part.label = self.opinions[chosen], self.label[chosen]
        return part


def smoothed(opinion: Tensor) -> Tensor:
    """Return opinions (K, T, C) averaged over `SMOOTH_FRAMES`, over less at the ends."""
    from saiseld.seld.inputs import smoothing

    matrix = torch.from_numpy(smoothing(opinion.shape[1], SMOOTH_FRAMES)).float()
    return matrix @ opinion


def fit_joint(
    data: JointData, shared: float = 1e-3, per_class: float = 1e-2
) -> tuple[Tensor, Tensor]:
    """Return weight (3, 14) and bias (14,) of the joint model.

    Weights are one for all classes plus a deviation of each, which is held small where a class has
    few examples; each class counts as much as the next.

    Parameters
    ----------
    shared, per_class
        Penalties on the squares of the common weights and of the deviations.
    """
    common = torch.tensor([0.3, 0.7, 0.1, 0.3, 0.7, 0.1], requires_grad=True)
    apart = torch.zeros(3, NONE + 1, requires_grad=True)
    bias = torch.zeros(NONE + 1, requires_grad=True)
    count = torch.bincount(data.label, minlength=NONE + 1).clamp(min=1)
    weight = (len(data.label) / (NONE + 1) / count).sqrt()

    def weights() -> Tensor:
        both = torch.cat([common[:3, None].expand(3, NONE), common[3:, None]], dim=1)
        return both + apart

    optimizer = torch.optim.LBFGS(
        [common, apart, bias], max_iter=200, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        odds = (data.opinions * weights()).sum(-2) + bias
        loss = functional.cross_entropy(odds, data.label, weight=weight)
        loss = loss + shared * common.square().sum() + per_class * apart.square().sum()
        loss = loss + shared * bias.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights().detach(), bias.detach()
