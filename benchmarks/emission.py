"""What each emission costs and what it is worth: soft IoU and r against bytes a frame.

Run: ``python -m benchmarks.emission [LABELS] [--candidates DIR]``. LABELS is a label JSON or a
folder of them; without, the golden labels. First with perfect boxes and exact 28 x 28 maps: the
ceiling of each emission. With candidates, then on the detector's own boxes and maps: the best of
the candidates of each label's frame and class. Bytes are of six masks, a frame's budget; beside,
the longest recording (in minutes) that stays in 20 MiB with six masks in every frame.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from tests.reference.exact_detections import exact_detection

from saiseld.conventions.sphere import angles_of_pixel, box_iou
from saiseld.decision.emission import (
    Points,
    blob_points,
    centroid_directions,
    grid_points,
    sparse_points,
)
from saiseld.evaluation.corpus import find_label_files
from saiseld.evaluation.rendering import render
from saiseld.evaluation.soft_iou import pearson, soft_iou
from saiseld.formats.annotation import (
    MAX_PREDICTION_BYTES,
    EnergyMask,
    encode_annotations,
    read_annotations,
)
from saiseld.formats.candidates import candidate_files, read_candidates

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "labels_expected.json"
GRIDS = (3, 4, 5, 7, 9, 12)
MASKS_A_FRAME = 6

Emission = Callable[[NDArray[np.float64], NDArray[np.float64]], Sequence[Points]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("labels", type=Path, nargs="?", default=GOLDEN)
    parser.add_argument("--candidates", type=Path)
    parser.add_argument("--most", type=int, default=2000, help="labels, spread over all")
    arguments = parser.parse_args()
    labels = read_labels(arguments.labels)
    flat = [mask for masks in labels.values() for mask in masks]
    chosen = flat[:: max(1, len(flat) // arguments.most)]
    exact = [exact_detection(mask) for mask in chosen]
    trade(
        f"perfect boxes, exact maps ({len(chosen)} labels)",
        chosen,
        np.array([box for box, _ in exact]),
        np.array([energy_map for _, energy_map in exact]),
    )
    if arguments.candidates:
        own_maps(labels, candidate_files(arguments.candidates), arguments.most)


def read_labels(source: Path) -> dict[str, list[EnergyMask]]:
    if source == GOLDEN:
        raw = msgspec.json.decode(source.read_bytes())["standardised"]
        masks = [
            EnergyMask(
                item["metadata_frame_index"],
                item["instance_id"],
                item["category_id"],
                tuple(np.array(blob, float) for blob in item["segmentation"]),
            )
            for item in raw
        ]
        found = {"golden": masks}
    else:
        found = {name: read_annotations(path) for name, path in find_label_files(source).items()}
    return {
        name: [m for m in masks if any(map(len, m.segmentation))] for name, masks in found.items()
    }


def own_maps(
    labels: Mapping[str, Sequence[EnergyMask]], files: Mapping[str, Path], most: int
) -> None:
    """Print the trade for the candidate whose box overlaps each label's most, 0.25 at least."""
    met: list[EnergyMask] = []
    boxes, maps = [], []
    for name, path in files.items():
        table = read_candidates(path)
        for mask in labels.get(name, ()):
            rows = np.flatnonzero(
                (table.frame == mask.frame) & (table.class_id == mask.class_id) & table.has_map
            )
            iou = box_iou([exact_detection(mask)[0]], table.box[rows])[0]
            if iou.max(initial=0) >= 0.25:
                met.append(mask)
                boxes.append(table.box[rows[iou.argmax()]])
                maps.append(table.energy_map[rows[iou.argmax()]].astype(float))
    step = max(1, len(met) // most)
    trade(
        f"detected boxes and maps ({len(met[::step])} labels of {len(met)} met)",
        met[::step],
        np.array(boxes[::step]).reshape(-1, 4),
        np.array(maps[::step]).reshape(-1, 28, 28),
    )


def trade(
    title: str,
    labels: Sequence[EnergyMask],
    box: NDArray[np.float64],
    energy_map: NDArray[np.float64],
) -> None:
    truth = [render(mask.segmentation) for mask in labels]
    whole = [render((p,)) for p in grid_points(box, energy_map, 28, "centre")]
    print(f"\n{title}")
    print("emission        soft IoU    r     with own map   points   bytes/frame   minutes")
    for name, emission in emissions().items():
        points = emission(box, energy_map)
        drawn = [render((p,)) for p in points]
        iou = np.mean([soft_iou(t, d) for t, d in zip(truth, drawn, strict=True)])
        own = np.mean([soft_iou(w, d) for w, d in zip(whole, drawn, strict=True)])
        r = np.nanmean([pearson(t, d) for t, d in zip(truth, drawn, strict=True)])
        size = MASKS_A_FRAME * len(encode_annotations(masks_of(points))) / len(points)
        minutes = MAX_PREDICTION_BYTES / size / 600
        print(
            f"{name:15} {iou:8.3f} {r:7.3f} {own:12.3f} {np.mean([len(p) for p in points]):10.0f}"
            f" {size:12.0f} {minutes:10.1f}"
        )


def emissions() -> dict[str, Emission]:
    table: dict[str, Emission] = {"sparse": sparse_points}
    for size in GRIDS:
        for placement in ("edge", "centre"):
            name = f"grid{size}" + ("" if placement == "edge" else "-centre")
            table[name] = lambda box, energy_map, n=size, where=placement: list(
                grid_points(box, energy_map, n, where)
            )
    table["all 784"] = lambda box, energy_map: list(grid_points(box, energy_map, 28, "centre"))
    table["blob at peak"] = peak_blobs
    table["blob"] = lambda box, energy_map: list(blob_points(*centroid_directions(box, energy_map)))
    return table


def peak_blobs(box: NDArray[np.float64], energy_map: NDArray[np.float64]) -> list[Points]:
    row, column = np.divmod(energy_map.reshape(len(energy_map), -1).argmax(axis=1), 28)
    x = box[:, 0] + (column + 0.5) / 28 * (box[:, 2] - box[:, 0])
    y = box[:, 1] + (row + 0.5) / 28 * (box[:, 3] - box[:, 1])
    return list(blob_points(*angles_of_pixel(x, y)))


def masks_of(points: Sequence[Points]) -> list[EnergyMask]:
    return [
        EnergyMask(1000 + k, 3, 10, (p,), distance_cm=123.4567, score=0.123456789)
        for k, p in enumerate(points)
    ]


if __name__ == "__main__":
    main()
