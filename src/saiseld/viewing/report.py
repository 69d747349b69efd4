"""A page that says how good a system is and why: one self-contained HTML file and its figures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.conventions.timebase import time_of_frame
from saiseld.data.video import Frame, find_video, open_video
from saiseld.evaluation.comparison import Comparison
from saiseld.evaluation.corpus import Masks, find_labels, find_predictions
from saiseld.evaluation.diagnosis import RecallCeiling, lost_precision, reliability
from saiseld.evaluation.matched import MatchedRecording
from saiseld.evaluation.scores import Scores, pool
from saiseld.evaluation.systems import MatchedSystem
from saiseld.evaluation.uncertainty import Interval, confidence_intervals
from saiseld.formats.annotation import EnergyMask, iter_annotations
from saiseld.runtime.files import output_folder, write_bytes
from saiseld.viewing import plots

PAGE = "index.html"
EXAMPLES = 3
"""Best frames shown, and worst."""

FindPicture = Callable[[str, int], Frame | None]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; } .half { width: 49%; } .note { color: #8a4b00; }
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is about.

    Parameters
    ----------
    name, data
        Of the system and of the data set, for headings.
    matched, scores
        The system, matched and scored.
    predictions, labels
        The masks (or their files) of each recording, for the frames that are shown.
    picture
        Returns the (180, 360, 3) picture of a recording's frame, None where there is none.
    ceiling
        Recall of unfiltered candidates, if they were measured.
    """

    name: str
    data: str
    matched: MatchedSystem
    scores: Scores
    predictions: Mapping[str, Masks]
    labels: Mapping[str, Masks]
    picture: FindPicture = lambda recording, frame: None
    ceiling: RecallCeiling | None = None


