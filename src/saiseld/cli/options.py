"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from saiseld.runtime.cluster import connected
from saiseld.runtime.devices import DeviceName
from saiseld.runtime.parallel import Workers

if TYPE_CHECKING:
    from saiseld.checks.recording import Format, Layout

Recordings = Annotated[
    list[Path],
    typer.Argument(
        help="Recordings (WAV, FLAC, ...; 4 or 32 channels, or ambisonics), or folders of them."
    ),
]
Channels = Annotated[
    Literal["auto", "mic", "em32", "foa", "n3d", "fuma", "a-format"],
    typer.Option(
        "--format",
        help="Channels: the tetrahedron's capsules (mic), all 32 (em32), or ambisonics: ambiX of "
        "any order (foa), N3D, FuMa, A-format.",
    ),
]
Array = Annotated[
    str | None,
    typer.Option(help="Microphone array: a name of `saiseld array list`, or a TOML file."),
]
Results = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")]
Run = Annotated[
    Path, typer.Option("--output", "-o", help="Folder of the run; a stopped run continues.")
]
Video = Annotated[
    Path | None,
    typer.Option(help="Video or folder of frames; or a folder of <recording>.mp4 (.mov, ...)."),
]
Weights = Annotated[
    Path | None, typer.Option(help="Weights folder. Default: the packaged weights.")
]
Device = Annotated[
    DeviceName, typer.Option(help="Device of the networks; auto takes a GPU if PyTorch finds one.")
]
Half = Annotated[
    bool,
    typer.Option(
        "--half", help="Run the detector in 16 bits on a GPU: faster, scores differ a little."
    ),
]
Precise = Annotated[
    bool,
    typer.Option(
        "--precise",
        help="Full precision on a CPU too: takes twice the time, for exact reproduction.",
    ),
]
Fast = Annotated[
    bool | None,
    typer.Option("--fast", hidden=True, help="Old name of the default on a CPU."),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Score from which masks are shown in events and pictures. Default: 0.12, or "
        "the threshold in the weights folder.",
    ),
]
ExchangeFormats = Annotated[
    str | None,
    typer.Option(
        "--write",
        metavar="FORMATS",
        help="Also write the events for other programs: audacity, raven, rttm, textgrid, "
        "jams, elan, dcase, coco; several separated by commas.",
    ),
]
RecipeChanges = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, such as augmentation.flip=0; may be repeated.",
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(min=1, help="Number of training steps, to try a recipe."),
]
SystemName = Annotated[
    str | None,
    typer.Option(
        "--system",
        help="audiovisual (the default), audiovisual-precise, audio, or the detector's: TASK3B_1 "
        "to TASK3B_4, 'Sparse peaks', Baseline, dense, blob.",
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="Recordings that are processed at a time.")]
OnCluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Ray cluster to spread recordings over: host:port, or local to start one on "
        "this machine.",
    ),
]
Tables = Annotated[Path, typer.Argument(help="Candidate table, or a folder of them.")]
FusionWeights = Annotated[
    Path | None,
    typer.Option(
        "--weights", help="Weights folder with another fusion model than that of the tables."
    ),
]
Model = Annotated[
    Path | None, typer.Option(help="Matchability model, if the candidates are not calibrated.")
]
AllowMissing = Annotated[
    bool,
    typer.Option("--allow-missing", help="Leave out recordings without predictions or labels."),
]
JsonFile = Annotated[Path | None, typer.Option(help="Write the scores to this file.")]
LabelsCache = Annotated[
    Path | None, typer.Option(help="Folder for drawn labels. Default: the user's cache.")
]
Host = Annotated[
    str,
    typer.Option(help="Address to listen on; 0.0.0.0 for other machines, which need the token."),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="SAISELD_TOKEN", help="Token that clients must send. Default: a generated one."
    ),
]


def layout_of(channels: Format, array: str | None) -> Layout:
    """Return what ``--format`` and ``--array`` say that channels are.

    Raises
    ------
    DataError
        If there is no such array, or both are given.
    """
    if array is None:
        return channels
    from saiseld.pipeline.open import layout_named

    return layout_named(channels, array)


@contextmanager
def workers(jobs: int, cluster: str | None) -> Iterator[Workers]:
    """Yield who does the work that ``--jobs`` and ``--cluster`` ask for."""
    if cluster is None:
        yield jobs
        return
    if jobs > 1:
        raise typer.BadParameter("a cluster takes as many as it can: leave out --jobs")
    with connected(cluster) as there:
        yield there
