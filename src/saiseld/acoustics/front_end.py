"""From a recording to its acoustic images, block by block, and the file they are kept in.

A features file is a safetensors of ``latent`` (frames, 9, 484), ``scale`` (frames,) and the frame
gates ``closure`` and ``diffuseness`` (frames,), with a JSON header of what made it. Latents are of
the order of 1e-4 and less, below what 16 bits resolve: every frame is divided by a power of two
first, so that the only loss is the rounding of the values to 11 bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from saiseld.acoustics.covariance import BANDS, visibility
from saiseld.acoustics.gates import closure, diffuseness
from saiseld.acoustics.lam import DIRECTIONS
from saiseld.acoustics.symmetry import IDENTITY, Symmetry
from saiseld.acoustics.uplam import UpLAM
from saiseld.conventions.sphere import Projection
from saiseld.data.recordings import Recording
from saiseld.formats.checkpoint import read_checkpoint
from saiseld.runtime.errors import CheckpointError, DataError
from saiseld.runtime.files import atomic_path

SUFFIX = ".features.safetensors"
FRAMES_PER_BLOCK = 100

Width = Literal["float16", "float32"]
_SAFETENSORS_NAME = {"float16": "F16", "float32": "F32"}


@dataclass(frozen=True, slots=True, eq=False)
class AcousticImages:
    """The acoustic images of some frames in a row.

    Parameters
    ----------
    latent
        (n, 9, 484) float32.
    closure, diffuseness
        (n,) float32 gates; see `saiseld.acoustics.gates`.
    """

    latent: NDArray[np.float32]
    closure: NDArray[np.float32]
    diffuseness: NDArray[np.float32]


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
        for audio in recording.blocks(frames_per_block):
            covariance = visibility(audio[:, self._channels], dtype=np.complex64)
            with torch.inference_mode():
                latent = self.uplam(torch.from_numpy(covariance)).numpy()
            yield AcousticImages(latent, closure(covariance), diffuseness(covariance))


def identity_under(weights: str, symmetry: Symmetry) -> str:
    """Return what a front end of these weights is known as when it images under a symmetry."""
    return weights if symmetry is IDENTITY else f"{weights} {symmetry.name}"


def write_features(
    path: str | Path, recording: Recording, front_end: FrontEnd, width: Width = "float16"
) -> None:
    """Image a recording into a features file, in bounded memory, whole or not at all."""
    frames = recording.frames
    sizes = {
        "latent": (_SAFETENSORS_NAME[width], [frames, BANDS, DIRECTIONS]),
        **{name: ("F32", [frames]) for name in ("scale", "closure", "diffuseness")},
    }
    provenance = {"recording": recording.name, **_made_by(front_end, width)}
    rows: dict[str, list[NDArray[np.float32]]] = {"scale": [], "closure": [], "diffuseness": []}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _write_safetensors_header(file, sizes, provenance)
        for block in front_end.images(recording):
            scale = _power_of_two(block.latent)
            latent = block.latent / scale[:, None, None]
            file.write(np.ascontiguousarray(latent, width).tobytes())
            rows["scale"].append(scale)
            rows["closure"].append(block.closure)
            rows["diffuseness"].append(block.diffuseness)
        for name in ("scale", "closure", "diffuseness"):
            file.write(np.concatenate(rows[name]).astype("<f4").tobytes())


class Features:
    """A features file, read frame by frame on demand.

    Parameters
    ----------
    path
        A file of `write_features`.

    Raises
    ------
    DataError
        If it is not one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(
                path,
                expected="a features file",
                found="no such file",
                advice="Make it with `saiseld features`",
            )
        try:
            file: Any = safe_open(self.path, framework="np")
            self.provenance: dict[str, Any] = json.loads(file.metadata()["saiseld"])
            self._latent = file.get_slice("latent")
            self.scale, self.closure, self.diffuseness = (
                file.get_tensor(name) for name in ("scale", "closure", "diffuseness")
            )
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DataError(path, expected="a features file", found=str(error)) from error
        self.frames = len(self.scale)
        if self._latent.get_shape() != [self.frames, BANDS, DIRECTIONS]:
            raise DataError(
                path,
                place="latent",
                expected=f"shape {[self.frames, BANDS, DIRECTIONS]}",
                found=str(self._latent.get_shape()),
            )

    def check_made_by(self, front_end: FrontEnd, frames: int) -> None:
        """Raise ``DataError`` unless these are the images of so many frames by this front end."""
        for place, expected, found in (
            ("weights", front_end.identity, self.provenance.get("weights")),
            ("frames", frames, self.frames),
        ):
            if found != expected:
                raise DataError(
                    self.path,
                    place=place,
                    expected=str(expected),
                    found=str(found),
                    advice="Make it again with `saiseld features`",
                )

    def latent(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the (stop - start, 9, 484) float32 latents of some frames."""
        stored = np.asarray(self._latent[start:stop], np.float32)
        return np.asarray(stored * self.scale[start:stop, None, None])

    def images(self, frames_per_block: int = FRAMES_PER_BLOCK) -> Iterator[AcousticImages]:
        """Yield all frames, ``frames_per_block`` at a time, as `FrontEnd.images` does."""
        for start in range(0, self.frames, frames_per_block):
            rows = slice(start, min(start + frames_per_block, self.frames))
            yield AcousticImages(
                self.latent(rows.start, rows.stop), self.closure[rows], self.diffuseness[rows]
            )


def is_current(path: str | Path, front_end: FrontEnd, width: Width) -> bool:
    """Return whether a features file is there and was made by these weights at this width."""
    try:
        provenance = Features(path).provenance
    except DataError:
        return False
    made_by = _made_by(front_end, width)
    return {name: provenance.get(name) for name in made_by} == made_by


def _made_by(front_end: FrontEnd, width: Width) -> dict[str, str]:
    return {"weights": front_end.identity, "projection": front_end.projection, "width": width}


def _power_of_two(latent: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (n,) powers of two that bring each frame's largest value into [0.5, 1)."""
    _, exponent = np.frexp(np.abs(latent).max(axis=(1, 2)))
    return np.asarray(np.ldexp(1.0, exponent), np.float32)


def _write_safetensors_header(
    file: BinaryIO, sizes: dict[str, tuple[str, list[int]]], provenance: dict[str, str]
) -> None:
    """Write what precedes the tensors: the library itself writes only what is held in memory."""
    header: dict[str, object] = {"__metadata__": {"saiseld": json.dumps(provenance)}}
    offset = 0
    for name, (kind, shape) in sizes.items():
        length = int(np.prod(shape)) * (2 if kind == "F16" else 4)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + length]}
        offset += length
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write(len(encoded).to_bytes(8, "little") + encoded)
