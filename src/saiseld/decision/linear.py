"""A linear model of matchability, for when rooms are few.

Trees learn what happens to be so in the rooms they see; sixteen weights have little room for it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from saiseld.decision.detection_features import FEATURE_NAMES

_SMALLEST_SCORE = 1e-4


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Logistic regression on standardised features, the raw score by its logarithm.

    Parameters
    ----------
    mean, scale, weight
        (16,) of the features; one that never varied has weight 0.
    bias
        (1,) log odds of an average detection.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    @classmethod
    def fit(cls, rows: NDArray[np.floating], matched: NDArray[np.bool_]) -> LinearClassifier:
        """Return the classifier of features (N, 16) and whether they matched (N,)."""
        from sklearn.linear_model import LogisticRegression  # slow to load

        values = _logarithmic(rows)
        mean, scale = values.mean(axis=0), values.std(axis=0)
        scale[scale == 0] = 1.0
        model = LogisticRegression(max_iter=1000).fit((values - mean) / scale, matched)
        return cls(mean, scale, model.coef_[0], model.intercept_)

    def predict_proba(self, rows: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (N, 2) probabilities of not matching and of matching, of features (N, 16)."""
        odds = (_logarithmic(rows) - self.mean) / self.scale @ self.weight + self.bias
        matched = expit(odds)
        return np.stack([1 - matched, matched], axis=1)

    def as_arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_arrays(cls, content: Any) -> LinearClassifier:
        """Return the classifier of `as_arrays`.

        Raises
        ------
        ValueError
            If a field is missing, unknown, of another shape, or not finite.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(content, dict) or sorted(content) != sorted(names):
            raise ValueError(f"expected the arrays {', '.join(names)}")
        arrays = {name: np.asarray(content[name], float) for name in names}
        for name, values in arrays.items():
            shape = (1,) if name == "bias" else (len(FEATURE_NAMES),)
            if values.shape != shape or not np.isfinite(values).all():
                raise ValueError(f"{name}: expected finite numbers of shape {shape}")
        if (arrays["scale"] <= 0).any():
            raise ValueError("scale: expected numbers above 0")
        return cls(**arrays)


def _logarithmic(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    values = np.array(rows, float)
    values[:, 0] = np.log(np.maximum(values[:, 0], _SMALLEST_SCORE))
    return values
