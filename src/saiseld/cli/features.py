"""``saiseld features``: recordings to acoustic images."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from saiseld.formats.features import Width


class _Width(StrEnum):
    float16 = "float16"
    float32 = "float32"


def features(
    recordings: Annotated[
        list[Path], typer.Argument(help="Recordings (WAV, FLAC), or folders searched for them.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the features files.")],
    weights: Annotated[
        Path | None, typer.Option(help="Weights folder; the packaged ones without it.")
    ] = None,
    width: Annotated[_Width, typer.Option(help="How latents are stored.")] = _Width.float16,
    symmetry: Annotated[
        str,
        typer.Option(
            help="Scene that a symmetry of the array makes of each: half_turn, mirror_45."
        ),
    ] = "identity",
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
) -> None:
    """Turn recordings into acoustic images, one features file each; finished ones are kept."""
    from saiseld.acoustics.front_end import FrontEnd, is_current
    from saiseld.acoustics.symmetry import symmetry_named
    from saiseld.data.recordings import find_recordings
    from saiseld.formats.features import FEATURES_SUFFIX
    from saiseld.pipeline.weights import find_weights
    from saiseld.runtime.files import output_folder
    from saiseld.runtime.parallel import run_all

    front_end_path = find_weights(weights).front_end
    front_end = FrontEnd(front_end_path, symmetry_named(symmetry))
    output_folder(output)
    tasks = {
        path.stem: (
            path,
            output / f"{path.stem}{FEATURES_SUFFIX}",
            front_end_path,
            symmetry,
            width.value,
        )
        for path in find_recordings(recordings)
        if not is_current(output / f"{path.stem}{FEATURES_SUFFIX}", front_end, width.value)
    }
    run_all(_features_of, tasks, jobs=jobs, title="features")


def _features_of(recording: Path, target: Path, weights: Path, symmetry: str, width: Width) -> None:
    from saiseld.acoustics.front_end import FrontEnd, write_images
    from saiseld.acoustics.symmetry import symmetry_named
    from saiseld.data.recordings import open_recording

    front_end = FrontEnd(weights, symmetry_named(symmetry))
    write_images(target, open_recording(recording), front_end, width)
