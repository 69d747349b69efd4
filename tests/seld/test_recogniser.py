"""Recognition on the source: directions, beams, and what the maps become."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.conventions.timebase import SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.seld.inference import SlidingWindowInference
from saiseld.seld.output import GRID, MAPS, ROWS, SeldOutput
from saiseld.seld.recogniser import (
    LIMIT,
    SourceRecognition,
    beam_mels,
    regions,
    source_directions,
)

FRAMES = 8
ONE, OTHER = 40, 300
"""Points of the grid, far apart."""
HEARD, TRUE = 5, 7


def output(points: dict[int, float], class_id: int = HEARD) -> SeldOutput:
    maps = np.full((FRAMES, NUM_CLASSES, GRID.shape[1]), -6.0, np.float32)
    for point, height in points.items():
        fall = 1 - GRID[:, point] @ GRID
        maps[:, class_id] = np.maximum(maps[:, class_id], height - 20 * fall)
    none = np.zeros((FRAMES, NUM_CLASSES), np.float32)
    return SeldOutput(0, none, maps, maps.max(1), none + 100, np.zeros(FRAMES, bool))


class Fixed:
    """Recognises the same class, the last one for none, in every beam, and counts the beams."""

    def __init__(self, recognised: int = TRUE) -> None:
        self.recognised = recognised
        self.frames: list[int] = []

    def __call__(self, mels):
        self.frames.append(len(mels))
        head = np.full((len(mels), NUM_CLASSES + 1), -20.0, np.float32)
        head[:, self.recognised] = -0.02
        return head


def noise(frames: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.normal(0, 0.05, (frames * SAMPLES_PER_FRAME, 4)).astype(np.float32)


def test_sources_are_where_the_maps_peak_the_likeliest_first():
    found = source_directions(output({ONE: 1.0, OTHER: 3.0}))
    np.testing.assert_allclose(found, GRID[:, [OTHER, ONE]].T)
    assert len(source_directions(output({}))) == 0


def test_regions_do_not_overlap():
    near = np.stack([GRID[:, ONE], GRID[:, ONE + 1]])
    assert (regions(near).sum(0) <= 1).all()
    assert regions(near).any(1).all()


def test_a_beam_keeps_its_source_and_loses_the_nulled_one():
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    t = np.arange(4 * SAMPLES_PER_FRAME) / SAMPLE_RATE
    low, high = np.sin(2 * np.pi * 700 * t), np.sin(2 * np.pi * 2500 * t)
    heard = np.zeros((4, len(t)))
    for tone, point in ((low, ONE), (high, OTHER)):
        way = GRID[:, point][None]
        response = array.arrivals(way, np.array([100.0]), np.ones((1, 1)), 300)[0]
        heard += np.stack([np.convolve(tone, row)[: len(t)] for row in response])
    first, second = beam_mels(heard.T.astype(np.float32), GRID[:, [ONE, OTHER]].T)
    assert first.shape == (4, 10, 64)
    middle = first[1:3].mean((0, 1)), second[1:3].mean((0, 1))
    assert middle[0].argmax() < middle[1].argmax()
    peak = middle[1].argmax()
    assert middle[1][peak] - middle[0][peak] > np.log(3)


def test_the_recognised_class_takes_the_place_of_the_networks():
    recogniser = Fixed()
    before = output({ONE: 3.0})
    after = SourceRecognition(recogniser)(before, noise(FRAMES + 5), 3)
    assert recogniser.frames == [FRAMES + 5]
    best = after.maps[:, :, ONE].argmax(1)
    assert (before.maps[:, :, ONE].argmax(1) == HEARD).all()
    assert (best == TRUE).all()
    # Its map has the shape, and so the direction, of the network's.
    np.testing.assert_array_equal(after.maps[:, TRUE].argmax(1), np.full(FRAMES, ONE))
    far = ~regions(GRID[:, [ONE]].T)[0]
    np.testing.assert_array_equal(after.maps[:, :, far], before.maps[:, :, far])


def test_a_class_that_the_network_hears_beside_it_stays_where_it_is():
    beside = int(np.argsort(-(GRID[:, ONE] @ GRID))[4])  # of the same source's region
    before = output({ONE: 3.0})
    before.maps[:, TRUE, beside] = 2.0
    after = SourceRecognition(Fixed())(before, noise(FRAMES), 0)
    np.testing.assert_array_equal(after.maps[:, TRUE].argmax(1), np.full(FRAMES, beside))


def test_a_source_of_no_class_is_of_none_of_ours():
    before = output({ONE: 3.0})
    after = SourceRecognition(Fixed(NUM_CLASSES))(before, noise(FRAMES), 0)
    near = regions(GRID[:, [ONE]].T)[0]
    np.testing.assert_allclose(after.maps[:, :, near].max((1, 2)), 3.0 - LIMIT, atol=0.01)
    np.testing.assert_array_equal(after.maps[:, :, ~near], before.maps[:, :, ~near])


def test_nothing_is_recognised_where_nothing_is():
    recogniser = Fixed()
    before = output({})
    assert SourceRecognition(recogniser)(before, noise(FRAMES), 0) is before
    assert not recogniser.frames


@pytest.mark.parametrize("block", [7, 4000, 10**6])
def test_a_refinement_sees_each_frame_once_whatever_the_blocks(block):
    seen = []

    def window(audio, *, last=None):
        frames = audio.shape[1] // SAMPLES_PER_FRAME
        return np.full((frames, ROWS + MAPS + NUM_CLASSES), 0.1, np.float32)

    def refine(given, audio, before):
        own = audio[before * SAMPLES_PER_FRAME : (before + len(given)) * SAMPLES_PER_FRAME]
        seen.append((given.start, len(given), before, len(audio) // SAMPLES_PER_FRAME))
        np.testing.assert_array_equal(
            own[:, 0] // SAMPLES_PER_FRAME,
            np.repeat(np.arange(given.start, given.start + len(given)), SAMPLES_PER_FRAME),
        )
        return given

    frames = 60
    audio = np.repeat(np.arange(frames * SAMPLES_PER_FRAME, dtype=np.float32)[:, None], 4, 1)
    inference = SlidingWindowInference(window, refine)
    step = block if block > 100 else SAMPLES_PER_FRAME * block
    given = [o for i in range(0, len(audio), step) for o in inference.push(audio[i : i + step])]
    given += list(inference.close())
    assert sum(len(o) for o in given) == frames
    assert seen == [(0, 25, 0, 30), (25, 25, 10, 40), (50, 10, 10, 20)]
