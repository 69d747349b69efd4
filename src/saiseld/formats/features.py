"""The features file: a recording's acoustic images, measured once, read block by block.

A safetensors of ``latent`` (frames, 9, 484), ``scale`` (frames,) and the frame gates ``closure``
and ``diffuseness`` (frames,), with a JSON header of what made it. Latents are of the order of 1e-4
and less, below what 16 bits resolve: every frame is divided by a power of two first, so that the
only loss is the rounding of the values to 11 bits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from saiseld.conventions.bands import BANDS
from saiseld.conventions.sphere import DIRECTIONS
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.files import atomic_path
from saiseld.runtime.limits import FRAMES

FEATURES_SUFFIX = ".features.safetensors"
FRAMES_PER_BLOCK = 100

Width = Literal["float16", "float32"]
_SAFETENSORS_NAME = {"float16": "F16", "float32": "F32"}
_PER_FRAME = ("scale", "closure", "diffuseness")


@dataclass(frozen=True, slots=True, eq=False)
class AcousticImages:
    """The acoustic images of some frames in a row.

    Parameters
    ----------
    latent
        (n, 9, 484) float32.
    closure, diffuseness
        (n,) float32 gates of `saiseld.acoustics.gates`.
    """

    latent: NDArray[np.float32]
    closure: NDArray[np.float32]
    diffuseness: NDArray[np.float32]


def write_features(
    path: str | Path,
    frames: int,
    images: Iterable[AcousticImages],
    provenance: Mapping[str, str],
    width: Width = "float16",
) -> None:
    """Write a recording's acoustic images as they come, in bounded memory, whole or not at all.

    Parameters
    ----------
    path
        Target, named ``<recording>.features.safetensors``.
    frames
        How many there will be.
    images
        Some frames at a time, all in all so many.
    provenance
        What made them; ``weights`` is the identity of the front end.
    width
        Bits of a stored latent.
    """
    sizes = {
        "latent": (_SAFETENSORS_NAME[width], [frames, BANDS, DIRECTIONS]),
        **{name: ("F32", [frames]) for name in _PER_FRAME},
    }
    rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in _PER_FRAME}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _write_safetensors_header(file, sizes, provenance)
        for block in images:
            scale = _power_of_two(block.latent)
            latent = block.latent / scale[:, None, None]
            file.write(np.ascontiguousarray(latent, width).tobytes())
            for name, values in zip(
                _PER_FRAME, (scale, block.closure, block.diffuseness), strict=True
            ):
                rows[name].append(values)
        for name in _PER_FRAME:
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
        with refusing(DataError, path, "a features file"):
            file: Any = safe_open(self.path, framework="np")
            header = (file.metadata() or {}).get("saiseld", "{}")
            self.provenance: dict[str, Any] = msgspec.json.decode(header, type=dict[str, str])
            self._latent = file.get_slice("latent")
            (self.frames, *_) = self._latent.get_shape()
            FRAMES.check(self.frames, DataError, path)
            self._check("latent", self._latent, "F16 or F32", [self.frames, BANDS, DIRECTIONS])
            for name in _PER_FRAME:
                self._check(name, file.get_slice(name), "F32", [self.frames])
            self.scale, self.closure, self.diffuseness = map(file.get_tensor, _PER_FRAME)
        for name in ("weights", "projection"):
            if name not in self.provenance:
                raise DataError(path, place=name, expected="what made them", found="nothing")
        for name in _PER_FRAME:
            values = getattr(self, name)
            if not (np.isfinite(values).all() and (name != "scale" or (values > 0).all())):
                raise DataError(
                    path, place=name, expected="finite numbers, scales above 0", found="others"
                )

    def _check(self, name: str, part: Any, kinds: str, shape: list[int]) -> None:
        if part.get_dtype() not in kinds.split(" or ") or part.get_shape() != shape:
            raise DataError(
                self.path,
                place=name,
                expected=f"{kinds} of shape {shape}",
                found=f"{part.get_dtype()} of shape {part.get_shape()}",
            )

    def check_made_by(self, front_end: str, frames: int, sound: str) -> None:
        """Raise ``DataError`` unless a front end of this identity made them from this sound.

        Parameters
        ----------
        front_end
            Its identity.
        frames
            Of the recording.
        sound
            Digest of its content.
        """
        for place, expected, found in (
            ("weights", front_end, self.provenance.get("weights")),
            ("frames", frames, self.frames),
            ("sound", sound, self.provenance.get("sound")),
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
        """Return the (stop - start, 9, 484) float32 latents of some frames.

        Raises
        ------
        DataError
            If one is not finite.
        """
        stored = np.asarray(self._latent[start:stop], np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is told below
            latent = np.asarray(stored * self.scale[start:stop, None, None])
        if not np.isfinite(latent).all():
            raise DataError(
                self.path,
                place=f"latent, frames {start} to {stop - 1}",
                expected="finite numbers",
                found="NaN or infinity",
            )
        return latent

    def images(self, frames_per_block: int = FRAMES_PER_BLOCK) -> Iterator[AcousticImages]:
        """Yield all frames, ``frames_per_block`` at a time, as a front end does."""
        for start in range(0, self.frames, frames_per_block):
            rows = slice(start, min(start + frames_per_block, self.frames))
            yield AcousticImages(
                self.latent(rows.start, rows.stop), self.closure[rows], self.diffuseness[rows]
            )


def _power_of_two(latent: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (n,) powers of two that bring each frame's largest value into [0.5, 1)."""
    _, exponent = np.frexp(np.abs(latent).max(axis=(1, 2)))
    return np.asarray(np.ldexp(1.0, exponent), np.float32)


def _write_safetensors_header(
    file: BinaryIO, sizes: dict[str, tuple[str, list[int]]], provenance: Mapping[str, str]
) -> None:
    """Write what precedes the tensors: the library itself writes only what is held in memory."""
    header: dict[str, object] = {"__metadata__": {"saiseld": json.dumps(dict(provenance))}}
    offset = 0
    for name, (kind, shape) in sizes.items():
        length = int(np.prod(shape)) * (2 if kind == "F16" else 4)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + length]}
        offset += length
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write(len(encoded).to_bytes(8, "little") + encoded)
