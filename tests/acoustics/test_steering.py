"""A following beam is the plain beam where nothing moves, whatever the blocks."""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from saiseld.acoustics.beamforming import DELAY, beam_filters
from saiseld.acoustics.steering import MARGIN, STEP, FollowingBeam
from saiseld.conventions.sphere import unit_vector
from saiseld.conventions.timebase import SAMPLES_PER_FRAME

CELL = STEP * SAMPLES_PER_FRAME
LOOK = unit_vector(40, 10)


@pytest.fixture(scope="module")
def sound():
    noise = np.random.default_rng(0).standard_normal((2 * CELL + 500 + 2 * MARGIN, 4))
    return noise.astype(np.float32)


def test_a_beam_that_stands_still_is_the_plain_one(sound):
    plain = fftconvolve(sound, beam_filters(LOOK).T, axes=0).sum(axis=1)[DELAY + MARGIN :]
    beam = FollowingBeam(lambda cell: (LOOK, None))
    heard = beam.hear(sound, 0)
    assert heard == pytest.approx(plain[: len(heard)], abs=1e-3)


def test_blocks_do_not_show(sound):
    beam = FollowingBeam(lambda cell: (unit_vector(30.0 * cell, 0), None))
    whole = beam.hear(sound, 7 * CELL + 11)
    cut = CELL + 99
    parts = [
        beam.hear(sound[: cut + 2 * MARGIN], 7 * CELL + 11),
        beam.hear(sound[cut:], 7 * CELL + 11 + cut),
    ]
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-4)
