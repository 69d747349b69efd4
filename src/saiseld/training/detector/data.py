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
from saiseld.data.stairs26 import Role, TreeRecording, open_tree, split_by_room
from saiseld.formats.features import FEATURES_SUFFIX, Features
from saiseld.runtime.errors import DataError
from saiseld.training.detector.dataset import FrameDataset
from saiseld.training.detector.decoded import fill_cache
from saiseld.training.detector.symmetric import SymmetricFrames


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Frames to learn from and frames to select models by, of other rooms.

    Parameters
    ----------
    train, select
        The frames.
    shown
        The training frames as they are and under symmetries of the array.
    projection
        Of the front end that made the latents.
    provenance
        What the data are, as JSON values: tree, rooms, front end.
    """

    train: FrameDataset
    select: FrameDataset
    shown: SymmetricFrames
    projection: Projection
    provenance: dict[str, Any]


def training_data(
    tree: str | Path,
    features: str | Path,
    cache: str | Path,
    *,
    symmetries: Sequence[str] = (),
    context: int = 0,
    seed: int = 0,
    jobs: int = 1,
) -> TrainingData:
    """Open the training and selection rooms of a tree.

    Parameters
    ----------
    tree
        In the layout of STAIRS26, with labels.
    features
        Folder of the features files of its recordings (`saiseld features`); those of a symmetry
        are in a folder of its name in it.
    cache
        Folder for decoded labels and video.
    symmetries
        Names of the array's symmetries that training frames are shown under too.
    context
        Frames before and after each one that are heard with it.
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
    fill_cache([*roles["train"], *roles["select"]], cache, jobs=jobs)
    features = Path(features)
    first = Features(features / f"{roles['train'][0].name}{FEATURES_SUFFIX}").provenance

    def frames_of(role: Role, symmetry: Symmetry = IDENTITY) -> FrameDataset:
        folder = features if symmetry is IDENTITY else features / symmetry.name
        made_by = identity_under(first["weights"], symmetry)
        return FrameDataset(roles[role], partial(_features, folder, made_by), cache, context)

    train, select = frames_of("train"), frames_of("select")
    if not select.counts.any():
        raise DataError(
            tree,
            place=f"rooms to select in ({', '.join(_rooms(roles['select']))})",
            expected="frames with labels",
            found="none",
        )
    others = [symmetry_named(name) for name in symmetries]
    return TrainingData(
        train,
        select,
        SymmetricFrames([(IDENTITY, train), *((s, frames_of("train", s)) for s in others)]),
        first["projection"],
        {
            "tree": Path(tree).name,
            "training_rooms": _rooms(roles["train"]),
            "selection_rooms": _rooms(roles["select"]),
            "training_frames": len(train),
            "front_end": first["weights"],
        },
    )


def _features(folder: Path, made_by: str, recording: TreeRecording) -> Features:
    """Open a recording's features, which that front end made."""
    own = Features(folder / f"{recording.name}{FEATURES_SUFFIX}")
    if own.provenance["weights"] != made_by:
        raise DataError(
            own.path,
            place="weights",
            expected=f"features by the front end {made_by}",
            found=f"{own.provenance['weights']}",
            advice="Make all features with the same weights; those of a symmetry with --symmetry",
        )
    return own


def _rooms(recordings: tuple[TreeRecording, ...]) -> list[str]:
    return [str(room) for room in sorted({recording.room for recording in recordings})]
