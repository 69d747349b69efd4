"""Only owner of the sphere: pixel, angle, unit vector, seam, great circle, grids, projections.

Convention: canvas 360 wide x 180 high, equirectangular, ``x`` to the right, ``y`` down
(docs/conventions.md#sphere-and-canvas).
Azimuth is positive to the LEFT (counter-clockwise seen from above), 0 at the canvas centre;
elevation is positive upwards. ``x = (180 - azimuth) mod 360``, ``y = 90 - elevation``. The left
and right edges are one meridian, so distances in ``x`` wrap. Unit vectors have x to the front,
y to the left, z up. All angles are degrees unless a name says otherwise.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import sph_harm_y

WIDTH = 360
HEIGHT = 180

DIRECTIONS = 484
"""Points of the Fibonacci grid that an acoustic image is given on."""

Projection = Literal["official", "great_circle"]
FloatArray = NDArray[np.float64]


def pixel_of_angles(azimuth: ArrayLike, elevation: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return continuous canvas coordinates (x in [0, 360), y in [0, 180]) of directions."""
    azimuth, elevation = np.asarray(azimuth, float), np.asarray(elevation, float)
    return np.mod(180.0 - azimuth, WIDTH), 90.0 - elevation


def angles_of_pixel(x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return (azimuth in [-180, 180), elevation) of continuous canvas coordinates."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    return wrap_azimuth(180.0 - x), 90.0 - y


def wrap_azimuth(azimuth: ArrayLike) -> FloatArray:
    """Wrap azimuths to [-180, 180)."""
    return np.asarray(np.mod(np.asarray(azimuth, float) + 180.0, 360.0) - 180.0)


def wrap_x_difference(dx: ArrayLike) -> FloatArray:
    """Wrap differences of ``x`` to [-180, 180): the short way round."""
    return wrap_azimuth(dx)


def unit_vector(azimuth: ArrayLike, elevation: ArrayLike) -> FloatArray:
    """Return unit vectors (..., 3) of directions in degrees."""
    az, el = np.radians(np.asarray(azimuth, float)), np.radians(np.asarray(elevation, float))
    return np.stack([np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), np.sin(el)], axis=-1)


def angles_of_vector(vector: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return (azimuth, elevation) in degrees of vectors (..., 3) of any positive length."""
    v = np.asarray(vector, float)
    azimuth = np.degrees(np.arctan2(v[..., 1], v[..., 0]))
    elevation = np.degrees(np.arctan2(v[..., 2], np.hypot(v[..., 0], v[..., 1])))
    return azimuth, elevation


def great_circle(
    azimuth_a: ArrayLike, elevation_a: ArrayLike, azimuth_b: ArrayLike, elevation_b: ArrayLike
) -> FloatArray:
    """Return the angle between directions in degrees (haversine form: exact for small angles)."""
    az_a, el_a, az_b, el_b = (
        np.radians(np.asarray(v, float)) for v in (azimuth_a, elevation_a, azimuth_b, elevation_b)
    )
    hav = (
        np.sin((el_a - el_b) / 2) ** 2
        + np.cos(el_a) * np.cos(el_b) * np.sin((az_a - az_b) / 2) ** 2
    )
    return np.asarray(np.degrees(2 * np.arcsin(np.sqrt(np.clip(hav, 0, 1)))))


def fibonacci_sphere(order: int = 10) -> FloatArray:
    """Return the (3, 4 (order + 1)^2) unit vectors of a Fibonacci grid (484 for order 10)."""
    count = 4 * (order + 1) ** 2
    n = np.arange(count)
    colatitude = np.arccos(1 - (2 * n + 1) / count)
    longitude = 4 * np.pi * n / (1 + np.sqrt(5))
    return np.stack(
        [
            np.cos(longitude) * np.sin(colatitude),
            np.sin(longitude) * np.sin(colatitude),
            np.cos(colatitude),
        ]
    )


def real_harmonics(directions: ArrayLike, order: int) -> FloatArray:
    """Return the real spherical harmonics (D, (order + 1)^2) of unit vectors (D, 3).

    In ACN order and SN3D, without the Condon-Shortley phase: 1, y, z, x, ... (Nachbar, Zotter,
    Deleflie, Sontacchi, "ambiX: A Suggested Ambisonics Format", Ambisonics Symposium 2011).
    """
    x, y, z = np.asarray(directions, float).T
    polar, azimuth = np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x)
    columns = []
    for n in range(order + 1):
        for m in range(-n, n + 1):
            value = sph_harm_y(n, abs(m), polar, azimuth) * np.sqrt(4 * np.pi / (2 * n + 1))
            part = value.real if m >= 0 else value.imag
            columns.append(part * ((-1.0) ** m * np.sqrt(2) if m else 1.0))
    return np.stack(columns, axis=1)


@cache
def projection_table(projection: Projection) -> NDArray[np.int32]:
    """Return the (180, 360) index of the grid direction (of 484) shown at each canvas pixel.

    ``official`` is the public front end's table, flip included: nearest in the (azimuth, elevation)
    plane at ``linspace(-180, 180, 360)``, ``linspace(90, -90, 180)``, then a horizontal flip;
    weights trained with the public front end need exactly this. ``great_circle`` is nearest by
    angle at the pixel centres of this project's convention, free of a seam.
    """
    directions = fibonacci_sphere()
    if projection == "official":
        from scipy.spatial import cKDTree

        azimuth, elevation = angles_of_vector(directions.T)
        grid_azimuth, grid_elevation = np.meshgrid(
            np.linspace(-180, 180, WIDTH), np.linspace(90, -90, HEIGHT)
        )
        tree = cKDTree(np.stack([azimuth, elevation], axis=-1))
        _, index = tree.query(np.stack([grid_azimuth, grid_elevation], axis=-1))
        return np.ascontiguousarray(index[:, ::-1].astype(np.int32))
    if projection == "great_circle":
        x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
        pixels = unit_vector(*angles_of_pixel(x, y))
        # Row by row: all at once would be 250 MB.
        return np.array([np.argmax(row @ directions, axis=-1) for row in pixels], np.int32)
    raise ValueError(f"projection must be 'official' or 'great_circle', not {projection!r}")


def box_iou(boxes_a: ArrayLike, boxes_b: ArrayLike) -> FloatArray:
    """Return the (A, B) IoU of boxes (x0, y0, x1, y1) on the cylinder.

    A box may reach past the seam (``x0 < 0`` or ``x1 > 360``); its overlap with every copy of the
    other box counts, so a box and its copy shifted by 360 have IoU 1.
    """
    a, b = np.asarray(boxes_a, float).reshape(-1, 4), np.asarray(boxes_b, float).reshape(-1, 4)
    height = np.clip(
        np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1]), 0, None
    )
    width = np.zeros_like(height)
    for shift in (-WIDTH, 0, WIDTH):
        width += np.clip(
            np.minimum(a[:, None, 2], b[None, :, 2] + shift)
            - np.maximum(a[:, None, 0], b[None, :, 0] + shift),
            0,
            None,
        )
    intersection = height * width
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None, :] - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(union), where=union > 0))
