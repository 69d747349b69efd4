"""Which frames an epoch shows, balanced by class, and the same again after a resume.

A function of its arguments alone: to resume, draw again and go on from where it stopped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saiseld.runtime.errors import DataError


def epoch_frames(
    counts: NDArray[np.int64], frames: int, silent_share: float, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Draw the frames of an epoch, with replacement, in the order they are shown.

    A class is drawn evenly among those there are, then one of its frames; ``silent_share`` of the
    draws are frames without a sound, as far as there are any.

    Parameters
    ----------
    counts
        (samples, 13) instances of each class in each frame.
    frames
        How many to draw.
    silent_share
        See above.
    seed, epoch
        What the draw is made of.

    Raises
    ------
    DataError
        If no frame has an instance.
    """
    of_class = _frames_of_classes(np.minimum(counts, 1))
    silent = np.flatnonzero(~counts.any(axis=1))
    rng = np.random.default_rng([seed, epoch])
    pools = [*of_class, silent] if len(silent) else of_class
    probability = np.full(len(pools), 1.0 / len(of_class))
    if len(silent):
        probability *= 1 - silent_share
        probability[-1] = silent_share
    chosen = rng.choice(len(pools), size=frames, p=probability)
    position = rng.random(frames)
    sizes = np.array([len(pool) for pool in pools])
    within = (position * sizes[chosen]).astype(np.int64)
    starts = np.cumsum(sizes) - sizes
    drawn: NDArray[np.int64] = np.concatenate(pools)[starts[chosen] + within]
    return drawn


def public_epoch_frames(
    counts: NDArray[np.int64], frames: int, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Draw the frames of an epoch as the public recipe does (Baseline2026), in the order shown.

    Every class gets frames in proportion to its instances, but at least half of an even share, and
    frames that no class drew fill the epoch: so rare classes are drawn more often than they occur,
    if less than evenly. A class repeats frames only if it has too few.

    Parameters
    ----------
    counts, frames, seed, epoch
        As in `epoch_frames`.

    Raises
    ------
    DataError
        If no frame has an instance.
    """
    of_class = _frames_of_classes(counts)
    rng = np.random.default_rng([seed, epoch])
    minimum = max(1, frames // len(of_class) // 2)
    quotas = [
        max(int(len(frames_of_class) / len(counts) * frames), minimum)
        for frames_of_class in of_class
    ]
    drawn = np.concatenate(
        [
            rng.choice(frames_of_class, quota, replace=len(frames_of_class) < quota)
            for frames_of_class, quota in zip(of_class, quotas, strict=True)
        ]
    )
    missing = max(frames - len(drawn), 0)
    others = np.setdiff1d(np.arange(len(counts)), drawn)
    if not len(others):
        others = np.arange(len(counts))
    fill = rng.choice(others, missing, replace=len(others) < missing)
    chosen: NDArray[np.int64] = rng.permutation(
        np.concatenate([rng.permutation(drawn)[:frames], fill])
    )
    return chosen


def _frames_of_classes(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return, for every class that there is, its frames, one as often as it counts."""
    numbers = np.arange(len(counts))
    of_class = [
        np.repeat(numbers, frames_of_class) for frames_of_class in counts.T if frames_of_class.any()
    ]
    if not of_class:
        raise DataError(
            "training frames",
            expected="frames with labels",
            found=f"{len(counts)} frames without a single instance",
            advice="Check the labels with `saiseld doctor`",
        )
    return of_class
