"""From latents and pictures to a candidate table: once a recording (KIST2026, Sec. 2.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import angles_of_pixel
from saiseld.conventions.taxonomy import class_of_label
from saiseld.detector.detections import (
    DISTANCE_UNIT_CM,
    SCORE_THRESHOLD,
    Found,
    FrameDetector,
    Keep,
)
from saiseld.detector.graphs import GRAPHS, GraphDetector
from saiseld.formats.candidates import MAP_SIZE, Candidates
from saiseld.formats.graph import FAST, check_torch_for, has_graphs
from saiseld.runtime.devices import Device

IMAGER = "detector"
"""What a table of detections says of what filled it."""


def has_quantised(weights: str | Path) -> bool:
    """Return whether the INT8 quantised graphs of a checkpoint lie beside it."""
    return has_graphs(weights, [name + FAST for name in GRAPHS])


def load_detector(
    weights: str | Path, device: Device = "cpu", *, half: bool = False, fast: bool = False
) -> FrameDetector:
    """Return a checkpoint's detector: on the CPU its graphs if they lie beside it, else in torch.

    Parameters
    ----------
    weights
        A checkpoint of ours, or a public ``.pth``.
    device
        Where it runs.
    half
        Whether a GPU computes in 16 bits.
    fast
        Whether to take the INT8 quantised graphs, which must be there (`has_quantised`).

    Raises
    ------
    CheckpointError
        If it cannot be read or does not fit, or only torch could run it and is not installed.
    """
    if fast or (device == "cpu" and has_graphs(weights, GRAPHS)):
        return GraphDetector(weights, fast=fast)
    check_torch_for(weights)
    from saiseld.detector.model import Detector

    detector = Detector.load(weights).to(device)
    detector.half_precision = half and device != "cpu"
    return detector


def detect_frames(
    detector: FrameDetector,
    recording: str,
    batches: Iterable[tuple[NDArray[np.float32], NDArray[Any]]],
    *,
    keep: Keep | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Candidates:
    """Detect in frames that follow one another, those of a recording or a part of it.

    Parameters
    ----------
    detector
        In evaluation mode.
    recording
        Its name.
    batches
        Consecutive frames: latents (B, acoustic, 484) and pictures (B, 3, 180, 360), as
        `FrameDetector.find` takes them. B may vary.
    keep
        Which detections get an energy map and a distance; all of them without it.
    provenance
        Added to what the table says of its making.

    Returns
    -------
    The candidate table at score 0.01, frames in order, best score first in a frame.
    """
    frames: list[Found] = []
    for latent, rgb in batches:
        frames += detector.find(rgb, latent, keep=keep)
    return candidate_table(detector, recording, frames, provenance)


def candidate_table(
    detector: FrameDetector,
    recording: str,
    frames: Sequence[Found],
    provenance: Mapping[str, Any] | None = None,
) -> Candidates:
    """Return what a detector found in frames that follow one another; see `detect_frames`.

    Energy maps and distances at their full width, which the public baseline's rule exports; a file
    narrows them, and so does every other decision.
    """
    counts = [len(frame["scores"]) for frame in frames]

    def column(name: str, empty: NDArray[Any]) -> NDArray[Any]:
        values = (cast(Mapping[str, NDArray[Any]], frame)[name] for frame in frames)
        return np.concatenate([empty, *values])

    box = column("boxes", np.empty((0, 4), np.float32))
    energy_map = column("energy_maps", np.empty((0, MAP_SIZE, MAP_SIZE), np.float32))
    measured = column("measured", np.empty(0, bool))
    azimuth, elevation = peak_direction(box, energy_map, measured)
    nothing = np.zeros(len(box), np.float32)
    return Candidates(
        recording=recording,
        frames=len(frames),
        frame=np.repeat(np.arange(len(frames), dtype=np.int32), counts),
        class_id=class_of_label(column("labels", np.empty(0, np.int64))).astype(np.int8),
        score=column("scores", np.empty(0, np.float32)),
        box=box,
        azimuth=azimuth,
        elevation=elevation,
        distance_cm=column("distances", np.empty(0, np.float32)).astype(float) * DISTANCE_UNIT_CM,
        has_map=measured,
        energy_map=energy_map,
        closure=nothing,
        diffuseness=nothing,
        matchability=np.full(len(box), np.nan, np.float32),
        provenance={
            "imager": IMAGER,
            "size": detector.size,
            "projection": detector.projection,
            "score_threshold": SCORE_THRESHOLD,
            **(provenance or {}),
        },
    )


def peak_direction(
    box: NDArray[np.float32], energy_map: NDArray[np.float32], measured: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the (azimuth, elevation) of energy peaks, of the box centre where there is no map.

    Parameters
    ----------
    box, energy_map, measured
        (N, 4) boxes, (N, 28, 28) maps, and (N,) whether there is a map.
    """
    peak = energy_map.reshape(len(box), MAP_SIZE**2).argmax(axis=1)
    row, column = np.divmod(peak, MAP_SIZE)
    across = np.where(measured, (column + 0.5) / MAP_SIZE, 0.5)
    down = np.where(measured, (row + 0.5) / MAP_SIZE, 0.5)
    azimuth, elevation = angles_of_pixel(
        box[:, 0] + across * (box[:, 2] - box[:, 0]), box[:, 1] + down * (box[:, 3] - box[:, 1])
    )
    return azimuth.astype(np.float32), elevation.astype(np.float32)
