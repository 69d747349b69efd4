"""Recordings to candidate tables by ear alone; finished ones of the same weights are kept."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from saiseld.data.recordings import Recording, find_recordings, open_recording
from saiseld.formats.candidates import CANDIDATES_SUFFIX, candidate_writer, read_provenance
from saiseld.runtime.cache import content_digest
from saiseld.runtime.devices import Device
from saiseld.runtime.files import output_folder
from saiseld.runtime.parallel import run_all
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.decode import candidates
from saiseld.seld.recogniser import recogniser_beside


@cache
def load_audio_branch(weights: Path, device: Device = "cpu") -> tuple[AudioBranch, str]:
    """Return an ear and a name for its weights, read once a process."""
    beside = recogniser_beside(weights)
    files = [weights] if beside is None else [weights, beside]
    digest = "+".join(content_digest(path) for path in files)
    return AudioBranch.load(weights, device=device), digest


def hear_recording(weights: Path, recording: Recording, folder: Path) -> Path | None:
    """Write ``<recording>.candidates.parquet``, unless it is there from the same sound and weights.

    Parameters
    ----------
    weights
        An ear's.
    recording
        4 or 32 channels.
    folder
        Where the table goes.

    Returns
    -------
    The table; None if it was there.
    """
    table = folder / f"{recording.name}{CANDIDATES_SUFFIX}"
    ear, digest = load_audio_branch(weights)
    made_from = {"weights": digest, "sound": content_digest(recording.path)}
    if table.is_file() and made_from.items() <= read_provenance(table).items():
        return None
    heard = ear.blocks(recording.blocks())
    with candidate_writer(table) as append:
        for block in candidates(recording.name, recording.frames, heard, made_from):
            append(block)
    return table


def hear_recordings(
    recordings: Iterable[str | Path], folder: Path, weights: Path, *, jobs: int = 1
) -> dict[str, Path | None]:
    """Hear recordings and those in folders, ``jobs`` at a time; see `hear_recording`."""
    opened = [open_recording(path) for path in find_recordings(recordings)]
    output_folder(folder)
    load_audio_branch(weights)  # A mistake in the weights is told before any work begins.
    tasks = {recording.name: (weights, recording, folder) for recording in opened}
    return run_all(hear_recording, tasks, jobs=jobs, title="hearing")
