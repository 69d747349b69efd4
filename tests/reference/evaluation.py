"""The official loop, slow and obvious: one ``griddata`` call a mask, every pair on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.interpolate import griddata
from scipy.optimize import linear_sum_assignment
from scipy.spatial import QhullError

from saiseld.formats.annotation import EnergyMask

COLUMNS, ROWS = np.meshgrid(np.arange(200), np.arange(50))


def render(segmentation) -> np.ndarray:
    canvas = np.zeros((50, 100), np.float32)  # until a surface widens it
    for blob in segmentation:
        if len(blob) == 0:
            continue
        points = np.array(blob, np.float32)
        x, y, energy = points[:, 0] * (100 / 360), points[:, 1] * (50 / 180), points[:, 2]
        ordered = np.sort(x)
        gaps = np.diff(ordered)
        if len(gaps) > 0 and gaps.max() > 50:
            x = np.where(x <= ordered[np.argmax(gaps)], x + 100, x)
        try:
            if len(points) < 3:
                raise ValueError
            wide = griddata((x, y), energy, (COLUMNS, ROWS), method="linear", fill_value=0)
            wide = np.clip(np.nan_to_num(wide, nan=0), 0, None)
        except (ValueError, QhullError):
            wide = np.zeros((50, 200), np.float32)
            for px, py, e in zip(x, y, energy, strict=True):
                column = int(np.clip(np.round(px), 0, 199))
                row = int(np.clip(np.round(py), 0, 49))
                wide[row, column] = max(wide[row, column], e)
        canvas = np.maximum(canvas, np.maximum(wide[:, :100], wide[:, 100:]))
    return canvas / canvas.max() if canvas.max() > 1e-8 else canvas


def soft_iou(a, b) -> float:
    union = np.maximum(a, b).sum()
    return float(np.minimum(a, b).sum() / union) if union >= 1e-8 else 0.0


def pearson(truth, prediction) -> float:
    inside = truth > 0
    a, b = truth[inside].astype(float), prediction[inside].astype(float)
    if len(a) < 2 or a.std() < 1e-12 or b.std() < 1e-12:
        return float("nan")
    return float(np.mean((a - a.mean()) / a.std() * ((b - b.mean()) / b.std())))


def average_precision(detections: list[tuple[float, float]], n_gt: int, threshold: float) -> float:
    """AP of (score, IoU) pairs, counted in single precision."""
    best_first = np.argsort(-np.array([score for score, _ in detections]))
    single = np.float32
    found = wrong = single(0)
    recalls, precisions = [], []
    for k in best_first:
        if detections[k][1] >= threshold:
            found += single(1)
        else:
            wrong += single(1)
        recalls.append(found / single(n_gt))
        precisions.append(found / (found + wrong + single(1e-9)))
    total = single(0)
    for level in np.linspace(0, 1, 101):
        reached = [p for r, p in zip(recalls, precisions, strict=True) if float(r) >= level]
        total += max(reached, default=single(0))
    return float(total / single(101))


def evaluate(
    predictions: Mapping[str, Sequence[EnergyMask]],
    labels: Mapping[str, Sequence[EnergyMask]],
    thresholds=(0.25, 0.5, 0.75),
) -> dict:
    """Scores of metric 2026-06-30 as a plain dictionary."""
    detections: list[tuple[int, float, float, float]] = []  # class, score, iou, r
    n_gt = dict.fromkeys(range(13), 0)
    for recording in sorted(labels):
        buckets: list[dict[tuple[int, int], list]] = []
        for side in (labels, predictions):
            buckets.append({})
            for m in side[recording]:
                drawn = m.score, render(m.segmentation)
                buckets[-1].setdefault((m.frame, m.class_id), []).append(drawn)
        true, guessed = buckets
        for key in set(guessed.keys()) | set(true.keys()):  # in whatever order Python gives
            class_id, truths, predicted = key[1], true.get(key, []), guessed.get(key, [])
            n_gt[class_id] += len(truths)
            iou = np.zeros((len(predicted), len(truths)), np.float32)
            for i, (_, p) in enumerate(predicted):
                for j, (_, t) in enumerate(truths):
                    iou[i, j] = soft_iou(p, t)
            partner = dict(zip(*linear_sum_assignment(-iou), strict=True))
            for i, j in partner.items():
                r = pearson(truths[j][1], predicted[i][1])
                detections.append((class_id, predicted[i][0], float(iou[i, j]), r))
            for i, (score, _) in enumerate(predicted):
                if i not in partner:
                    detections.append((class_id, score, -1.0, float("nan")))

    def summary(classes):
        own = [d for d in detections if d[0] in classes]
        total = sum(n_gt[c] for c in classes)
        ap = [average_precision([d[1:3] for d in own], total, t) for t in thresholds]
        r = [d[3] for d in own if not np.isnan(d[3])]
        return {"ap": ap, "r": float(np.mean(r)) if r else None, "n_gt": total, "n_det": len(own)}

    per_class = {c: summary([c]) for c in range(13) if n_gt[c]}
    correlated = [s["r"] for s in per_class.values() if s["r"] is not None]
    macro_ap = [
        float(np.mean([s["ap"][k] for s in per_class.values()])) for k in range(len(thresholds))
    ]
    return {
        "per_class": per_class,
        "macro_ap": macro_ap,
        "macro_mAP": float(np.mean([np.mean(s["ap"]) for s in per_class.values()])),
        "macro_r": float(np.mean(correlated)) if correlated else None,
        "micro": summary(range(13)),
    }


def energy_field(segmentation) -> np.ndarray:
    """The 2026-04-02 field in double precision: every Gaussian of 6 degrees, point by point."""
    sigma, per_row = np.radians(6), 180 / 179
    total = np.zeros((180, 360))
    for x, y, energy in np.concatenate(segmentation):
        elevation = np.radians(90 - per_row * y)
        reach = 24 / per_row
        half = min(180, 24 / max(np.cos(elevation), 0.087))
        first, end = int(np.floor(x - half)), int(np.ceil(x + half)) + 1
        columns = [*range(first, end)]
        if first < 0 or end > 360:  # a column in both parts counts twice
            columns = [*range(end % 360 or 360), *range(first % 360, 360)]
        for row in range(max(0, int(np.floor(y - reach))), min(180, int(np.ceil(y + reach)) + 1)):
            other = np.radians(90 - per_row * row)
            haversine = (
                np.sin((other - elevation) / 2) ** 2
                + np.cos(elevation)
                * np.cos(other)
                * np.sin(np.radians(np.array(columns) - x) / 2) ** 2
            )
            np.add.at(total[row], columns, energy * np.exp(-4 * haversine / (2 * sigma**2)))
    return total
