"""Recordings to acoustic images, one features file each; finished ones are kept."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from saiseld.acoustics.front_end import FrontEnd, is_current, write_images
from saiseld.acoustics.symmetry import symmetry_named
from saiseld.data.recordings import Recording, find_recordings
from saiseld.formats.features import FEATURES_SUFFIX, Width
from saiseld.pipeline.open import Layout, open_checked
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.cluster import Cluster
from saiseld.runtime.devices import Device, DeviceName, device_of
from saiseld.runtime.files import output_folder
from saiseld.runtime.parallel import Workers, run_all
from saiseld.runtime.threads import threads_here


def features_of_recording(
    front_end: FrontEnd, recording: Recording, folder: Path, *, width: Width = "float16"
) -> bool:
    """Write ``<recording>.features.safetensors``; return False if it was there already.

    It was if the same weights made it from the same sound, under the same symmetry and at the same
    width.
    """
    target = _target(folder, recording)
    if is_current(target, recording, front_end, width):
        return False
    write_images(target, recording, front_end, width)
    return True


def features_of_recordings(
    recordings: Iterable[str | Path],
    folder: Path,
    *,
    kind: Layout = "auto",
    weights: Path | None = None,
    device: DeviceName = "auto",
    symmetry: str = "identity",
    width: Width = "float16",
    jobs: Workers = 1,
) -> dict[str, bool]:
    """Turn recordings and those in folders into features files, ``jobs`` at a time.

    Parameters
    ----------
    recordings
        Audio files, or folders searched for them.
    folder
        Where the files go.
    kind
        What the recordings' channels are; see `saiseld.pipeline.open.open_checked`.
    weights
        A weights folder, or None for the packaged ones.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    symmetry
        Of the array; images the scene that it makes of each recording.
    width
        How latents are stored.
    jobs
        Recordings at a time, or the cluster that they are spread over.

    Returns
    -------
    Whether each was made now, by name; see `features_of_recording`.
    """
    checkpoint = find_weights(weights).front_end
    symmetry_named(symmetry)  # says a mistake before any work begins
    output_folder(folder)
    there = jobs.device_of(device) if isinstance(jobs, Cluster) else device_of(device)
    front_end_of = (checkpoint, symmetry, there)
    tasks = {path.stem: (front_end_of, path, kind, width) for path in find_recordings(recordings)}
    return run_all(_features_task, tasks, jobs=jobs, folder=folder, device=there, title="features")


@cache
def _front_end(checkpoint: Path, symmetry: str, device: Device) -> FrontEnd:
    return FrontEnd(checkpoint, symmetry_named(symmetry), device, threads_here())


def _target(folder: Path, recording: Recording) -> Path:
    return folder / f"{recording.name}{FEATURES_SUFFIX}"


def _features_task(
    folder: Path, front_end_of: tuple[Path, str, Device], path: Path, kind: Layout, width: Width
) -> bool:
    front_end = _front_end(*front_end_of)
    return features_of_recording(front_end, open_checked(path, kind), folder, width=width)
