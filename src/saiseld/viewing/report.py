"""A page that says how good a system is and why: one self-contained HTML file and its figures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from io import BytesIO
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from saiseld.conventions.taxonomy import CLASS_NAMES, NUM_CLASSES
from saiseld.conventions.timebase import time_of_frame
from saiseld.data.video import Frame, find_video, open_video
from saiseld.evaluation.comparison import Comparison
from saiseld.evaluation.corpus import Masks, find_labels, find_predictions
from saiseld.evaluation.diagnosis import RecallCeiling, lost_precision, reliability
from saiseld.evaluation.matched import MatchedRecording
from saiseld.evaluation.scores import Scores, pool
from saiseld.evaluation.systems import MatchedSystem
from saiseld.evaluation.uncertainty import FEWEST_RECORDINGS, confidence_intervals
from saiseld.formats.annotation import EnergyMask, iter_annotations
from saiseld.runtime.files import output_folder, write_bytes
from saiseld.runtime.html_table import TABLE_STYLE, html_table
from saiseld.runtime.text import counted
from saiseld.viewing import plots
from saiseld.viewing.panorama import draw_panorama
from saiseld.viewing.tables import short_name

PAGE = "index.html"
EXAMPLES = 3
"""Best frames shown, and worst."""
EFRQ = "EFRQ, the energy field reconstruction quality"
_EXAMPLE_WIDTH = 720

FindPicture = Callable[[str, int], Frame | None]

_STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; }}
{TABLE_STYLE}
img {{ max-width: 100%; }} .half {{ width: 49%; }} .note {{ color: #8a4b00; }}
@media (max-width: 40rem) {{ .half {{ width: 100%; }} body {{ margin: .5rem; padding: 0; }} }}
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
    examples = {}
    captions = {}
    for name, caption, picture in _examples(subject):
        buffer = BytesIO()
        picture.save(buffer, "PNG")
        examples[name], captions[name] = buffer.getvalue(), caption
    for name, png in (figures | examples).items():
        write_bytes(folder / f"{name}.png", png)
    page = folder / PAGE
    write_bytes(page, _page(subject, figures, examples, captions).encode())
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
        page_folder = folder if len(comparison.matched) == 1 else folder / name
        pages.append(write_report(page_folder, subject))
    if len(pages) > 1:
        pages.insert(0, _write_comparison(folder, comparison))
    return pages


def _write_comparison(folder: Path, comparison: Comparison) -> Path:
    """Write the page of several systems side by side, each linked to its own; return it."""
    scores = comparison.scores
    rows = [
        (row, *(_number(found.headline()[row]) for found in scores.values()))
        for row in scores[comparison.first].headline()
    ]
    links = "".join(
        f'<li><a href="{escape(quote(name))}/{PAGE}">{escape(name)}</a></li>' for name in scores
    )
    title = f"{len(scores)} systems, metric {scores[comparison.first].metric}"
    differences = [
        part
        for name, found in comparison.differences.items()
        for part in (
            f"<h2>{escape(name)} minus {escape(comparison.first)}, paired</h2>",
            html_table(
                f"{name} minus {comparison.first}",
                ("", "difference", "95 % interval", "p"),
                [
                    (
                        row,
                        _number(d.interval.value),
                        f"{_number(d.interval.low)} – {_number(d.interval.high)}",
                        _number(d.p_value),
                    )
                    for row, d in found.items()
                ],
            ),
        )
    ]
    page = [*_head(title), f"<h1>{title}</h1>", html_table("Scores", ("", *scores), rows)]
    page += [*differences, f"<h2>One by one</h2><ul>{links}</ul></main></html>"]
    write_bytes(folder / PAGE, "\n".join(page).encode())
    return folder / PAGE


def _picture(pictures: Path | None, recording: str, frame: int) -> Frame | None:
    video = None if pictures is None else find_video(pictures, recording)
    frames = iter(()) if video is None else open_video(video, width=_EXAMPLE_WIDTH)
    return next(islice(frames, frame, None), None)


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


def _examples(subject: Subject) -> Iterator[tuple[str, str, Image.Image]]:
    """Yield name, caption and picture of the best and the worst frames: truth above prediction."""
    for which, frames in (
        ("best", best_frames(subject.matched)),
        ("worst", best_frames(subject.matched, worst=True)),
    ):
        for rank, (recording, frame, quality) in enumerate(frames, start=1):
            picture, clock = subject.picture(recording, frame), f"{time_of_frame(frame):.1f} s"
            truth = _of_frame(subject.labels[recording], frame)
            found = _of_frame(subject.predictions[recording], frame)
            classes = {mask.class_id for mask in (*truth, *found)}
            drawn = [
                draw_panorama(
                    masks, picture, title=title, clock=clock, width=_EXAMPLE_WIDTH, classes=classes
                )
                for title, masks in (("ground truth", truth), ("prediction", found))
            ]
            caption = f"{which} {rank}: {recording}, frame {frame} ({clock}), quality {quality:.2f}"
            yield f"{which}_{rank}", caption, Image.fromarray(np.concatenate(drawn))


def best_frames(
    system: MatchedSystem, *, worst: bool = False, count: int = EXAMPLES
) -> list[tuple[str, int, float]]:
    """Return (recording, frame, quality), best or worst first.

    Quality is the soft IoU of matched masks, summed, over what should be there and what should not:
    a truth that is not matched counts 1 below, a false mask its score. Of the frames that have both
    ground truth and detections; one of each recording before a second of any.
    """
    sign = 1 if worst else -1
    ranked = []
    for recording, matched in system.recordings.items():
        frames = sorted(_frame_qualities(matched), key=lambda found: sign * found[1])
        ranked += [
            (place, sign * quality, recording, frame)
            for place, (frame, quality) in enumerate(frames[:count])
        ]
    return [
        (recording, frame, sign * value) for _, value, recording, frame in sorted(ranked)[:count]
    ]


def _frame_qualities(matched: MatchedRecording) -> Iterator[tuple[int, float]]:
    found = matched.partner >= 0
    false_score = np.where(found, 0.0, matched.score)
    for frame in np.intersect1d(matched.truths.frame, matched.detections.frame):
        here = matched.detections.frame == frame
        truths = int((matched.truths.frame == frame).sum())
        gained = float(matched.iou[here & found].sum())
        yield int(frame), gained / (truths + float(false_score[here].sum()))


def _of_frame(masks: Masks, frame: int) -> list[EnergyMask]:
    every = iter_annotations(masks) if isinstance(masks, Path) else masks
    return [m for m in every if m.frame == frame and 0 <= m.class_id < NUM_CLASSES]


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _page(
    subject: Subject,
    figures: Mapping[str, bytes],
    examples: Mapping[str, bytes],
    captions: Mapping[str, str],
) -> str:
    scores = subject.scores
    title = escape(f"{subject.name} on {subject.data}")
    return "\n".join(
        [
            *_head(title),
            f"<h1>{title}</h1>",
            f"<p>Official metric {scores.metric}; "
            f"{counted(len(subject.matched.recordings), 'recording')}, "
            f"{scores.micro.n_gt} ground-truth masks, {scores.micro.n_det} predicted masks. "
            "Energies are normalised to 1 a mask; angles are degrees, azimuth positive to the "
            "left.</p>",
            *(f"<p class=note>{escape(note)}.</p>" for note in scores.notes),
            "<h2>Scores</h2>",
            _headline_table(subject),
            *_ceiling(subject.ceiling),
            "<h2>By class</h2>",
            _class_table(scores),
            "<h2>Figures</h2>",
            *(_image(name, png, "half") for name, png in figures.items()),
            "<h2>Best and worst frames</h2>",
            "<p>Quality: soft IoU of the matched masks over the truths and the scores of false "
            "masks. A mask is the more opaque the higher its score.</p>",
            *(f"<p>{escape(captions[n])}</p>{_image(n, png, '')}" for n, png in examples.items()),
            "</main></html>",
        ]
    )


def _head(title: str) -> list[str]:
    return [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style><main>',
    ]


def _headline_table(subject: Subject) -> str:
    """Return the headline numbers, with intervals where there are recordings enough for them."""
    scores, recordings = subject.scores, len(subject.matched.recordings)
    about = f"<p>macro_pearson_r is what the challenge ranks as {EFRQ}.</p>"
    if recordings < FEWEST_RECORDINGS:
        rows = [(name, _number(value)) for name, value in scores.headline().items()]
        why = (
            "<p>No intervals: they are drawn from recordings, and "
            f"{counted(recordings, 'recording')} make too few ({FEWEST_RECORDINGS} at least).</p>"
        )
        return html_table("Scores", ("", "value"), rows) + about + why
    intervals = confidence_intervals(subject.matched, scores.metric, scores.thresholds)
    lines = [
        (name, _number(i.value), f"{_number(i.low)} – {_number(i.high)}")
        for name, i in intervals.items()
    ]
    head = ("", "value", "95 % interval, bootstrap over recordings")
    return html_table("Scores", head, lines) + about


def _ceiling(ceiling: RecallCeiling | None) -> list[str]:
    if ceiling is None:
        return []
    head = ("", *(f"IoU ≥ {iou:g}" for iou in ceiling.ious))
    rows = [("all", *map(_number, ceiling.recall))]
    rows += [
        (name, *map(_number, recall))
        for name, recall in zip(CLASS_NAMES, ceiling.per_class, strict=True)
    ]
    title = "Recall if every candidate box were accepted"
    return [f"<h2>{title}</h2>", html_table(title, head, rows)]


def _class_table(scores: Scores) -> str:
    per_class = scores.as_dict()["per_class"]
    columns = list(next(iter(per_class.values())))
    rows = [
        (name, *(_number(values[column]) for column in columns))
        for name, values in per_class.items()
    ]
    return html_table("By class", ("class", *map(short_name, columns)), rows)


def _number(value: float | None) -> str:
    if value is None or np.isnan(value):
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _image(name: str, png: bytes, style: str) -> str:
    content = base64.b64encode(png).decode()
    return f'<img class="{style}" alt="{name}" src="data:image/png;base64,{content}">'
