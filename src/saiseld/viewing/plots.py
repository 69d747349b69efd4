"""The figures of the evaluation report. Angles are degrees, azimuth positive to the left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from saiseld.conventions.taxonomy import CLASS_COLOURS, CLASS_NAMES
from saiseld.evaluation.average_precision import precision_recall
from saiseld.evaluation.diagnosis import (
    MATCH_DEGREES,
    LostPrecision,
    Reliability,
    confusion,
    localisation_errors,
)
from saiseld.evaluation.matched import MatchedRecording
from saiseld.evaluation.rendering import CANVAS_WIDTH
from saiseld.evaluation.scores import THRESHOLDS, Pool, pool, score_pool
from saiseld.runtime.errors import one_line

FloatArray = NDArray[np.float64]

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
_PICTURE_EXTENT = (180.0, -180.0, -90.0, 90.0)
_HALF_PIXEL = 180 / CANVAS_WIDTH
# A canvas value is sampled at its pixel's corner in the picture, so it is drawn centred there.
_CANVAS_EXTENT = (
    180.0 + _HALF_PIXEL,
    -180.0 + _HALF_PIXEL,
    -90.0 + _HALF_PIXEL,
    90.0 + _HALF_PIXEL,
)


def draw_ap_by_threshold(recordings: Sequence[MatchedRecording]) -> Figure:
    """Draw AP against the soft-IoU threshold, macro, micro and of every class."""
    thresholds = np.linspace(0.05, 0.95, 19)
    scores = score_pool(pool(recordings), thresholds=tuple(thresholds))
    figure, axes = _figure("AP by threshold", "soft IoU threshold", "average precision")
    for class_id, of_class in enumerate(scores.per_class):
        if of_class.n_gt:
            colour = tuple(np.array(CLASS_COLOURS[class_id]) / 255)
            axes.plot(thresholds, of_class.ap, color=colour, lw=1, label=CLASS_NAMES[class_id])
    axes.plot(thresholds, scores.micro.ap, color="0.4", lw=2, ls="--", label="micro")
    axes.plot(thresholds, scores.macro_ap, color="black", lw=2.5, label="macro")
    for threshold in THRESHOLDS:
        axes.axvline(threshold, color="0.8", lw=0.8, zorder=0)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper right", fontsize=7, ncols=2)  # the best place is a search, and slow
    return figure


def draw_precision_recall(
    recordings: Sequence[MatchedRecording], thresholds: Sequence[float]
) -> Figure:
    """Draw precision against recall of all classes pooled."""
    detections = pool(recordings)
    iou = detections.iou[detections.all_classes.best_first]
    figure, axes = _figure("Precision and recall, classes pooled", "recall", "precision")
    for threshold, colour in zip(thresholds, np.resize(_COLOURS, len(thresholds)), strict=True):
        precision, recall = precision_recall(iou >= threshold, int(detections.truths.sum()))
        best = np.maximum.accumulate(precision[::-1])[::-1]
        axes.plot(recall, precision, color=colour, lw=0.6, alpha=0.5)
        axes.plot(recall, best, color=colour, lw=2, label=f"soft IoU ≥ {threshold:g}")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower left")
    return figure


def draw_reliability(measured: Reliability, threshold: float) -> Figure:
    """Draw how far scores are the probability of a true positive."""
    figure, axes = _figure(
        f"Reliability: ECE {measured.expected_calibration_error:.3f}, "
        f"Brier {measured.brier_score:.3f}",
        "score",
        f"share of true positives (soft IoU ≥ {threshold:g})",
    )
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    axes.plot(measured.mean_score, measured.precision, "o-", color=_COLOURS[0])
    for x, y, count in zip(measured.mean_score, measured.precision, measured.count, strict=True):
        if count:
            axes.annotate(f"{count}", (x, y), (0, 6), textcoords="offset points", fontsize=7)
    axes.set(xlim=(0, 1), ylim=(0, 1.05))
    return figure


def draw_confusion(recordings: Sequence[MatchedRecording]) -> Figure:
    """Draw the confusion matrix, rows normalised, counts written."""
    counts = confusion(recordings)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(8.5, 7.5), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [*CLASS_NAMES, "none"]
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(
        xlabel="detected class",
        ylabel="true class",
        title=f"Confusion: pairs within {MATCH_DEGREES:g}°, strongest point to strongest point",
    )
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(
            column, row, f"{counts[row, column]}", ha="center", va="center",
            color=colour, fontsize=7,
        )  # fmt: skip
    figure.colorbar(image, label="share of the row", shrink=0.8)
    return figure


def draw_localisation(recordings: Sequence[MatchedRecording]) -> Figure:
    """Draw the histogram of angular errors of matched pairs."""
    errors = localisation_errors(recordings)
    middle = f"median {np.median(errors):.1f}°" if len(errors) else "none"
    figure, axes = _figure(
        f"Localisation error of {len(errors)} matched pairs, {middle}",
        "great-circle angle between strongest points (degrees)",
        "pairs",
    )
    axes.hist(np.minimum(errors, 60), bins=list(range(0, 62, 2)), color=_COLOURS[0])
    axes.set_xlim(0, 60)
    axes.text(0.99, 0.97, "last bar: 58° and more", transform=axes.transAxes, ha="right", va="top")
    return figure


def draw_score_and_iou(recordings: Sequence[MatchedRecording]) -> Figure:
    """Draw every detection's score against the soft IoU of its matched pair."""
    detections: Pool = pool(recordings)
    figure, axes = _figure(
        "Score and overlap of every detection", "score", "soft IoU (0: unmatched)"
    )
    axes.scatter(
        detections.score, np.maximum(detections.iou, 0), s=5, alpha=0.4, lw=0, color=_COLOURS[0]
    )
    for threshold in THRESHOLDS:
        axes.axhline(threshold, color="0.8", lw=0.8, zorder=0)
    axes.set_ylim(-0.02, 1.02)
    return figure


def draw_losses(losses: Sequence[LostPrecision]) -> Figure:
    """Draw what each kind of error costs at each threshold."""
    figure, axes = _figure("What mending one kind of error would gain", "", "gain of macro AP")
    width = 0.8 / len(losses)
    for k, loss in enumerate(losses):
        place = np.arange(len(loss.gain)) + (k - (len(losses) - 1) / 2) * width
        label = f"soft IoU ≥ {loss.threshold:g} (AP {loss.macro_ap:.3f})"
        bars = axes.bar(
            place, list(loss.gain.values()), width, color=_COLOURS[k % len(_COLOURS)], label=label
        )
        axes.bar_label(bars, [str(n) for n in loss.count.values()], fontsize=7)
    kinds = [kind.replace(" ", "\n") for kind in losses[0].gain]
    axes.set_xticks(range(len(kinds)), kinds)
    axes.text(0.99, 0.7, "on the bars: errors", transform=axes.transAxes, ha="right", fontsize=8)
    axes.legend(loc="upper right")
    return figure


def sign(figure: Figure, text: str) -> None:
    """Write a line below a figure: what it is about."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        margin = 0.25 / figure.get_figheight()
        engine.set(rect=(0, margin, 1, 1 - margin))
    figure.text(
        0.99,
        0.01,
        one_line(text),
        parse_math=False,
        ha="right",
        va="bottom",
        fontsize=7,
        color="0.35",
    )


def _figure(title: str, xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
