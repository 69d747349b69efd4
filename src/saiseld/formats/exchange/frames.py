"""Frame by frame: DCASE CSVs and COCO, from the masks of the events."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.taxonomy import CLASS_NAMES, detector_label
from saiseld.conventions.timebase import FPS
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.dcase_csv import SourceRows
from saiseld.formats.exchange.model import RecordedEvents

_HALF_PIXEL = 0.5
_SEAM_GAP = WIDTH / 2
"""A gap between points that is wider means that a blob crosses the seam, as in the scorer."""

Polygon = list[tuple[float, float]]


def dcase_rows(recorded: RecordedEvents) -> SourceRows:
    """Return a row a mask; the number of the event is that of the source."""
    return SourceRows.of(
        [
            (
                mask.frame,
                mask.class_id,
                mask.instance_id,
                *(round(angle, 1) for angle in mask.direction),
                np.nan if mask.distance_cm is None else mask.distance_cm / 100,
            )
            for mask in recorded.masks
        ]
    )


def coco_json(recorded: RecordedEvents) -> bytes:
    """Return COCO annotations of the panorama's frames.

    Every frame of the recording is an image of 360 x 180 pixels (`saiseld.conventions.sphere`). A
    mask becomes one annotation whose polygons are the convex hulls of its blobs' points; one over
    the seam becomes two, since COCO knows no seam. Beside COCO's keys, annotations have ``score``,
    ``track_id`` (the number of the event), ``azimuth``, ``elevation``, ``elevation_assumed`` and
    ``distance_cm``, and images ``video_id``, ``frame_id`` and ``time_s``.
    """
    frames = round(recorded.duration_s * FPS + 1e-6)
    last = max((mask.frame + 1 for mask in recorded.masks), default=0)
    images = [
        {
            "id": frame + 1,
            "video_id": 1,
            "frame_id": frame,
            "file_name": f"{recorded.name}/{frame:06d}.png",
            "width": WIDTH,
            "height": HEIGHT,
            "time_s": frame / FPS,
        }
        for frame in range(max(frames, last))
    ]
    annotations: list[dict[str, Any]] = []
    assumed = {event.number: event.elevation_assumed for event in recorded.events}
    for mask in recorded.masks:
        for polygons in sides(mask):
            annotation = _coco_annotation(len(annotations) + 1, mask, polygons)
            annotation["elevation_assumed"] = assumed.get(mask.instance_id, False)
            annotations.append(annotation)
    document = {
        "info": {"description": f"Sound events of {recorded.name}", "fps": FPS},
        "licenses": [],
        "videos": [{"id": 1, "file_name": recorded.recording.name}],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": detector_label(class_id), "name": name, "supercategory": "sound"}
            for class_id, name in enumerate(CLASS_NAMES)
        ],
    }
    return msgspec.json.encode(document)


def _coco_annotation(number: int, mask: EnergyMask, polygons: list[Polygon]) -> dict[str, Any]:
    points = np.concatenate([np.array(polygon) for polygon in polygons])
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    azimuth, elevation = mask.direction
    return {
        "id": number,
        "image_id": mask.frame + 1,
        "category_id": detector_label(mask.class_id),
        "bbox": [round(value, 3) for value in (left, top, right - left, bottom - top)],
        "area": round(sum(_area(polygon) for polygon in polygons), 3),
        "segmentation": [[round(c, 3) for point in p for c in point] for p in polygons],
        "iscrowd": 0,
        "score": 1.0 if mask.score is None else mask.score,
        "track_id": mask.instance_id,
        "azimuth": azimuth,
        "elevation": elevation,
        "distance_cm": mask.distance_cm,
    }


def sides(mask: EnergyMask) -> list[list[Polygon]]:
    """Return the polygons of a mask, those on either side of the seam apart.

    One list for a mask that does not cross the seam, two for one that does.
    """
    polygons = sorted(
        (polygon for blob in mask.segmentation for polygon in _polygons(blob)),
        key=lambda polygon: min(x for x, _ in polygon),
    )
    groups: list[list[Polygon]] = []
    right = -np.inf
    for polygon in polygons:
        if not groups or min(x for x, _ in polygon) - right > _SEAM_GAP:
            groups.append([])
        groups[-1].append(polygon)
        right = max(right, *(x for x, _ in polygon))
    return groups


def _polygons(blob: NDArray[np.float64]) -> list[Polygon]:
    points = blob[blob[:, 2] > 0, :2].astype(float)
    if not len(points):
        return []
    unwrapped = _unwrapped(points)
    hull = _convex_hull(unwrapped)
    offsets = (0, WIDTH) if (unwrapped != points).any() else (0,)
    pieces = [(offset, _clipped(hull, offset, offset + WIDTH)) for offset in offsets]
    return [[(x - offset, y) for x, y in piece] for offset, piece in pieces if piece]


def _unwrapped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points with those left of a wide gap moved past the right edge."""
    x = np.sort(points[:, 0])
    gaps = np.diff(x)
    if not len(gaps) or gaps.max() <= _SEAM_GAP:
        return points
    left = points[:, 0] <= x[np.argmax(gaps)]
    return np.asarray(points + np.stack([left * float(WIDTH), np.zeros(len(points))], axis=1))


def _convex_hull(points: NDArray[np.float64]) -> Polygon:
    """Return the hull of the pixels round points, by Andrew's monotone chain."""
    corners = {
        (float(x + dx), float(np.clip(y + dy, 0, HEIGHT)))
        for x, y in points
        for dx in (-_HALF_PIXEL, _HALF_PIXEL)
        for dy in (-_HALF_PIXEL, _HALF_PIXEL)
    }
    ordered = sorted(corners)
    hull: Polygon = []
    for half in (ordered, ordered[::-1]):
        chain: Polygon = []
        for point in half:
            while len(chain) >= 2 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        hull += chain[:-1]
    return hull


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _clipped(polygon: Polygon, left: float, right: float) -> Polygon:
    """Return the part of a convex polygon between two columns (Sutherland and Hodgman, 1974)."""
    for bound, sign in ((left, 1.0), (right, -1.0)):
        clipped: Polygon = []
        for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            a_in, b_in = sign * (a[0] - bound) >= 0, sign * (b[0] - bound) >= 0
            if a_in:
                clipped.append(a)
            if a_in != b_in:
                share = (bound - a[0]) / (b[0] - a[0])
                clipped.append((bound, a[1] + share * (b[1] - a[1])))
        polygon = clipped
    return polygon if _area(polygon) > 0 else []


def _area(polygon: Polygon) -> float:
    following = polygon[1:] + polygon[:1]
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, following, strict=True))) / 2
