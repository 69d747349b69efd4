"""What a tree's recordings hold, decoded once into a cache folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.data.label_columns import LabelColumns, Points, label_columns
from saiseld.data.stairs26 import DatasetRecording
from saiseld.data.video import Scaling
from saiseld.data.video_array import video_array
from saiseld.detector.targets import Targets
from saiseld.runtime.errors import DataError
from saiseld.runtime.parallel import run_all

_POINTS: dict[Targets, Points] = {"cylinder": "floor", "public": "round"}


def fill_cache(
    recordings: Sequence[DatasetRecording],
    cache: str | Path,
    *,
    targets: Targets = "cylinder",
    scaling: Scaling = "bicubic",
    jobs: int = 1,
) -> None:
    """Decode the labels and video of recordings that the cache folder lacks, several at once."""
    tasks = {recording.name: (recording, Path(cache), targets, scaling) for recording in recordings}
    run_all(_fill, tasks, jobs=jobs, title="decoding labels and video")


def read_labels(
    recording: DatasetRecording, cache: str | Path, targets: Targets = "cylinder"
) -> LabelColumns:
    """Return a recording's labels, their points on the pixels that such targets need.

    Raises
    ------
    DataError
        If it has none.
    """
    if recording.labels is None:
        raise DataError(
            recording.name,
            expected="labels to train on",
            found="none in the tree",
            advice="Make them with `saiseld label`",
        )
    return label_columns(recording.labels, cache, _POINTS[targets])


def read_video(
    recording: DatasetRecording, cache: str | Path, scaling: Scaling = "bicubic"
) -> NDArray[np.uint8] | None:
    """Return a recording's video (frames, 3, 180, 360), or None where it has none."""
    return None if recording.video is None else video_array(recording.video, cache, scaling)


def _fill(recording: DatasetRecording, cache: Path, targets: Targets, scaling: Scaling) -> None:
    read_labels(recording, cache, targets)
    read_video(recording, cache, scaling)
