"""Frames of a tree for training: latent acoustic map, picture, and what sounds there.

Labels and video are decoded once into a cache folder and read through memory maps, so a frame costs
far less than a millisecond and any number of processes share the pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.taxonomy import NUM_CLASSES, detector_label
from saiseld.data.context import with_neighbours
from saiseld.data.label_columns import LabelColumns
from saiseld.data.stairs26 import DatasetRecording
from saiseld.data.video import Scaling
from saiseld.data.video_array import float_planes, missing_frame
from saiseld.detector.losses import public_boxes
from saiseld.detector.targets import FrameTargets, Targets
from saiseld.runtime.errors import DataError
from saiseld.training.detector.decoded import read_labels, read_video


class Latents(Protocol):
    """A recording's latent maps, as `saiseld.formats.features.Features` holds them."""

    frames: int

    def latent(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the (stop - start, 9, 484) latents of some frames."""


Open = Callable[[DatasetRecording], Latents]


class Sample(NamedTuple):
    """One frame: ``rgb`` (3, 180, 360) uint8, ``latent`` (9 or more, 484) float32, its targets."""

    rgb: Tensor
    latent: Tensor
    targets: FrameTargets


class _Opened(NamedTuple):
    latents: Latents
    labels: LabelColumns
    rgb: NDArray[np.uint8] | None


class FrameDataset(Dataset[Sample]):
    """Every frame of some recordings, one recording after the other.

    A frame without a picture has the ImageNet mean for one (KIST2026, Sec. 2.1).

    Parameters
    ----------
    recordings
        Recordings that have labels.
    latents
        Opens a recording's latent maps, say its features file; its frames are theirs.
    cache
        Folder for decoded labels and video.
    context
        Frames before and after each one whose latents come with its own
        (`saiseld.data.context`).
    targets
        How labels become targets.
    scaling
        How pictures of another size are scaled.

    Raises
    ------
    DataError
        If a recording has no labels, or labels beyond its last frame.
    """

    def __init__(
        self,
        recordings: Sequence[DatasetRecording],
        latents: Open,
        cache: str | Path,
        context: int = 0,
        targets: Targets = "cylinder",
        scaling: Scaling = "bicubic",
    ) -> None:
        self.recordings, self._context = tuple(recordings), context
        self._targets = _TARGETS[targets]
        self._opened = [
            _open(recording, latents, Path(cache), targets, scaling)
            for recording in self.recordings
        ]
        counts = [opened.latents.frames for opened in self._opened]
        self._start = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self._start[-1])

    def __getitem__(self, index: int) -> Sample:
        number, frame = self.place(index)
        opened = self._opened[number]
        rgb = opened.rgb
        picture = missing_frame() if rgb is None or frame >= len(rgb) else np.array(rgb[frame])
        return Sample(
            torch.from_numpy(picture),
            torch.from_numpy(self._latent(opened.latents, frame)),
            self._targets(opened.labels, frame),
        )

    def _latent(self, latents: Latents, frame: int) -> NDArray[np.float32]:
        first = max(frame - self._context, 0)
        near = latents.latent(first, min(frame + self._context + 1, latents.frames))
        wide = with_neighbours(near, self._context)
        return np.asarray(wide[frame - first])

    def place(self, index: int) -> tuple[int, int]:
        """Return the recording's number and the frame in it of a sample."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        number = int(np.searchsorted(self._start, index, side="right")) - 1
        return number, index - int(self._start[number])

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Instances of each class in each sample, (samples, 13)."""
        counts = np.zeros((len(self), NUM_CLASSES), np.int64)
        for start, opened in zip(self._start, self._opened, strict=False):
            np.add.at(counts, (start + opened.labels.frame, opened.labels.class_id), 1)
        return counts


def collate(samples: Sequence[Sample]) -> tuple[Tensor, Tensor, list[FrameTargets]]:
    """Return the batch of samples: floating pictures, latents, and a list of targets."""
    rgb = torch.stack([sample.rgb for sample in samples])
    return (
        torch.from_numpy(float_planes(rgb.numpy())),
        torch.stack([sample.latent for sample in samples]),
        [sample.targets for sample in samples],
    )


def _open(
    recording: DatasetRecording, latents: Open, cache: Path, targets: Targets, scaling: Scaling
) -> _Opened:
    labels = read_labels(recording, cache, targets)
    latent = latents(recording)
    if len(labels.frame) and labels.frame[-1] >= latent.frames:
        raise DataError(
            recording.labels or recording.name,
            expected=f"labels of frames below {latent.frames}, as the recording has",
            found=f"one of frame {labels.frame[-1]}",
        )
    return _Opened(latent, labels, read_video(recording, cache, scaling))


def _cylinder_targets(labels: LabelColumns, frame: int) -> FrameTargets:
    rows = [row for row in labels.rows(frame) if len(labels.points(row)[0])]
    energy = np.zeros((len(rows), HEIGHT, WIDTH), np.float32)
    for field, row in zip(energy, rows, strict=True):
        field[:] = labels.field(row)
    return {
        "boxes": torch.from_numpy(labels.box[rows]),
        "labels": torch.from_numpy(detector_label(labels.class_id[rows].astype(np.int64))),
        "energy": torch.from_numpy(energy),
        "distance_cm": torch.from_numpy(labels.distance_cm[rows]),
    }


def _public_targets(labels: LabelColumns, frame: int) -> FrameTargets:
    targets = _cylinder_targets(labels, frame)
    annotated = np.zeros((len(targets["labels"]), HEIGHT * WIDTH), bool)
    field = np.zeros(HEIGHT * WIDTH, np.float32)
    points = (labels.points(row) for row in labels.rows(frame))
    for touched, (pixel, energy) in zip(annotated, (p for p in points if len(p[0])), strict=True):
        touched[pixel] = True
        np.maximum.at(field, pixel, energy)
    pixels = torch.from_numpy(annotated.reshape(-1, HEIGHT, WIDTH))
    return {
        **targets,
        "boxes": public_boxes(pixels),
        "annotated": pixels,
        "field": torch.from_numpy(field.reshape(HEIGHT, WIDTH)),
    }


_TARGETS: dict[Targets, Callable[[LabelColumns, int], FrameTargets]] = {
    "cylinder": _cylinder_targets,
    "public": _public_targets,
}
