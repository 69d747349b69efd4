"""Training the recogniser: a head on beams of mixed scenes.

Beams go towards the true directions of scenes of one to four sources, with errors as localisation
makes them, soft nulls on the other sources, and some towards nothing. Some sources of the bank's
training side, and the rooms to select in, are set apart (`SoundPool.split`): what the head makes of
those is its score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from safetensors.numpy import load_file, save_file
from torch import nn
from torch.nn import functional

from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.runtime.errors import DataError
from saiseld.runtime.files import atomic_path, output_folder
from saiseld.seld.encoders import PretrainedEncoder
from saiseld.seld.output import WINDOW_FRAMES
from saiseld.seld.recogniser import APART_DEG, MAX_SOURCES, REACH_DEG, RECOGNISER, beam_mels
from saiseld.seld.recogniser_model import RecogniserModel, make_head, save_recogniser
from saiseld.training.seld.data import TrainingData
from saiseld.training.seld.mixing import Mixer, Scene, Track
from saiseld.training.seld.recipes import Recipe, read_recipe

NONE = NUM_CLASSES
"""Label of a beam on no source, or on one without a class."""

STRAY_DEG = 4.0
"""Standard deviation of the errors of training directions."""
NULLED = 0.85
"""How often another source is nulled: localisation misses some."""
EMPTY = 0.15
"""How often a scene gives a beam towards nothing."""
SCENES = 8
"""Scenes whose beams are kept in a file."""
STEPS = 8
"""Most embeddings that a beam gives the head's training."""

_SCENES = (
    "scenes.moving=0",
    "scenes.sources=[0, 0.55, 0.33, 0.12]",
    "scenes.interferers=0.2",
    "scenes.procedural=0.2",
)

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


def _step_frames(steps: int, frames: int) -> NDArray[np.int64]:
    """Return (steps,) the frame that each step of an encoder is in."""
    frame = ((np.arange(steps) + 0.5) * frames / steps).astype(int)
    return np.asarray(np.minimum(frame, frames - 1))


def make_beams(
    mixer: Mixer, encoder: PretrainedEncoder, folder: Path, files: int, seed: int
) -> None:
    """Write files 0 to ``files`` - 1 that are not there: `training_beams` of `SCENES` scenes each.

    A file is a function of the mixer, the seed and its number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in track(range(files), f"beams in {folder.name}"):
        path = folder / f"{number:05d}.safetensors"
        if path.exists():
            continue
        parts: list[Arrays] = []
        for index in range(SCENES):
            rng = np.random.default_rng([seed, number, index])
            parts.append(training_beams(mixer.scene(rng), encoder, rng))
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        with atomic_path(path) as temporary:
            save_file(whole, temporary)


def read_beams(folder: Path) -> Arrays:
    """Return what `make_beams` wrote, in order."""
    files = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    return {name: np.concatenate([file[name] for file in files]) for name in files[0]}


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
    steps = -(-recipe.epochs * len(label) // recipe.batch)
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


@torch.inference_mode()
def accuracy(head: nn.Module, beams: Arrays) -> float:
    """Return how often beams on a source are of its class, mean over classes."""
    label = np.asarray(beams["label"])
    called = head(torch.from_numpy(np.asarray(beams["embedding"])).float())[:, :NONE].argmax(1)
    right = called.numpy() == label
    return float(np.mean([right[label == c].mean() for c in np.unique(label) if c != NONE]))


def read_scenes_recipe() -> Recipe:
    """Return the recipe whose scenes, held-back sources and selection scenes are used."""
    return read_recipe("further", _SCENES)


def train(data: TrainingData, output: Path, scenes: int) -> tuple[Path, float]:
    """Train a head and write the recogniser; return its file and what `accuracy` says of it.

    Parameters
    ----------
    data
        Sounds and rooms, read for `read_scenes_recipe`.
    output
        Folder for the recogniser and, in ``beams``, what it was trained on.
    scenes
        To learn from, rounded up to whole files.

    Raises
    ------
    DataError
        If there are no sounds to mix.
    """
    if data.simulated is None:
        raise DataError("bank", expected="sounds to mix", found="none")
    folder, recipe, simulated = output_folder(output), read_scenes_recipe(), data.simulated
    sounds, selected = simulated.sounds.split(recipe.val_fraction)
    sides = (
        ("train", sounds, simulated.rooms, scenes),
        ("select", selected, simulated.selection_rooms, recipe.selection_scenes),
    )
    beams = {}
    for seed, (side, pool, rooms, count) in enumerate(sides):
        mixer = Mixer(pool, rooms, recipe.scenes, WINDOW_FRAMES)
        make_beams(mixer, data.encoder, folder / "beams" / side, -(-count // SCENES), seed)
        beams[side] = read_beams(folder / "beams" / side)
    head = train_head(beams["train"], HeadRecipe())
    found = accuracy(head, beams["select"])
    path = folder / RECOGNISER
    header = {"data": data.provenance, "scenes": scenes, "accuracy": found}
    save_recogniser(path, RecogniserModel(data.encoder, head), header)
    return path, found
