from __future__ import annotations

import numpy as np
import pytest

from saiseld.runtime.errors import DataError
from saiseld.training.detector.sampling import epoch_frames


def _counts() -> np.ndarray:
    counts = np.zeros((1000, 13), np.int64)
    counts[:900, 0] = 1
    counts[900:910, 4] = 2
    counts[905:950, 7] = 1
    return counts


def test_classes_come_up_alike() -> None:
    counts = _counts()
    frames = epoch_frames(counts, 30_000, 0.1, seed=0, epoch=1)
    assert (~counts[frames].any(axis=1)).mean() == pytest.approx(0.1, abs=0.01)
    only = [(frames < 900).mean(), ((frames >= 900) & (frames < 905)).mean()]
    # Class 4 has ten frames, half of which hold class 7 too.
    assert only == pytest.approx([0.3, 0.15], abs=0.01)


def test_an_epoch_is_drawn_again_the_same() -> None:
    draw = [epoch_frames(_counts(), 50, 0.1, *key) for key in ((0, 1), (0, 1), (0, 2), (1, 1))]
    assert np.array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])
    assert not np.array_equal(draw[0], draw[3])


def test_no_silent_frames() -> None:
    counts = np.eye(13, dtype=np.int64)
    assert set(epoch_frames(counts, 500, 0.5, 0, 1).tolist()) == set(range(13))


def test_no_instances_at_all() -> None:
    with pytest.raises(DataError, match="expected frames with labels, found 40 frames without"):
        epoch_frames(np.zeros((40, 13), np.int64), 10, 0.1, 0, 1)
