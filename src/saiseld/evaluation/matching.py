"""One-to-one assignment of predictions and ground truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(likeness: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (rows, columns) of the assignment of largest total likeness, rows rising.

    Every row or every column (whichever are fewer) is assigned, so a pair may have likeness 0.

    Parameters
    ----------
    likeness
        (rows, columns), finite. Of two assignments that are as good, which one is found depends
        on which side the rows are.
    """
    # Loaded by the first assignment: it takes longer than all else of this package.
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(likeness, maximize=True)
    return rows.astype(np.int64), columns.astype(np.int64)
