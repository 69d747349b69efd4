"""Labels as columns on disk: decoded from JSON once, then read through memory maps.

One Arrow file a recording, one row per instance and frame that has a mask, sorted by frame. A
pixel is ``360 y + x``. Files are kept by their label file's content (`saiseld.runtime.cache`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True, eq=False)
class LabelColumns:
    """The masks of a recording; N rows, sorted by frame.

    Parameters
    ----------
    frame, instance_id, class_id, distance_cm
        (N,); distance in centimetres, NaN where unknown.
    box
        (N, 4) float32 ``x0, y0, x1, y1`` through the outermost points of a mask. A mask cut by the
        seam has one box that reaches past it: ``x1 > 360``.
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
        points = slice(self.start[row], self.start[row + 1])
        canvas[self.pixel[points]] = self.energy[points]
        return canvas.reshape(HEIGHT, WIDTH)


def label_columns(labels: str | Path, cache: str | Path) -> LabelColumns:
    """Return the columns of a label JSON, decoded only if the cache folder lacks them.

    Raises
    ------
    AnnotationError
        If the file breaks the official format.
    DataError
        If it holds a class that does not exist.
    """
    labels = Path(labels)
    return cached(cache, labels, ".arrow", lambda entry: _write(entry, labels), _read)


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
    # An event may hold no energy anywhere: there is nothing to learn from its mask.
    return sorted((mask for mask in masks if any(map(len, mask.segmentation))), key=_order)


def _order(mask: EnergyMask) -> tuple[int, int, int]:
    return mask.frame, mask.class_id, mask.instance_id


def _write(entry: Path, labels: Path) -> None:
    masks = _checked(read_annotations(labels), labels)
    blobs = [np.concatenate(mask.segmentation) for mask in masks]
    # x = 360 is the meridian of x = 0; y = 180 is the edge of the last row.
    x = [np.floor(blob[:, 0]).astype(int) % WIDTH for blob in blobs]
    y = [np.minimum(np.floor(blob[:, 1]).astype(int), HEIGHT - 1) for blob in blobs]
    boxes = np.array([box_of(*at) for at in zip(x, y, strict=True)]).reshape(-1, 4)
    distances = [np.nan if mask.distance_cm is None else mask.distance_cm for mask in masks]
    columns: dict[str, Any] = {
        "frame": [mask.frame for mask in masks],
        "instance_id": [mask.instance_id for mask in masks],
        "class_id": [mask.class_id for mask in masks],
        "distance_cm": distances,
        **{name: boxes[:, i] for i, name in enumerate(("x0", "y0", "x1", "y1"))},
        "pixel": [WIDTH * v + u for u, v in zip(x, y, strict=True)],
        "energy": [blob[:, 2].astype(np.float32) for blob in blobs],
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
