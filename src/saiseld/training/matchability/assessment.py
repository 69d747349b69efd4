"""What a matchability model is worth: importances, reliability, and gain, all on unseen rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.decision.detection_features import FEATURE_NAMES
from saiseld.decision.matchability import Kind, importances
from saiseld.evaluation.diagnosis import Reliability, reliability
from saiseld.evaluation.scores import THRESHOLDS, score
from saiseld.training.matchability.development import (
    EMITTED,
    Measured,
    Reading,
    all_examples,
    per_recording,
)


@dataclass(frozen=True, slots=True)
class Assessment:
    """What `assess` finds.

    Parameters
    ----------
    importance
        By feature, the fall of average precision when it is shuffled, most important first.
    before, after
        Reliability of the raw score and of the cross-fitted matchability, as in
        `saiseld.evaluation.diagnosis`.
    macro_ap
        By soft-IoU threshold, macro AP of the cap-1 system ranked by raw score and by cross-fitted
        matchability.
    """

    importance: dict[str, float]
    before: Reliability | None
    after: Reliability | None
    macro_ap: dict[str, tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def assess(
    recordings: Sequence[Measured],
    probability: NDArray[np.float64],
    system: str,
    kind: Kind = "trees",
    reading: Reading = EMITTED,
) -> Assessment:
    """Assess cross-fitted probabilities of `all_examples`.

    Parameters
    ----------
    recordings
        Measured with ``system``.
    probability
        Cross-fitted matchability.
    system
        Name of the system whose ranking is compared.
    kind, reading
        Of the model that gave the probabilities.
    """
    examples = all_examples(recordings, reading)
    fall = importances(examples, kind)
    parts = zip(recordings, per_recording(recordings, probability, reading), strict=True)
    raw = score([recording.matched[system] for recording in recordings])
    ranked = score([recording.ranked(system, part, reading) for recording, part in parts])
    return Assessment(
        importance={FEATURE_NAMES[k]: float(fall[k]) for k in np.argsort(-fall)},
        before=reliability(examples.features[:, 0].astype(float), examples.matched),
        after=reliability(probability, examples.matched),
        macro_ap={
            f"{threshold:g}": (raw.macro_ap[k], ranked.macro_ap[k])
            for k, threshold in enumerate(THRESHOLDS)
        },
    )
