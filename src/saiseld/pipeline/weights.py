"""The weights that belong together: the packaged ones, or a folder of yours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from saiseld.formats.candidates import BRANCHES, Branch
from saiseld.formats.graph import FAST, GRAPH_SUFFIX
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import CheckpointError, refusing

PACKAGED = Path(__file__).parents[1] / "assets"
"""Where the default weights lie."""

DEMO = PACKAGED / "demo"
"""A folder with one recording, its video and its labels, to try things on."""

_ADVICE = (
    "A weights folder holds uplam.safetensors (or .pth), detector.safetensors (or .pth); to rank "
    "by matchability, matchability.skops; for the audio branch, seld.safetensors and fusion.json. "
    "Train them with `saiseld train uplam`, `detector`, `matchability`, `seld` and `fusion`, or "
    "put the public checkpoints there"
)


@dataclass(frozen=True, slots=True)
class Weights:
    """A folder with the weights of one trained system; each part is looked for when it is used.

    Raises
    ------
    CheckpointError
        By a part that is not there.
    """

    folder: Path

    @property
    def front_end(self) -> Path:
        """Checkpoint of UpLAM."""
        return _part(self.folder, "uplam")

    @property
    def detector(self) -> Path:
        """Checkpoint of the detector."""
        return _part(self.folder, "detector")

    @property
    def matchability(self) -> Path | None:
        """The reranker, or None to rank by raw score."""
        path = self.folder / MATCHABILITY
        return path if path.is_file() else None

    @property
    def seld(self) -> Path:
        """Checkpoint of the audio branch's SELD network."""
        return _part(self.folder, "seld")

    @property
    def fusion(self) -> Path:
        """Model that scores the candidates of both branches, alone and together."""
        return self.folder / "fusion.json"

    @property
    def recogniser(self) -> Path | None:
        """What recognises the sources that the audio branch localises, if there is one."""
        path = self.folder / "recogniser.safetensors"
        return path if path.is_file() else None

    @property
    def has_audio_branch(self) -> bool:
        """Whether there is a SELD network."""
        return _is_there(self.folder, "seld")

    @property
    def has_detector(self) -> bool:
        """Whether there is a detector."""
        return _is_there(self.folder, "detector")

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The branches that there are networks of; the detector if there is none of either."""
        has_one = self.has_detector or not self.has_audio_branch
        there = {"detector": has_one, "audio": self.has_audio_branch}
        return tuple(branch for branch in BRANCHES if there[branch])

    @property
    def decided(self) -> tuple[Branch, ...]:
        """The branches that can be decided on: the audio branch takes a fusion model."""
        return tuple(b for b in self.branches if b != "audio" or self.fusion.is_file())

    def checked(self) -> Weights:
        """Return these weights; raises ``CheckpointError`` if a part of a branch is not there."""
        _files(self)
        return self


def _files(weights: Weights) -> dict[Branch, list[Path]]:
    """Return the files of each branch that there is."""
    files: dict[Branch, list[Path]] = {}
    if "detector" in weights.branches:
        files["detector"] = [weights.front_end, weights.detector]
        if weights.matchability is not None:
            files["detector"].append(weights.matchability)
    if "audio" in weights.branches:
        fusion = weights.fusion if weights.fusion.is_file() else None
        beside = (fusion, weights.recogniser)
        files["audio"] = [weights.seld, *(path for path in beside if path is not None)]
    return files


def digests(
    weights: Weights, branches: Sequence[Branch] = BRANCHES, *, quantised: bool = False
) -> dict[str, str]:
    """Return what each file of some branches holds, graphs too, by name (see `content_digest`).

    Those of the INT8 quantised graphs only where these are what it is run by.
    """
    of_branch = _files(weights)
    checkpoints = [path for branch in branches for path in of_branch.get(branch, [])]
    graphs = [
        graph
        for path in checkpoints
        for graph in sorted(path.parent.glob(f"{path.stem}.*{GRAPH_SUFFIX}"))
        if quantised or FAST not in graph.suffixes
    ]
    return {path.name: content_digest(path) for path in [*checkpoints, *graphs]}


def model_record(weights: Weights) -> dict[str, dict[str, Any]]:
    """Return of each model file, by name: its branch, digest and number of parameters.

    The number is None where the file does not say it without being loaded.
    """
    return {
        path.name: _record(path, branch)
        for branch, paths in _files(weights).items()
        for path in paths
    }


def fusion_record(weights: Weights) -> dict[str, dict[str, Any]]:
    """Return the record of the fusion model alone."""
    return {weights.fusion.name: _record(weights.fusion, "audio")}


def _record(path: Path, branch: Branch) -> dict[str, Any]:
    return {
        "branch": branch,
        "digest": content_digest(path),
        "parameters": count_parameters(path),
    }


MATCHABILITY = "matchability.skops"


def matchability_record(path: Path) -> dict[str, dict[str, Any]]:
    """Return the record of another matchability model, in the place of the weights' own."""
    return {MATCHABILITY: {**_record(path, "detector"), "file": path.name}}


def count_parameters(checkpoint: Path) -> int | None:
    """Return how many numbers a checkpoint holds, from its header alone; None for other files."""
    if checkpoint.suffix != ".safetensors":
        return None
    with (
        refusing(CheckpointError, checkpoint, "a checkpoint (safetensors)"),
        safe_open(checkpoint, framework="np") as file,
    ):
        names = list(file.keys())
        return sum(int(math.prod(file.get_slice(name).get_shape())) for name in names)


def find_weights(weights: str | Path | None = None) -> Weights:
    """Return the weights in a folder, or the packaged ones.

    Raises
    ------
    CheckpointError
        If there is no such folder.
    """
    folder = PACKAGED if weights is None else Path(weights)
    if not folder.is_dir():
        raise CheckpointError(
            folder, expected="a folder of weights", found="no such folder", advice=_ADVICE
        )
    return Weights(folder)


_SUFFIXES = (".safetensors", ".pth")


def _is_there(folder: Path, name: str) -> bool:
    return any((folder / f"{name}{suffix}").is_file() for suffix in _SUFFIXES)


def _part(folder: Path, name: str) -> Path:
    for suffix in _SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    raise CheckpointError(
        folder,
        place=name,
        expected=f"{name}.safetensors or {name}.pth",
        found="none",
        advice=_ADVICE,
    )
