"""Which frames an epoch shows, balanced by class, and the same again after a resume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saiseld.runtime.errors import DataError


def epoch_frames(
    counts: NDArray[np.int64], frames: int, silent_share: float, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Draw the frames of an epoch, with replacement, in the order they are shown.

    A class is drawn evenly among those there are, then one of its frames; ``silent_share`` of the
    draws are frames without a sound, as far as there are any. A function of its arguments alone:
    to resume, draw again and go on from where it stopped.

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
    of_class = [np.flatnonzero(counts[:, c]) for c in range(counts.shape[1])]
    of_class = [samples for samples in of_class if len(samples)]
    if not of_class:
        raise DataError(
            "training frames",
            expected="frames with labels",
            found=f"{len(counts)} frames without a single instance",
            advice="Check the labels with `saiseld doctor`",
        )
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
