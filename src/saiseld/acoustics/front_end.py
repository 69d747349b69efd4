"""From a recording to its acoustic images, block by block, and into a features file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from saiseld.acoustics.covariance import visibility
from saiseld.acoustics.gates import closure, diffuseness
from saiseld.acoustics.uplam import UpLAM
from saiseld.conventions.sphere import Projection
from saiseld.conventions.symmetry import IDENTITY, Symmetry
from saiseld.data.recordings import Recording
from saiseld.formats.checkpoint import read_checkpoint
from saiseld.formats.features import (
    FRAMES_PER_BLOCK,
    AcousticImages,
    Features,
    Width,
    write_features,
)
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import CheckpointError, DataError


class FrontEnd:
    """UpLAM with its weights: recordings in, acoustic images out.

    Parameters
    ----------
    weights
        A public UpLAM ``.pth`` or a checkpoint of ours.
    symmetry
        Image the scene that a symmetry of the array makes of a recording (training only).
    """

    def __init__(self, weights: str | Path, symmetry: Symmetry = IDENTITY) -> None:
        self.uplam = UpLAM.load(weights)
        _, header = read_checkpoint(weights)
        projection = header.get("projection", "official")
        if projection not in ("official", "great_circle"):
            raise CheckpointError(
                weights,
                place="projection",
                expected="official or great_circle",
                found=repr(projection),
            )
        self.projection: Projection = projection
        digest = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
        self.identity = identity_under(digest[:16], symmetry)
        self._channels = list(symmetry.channels)

    def images(
        self, recording: Recording, frames_per_block: int = FRAMES_PER_BLOCK
    ) -> Iterator[AcousticImages]:
        """Yield the acoustic images of a recording, ``frames_per_block`` frames at a time."""
        return self.images_of(recording.blocks(frames_per_block))

    def images_of(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[AcousticImages]:
        """Yield the acoustic images of each block of (n x 2400, 4) samples, as they are read."""
        for audio in blocks:
            covariance = visibility(audio[:, self._channels], dtype=np.complex64)
            with torch.inference_mode():
                latent = self.uplam(torch.from_numpy(covariance)).numpy()
            yield AcousticImages(latent, closure(covariance), diffuseness(covariance))


def identity_under(weights: str, symmetry: Symmetry) -> str:
    """Return what a front end of these weights is known as when it images under a symmetry."""
    return weights if symmetry is IDENTITY else f"{weights} {symmetry.name}"


def write_images(
    path: str | Path, recording: Recording, front_end: FrontEnd, width: Width = "float16"
) -> None:
    """Image a recording into a features file, in bounded memory, whole or not at all."""
    provenance = {"recording": recording.name, **_made_from(recording, front_end, width)}
    write_features(path, recording.frames, front_end.images(recording), provenance, width)


def is_current(path: str | Path, recording: Recording, front_end: FrontEnd, width: Width) -> bool:
    """Return whether there is a features file of this sound, by these weights, at this width."""
    try:
        provenance = Features(path).provenance
    except DataError:
        return False
    made_from = _made_from(recording, front_end, width)
    return {name: provenance.get(name) for name in made_from} == made_from


def _made_from(recording: Recording, front_end: FrontEnd, width: Width) -> dict[str, str]:
    return {
        "sound": content_digest(recording.path),
        "channels": recording.ambisonics or "capsules",
        "weights": front_end.identity,
        "projection": front_end.projection,
        "width": width,
    }
