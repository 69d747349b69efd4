"""Frames of no stream: one sound from a known direction, and a picture that shows it."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import angles_of_pixel, great_circle, pixel_of_angles, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.live.frames import HEAT_SHAPE, SHRUNK, SPECTRUM_BANDS, LiveFrame, Mark

BLOB_DEG = 12.0


def heat_at(azimuth: float, elevation: float, peak: float = 0.9) -> NDArray[np.uint8]:
    """Return heat with one round blob."""
    rows, columns = HEAT_SHAPE
    x, y = np.meshgrid((np.arange(columns) + 0.5) * SHRUNK, (np.arange(rows) + 0.5) * SHRUNK)
    away = great_circle(*angles_of_pixel(x, y), azimuth, elevation)
    return np.rint(255 * peak * np.exp(-0.5 * (away / (BLOB_DEG / 2)) ** 2)).astype(np.uint8)


def picture_at(azimuth: float, elevation: float, width: int = 480) -> NDArray[np.uint8]:
    """Return a dim picture, brighter upwards, with a white square in a direction."""
    picture = np.zeros((width // 2, width, 3), np.uint8)
    picture[..., 2] = np.linspace(90, 20, width // 2)[:, None]
    x, y = (int(v * width / 360) for v in pixel_of_angles(azimuth, elevation))
    half = width // 60
    columns = np.arange(x - half, x + half) % width
    picture[max(y - half, 0) : y + half, columns] = 255
    return picture


def tone_from(azimuth: float, elevation: float, hertz: float, frame: int) -> NDArray[np.float32]:
    """Return what the four capsules hear of a tone, going on from frame to frame."""
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    responses = array.responses(unit_vector(azimuth, elevation))
    first = frame * SAMPLES_PER_FRAME - array.TAPS + 1
    time_s = (first + np.arange(SAMPLES_PER_FRAME + array.TAPS - 1)) / SAMPLE_RATE
    tone = 0.1 * np.sin(2 * np.pi * hertz * time_s)
    heard = [np.convolve(tone, response, "valid") for response in responses]
    return np.stack(heard, axis=1).astype(np.float32)


def frame_at(
    number: int,
    azimuth: float,
    elevation: float = 0.0,
    *,
    class_id: int = 1,
    event: int = 1,
    picture: NDArray[np.uint8] | None = None,
    sound: NDArray[np.float32] | None = None,
    dropped: int = 0,
) -> LiveFrame:
    """Return a frame with one sound."""
    spectrum = np.linspace(-30, -90, SPECTRUM_BANDS, dtype=np.float32)
    return LiveFrame(
        frame=number,
        captured=time.monotonic(),
        masks=(),
        marks=(Mark(event, class_id, azimuth, elevation, 150.0, 0.9),),
        heat=heat_at(azimuth, elevation),
        levels=np.array([-20, -25, -30, -35], np.float32),
        spectrum=np.stack([spectrum - 5 * channel for channel in range(4)]),
        sound=np.zeros((SAMPLES_PER_FRAME, 4), np.float32) if sound is None else sound,
        picture=picture,
        imaged=True,
        dropped=dropped,
    )
