"""The branches alone and fused: candidate tables of both against labels.

Scores of each row with their 95 % interval over recordings, the same where one source sounds and
where several do, by class, and what mending one kind of error would add.

    saiseld detect TREE/eigen_dev/SPLIT --video TREE/video_dev -o detector
    python -m research.compare_branches detector audio TREE/labels_dev

``audio`` holds tables with rows of the audio branch (`saiseld detect`). ``--other``
takes the detector's tables of the same sound with pictures of other recordings.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.decision.fusion import Fusion, fuse
from saiseld.decision.systems import decide, masks_of, system_named
from saiseld.evaluation.corpus import find_label_files
from saiseld.evaluation.diagnosis import ERROR_KINDS, lost_precision
from saiseld.evaluation.matched import MatchedRecording, match_recording
from saiseld.evaluation.rendering import Drawings, render_masks
from saiseld.evaluation.systems import MatchedSystem
from saiseld.evaluation.uncertainty import confidence_intervals
from saiseld.formats.annotation import EnergyMask, read_annotations
from saiseld.formats.candidates import BRANCHES, Candidates, candidate_files, read_candidates
from saiseld.pipeline.weights import find_weights
from saiseld.runtime.parallel import run_all

DETECTOR, AUDIO = BRANCHES
PARTS = ("all frames", "one source", "several sources")
Matched = dict[tuple[str, str], MatchedRecording]
"""A recording's matches, by row of the table and part of the frames."""


def rows_of(
    detector: Candidates, audio: Candidates, other: Candidates | None, fusion: Fusion
) -> dict[str, list[EnergyMask]]:
    """Return the masks of each row of the table."""
    audio_only, audiovisual = system_named("audio"), system_named("audiovisual")
    heard, fused = fuse(None, audio, fusion), fuse(detector, audio, fusion)
    rows = {
        "detector (TASK3B_3)": decide(detector, system_named("TASK3B_3")),
        "detector, spot": masks_of(fuse(detector, None, fusion), audiovisual),
        "audio": masks_of(heard, audio_only),
        # What `audiovisual` leaves out cost it precision too: with as much left out they compare.
        "audio, as many": masks_of(heard, replace(audio_only, min_score=audiovisual.min_score)),
        "audiovisual": masks_of(fused, audiovisual),
        "audiovisual-precise": masks_of(fused, system_named("audiovisual-precise")),
    }
    if other is not None:
        another = fuse(other, audio, fusion)
        rows["audiovisual, another picture"] = masks_of(another, audiovisual)
    return rows


def measure(
    detector: Path, audio: Path, other: Path | None, labels: Path, fusion: Fusion, every: int
) -> Matched:
    """Match a recording's masks on every so many-th frame."""
    tables = [
        None if path is None else _some(read_candidates(path).of_branch(branch), every)
        for path, branch in ((detector, DETECTOR), (audio, AUDIO), (other, DETECTOR))
    ]
    seen, heard, wrong = tables
    assert seen is not None and heard is not None
    truth = [mask for mask in read_annotations(labels) if mask.frame % every == 0]
    sources = Counter(mask.frame for mask in truth)
    drawings: Drawings = {}
    found: Matched = {}
    for part in PARTS:

        def within(masks: Iterable[EnergyMask], part: str = part) -> list[EnergyMask]:
            return [m for m in masks if part == PARTS[0] or part == _part(sources[m.frame])]

        drawn = render_masks(within(truth), drawings)
        for row, masks in rows_of(seen, heard, wrong, fusion).items():
            found[row, part] = match_recording(render_masks(within(masks), drawings), drawn)
    return found


def _some(table: Candidates, every: int) -> Candidates:
    return table.take(table.frame % every == 0)


def _part(sources: int) -> str:
    return "silence" if not sources else PARTS[1 if sources == 1 else 2]


def describe(systems: dict[tuple[str, str], MatchedSystem]) -> Iterable[str]:
    """Yield the lines of the report."""
    rows = list(dict.fromkeys(row for row, _ in systems))
    for part in PARTS:
        yield f"\n| {part} | mAP | AP25 | AP50 | AP75 | EFRQ | masks |"
        yield "|---|---|---|---|---|---|---|"
        for row in rows:
            yield _line(row, systems[row, part])
    yield f"\n| class | truths | {' | '.join(rows)} |"
    yield "|---" * (len(rows) + 2) + "|"
    scores = [systems[row, PARTS[0]].score().per_class for row in rows]
    for name, *own in zip(CLASS_NAMES, *scores, strict=True):
        cells = [f"{one.mAP:.3f} / {one.pearson_r:.2f}" for one in own]
        yield f"| {name} | {own[0].n_gt} | {' | '.join(cells)} |"
    yield f"\n| gain at 0.5 of mending | {' | '.join(ERROR_KINDS)} |"
    yield "|---" * (len(ERROR_KINDS) + 1) + "|"
    for row in rows:
        lost = lost_precision(list(systems[row, PARTS[0]].recordings.values()))
        yield f"| {row} | {' | '.join(f'{lost.gain[kind]:+.3f}' for kind in ERROR_KINDS)} |"


def _line(row: str, system: MatchedSystem) -> str:
    found = confidence_intervals(system, resamples=200)
    cells = []
    for name, digits in (("macro_mAP", 3), ("macro_AP25", 3), ("macro_AP50", 3), ("macro_AP75", 3)):
        cells.append(f"{found[name].value:.{digits}f}")
    mAP, efrq = found["macro_mAP"], found["macro_pearson_r"]
    cells[0] += f" ({mAP.low:.3f}–{mAP.high:.3f})"
    cells.append(f"{efrq.value:.3f} ({efrq.low:.3f}–{efrq.high:.3f})")
    masks = sum(len(one.score) for one in system.recordings.values())
    return f"| {row} | {' | '.join(cells)} | {masks} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("detector", "audio", "labels"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--fusion", type=Path, default=None)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args(arguments)
    fusion = Fusion.load(chosen.fusion or find_weights(None).fusion)
    detector_files, audio_files = candidate_files(chosen.detector), candidate_files(chosen.audio)
    others = {} if chosen.other is None else candidate_files(chosen.other)
    truth = find_label_files(chosen.labels)
    names = sorted(detector_files.keys() & audio_files.keys() & truth.keys())
    tasks = {
        name: (
            detector_files[name],
            audio_files[name],
            others.get(name),
            truth[name],
            fusion,
            chosen.every,
        )
        for name in names
    }
    done = run_all(measure, tasks, jobs=chosen.jobs, title="comparing")
    keys = [key for key in next(iter(done.values())) if all(key in own for own in done.values())]
    systems = {key: MatchedSystem({name: own[key] for name, own in done.items()}) for key in keys}
    print(f"{len(names)} recordings, every {chosen.every} frames")
    for line in describe(systems):
        print(line)


if __name__ == "__main__":
    main()
