"""What a detector is trained on: the frames of a tree, split by room, with their latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from saiseld.acoustics.front_end import identity_under
from saiseld.acoustics.symmetry import symmetry_named
from saiseld.conventions.sphere import Projection
from saiseld.conventions.symmetry import IDENTITY, Symmetry
from saiseld.data.stairs26 import DatasetRecording, Stairs26Dataset, open_dataset, split_by_room
from saiseld.formats.features import FEATURES_SUFFIX, Features
from saiseld.runtime.errors import DataError
from saiseld.training.detector.dataset import FrameDataset
from saiseld.training.detector.decoded import fill_cache
from saiseld.training.detector.recipes import Recipe
from saiseld.training.detector.symmetric import SymmetricFrames


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Frames to learn from and frames to select models by, of other rooms.

    Parameters
    ----------
    train, select
        The frames.
    varied
        The training frames as they are and under symmetries of the array.
    projection
        Of the front end that made the latents.
    provenance
        What the data are, as JSON values: tree, rooms, front end.
    """

    train: FrameDataset
    select: FrameDataset
    varied: SymmetricFrames
    projection: Projection
    provenance: dict[str, Any]


def training_data(
    dataset: str | Path,
    features: str | Path,
    cache: str | Path,
    *,
    recipe: Recipe,
    seed: int = 0,
    jobs: int = 1,
) -> TrainingData:
    """Open the training and selection rooms of a tree.

    Parameters
    ----------
    dataset
        In the layout of STAIRS26, with labels.
    features
        Folder of the features files of its recordings (`saiseld features`); those of a symmetry
        are in a folder of its name in it.
    cache
        Folder for decoded labels and video.
    recipe
        Says which rooms the epoch is chosen in, what targets and pictures are like, and under
        which symmetries frames are shown.
    seed
        Which rooms are which (`saiseld.data.stairs26.split_by_room`).
    jobs
        Recordings decoded at a time.

    Raises
    ------
    DataError
        If labels or features are missing, or features are of several front ends.
    """
    learnt, chosen_by = _recordings(open_dataset(dataset), recipe, seed)
    targets, scaling = recipe.targets, recipe.frame_scaling
    fill_cache([*learnt, *chosen_by], cache, targets=targets, scaling=scaling, jobs=jobs)
    features = Path(features)
    first = Features(features / f"{learnt[0].name}{FEATURES_SUFFIX}").provenance

    def frames_of(
        recordings: Sequence[DatasetRecording], symmetry: Symmetry = IDENTITY
    ) -> FrameDataset:
        folder = features if symmetry is IDENTITY else features / symmetry.name
        latents = partial(_features, folder, identity_under(first["weights"], symmetry))
        return FrameDataset(recordings, latents, cache, recipe.context, targets, scaling)

    train, select = frames_of(learnt), frames_of(chosen_by)
    if not select.counts.any():
        raise DataError(
            dataset,
            place=f"rooms to select in ({', '.join(_rooms(chosen_by))})",
            expected="frames with labels",
            found="none",
        )
    others = [symmetry_named(name) for name in recipe.augmentation.symmetries]
    return TrainingData(
        train,
        select,
        SymmetricFrames([(IDENTITY, train), *((s, frames_of(learnt, s)) for s in others)]),
        first["projection"],
        {
            "tree": Path(dataset).name,
            "training_rooms": _rooms(learnt),
            "selection_rooms": _rooms(chosen_by),
            "training_frames": len(train),
            "front_end": first["weights"],
        },
    )


def _recordings(
    dataset: Stairs26Dataset, recipe: Recipe, seed: int
) -> tuple[tuple[DatasetRecording, ...], tuple[DatasetRecording, ...]]:
    """Return the recordings to learn from, and those to choose the epoch by."""
    roles = split_by_room(dataset, seed=seed)
    if recipe.selection_rooms == "dev_test":
        return dataset.split("dev-train"), roles["test"]
    return roles["train"], roles["select"]


def _features(folder: Path, front_end: str, recording: DatasetRecording) -> Features:
    """Open a recording's features, which that front end made."""
    features = Features(folder / f"{recording.name}{FEATURES_SUFFIX}")
    if features.provenance["weights"] != front_end:
        raise DataError(
            features.path,
            place="weights",
            expected=f"features by the front end {front_end}",
            found=f"{features.provenance['weights']}",
            advice="Make all features with the same weights; those of a symmetry with --symmetry",
        )
    return features


def _rooms(recordings: tuple[DatasetRecording, ...]) -> list[str]:
    return [str(room) for room in sorted({recording.room for recording in recordings})]
