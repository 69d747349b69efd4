"""What a detector is trained on: the frames of a tree, split by room, with their latents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saiseld.acoustics.features import SUFFIX, Features
from saiseld.data.cache import fill_cache
from saiseld.data.dataset import FrameDataset
from saiseld.data.stairs26 import TreeRecording, open_tree, split_by_room
from saiseld.errors import DataError
from saiseld.sphere import Projection


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Frames to learn from and frames to select models by, of other rooms.

    Parameters
    ----------
    train, select
        The frames.
    projection
        Of the front end that made the latents.
    provenance
        What the data are, as JSON values: tree, rooms, front end.
    """

    train: FrameDataset
    select: FrameDataset
    projection: Projection
    provenance: dict[str, Any]


def training_data(
    tree: str | Path, features: str | Path, cache: str | Path, *, seed: int = 0, jobs: int = 1
) -> TrainingData:
    """Open the training and selection rooms of a tree.

    Parameters
    ----------
    tree
        In the layout of STAIRS26, with labels.
    features
        Folder of the features files of its recordings (`saiseld features`).
    cache
        Folder for decoded labels and video.
    seed
        Which rooms are which (`saiseld.data.stairs26.split_by_room`).
    jobs
        Recordings decoded at a time.

    Raises
    ------
    DataError
        If labels or features are missing, or features are of several front ends.
    """
    roles = split_by_room(open_tree(tree), seed=seed)
    made_by: dict[tuple[str, Projection], str] = {}

    def latents(recording: TreeRecording) -> Features:
        own = Features(Path(features) / f"{recording.name}{SUFFIX}")
        made_by[own.provenance["weights"], own.provenance["projection"]] = recording.name
        if len(made_by) > 1:
            raise DataError(
                own.path,
                expected=f"features of the front end that made {next(iter(made_by.values()))}'s",
                found="another one's",
                advice="Make all of them with `saiseld features` and the same weights",
            )
        return own

    fill_cache([*roles["train"], *roles["select"]], cache, jobs=jobs)
    train = FrameDataset(roles["train"], latents, cache)
    select = FrameDataset(roles["select"], latents, cache)
    if not select.counts.any():
        raise DataError(
            tree,
            place=f"rooms to select in ({', '.join(_rooms(roles['select']))})",
            expected="frames with labels",
            found="none",
        )
    ((front_end, projection),) = made_by
    return TrainingData(
        train,
        select,
        projection,
        {
            "tree": Path(tree).name,
            "training_rooms": _rooms(roles["train"]),
            "selection_rooms": _rooms(roles["select"]),
            "training_frames": len(train),
            "front_end": front_end,
        },
    )


def _rooms(recordings: tuple[TreeRecording, ...]) -> list[str]:
    return [str(room) for room in sorted({recording.room for recording in recordings})]
