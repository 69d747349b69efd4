"""Labels as columns on disk: decoded from JSON once, then read through memory maps.

One Arrow file a recording, one row per instance and frame, sorted by frame. A pixel is
``360 y + x``. Files are kept by their label file's content (`saiseld.runtime.cache`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.formats.annotation import EnergyMask, read_annotations
from saiseld.runtime.cache import cached
from saiseld.runtime.errors import DataError

_SCHEMA = pa.schema(
    [
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("instance_id", pa.int32(), nullable=False),
        pa.field("class_id", pa.int8(), nullable=False),
        pa.field("distance_cm", pa.float32(), nullable=False),
        *(pa.field(name, pa.float32(), nullable=False) for name in ("x0", "y0", "x1", "y1")),
        pa.field("pixel", pa.list_(pa.uint16()), nullable=False),
        pa.field("energy", pa.list_(pa.float32()), nullable=False),
    ],
    metadata={"saiseld": "label columns 1"},
)


Points = Literal["floor", "round"]
"""How points become pixels: the pixel they lie in, over the seam, and masks without a point left
out; or, as the public recipe has it, the nearest one, off the canvas (x = 360, y = 180) dropped,
every mask kept in the file's order within its frame."""

_SUFFIX: dict[Points, str] = {"floor": ".arrow", "round": ".round.arrow"}


@dataclass(frozen=True, slots=True, eq=False)
class LabelColumns:
    """The masks of a recording; N rows, sorted by frame.

    Parameters
    ----------
    frame, instance_id, class_id, distance_cm
        (N,); distance in centimetres, NaN where unknown.
    box
        (N, 4) float32 ``x0, y0, x1, y1`` through the outermost points of a mask. A mask cut by the
        seam has one box that reaches past it: ``x1 > 360``. Zeros where a mask has no point.
    start
        (N + 1,): the points of row i are ``start[i]:start[i + 1]`` of the next two.
    pixel, energy
        (P,) uint16 and float32: canvas pixel ``360 y + x`` and its energy.
    """

    frame: NDArray[np.int32]
    instance_id: NDArray[np.int32]
    class_id: NDArray[np.int8]
    distance_cm: NDArray[np.float32]
    box: NDArray[np.float32]
    start: NDArray[np.int32]
    pixel: NDArray[np.uint16]
    energy: NDArray[np.float32]

    def rows(self, frame: int) -> range:
        """Return the rows of a frame."""
        first, last = np.searchsorted(self.frame, [frame, frame + 1])
        return range(int(first), int(last))

    def field(self, row: int) -> NDArray[np.float32]:
        """Return one mask as a canvas (180, 360); 0 where nothing is annotated."""
        canvas = np.zeros(HEIGHT * WIDTH, np.float32)
        pixel, energy = self.points(row)
        canvas[pixel] = energy
        return canvas.reshape(HEIGHT, WIDTH)

    def points(self, row: int) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Return the pixels and energies of one mask's points, in the file's order."""
        span = slice(self.start[row], self.start[row + 1])
        return self.pixel[span], self.energy[span]


def label_columns(labels: str | Path, cache: str | Path, points: Points = "floor") -> LabelColumns:
    """Return the columns of a label JSON, decoded only if the cache folder lacks them.

    Parameters
    ----------
    labels
        The file.
    cache
        Folder of the cache.
    points
        How points become pixels.

    Raises
    ------
    AnnotationError
        If the file breaks the official format.
    DataError
        If it holds a class that does not exist.
    """
    labels = Path(labels)
    return cached(
        cache, labels, _SUFFIX[points], lambda entry: _write(entry, labels, points), _read
    )


def box_of(x: ArrayLike, y: ArrayLike) -> tuple[float, float, float, float]:
    """Return the smallest box on the cylinder through canvas points; ``0 <= x0 < 360``.

    Its edges pass through the outermost points, so a mask spans its box; at least a pixel wide and
    high. Points on both sides of the seam give one box with ``x1 > 360``, never one round the whole
    picture.
    """
    columns = np.unique(np.asarray(x, float) % WIDTH)
    gaps = np.diff(columns, append=columns[0] + WIDTH)
    # The widest gap is outside the box; of equal ones, the one at the seam.
    last = len(gaps) - 1 - int(np.argmax(gaps[::-1]))
    x0 = float(columns[(last + 1) % len(columns)])
    width = max(WIDTH - float(gaps[last]), 1.0)
    y0, y1 = float(np.min(y)), float(np.max(y))
    return x0, y0, x0 + width, max(y1, y0 + 1)


def _checked(masks: list[EnergyMask], source: Path) -> list[EnergyMask]:
    for number, mask in enumerate(masks):
        if not 0 <= mask.class_id < NUM_CLASSES:
            raise DataError(
                source,
                place=f"annotation {number}, category_id",
                expected=f"a class of 0-{NUM_CLASSES - 1}",
                found=str(mask.class_id),
            )
    return masks


def _order(mask: EnergyMask) -> tuple[int, int, int]:
    return mask.frame, mask.class_id, mask.instance_id


def _ordered(masks: list[EnergyMask], points: Points) -> list[EnergyMask]:
    if points == "round":
        return sorted(masks, key=lambda mask: mask.frame)
    # An event may hold no energy anywhere: there is nothing to learn from its mask.
    return sorted((mask for mask in masks if any(map(len, mask.segmentation))), key=_order)


def _drawn(
    mask: EnergyMask, points: Points
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return column, row and energy of a mask's points on the canvas."""
    x, y, energy = np.concatenate([np.zeros((0, 3)), *mask.segmentation]).T
    if points == "round":
        u, v = np.rint(x).astype(int), np.rint(y).astype(int)
        inside = (u < WIDTH) & (v < HEIGHT)
        return u[inside], v[inside], energy[inside].astype(np.float32)
    # x = 360 is the meridian of x = 0; y = 180 is the edge of the last row.
    column = np.floor(x).astype(int) % WIDTH
    row = np.minimum(np.floor(y).astype(int), HEIGHT - 1)
    return column, row, energy.astype(np.float32)


