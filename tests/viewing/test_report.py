from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from tests.page_structure import faults_of

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.evaluation import match_systems
from saiseld.evaluation.diagnosis import recall_ceiling
from saiseld.viewing.report import Subject, best_frames, write_report


@pytest.fixture(scope="module")
def subject(small_case):
    predictions, labels = small_case
    matched = match_systems({"s": predictions}, labels)["s"]
    return Subject(
        name="system <1>",
        data="golden",
        matched=matched,
        scores=matched.score(),
        predictions=predictions,
        labels=labels,
        picture=lambda recording, frame: np.zeros((180, 360, 3), np.uint8) if frame % 2 else None,
        ceiling=recall_ceiling(np.array([0.2, 0.6]), np.array([0, 1])),
    )


def test_the_page_holds_every_number_and_figure_and_loads_nothing(subject, tmp_path):
    page = write_report(tmp_path / "report", subject).read_text()
    assert "system &lt;1&gt; on golden" in page
    assert all(name in page for name in CLASS_NAMES)
    for number in subject.scores.headline().values():
        assert f"{number:.4f}" in page
    pngs = {path.stem for path in (tmp_path / "report").glob("*.png")}
    assert pngs >= {
        "losses",
        "ap_by_threshold",
        "precision_recall",
        "reliability",
        "localisation",
        "score_and_iou",
        "confusion",
        "best_1",
        "worst_1",
    }
    assert set(re.findall(r'<img class="\w*" alt="(\w+)"', page)) == pngs
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert all(source.startswith(("data:image/png;base64,", "data:,")) for source in sources)
    for name in pngs:
        with Image.open(tmp_path / "report" / f"{name}.png") as image:
            assert np.asarray(image.convert("L")).std() > 1  # not blank


def test_best_frames_overlap_more_than_worst(subject):
    best, worst = best_frames(subject.matched), best_frames(subject.matched, worst=True)
    assert min(iou for *_, iou in best) > max(iou for *_, iou in worst)
    assert len({recording for recording, *_ in best}) == len(subject.matched.recordings)
    for recording, frame, iou in best + worst:
        matched = subject.matched.recordings[recording]
        here, found = matched.detections.frame == frame, matched.partner >= 0
        truths = (matched.truths.frame == frame).sum()
        false = matched.score[here & ~found].sum()
        assert iou == pytest.approx(matched.iou[here & found].sum() / (truths + false))


def test_too_few_recordings_have_no_interval_and_it_says_why(subject, tmp_path):
    page = write_report(tmp_path, subject).read_text()
    assert "No intervals: they are drawn from recordings, and 2 recordings make too few" in page
    assert "95 % interval" not in page


def test_its_tables_scroll_by_keyboard_and_screen_readers_find_their_way(subject, tmp_path):
    assert faults_of(write_report(tmp_path, subject).read_text(), tables=3) == []
