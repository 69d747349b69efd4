"""One-to-one assignment of predictions to ground truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def assign(likeness: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (rows, columns) of the assignment of largest total likeness.

    Every row or every column (whichever are fewer) is assigned, so a pair may have likeness 0.

    Parameters
    ----------
    likeness
        (ground truth, predictions), finite.
    """
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    return rows.astype(np.int64), columns.astype(np.int64)
