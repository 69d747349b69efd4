"""What is shown of a frame beside its masks: heat, levels, spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import WIDTH
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.evaluation.rendering import CANVAS_HEIGHT, CANVAS_WIDTH, render
from saiseld.formats.annotation import EnergyMask
from saiseld.live.frames import FLOOR_DB, HEAT_SHAPE, SHRUNK, SPECTRUM_BANDS
from saiseld.viewing.panorama import enlarged

LOWEST_HZ, HIGHEST_HZ = 60.0, 11_000.0

Array = NDArray[np.float32]


def heat(masks: Sequence[EnergyMask]) -> NDArray[np.uint8]:
    """Return the (45, 90) heat of a frame's masks; see `saiseld.live.frames.LiveFrame`."""
    energy = np.zeros((CANVAS_HEIGHT, CANVAS_WIDTH))
    for mask in masks:
        score = 1.0 if mask.score is None else mask.score
        np.maximum(energy, render(mask.segmentation) * score, out=energy)
    rows, columns = HEAT_SHAPE
    cells = enlarged(energy, WIDTH).reshape(rows, SHRUNK, columns, SHRUNK)
    return np.asarray(np.rint(255 * cells.mean(axis=(1, 3)).clip(0, 1)), np.uint8)


def levels(sound: Array) -> Array:
    """Return (4,) RMS in dB of full scale of (2400, 4) samples."""
    return _decibels(np.square(sound, dtype=np.float64).mean(axis=0))


def spectrum(sound: Array) -> Array:
    """Return (4, 32) power in bands, in dB of full scale, of (2400, 4) samples.

    Power is what `levels` measures: of a sine it is all in its band.
    """
    window, first = _bands()
    power = np.square(np.abs(np.fft.rfft(sound * window[:, None], axis=0)))
    power *= 2 / (SAMPLES_PER_FRAME * np.square(window).sum())
    return _decibels(np.add.reduceat(power, first, axis=0)[:-1].T)


@cache
def _bands() -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return a frame's window, and the first bin of each band and of what follows the last."""
    lowest, highest = (1127 * np.log1p(hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * np.expm1(np.linspace(lowest, highest, SPECTRUM_BANDS + 1) / 1127)
    first = np.ceil(edges * SAMPLES_PER_FRAME / SAMPLE_RATE).astype(np.intp)
    return np.hanning(SAMPLES_PER_FRAME + 1)[:-1], first


def _decibels(power: NDArray[np.float64]) -> Array:
    floor = 10 ** (FLOOR_DB / 10)
    return (10 * np.log10(np.maximum(power, floor))).astype(np.float32)
