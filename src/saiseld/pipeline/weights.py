"""The weights that belong together: the packaged ones, or a folder of yours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from saiseld.formats.graph import FAST, GRAPH_SUFFIX
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import CheckpointError

PACKAGED = Path(__file__).parents[1] / "assets"
"""Where the default weights lie."""

DEMO = PACKAGED / "demo"
"""A folder with one recording, its video and its labels, to try things on."""

_ADVICE = (
    "A weights folder holds uplam.safetensors (or .pth), detector.safetensors (or .pth); to rank "
    "by matchability, matchability.skops; to hear, seld.safetensors and fusion.json. Train them "
    "with `saiseld train uplam`, `detector`, `matchability`, `seld` and `fusion`, or put the "
    "public checkpoints there"
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
        path = self.folder / "matchability.skops"
        return path if path.is_file() else None

    @property
    def ear(self) -> Path:
        """Checkpoint of the hearing network."""
        return _part(self.folder, "seld")

    @property
    def fusion(self) -> Path:
        """What eye and ear are worth, alone and together."""
        return self.folder / "fusion.json"

    @property
    def recogniser(self) -> Path | None:
        """What recognises the sources that the audio branch localises, if there is one."""
        path = self.folder / "recogniser.safetensors"
        return path if path.is_file() else None

    @property
    def can_hear(self) -> bool:
        """Whether there is a hearing network, and a model to weigh it."""
        return (self.folder / "seld.safetensors").is_file() and self.fusion.is_file()


def digests(weights: Weights, *, eye_alone: bool = False, fast: bool = False) -> dict[str, str]:
    """Return what each file of a system holds, graphs too, by file name (see `content_digest`).

    Those of the fast graphs only where these are what it is run by.
    """
    paths = [weights.front_end, weights.detector, weights.matchability]
    if weights.can_hear and not eye_alone:
        paths += [weights.ear, weights.recogniser, weights.fusion]
    checkpoints = [path for path in paths if path is not None]
    graphs = [
        graph
        for path in checkpoints
        for graph in sorted(path.parent.glob(f"{path.stem}.*{GRAPH_SUFFIX}"))
        if fast or FAST not in graph.suffixes
    ]
    return {path.name: content_digest(path) for path in [*checkpoints, *graphs]}


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


def _part(folder: Path, name: str) -> Path:
    for suffix in (".safetensors", ".pth"):
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
