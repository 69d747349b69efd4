"""Training windows: input features of mixed scenes and their targets, kept on disk for reuse.

Mixing and analysing a scene costs about as much as learning from it. So a step learns from some new
scenes and some heard before, which a symmetry of the array turns into other ones, exactly. Windows
are kept in 16 bits, in shards of one step's new scenes; a run that goes on finds them there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from saiseld.conventions.symmetry import SYMMETRIES
from saiseld.runtime.files import atomic_path
from saiseld.seld.encoders import PretrainedEncoder
from saiseld.seld.inputs import inputs
from saiseld.seld.network import Batch
from saiseld.seld.network import turned as turned_covariance
from saiseld.training.seld.mixing import Scene, SceneSource

FEWEST_TRACKS = 4
"""Rows for tracks that a shard has; more where a scene has more."""

Shard = dict[str, Tensor]
"""Of n windows: ``mels``, ``spectrum``, ``covariance``, ``embedding`` as in `Batch` and of the
prior, half precision; of their K tracks ``class_id`` (n, K), -1 for none, ``active``, ``azimuth``,
``elevation`` and ``distance_cm`` (n, K, T), NaN where not known; and ``ignored`` (n, T), where
something sounds that is of no class of ours."""


@dataclass(frozen=True, slots=True)
class WindowMaker:
    """Makes shard k of a run: a function of (seed, k)."""

    scenes: SceneSource
    encoder: PretrainedEncoder
    size: int
    seed: tuple[int, ...]

    def __call__(self, number: int) -> Shard:
        """Return the shard."""
        scenes = [
            self.scenes.scene(np.random.default_rng([*self.seed, number, index]))
            for index in range(self.size)
        ]
        return shard_of(scenes, self.encoder)


@torch.inference_mode()
def shard_of(scenes: Sequence[Scene], encoder: PretrainedEncoder) -> Shard:
    """Return input features and targets of scenes."""
    audio = torch.from_numpy(np.stack([scene.audio for scene in scenes]))
    each = zip(*(inputs(scene.audio) for scene in scenes), strict=True)
    features = Batch(*(torch.from_numpy(np.stack(part)) for part in each))
    shard = {name: part.half() for name, part in features._asdict().items()}
    shard["embedding"] = encoder(audio, features.mels).half()
    frames = features.covariance.shape[1]
    shape = (len(scenes), max(FEWEST_TRACKS, *(len(scene.tracks) for scene in scenes)))
    shard["ignored"] = torch.zeros(len(scenes), frames, dtype=torch.bool)
    shard["class_id"] = torch.full(shape, -1, dtype=torch.int8)
    shard["active"] = torch.zeros(*shape, frames, dtype=torch.bool)
    for name in ("azimuth", "elevation", "distance_cm"):
        shard[name] = torch.zeros(*shape, frames)
    for row, scene in enumerate(scenes):
        if scene.ignored is not None:
            shard["ignored"][row] = torch.from_numpy(scene.ignored)
        for column, track in enumerate(scene.tracks):
            shard["class_id"][row, column] = track.class_id
            for name in ("active", "azimuth", "elevation", "distance_cm"):
                shard[name][row, column] = torch.from_numpy(np.array(getattr(track, name)))
    return shard


class Shards(Dataset[Shard]):
    """Shard k, from the folder if it is there, else made and kept."""

    def __init__(self, make: Callable[[int], Shard], folder: Path) -> None:
        self.make, self.folder = make, folder

    def path(self, number: int) -> Path:
        """Return where a shard is kept."""
        return self.folder / f"{number:05d}.safetensors"

    def __getitem__(self, number: int) -> Shard:
        path = self.path(number)
        if not path.exists():
            shard = self.make(number)
            with atomic_path(path) as temporary:
                save_file({k: v.contiguous() for k, v in shard.items()}, temporary)
        return load_file(path)


def joined(parts: Sequence[Shard]) -> Shard:
    """Return windows of several shards as one."""
    tracks = max(part["class_id"].shape[1] for part in parts)
    parts = [_with_tracks(part, tracks) for part in parts]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _with_tracks(shard: Shard, tracks: int) -> Shard:
    """Return a shard with so many rows for tracks."""
    missing = tracks - shard["class_id"].shape[1]
    if not missing:
        return shard
    wider = {"class_id": functional.pad(shard["class_id"], (0, missing), value=-1)}
    for name in ("active", "azimuth", "elevation", "distance_cm"):
        wider[name] = functional.pad(shard[name], (0, 0, 0, missing))
    return {**shard, **wider}


def rows(shard: Shard, index: Sequence[int]) -> Shard:
    """Return some windows of a shard."""
    return {name: value[list(index)] for name, value in shard.items()}


def turned(shard: Shard, name: str) -> Shard:
    """Return windows as they would be of the turned or mirrored scenes."""
    symmetry = SYMMETRIES[name]
    azimuth = symmetry.turn + (-shard["azimuth"] if symmetry.mirrored else shard["azimuth"])
    return {
        **shard,
        "azimuth": (azimuth + 180) % 360 - 180,
        "covariance": turned_covariance(shard["covariance"], symmetry),
    }


def features_of(shard: Shard) -> Batch:
    """Return the features of a shard, in single precision."""
    return Batch(*(shard[name].float() for name in Batch._fields))
