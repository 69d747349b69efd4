"""The 16 matchability features, one detection at a time and as the words say."""

import numpy as np

from saiseld.conventions.sphere import box_iou


def slow_features(table):
    return np.array([_of_row(table, row) for row in range(len(table))])


def _of_row(table, row):
    x0, y0, x1, y1 = (float(v) for v in table.box[row])
    in_frame = [r for r in range(len(table)) if table.frame[r] == table.frame[row]]
    in_class = [r for r in in_frame if table.class_id[r] == table.class_id[row]]
    rivals = [
        r for r in in_class if r == row or box_iou(table.box[[r]], table.box[[row]])[0, 0] >= 0.3
    ]
    return [
        table.score[row],
        (x1 - x0) * (y1 - y0),
        90 - (y0 + y1) / 2,
        (x1 - x0) / (y1 - y0),
        len(in_frame),
        len(in_class),
        *(_of_map(table.energy_map[row].astype(float)) if table.has_map[row] else [0] * 7),
        table.score[row] / max(table.score[r] for r in rivals),
        0,
        0,
    ]


def _of_map(cells):
    total = cells.sum()
    shares = [c / total for c in cells.ravel() if c > 0]
    strongest = sorted(cells.ravel(), reverse=True)
    peak_row, peak_column = np.unravel_index(cells.argmax(), cells.shape)
    return [
        cells.max(),
        cells.mean(),
        cells.std(),
        cells.max() - np.median(cells),
        sum(strongest[:78]) / total,
        -sum(p * np.log(p) for p in shares) / np.log(784),
        np.hypot(peak_row - 13.5, peak_column - 13.5),
    ]
