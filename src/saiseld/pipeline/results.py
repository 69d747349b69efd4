"""What imaging a recording leaves in a folder, and what it was made from.

A result is taken for done only if it was made from the same recording, video, weights and system
by the same version; whatever else lies under its name is left alone and told. No result is ever
written over an input.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from saiseld.data.video import OVERLAY_SUFFIX
from saiseld.formats.candidates import CANDIDATES_SUFFIX
from saiseld.formats.sound_events import SOUND_EVENTS_SUFFIX
from saiseld.pipeline.defaults import VIEWING_THRESHOLD
from saiseld.runtime.errors import DataError, OutputError, refusing
from saiseld.runtime.files import write_json
from saiseld.runtime.limits import FRAMES, Limit
from saiseld.runtime.version import __version__

PROVENANCE_SUFFIX = ".provenance"
"""JSON, but no ``.json``: scorers take every one of those in a folder for predictions."""
PAGE = "index.html"
VIEW_SUFFIX = ".page.html"

RECORD_BYTES = Limit("record_bytes", 1 << 20)
"""Of the sidecar of a recording's results."""


@dataclass(frozen=True, slots=True)
class Results:
    """The files of a recording's results."""

    folder: Path
    name: str

    @property
    def masks(self) -> Path:
        """Masks in the official format, written last: they say that a recording is done."""
        return self.folder / f"{self.name}.json"

    @property
    def candidates(self) -> Path:
        """Every detection."""
        return self.folder / f"{self.name}{CANDIDATES_SUFFIX}"

    @property
    def events(self) -> Path:
        """What a person is told."""
        return self.folder / f"{self.name}{SOUND_EVENTS_SUFFIX}"

    @property
    def frame_events(self) -> Path:
        """The same, frame by frame as STARSS23 has it, on request."""
        return self.folder / f"{self.name}.csv"

    @property
    def overlay(self) -> Path:
        """The overlay video."""
        return self.folder / f"{self.name}{OVERLAY_SUFFIX}"

    @property
    def provenance(self) -> Path:
        """What made them."""
        return self.folder / f"{self.name}{PROVENANCE_SUFFIX}"

    @property
    def view(self) -> Path:
        """The page of the recording."""
        return self.folder / f"{self.name}{VIEW_SUFFIX}"

    @property
    def page(self) -> Path:
        """The page of all results in the folder."""
        return self.folder / PAGE

    def files(self) -> list[Path]:
        """Return all of them."""
        return [
            self.masks,
            self.candidates,
            self.events,
            self.frame_events,
            self.overlay,
            self.provenance,
            self.view,
            self.page,
        ]


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a recording's results were made from.

    Parameters
    ----------
    recording, video
        Digests of their contents; empty where there is no video.
    weights
        Digest of every weights file, by name.
    system
        What was kept and emitted.
    channels
        What the recording's channels were taken for.
    elevation_assumed
        Whether elevations are assumed and not measured, as of planar arrays.
    precision
        Of the detector (`saiseld.pipeline.networks.Precision`).
    version
        Of saiseld.
    """

    recording: str
    video: str
    weights: dict[str, str]
    system: str
    channels: str
    elevation_assumed: bool = False
    precision: str = "float32"
    version: str = __version__

    def difference(self, other: Provenance) -> str:
        """Return in words what differs from another, empty if nothing does."""
        ours, others = asdict(self), asdict(other)
        ours |= ours.pop("weights")
        others |= others.pop("weights")
        names = dict.fromkeys([*ours, *others])
        return ", ".join(f"another {name}" for name in names if ours.get(name) != others.get(name))


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What lies beside the masks of a recording.

    Parameters
    ----------
    provenance
        What made them.
    frames, missing_pictures
        In how many frames, and how many of these had no picture.
    threshold
        Score of what events, overlay and page show; None where nothing was drawn yet.
    warnings
        What was warned of when the recording and its video were opened.
    source
        The recording's file, relative to the folder of the results where that can be.
    """

    provenance: Provenance
    frames: int
    missing_pictures: int
    threshold: float | None = None
    warnings: tuple[str, ...] = ()
    source: str = ""

    @property
    def shown_from(self) -> float:
        """Score from which masks are shown, where no other is asked for."""
        return VIEWING_THRESHOLD if self.threshold is None else self.threshold

    def notes(self) -> list[str]:
        """Return what a viewer should know, as sentences."""
        notes = []
        if not self.provenance.video:
            notes.append("Imaged by sound alone: no picture was given")
        elif self.missing_pictures:
            notes.append(f"{self.missing_pictures} of {self.frames} frames without a picture")
        if self.provenance.elevation_assumed:
            notes.append("Elevations are assumed, not measured: the array is planar")
        if self.provenance.precision != "int8":
            notes.append(f"Imaged in {self.provenance.precision}")
        return notes


def write_run_record(results: Results, record: RunRecord) -> None:
    """Write the sidecar of a recording's results."""
    write_json(results.provenance, asdict(record))


def read_run_record(results: Results) -> RunRecord:
    """Read it.

    Raises
    ------
    DataError
        If it is not one.
    """
    path = results.provenance
    with refusing(DataError, path, "what made a result"):
        RECORD_BYTES.check(path.stat().st_size, DataError, path, place="bytes")
        found = msgspec.json.decode(path.read_bytes(), type=RunRecord)
    FRAMES.check(found.frames, DataError, path)
    if not 0 <= found.missing_pictures <= found.frames:
        raise DataError(
            path,
            place="missing_pictures",
            expected=f"0 to {found.frames}",
            found=str(found.missing_pictures),
        )
    return found


def is_done(results: Results, provenance: Provenance) -> bool:
    """Return whether a recording's results are there, made from just this.

    Raises
    ------
    OutputError
        If there are masks that were made from something else, naming what differs.
    """
    if not results.masks.exists():
        return False
    try:
        difference = provenance.difference(read_run_record(results).provenance)
    except DataError:
        difference = "what made them is not known"
    if difference:
        raise OutputError(
            results.masks,
            expected="no masks, or masks made from the same",
            found=f"masks of an earlier run ({difference})",
            advice="Take --force to replace them, or another folder",
        )
    return True


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise ``OutputError`` if a file to write is, or links to, a file that is read."""
    read = [path for path in inputs if path.exists()]
    for output in outputs:
        for path in read:
            same = output.resolve() == path.resolve()
            if same or (output.exists() and output.samefile(path)):
                raise OutputError(
                    output,
                    expected="a result that is none of the inputs",
                    found=f"the input {path}",
                    advice="Choose another folder for the results",
                )
