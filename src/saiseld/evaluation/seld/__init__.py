"""The SELD metrics of DCASE Task 3: 2022, 2023 and 2024, as their public code computes them.

Every metric compares sources frame by frame (`saiseld.formats.dcase_csv.SourceRows`: zero-based
frames at 10 FPS, azimuth and elevation in degrees, distance in metres). References come first,
estimates second, as in mir_eval.

``seld-2022``, ``seld-2023`` (Mesaros2019, Politis2021)
    Segments of one second. ER20, F20: a class is found where its mean angular error over the
    segment is 20 degrees or less. LE_CD (degrees), LR_CD: localisation error and recall of what has
    the right class. SELD: mean of ER, 1 - F, LE/180 and 1 - LR. The two years count alike; their
    public code reads other CSV layouts.
``seld-2024`` (DCASE2024)
    Frame by frame. F20: right class, at most 20 degrees and at most 100 % of distance off. DOAE
    (degrees), DE (metres), RDE (relative): angular, distance and relative distance error of what
    has the right class, whatever the error. SELD: mean of 1 - F, DOAE/180 and RDE.

*Macro* is the mean over all 13 classes: in 2022 and 2023 a class without references or matches
counts F 0, LE 180, LR 0 in it; in 2024 it counts F 0 and is left out of the errors. *Micro* pools
the classes. Scores are equal to those of the public code to the last digit
(docs/metrics.md#seld-metrics-of-dcase), which needs its order of sums and its small constants.
"""

from saiseld.evaluation.seld.counting import Counts, SeldMetric, count
from saiseld.evaluation.seld.jackknife import jackknife_intervals
from saiseld.evaluation.seld.scores import SELD_METRICS, SeldScores, score_counts
from saiseld.evaluation.seld.sources import SourceOptions
from saiseld.evaluation.seld.systems import evaluate_seld, evaluate_seld_systems, write_seld_scores

__all__ = [
    "SELD_METRICS",
    "Counts",
    "SeldMetric",
    "SeldScores",
    "SourceOptions",
    "count",
    "evaluate_seld",
    "evaluate_seld_systems",
    "jackknife_intervals",
    "score_counts",
    "write_seld_scores",
]