def write_report(folder: str | Path, subject: Subject) -> Path:
    """Write ``index.html``, with its figures inside it, and each figure as PNG; return the page.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    folder = output_folder(folder)
    figures = {}
    for name, figure in _figures(subject):
        plots.sign(figure, f"{subject.name} on {subject.data}, metric {subject.scores.metric}")
        figures[name] = _png(figure)
        write_bytes(folder / f"{name}.png", figures[name])
    page = folder / PAGE
    write_bytes(page, _page(subject, figures).encode())
    return page


def write_reports(
    folder: Path,
    comparison: Comparison,
    predictions: Mapping[str, Path],
    labels: Path,
    pictures: Path | None = None,
) -> list[Path]:
    """Write the report of each system: in the folder, or, of several, in one of its own below it.

    Parameters
    ----------
    folder
        Where the pages go.
    comparison
        The systems, scored under a metric of soft IoU.
    predictions, labels
        Folders of their masks and of the ground truth.
    pictures
        Videos or frames, as `saiseld.data.video.find_video` finds them.

    Returns
    -------
    The pages.
    """
    pages = []
    for name, system in comparison.matched.items():
        scores = comparison.scores[name]
        assert isinstance(scores, Scores)  # what is matched is scored by soft IoU
        subject = Subject(
            name=name,
            data="/".join(labels.resolve().parts[-2:]),
            matched=system,
            scores=scores,
            predictions=find_predictions(predictions[name])[0],
            labels=find_labels(labels),
            picture=partial(_picture, pictures),
            ceiling=comparison.ceiling,
        )
        own = folder if len(comparison.matched) == 1 else folder / name
        pages.append(write_report(own, subject))
    return pages


def _picture(pictures: Path | None, recording: str, frame: int) -> Frame | None:
    video = None if pictures is None else find_video(pictures, recording)
    return None if video is None else next(islice(open_video(video), frame, None), None)


def _figures(subject: Subject) -> Iterator[tuple[str, Figure]]:
    recordings, thresholds = list(subject.matched.recordings.values()), subject.scores.thresholds
    yield "losses", plots.draw_losses([lost_precision(recordings, t) for t in thresholds])
    yield "ap_by_threshold", plots.draw_ap_by_threshold(recordings)
    yield "precision_recall", plots.draw_precision_recall(recordings, thresholds)
    detections = pool(recordings)
    measured = reliability(detections.score, detections.iou >= thresholds[0])
    if measured:
        yield "reliability", plots.draw_reliability(measured, thresholds[0])
    yield "localisation", plots.draw_localisation(recordings)
    yield "score_and_iou", plots.draw_score_and_iou(recordings)
    yield "confusion", plots.draw_confusion(recordings)
    for which, frames in (
        ("best", best_frames(subject.matched)),
        ("worst", best_frames(subject.matched, worst=True)),
    ):
        for rank, (recording, frame, iou) in enumerate(frames, start=1):
            yield (
                f"{which}_{rank}",
                plots.draw_frame(
                    f"{recording}, frame {frame} ({time_of_frame(frame):.1f} s): "
                    f"mean soft IoU {iou:.2f}",
                    _of_frame(subject.labels[recording], frame),
                    _of_frame(subject.predictions[recording], frame),
                    subject.picture(recording, frame),
                ),
            )


def best_frames(
    system: MatchedSystem, *, worst: bool = False, count: int = EXAMPLES
) -> list[tuple[str, int, float]]:
    """Return (recording, frame, mean soft IoU of its ground truth), best or worst first.

    Of the frames that have both ground truth and detections; one of each recording before a
    second of any. A truth that is not matched counts 0.
    """
    sign = 1 if worst else -1
    ranked = []
    for recording, matched in system.recordings.items():
        frames = sorted(_frame_ious(matched), key=lambda found: sign * found[1])
        ranked += [
            (place, sign * iou, recording, frame)
            for place, (frame, iou) in enumerate(frames[:count])
        ]
    return [(recording, frame, sign * iou) for _, iou, recording, frame in sorted(ranked)[:count]]


def _frame_ious(matched: MatchedRecording) -> Iterator[tuple[int, float]]:
    iou = np.zeros(len(matched.truths))
    found = matched.partner >= 0
    iou[matched.partner[found]] = matched.iou[found]
    for frame in np.intersect1d(matched.truths.frame, matched.detections.frame):
        yield int(frame), float(iou[matched.truths.frame == frame].mean())


def _of_frame(masks: Masks, frame: int) -> list[EnergyMask]:
    every = iter_annotations(masks) if isinstance(masks, Path) else masks
    return [m for m in every if m.frame == frame and 0 <= m.class_id < NUM_CLASSES]


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _page(subject: Subject, figures: Mapping[str, bytes]) -> str:
    scores = subject.scores
    title = escape(f"{subject.name} on {subject.data}")
    intervals = confidence_intervals(subject.matched, scores.metric, scores.thresholds)
    examples = [name for name in figures if name.startswith(("best", "worst"))]
    return "\n".join(
        [
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>",
            f"<style>{_STYLE}</style>",
            f"<h1>{title}</h1>",
            f"<p>Official metric {scores.metric}; {len(subject.matched.recordings)} recordings, "
            f"{scores.micro.n_gt} ground-truth masks, {scores.micro.n_det} predicted masks. "
            "Energies are normalised to 1 a mask; angles are degrees, azimuth positive to the "
            "left.</p>",
            *(f"<p class=note>{escape(note)}.</p>" for note in scores.notes),
            "<h2>Scores</h2>",
            _headline_table(intervals),
            *_ceiling(subject.ceiling),
            "<h2>By class</h2>",
            _class_table(scores),
            "<h2>Figures</h2>",
            *(_image(n, png, "half") for n, png in figures.items() if n not in examples),
            "<h2>Best and worst frames</h2>",
            *(f"<p>{n.replace('_', ' ')}</p>{_image(n, figures[n], '')}" for n in examples),
            "</html>",
        ]
    )


def _headline_table(intervals: Mapping[str, Interval]) -> str:
    rows = [
        (name, _number(i.value), f"{_number(i.low)} – {_number(i.high)}")
        for name, i in intervals.items()
    ]
    return _table(("", "value", "95 % interval, bootstrap over recordings"), rows)


def _ceiling(ceiling: RecallCeiling | None) -> list[str]:
    if ceiling is None:
        return []
    head = ("", *(f"IoU ≥ {iou:g}" for iou in ceiling.ious))
    rows = [("all", *map(_number, ceiling.recall))]
    rows += [
        (name, *map(_number, recall))
        for name, recall in zip(CLASS_NAMES, ceiling.per_class, strict=True)
    ]
    return ["<h2>Recall if every candidate box were accepted</h2>", _table(head, rows)]


def _class_table(scores: Scores) -> str:
    per_class = scores.as_dict()["per_class"]
    columns = list(next(iter(per_class.values())))
    rows = [
        (name, *(_number(values[column]) for column in columns))
        for name, values in per_class.items()
    ]
    return _table(("class", *columns), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line(head, "th") + "".join(line(row, "td") for row in rows) + "</table>"


def _number(value: float | None) -> str:
    if value is None or np.isnan(value):
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _image(name: str, png: bytes, style: str) -> str:
    content = base64.b64encode(png).decode()
    return f'<img class="{style}" alt="{name}" src="data:image/png;base64,{content}">'
