"""Energy masks of events, cut from sparse images as the public labels are (AudibleLight)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.spatial import Delaunay

from saiseld.conventions.label_law import LABEL_SIGMA_DEG, THRESHOLD, amplitude
from saiseld.conventions.sphere import (
    HEIGHT,
    WIDTH,
    angles_of_vector,
    fibonacci_sphere,
    pixel_of_angles,
    wrap_x_difference,
)
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.events import Event, check_within

FloatArray = NDArray[np.float64]

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def annotate(
    maps: ArrayLike,
    events: Sequence[Event],
    *,
    standardised: bool = True,
    source: str = "events",
) -> list[EnergyMask]:
    """Return one energy mask per event, in the order of the events.

    An event where the image holds no energy (in the empty band at the seam, say) keeps its mask,
    without a blob, as in the public labels.

    Parameters
    ----------
    maps
        Sparse images (frames, 9, 484), or their medians over the bands (frames, 484).
    events
        Events of the recording; their source number becomes the instance id.
    standardised
        Give amplitudes as the published labels have them, in (0, 1), instead of raw energies.
    source
        What to call the events in an error.

    Raises
    ------
    DataError
        If an event lies beyond the last frame.
    """
    maps = np.asarray(maps, float)
    medians = np.median(maps, axis=1) if maps.ndim == 3 else maps
    check_within(events, len(medians), source)
    fields: dict[int, FloatArray] = {}
    masks = []
    for event in events:
        if event.frame not in fields:
            fields = {event.frame: canvas(medians[event.frame])}
        blobs = event_blobs(fields[event.frame], event.azimuth, event.elevation)
        masks.append(
            EnergyMask(
                frame=event.frame,
                instance_id=event.source,
                class_id=event.class_id,
                segmentation=tuple(standardise(blob) if standardised else blob for blob in blobs),
                distance_cm=event.distance_cm,
            )
        )
    return masks


def canvas(values: FloatArray) -> FloatArray:
    """Interpolate grid values (484,) linearly onto the canvas (180, 360); 0 outside their hull."""
    return np.asarray(_interpolation() @ values).reshape(HEIGHT, WIDTH)


def event_blobs(field: FloatArray, azimuth: float, elevation: float) -> list[FloatArray]:
    """Return the blobs (n, 3) of ``x, y, energy`` of one event in an energy field (180, 360)."""
    x, y = (int(v) for v in pixel_of_angles(azimuth, elevation))
    across = wrap_x_difference(np.arange(WIDTH) - x) * np.cos(np.radians(90 - y))
    down = np.arange(HEIGHT) - y
    window = np.exp(-(down**2) / (2 * LABEL_SIGMA_DEG**2))[:, None]
    energy = field * window * np.exp(-(across**2) / (2 * LABEL_SIGMA_DEG**2))
    inside = energy >= THRESHOLD
    if not inside.any():
        return []
    energy[~inside] = 0
    # Only the bounding box is worth labelling; an outer contour takes its holes along.
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    labels, _ = ndimage.label(ndimage.binary_fill_holes(inside[box]), _EIGHT_NEIGHBOURS)
    blobs = []
    for number, part in enumerate(ndimage.find_objects(labels), start=1):
        v, u = np.nonzero(labels[part] == number)
        if len(v) > 1:  # a contour of a single point has no area
            v, u = v + part[0].start + rows[0], u + part[1].start + columns[0]
            blobs.append(np.stack([u, v, energy[v, u]], axis=1))
    return blobs


def standardise(blob: FloatArray) -> FloatArray:
    """Return a blob (n, 3) with raw energies mapped to (0, 1) by the corpus' mean and deviation."""
    return np.column_stack([blob[:, :2], amplitude(blob[:, 2])])


@cache
def _interpolation() -> csr_array:
    """Return the (64800, 484) weights of linear interpolation in the (azimuth, elevation) plane.

    The plane is cut at the seam and sampled from 180 to -180 and 90 to -90, both ends included:
    the public labels have it so, with its empty band at the seam and the poles.
    """
    triangles = Delaunay(np.column_stack(angles_of_vector(fibonacci_sphere().T)))
    azimuth, elevation = np.meshgrid(np.linspace(180, -180, WIDTH), np.linspace(90, -90, HEIGHT))
    points = np.column_stack([azimuth.ravel(), elevation.ravel()])
    simplex = triangles.find_simplex(points)
    pixel = np.flatnonzero(simplex >= 0)
    affine = triangles.transform[simplex[pixel]]
    first_two = np.einsum("nij,nj->ni", affine[:, :2], points[pixel] - affine[:, 2])
    weights = np.column_stack([first_two, 1 - first_two.sum(axis=1)])
    corners = triangles.simplices[simplex[pixel]]
    shape = (WIDTH * HEIGHT, len(triangles.points))
    return csr_array((weights.ravel(), (np.repeat(pixel, 3), corners.ravel())), shape=shape)