def _write(entry: Path, labels: Path, points: Points) -> None:
    masks = _ordered(_checked(read_annotations(labels), labels), points)
    drawn = [_drawn(mask, points) for mask in masks]
    boxes = np.array([box_of(x, y) if len(x) else (0.0,) * 4 for x, y, _ in drawn]).reshape(-1, 4)
    distances = [np.nan if mask.distance_cm is None else mask.distance_cm for mask in masks]
    columns: dict[str, Any] = {
        "frame": [mask.frame for mask in masks],
        "instance_id": [mask.instance_id for mask in masks],
        "class_id": [mask.class_id for mask in masks],
        "distance_cm": distances,
        **{name: boxes[:, i] for i, name in enumerate(("x0", "y0", "x1", "y1"))},
        "pixel": [WIDTH * y + x for x, y, _ in drawn],
        "energy": [energy for _, _, energy in drawn],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in _SCHEMA]
    table = pa.Table.from_arrays(arrays, schema=_SCHEMA).combine_chunks()
    with pa.ipc.new_file(entry, _SCHEMA) as file:
        file.write_table(table)


def _read(path: Path) -> LabelColumns:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowException, OSError) as error:
        raise DataError(path, expected="label columns", found=str(error)) from error
    if not table.schema.equals(_SCHEMA, check_metadata=True):
        raise DataError(path, expected="label columns of this version", found="other columns")
    pixel, energy = (_flat(table[name]) for name in ("pixel", "energy"))
    offsets = [chunk.offsets.to_numpy() for chunk in table["pixel"].chunks]
    plain = {name: table[name].to_numpy() for name in _SCHEMA.names[:4]}
    return LabelColumns(
        **plain,
        box=np.stack([table[name].to_numpy() for name in ("x0", "y0", "x1", "y1")], axis=1),
        start=offsets[0] if offsets else np.zeros(1, np.int32),
        pixel=pixel,
        energy=energy,
    )


def _flat(column: pa.ChunkedArray) -> NDArray[Any]:
    # One chunk or none: the table was written whole. Values are views of the mapped file.
    chunks = [chunk.values.to_numpy() for chunk in column.chunks]
    return chunks[0] if chunks else np.zeros(0, column.type.value_type.to_pandas_dtype())
