"""From a recording to its acoustic images, block by block, and into a features file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.acoustics.covariance import visibility
from saiseld.acoustics.gates import closure, diffuseness
from saiseld.acoustics.graphs import GRAPHS, GraphUpLAM
from saiseld.conventions.sphere import Projection
from saiseld.conventions.symmetry import IDENTITY, Symmetry
from saiseld.data.recordings import Recording
from saiseld.formats.features import (
    FRAMES_PER_BLOCK,
    AcousticImages,
    Features,
    Width,
    write_features,
)
from saiseld.formats.graph import check_torch_for, has_graphs
from saiseld.runtime.cache import content_digest
from saiseld.runtime.devices import Device
from saiseld.runtime.errors import CheckpointError, DataError
from saiseld.runtime.threads import in_threads

Latents = Callable[[NDArray[np.complex64]], NDArray[np.float32]]
"""Covariances (frames, 9, 4, 4) to latent maps (frames, 9, 484)."""


class FrontEnd:
    """UpLAM with its weights: recordings in, acoustic images out.

    On the CPU the graphs beside the checkpoint do it if there are any, else torch.

    Parameters
    ----------
    weights
        A public UpLAM ``.pth`` or a checkpoint of ours.
    symmetry
        Image the scene that a symmetry of the array makes of a recording (training only).
    device
        Where it runs; on Apple's GPU, which has no eigenvectors, it stays on the CPU.
    threads
        Blocks of frames at a time.

    Raises
    ------
    CheckpointError
        If the weights cannot be read or do not fit, or only torch could run them and is missing.
    """

    def __init__(
        self,
        weights: str | Path,
        symmetry: Symmetry = IDENTITY,
        device: Device = "cpu",
        threads: int = 1,
    ) -> None:
        self._latents, projection = _load(weights, "cpu" if device == "mps" else device)
        if projection not in ("official", "great_circle"):
            raise CheckpointError(
                weights,
                place="projection",
                expected="official or great_circle",
                found=repr(projection),
            )
        self.projection: Projection = projection
        self.identity = identity_under(content_digest(weights), symmetry)
        self._channels, self._threads = list(symmetry.channels), threads

    def images(
        self, recording: Recording, frames_per_block: int = FRAMES_PER_BLOCK
    ) -> Iterator[AcousticImages]:
        """Yield the acoustic images of a recording, ``frames_per_block`` frames at a time."""
        return self.images_of(recording.blocks(frames_per_block))

    def images_of(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[AcousticImages]:
        """Yield the acoustic images of each block of (n x 2400, 4) samples, as they are read."""
        return in_threads(self.images_of_block, blocks, self._threads)

    def images_of_block(self, audio: NDArray[np.float32]) -> AcousticImages:
        """Return the acoustic images of (n x 2400, 4) samples."""
        covariance = visibility(audio[:, self._channels], dtype=np.complex64)
        latent = self._latents(covariance)
        return AcousticImages(latent, closure(covariance), diffuseness(covariance))


def _load(weights: str | Path, device: Device) -> tuple[Latents, Any]:
    """Return what makes latents, and the projection that they are meant for."""
    if device == "cpu" and has_graphs(weights, GRAPHS):
        graphs = GraphUpLAM(weights)
        return graphs, graphs.projection
    check_torch_for(weights)
    from saiseld.acoustics.uplam import UpLAM
    from saiseld.formats.checkpoint import read_checkpoint

    _, header = read_checkpoint(weights)
    return UpLAM.load(weights).to(device).latents, header.get("projection", "official")


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
        "channels": recording.layout,
        "weights": front_end.identity,
        "projection": front_end.projection,
        "width": width,
    }
