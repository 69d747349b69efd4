"""Training of matchability, from folders of candidates and labels to a model and its report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from saiseld.decision.matchability import Kind, Matchability, cross_fit, fit
from saiseld.decision.systems import system_named
from saiseld.evaluation.corpus import labels_of
from saiseld.formats.candidates import candidate_files
from saiseld.runtime.files import write_json
from saiseld.training.matchability.assessment import Assessment, assess
from saiseld.training.matchability.development import (
    EMITTED,
    Reading,
    all_examples,
    fit_temporal,
    measure_all,
    smoothed,
)

_ASSESSED = system_named("TASK3B_3")


@dataclass(frozen=True, slots=True, eq=False)
class TrainedMatchability:
    """A matchability model and what it is worth.

    Parameters
    ----------
    model, assessment
        Fitted on all rooms; assessed in rooms that it has not seen.
    report
        The file that says so.
    candidates, matching
        How many examples there were, and how many of them match.
    """

    model: Matchability
    assessment: Assessment
    report: Path
    candidates: int
    matching: int


def train_matchability(
    candidates: Path,
    labels: Path,
    output: Path,
    cache: Path,
    *,
    reading: Reading = EMITTED,
    kind: Kind = "trees",
    temporal: bool = False,
    jobs: int = 1,
) -> TrainedMatchability:
    """Fit a model, write it and, beside it, a JSON of what it is worth.

    Parameters
    ----------
    candidates, labels
        Folders of candidate tables and of their labels.
    output
        Model to write, ``.skops``.
    cache
        Folder where drawn and decoded labels are kept.
    reading
        Which detections are learnt from, and what they have to reach.
    kind
        As in `saiseld.decision.matchability.fit`.
    temporal
        Weigh a detection with its track's matchability.
    jobs
        Recordings at a time.
    """
    tables = candidate_files(candidates)
    truth = labels_of(tables, labels)
    recordings = measure_all(tables, truth, (_ASSESSED,), cache, readings=(reading,), jobs=jobs)
    examples = all_examples(recordings, reading)
    probability = cross_fit(examples, kind)
    model = fit(
        examples,
        smoother=fit_temporal(recordings, probability, reading) if temporal else None,
        recordings=[recording.recording for recording in recordings],
        target=reading.target,
        pool=reading.pool,
        kind=kind,
    )
    if temporal:
        probability = smoothed(recordings, probability, reading)
    assessment = assess(recordings, probability, _ASSESSED.name, kind, reading)
    model.save(output)
    report = output.with_suffix(".json")
    write_json(report, {"training": asdict(model.training), **assessment.as_dict()})
    return TrainedMatchability(
        model, assessment, report, len(examples.matched), int(examples.matched.sum())
    )
