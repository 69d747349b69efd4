"""What a live stream tells of each 100 ms: masks, marks with steady numbers, heat, levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.formats.annotation import EnergyMask

SHRUNK = 4
"""Canvas pixels along the edge of one pixel of the heat."""

HEAT_SHAPE = (HEIGHT // SHRUNK, WIDTH // SHRUNK)
"""Rows and columns of the heat: 45, 90."""

SPECTRUM_BANDS = 32
"""Bands of a frame's spectrum, evenly spaced in mel from 60 Hz to 11 kHz."""

FLOOR_DB = -120.0
"""Level of what is softer, silence too: decibels below full scale."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A credible sound in one frame, as an event that a person can follow.

    Parameters
    ----------
    number
        The event's, from 1 in order of its start, the same in all its frames; the link is made
        frame by frame (`saiseld.live.tracks`), so it never changes afterwards.
    class_id
        Of `saiseld.conventions.taxonomy`.
    azimuth, elevation
        Centre of its energy in degrees; azimuth positive to the left.
    distance_cm
        In centimetres, None where unknown.
    score
        Confidence of this frame's mask, 0 to 1.
    """

    number: int
    class_id: int
    azimuth: float
    elevation: float
    distance_cm: float | None
    score: float

    @property
    def class_name(self) -> str:
        """Name of the class."""
        return CLASS_NAMES[self.class_id]


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """What is known of one frame of a stream.

    Parameters
    ----------
    frame
        Its number since the stream began, ten a second; none is left out.
    captured
        ``time.monotonic()`` when its last sample arrived: what is shown at ``now`` is
        ``now - captured`` late.
    masks
        Every guess, as `saiseld image` gives it for this frame.
    marks
        The credible ones, with the number of the event that each belongs to.
    heat
        (45, 90) panorama, row 0 the top (elevation +90), column 0 the left edge (azimuth +180,
        positive to the left): the largest of energy times score of all masks, area mean over
        4 x 4 canvas pixels; 255 is the full energy of a mask scored 1, on every frame's scale.
    levels
        (4,) RMS of each capsule in dB of full scale, `FLOOR_DB` at least.
    spectrum
        (4, 32) power of each capsule in each of `SPECTRUM_BANDS`, lowest first, in dB of full
        scale, `FLOOR_DB` at least.
    sound
        (2400, 4) its samples at 24 kHz, capsules in the order of `conventions.arrays.TETRAHEDRON`:
        what one listens to.
    picture
        (H, W, 3) RGB of that moment as it was pushed; None where there was none, or if it came
        too late.
    imaged
        False of a frame that was dropped, because work took longer than sound: it has its sound,
        levels and picture, and no masks and marks; its heat is 0.
    dropped
        Frames dropped so far.
    skipped
        Pictures passed over so far, because work came late: what was seen in the one before stands.
    elevation_assumed
        Whether elevations are assumed: the array is planar and does not measure them.
    """

    frame: int
    captured: float
    masks: tuple[EnergyMask, ...]
    marks: tuple[Mark, ...]
    heat: NDArray[np.uint8]
    levels: NDArray[np.float32]
    spectrum: NDArray[np.float32]
    sound: NDArray[np.float32]
    picture: NDArray[np.uint8] | None
    imaged: bool
    dropped: int
    skipped: int = 0
    elevation_assumed: bool = False

    @property
    def pictured(self) -> bool:
        """Whether there was a picture for it."""
        return self.picture is not None
