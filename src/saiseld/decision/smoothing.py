"""Temporal evidence: a detection that persists is more believable (beyond KIST2026).

Detections are linked into tracks as the public baseline links them. A logistic model weighs a
detection's own matchability against that of its track in the half second before and after. It is
fitted on matchabilities of unseen rooms, and is itself cross-fitted by room where it is scored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from saiseld.decision.folds import room_folds

REACH = 5
"""Frames looked at before and after."""

_EDGE = 1e-4  # probabilities are kept this far from 0 and 1, where the logit is infinite


def evidence(
    probability: NDArray[np.floating], frame: NDArray[np.integer], track: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the (N, 3) evidence for the detections of one recording.

    Its own matchability (logit); the mean matchability of its track over the other frames within
    reach, 0 where the track has no detection; the share of those frames where it has one.
    """
    span = int(frame.max(initial=0)) + 2 * REACH + 1
    key = track.astype(np.int64) * span + frame + REACH
    order = np.argsort(key)
    total, present = np.zeros(len(key)), np.zeros(len(key))
    for shift in (*range(-REACH, 0), *range(1, REACH + 1)):
        place = np.minimum(np.searchsorted(key, key + shift, sorter=order), len(key) - 1)
        there = order[place] if len(key) else order
        found = key[there] == key + shift
        total += np.where(found, probability[there], 0)
        present += found
    detection = logit(np.clip(probability, _EDGE, 1 - _EDGE))
    return np.stack([detection, total / (2 * REACH), present / (2 * REACH)], axis=1)


@dataclass(frozen=True, slots=True)
class Smoother:
    """Weights of the three pieces of `evidence`, and a bias; JSON values."""

    weights: tuple[float, float, float]
    bias: float

    def apply(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N,) probabilities from (N, 3) evidence."""
        return np.asarray(expit(evidence @ np.array(self.weights) + self.bias))


def fit_smoother(evidence: NDArray[np.float64], matched: NDArray[np.bool_]) -> Smoother:
    """Fit the weights on (N, 3) evidence with known outcome."""
    from sklearn.linear_model import LogisticRegression  # slow to load

    model = LogisticRegression().fit(evidence, matched)
    first, second, third = model.coef_[0].tolist()
    return Smoother((first, second, third), float(model.intercept_[0]))


def cross_fit_smoother(
    evidence: NDArray[np.float64], matched: NDArray[np.bool_], room: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Return (N,) smoothed probabilities, each weighed as rooms other than its own suggest."""
    smoothed = np.empty(len(evidence))
    for held_out in room_folds(room):
        smoother = fit_smoother(evidence[~held_out], matched[~held_out])
        smoothed[held_out] = smoother.apply(evidence[held_out])
    return smoothed
