"""Table 1 as a picture, and Figures 2 and 3 of KIST2026, from one's own data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.data.video import open_video
from saiseld.decision.systems import decide, system_named
from saiseld.evaluation.drawn_labels import draw_labels
from saiseld.evaluation.rendering import render
from saiseld.evaluation.soft_iou import soft_iou
from saiseld.evaluation.uncertainty import Interval
from saiseld.formats.annotation import read_annotations
from saiseld.formats.candidates import read_candidates
from saiseld.runtime.files import atomic_path
from saiseld.table1.table import CROSS_FIT, PaperScores, Table1
from saiseld.training.matchability.development import Measured
from saiseld.viewing.panorama import draw_panorama

_OURS, _PAPER = "#0072b2", "#d55e00"
_SPARSE, _GRID = system_named("Sparse peaks"), system_named("TASK3B_3")


def draw_table1(path: Path, table: Table1) -> None:
    """Write the rows' mAP and EFRQ, with intervals, beside KIST2026's."""
    rows = (*table.rows, *table.beside)
    figure = Figure(figsize=(10, 1.6 + 0.42 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    names = [row.name if row.fitted != CROSS_FIT else f"{row.name}, cross-fit" for row in rows]
    papers = [row.paper or PaperScores(np.nan, np.nan) for row in rows]
    _draw_scores(left, [r.mAP for r in rows], [paper.mAP for paper in papers], "macro mAP")
    _draw_scores(
        right, [r.EFRQ for r in rows], [paper.EFRQ for paper in papers], "EFRQ (macro Pearson r)"
    )
    left.set_yticks(range(len(rows)), names)
    left.invert_yaxis()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(f"{table.data}: {table.recordings} recordings, {table.truths} masks")
    _save(figure, path)


def _draw_scores(axes: Axes, ours: Sequence[Interval], paper: Sequence[float], title: str) -> None:
    place = np.arange(len(ours))
    value = np.array([score.value for score in ours])
    reach = np.abs([[s.value - s.low for s in ours], [s.high - s.value for s in ours]])
    axes.errorbar(value, place, xerr=reach, fmt="o", color=_OURS, capsize=3, label="here, 95 %")
    axes.plot(paper, place, "D", mfc="none", color=_PAPER, label="KIST2026, STAIRS26 dev-test")
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)


def typical_match(recordings: Sequence[Measured]) -> tuple[str, int] | None:
    """Return the recording and mask of the median soft IoU among the matches of 0.25 or more."""
    found = [
        (iou, recording.recording, int(position))
        for recording in recordings
        for matched in [recording.matched[_GRID.name]]
        for iou, position in zip(matched.iou.tolist(), matched.position, strict=True)
        if iou >= 0.25
    ]
    return sorted(found)[len(found) // 2][1:] if found else None


def draw_figure2(path: Path, candidates: Path, labels: Path, cache: Path, mask: int) -> None:
    """Write one label and its detection, sparse and grid, as the official scorer draws them.

    Parameters
    ----------
    path
        Picture to write.
    candidates, labels, cache
        Files of the recording; folder of drawn labels.
    mask
        Index of the detection among those TASK3B_3 emits (`typical_match`).
    """
    table, truth = read_candidates(candidates).of_branch("detector"), draw_labels(labels, cache)
    emitted = {system.emission: decide(table, system)[mask] for system in (_SPARSE, _GRID)}
    drawn = {name: render(found.segmentation) for name, found in emitted.items()}
    grid = emitted[_GRID.emission]
    same = np.flatnonzero((truth.frame == grid.frame) & (truth.class_id == grid.class_id))
    label = max(map(truth.canvas, same), key=lambda canvas: soft_iou(canvas, drawn[_GRID.emission]))
    pictures = [("ground truth", label)] + [
        (f"{name}: soft IoU {soft_iou(label, canvas):.2f}", canvas)
        for name, canvas in drawn.items()
    ]
    figure = Figure(figsize=(4.2 * len(pictures), 2.8), layout="constrained")
    for axes, (title, canvas) in zip(figure.subplots(1, len(pictures)), pictures, strict=True):
        image = axes.imshow(
            canvas, cmap="inferno", vmin=0, vmax=1, extent=(180, -180, -90, 90), aspect="auto"
        )
        axes.set(title=title, xticks=range(-180, 181, 90), yticks=range(-90, 91, 45))
        axes.set_xlabel("azimuth (°)")
    figure.colorbar(image, ax=figure.axes, label="energy")
    figure.suptitle(f"{table.recording}, frame {grid.frame}, {CLASS_NAMES[grid.class_id]}")
    _save(figure, path)


def busiest_frame(recordings: Sequence[Measured]) -> tuple[str, int] | None:
    """Return the recording and frame with most matches of 0.25 or more; the first of equals."""
    found = [
        (-count, recording.recording, frame)
        for recording in recordings
        for matched in [recording.matched[_GRID.name]]
        for frame, count in Counter(matched.detections.frame[matched.iou >= 0.25].tolist()).items()
    ]
    return min(found)[1:] if found else None


def draw_figure3(
    path: Path, candidates: Path, labels: Path, video: Path | None, frame: int
) -> None:
    """Write a frame's labels above its prediction (TASK3B_3), over the picture if there is one."""
    table = read_candidates(candidates).of_branch("detector")
    picture = None
    if video is not None:
        picture = next(islice(open_video(video), frame, None), None)
    truth = [mask for mask in read_annotations(labels) if mask.frame == frame]
    found = [mask for mask in decide(table, _GRID) if mask.frame == frame]
    panels = [
        draw_panorama(masks, picture, title=f"{title}: {table.recording}, frame {frame}")
        for title, masks in (("ground truth", truth), ("prediction", found))
    ]
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(panels)).save(temporary)


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
