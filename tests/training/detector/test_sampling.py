from __future__ import annotations

import numpy as np
import pytest
from tests.errors import raises

from saiseld.runtime.errors import DataError
from saiseld.training.detector.sampling import epoch_frames, public_epoch_frames


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


@pytest.mark.parametrize("public", [False, True])
def test_an_epoch_is_drawn_again_the_same(public: bool) -> None:
    draw = [
        public_epoch_frames(_counts(), 50, *key)
        if public
        else epoch_frames(_counts(), 50, 0.1, *key)
        for key in ((0, 1), (0, 1), (0, 2), (1, 1))
    ]
    assert np.array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])
    assert not np.array_equal(draw[0], draw[3])


def test_the_public_way_gives_a_class_its_share_or_half_of_an_even_one() -> None:
    counts = np.zeros((1000, 13), np.int64)
    counts[:300, 0] = 1
    counts[300:350, 4] = 2
    frames = public_epoch_frames(counts, 400, seed=0, epoch=1)
    assert len(frames) == 400
    of_class = [frames < 300, (frames >= 300) & (frames < 350)]
    # 300 / 1000 of 400 are more than 400 / 2 / 2 are; 100 / 1000 of 400 are fewer.
    filled = 400 - 120 - 100
    assert 120 <= of_class[0].sum() < 120 + filled and 100 <= of_class[1].sum() < 100 + filled
    once = np.bincount(frames, minlength=1000)
    assert once[:300].max() == 1 and once[350:].max() == 1 and once[300:350].max() > 1
    silent = (frames >= 350).sum()
    assert silent / filled == pytest.approx(650 / (180 + 650), abs=0.05)


def test_the_public_way_cuts_and_repeats_where_it_must() -> None:
    frames = public_epoch_frames(_counts(), 400, seed=0, epoch=1)
    shares = np.array([360, 66, 66]) / (360 + 66 + 66)  # instances count, so class 4 has 20
    assert len(frames) == 400
    assert (frames < 900).mean() == pytest.approx(shares[0], abs=0.03)
    assert len(public_epoch_frames(np.eye(13, dtype=np.int64), 200, 0, 1)) == 200


def test_no_silent_frames() -> None:
    counts = np.eye(13, dtype=np.int64)
    assert set(epoch_frames(counts, 500, 0.5, 0, 1).tolist()) == set(range(13))


def test_no_instances_at_all() -> None:
    with raises(DataError, expected="frames with labels", found="40 frames without"):
        epoch_frames(np.zeros((40, 13), np.int64), 10, 0.1, 0, 1)
    with raises(DataError, found="40 frames without a single instance"):
        public_epoch_frames(np.zeros((40, 13), np.int64), 10, 0, 1)
