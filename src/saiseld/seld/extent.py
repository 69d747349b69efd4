"""How wide a source's label is: the energy at its peak, from the covariance of four channels.

A label's shape follows from the raw energy A at its peak (`saiseld.conventions.label_law`), and A
from how much of the field comes from the source's direction: a linear model of the steered response
of eight bands there, averaged over three frames, and of the largest anywhere in the frame.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from saiseld.runtime.errors import CheckpointError, refusing
from saiseld.runtime.files import write_bytes
from saiseld.seld.inputs import MELS, smoothing, steering
from saiseld.seld.output import GRID, Array

EXTENT = "extent.json"
"""File name of a model beside the network's checkpoint."""

BANDS = 8
"""Of eight mel bands each."""

SMOOTH_FRAMES = 3
FORMAT_VERSION = 1


class ExtentModel(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """Natural log of the peak energy: ``bias + sum_b response[b] r_b + largest max_p sum_b ...``.

    Parameters
    ----------
    response
        Weights of the steered response in each of `BANDS`.
    largest
        Weight of the frame's largest weighted response over all directions.
    bias
        The rest.
    recordings
        What it was fitted on.
    """

    response: list[float]
    largest: float
    bias: float
    recordings: list[str]
    format_version: int = FORMAT_VERSION

    def save(self, path: str | Path) -> None:
        """Write JSON, whole or not at all."""
        write_bytes(Path(path), msgspec.json.format(msgspec.json.encode(self)) + b"\n")

    @classmethod
    def load(cls, path: str | Path) -> ExtentModel:
        """Read a model.

        Raises
        ------
        CheckpointError
            If the file is no such model.
        """
        path = Path(path)
        with refusing(CheckpointError, path, "a model of extents"):
            model = msgspec.json.decode(path.read_bytes(), type=cls)
        numbers = [*model.response, model.largest, model.bias]
        whole = len(model.response) == BANDS and np.isfinite(numbers).all()
        if model.format_version != FORMAT_VERSION or not whole:
            raise CheckpointError(
                path, expected=f"format version {FORMAT_VERSION}, {BANDS} weights", found="others"
            )
        return model

    @cached_property
    def _table(self) -> Array:
        """(1024, 484): covariances of a frame times this are the weighted response."""
        weights = np.repeat(self.response, MELS // BANDS) * BANDS / MELS
        table = steering(GRID) * weights[:, None, None]
        return np.ascontiguousarray(table.reshape(-1, GRID.shape[1]), np.float32)

    def log_energy(self, covariance: Array) -> Array:
        """Return (T, 484) the natural log of the peak energy of a source at each direction.

        Parameters
        ----------
        covariance
            (T, 64, 16) of `saiseld.seld.inputs.Inputs`.
        """
        near = smoothing(len(covariance), SMOOTH_FRAMES) @ covariance.reshape(len(covariance), -1)
        response = near @ self._table
        largest = response.max(1, keepdims=True)
        return np.asarray(response + self.largest * largest + self.bias, np.float32)


def band_responses(covariance: Array) -> Array:
    """Return (T, 8, 484) the steered responses that a model weighs."""
    frames = len(covariance)
    near = smoothing(frames, SMOOTH_FRAMES) @ covariance.reshape(frames, -1)
    grouped = near.reshape(frames, BANDS, -1)
    table = (steering(GRID) * (BANDS / MELS)).reshape(BANDS, -1, GRID.shape[1])
    return np.asarray(np.einsum("tbk,bkp->tbp", grouped, table), np.float32)


def extent_beside(weights: str | Path) -> ExtentModel | None:
    """Return the model beside a network's checkpoint, None if there is none."""
    path = Path(weights).with_name(EXTENT)
    return ExtentModel.load(path) if path.is_file() else None
