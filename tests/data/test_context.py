from __future__ import annotations

import numpy as np
import pytest

from saiseld.data.context import in_context, offsets, with_neighbours
from saiseld.formats.features import AcousticImages


def _blocks(latent: np.ndarray, sizes: list[int]) -> list[AcousticImages]:
    parts = np.split(latent, np.cumsum(sizes)[:-1])
    gates = [np.arange(len(part), dtype=np.float32) for part in parts]
    return [AcousticImages(part, gate, gate) for part, gate in zip(parts, gates, strict=True)]


def test_a_latent_has_its_own_bands_first_then_the_frames_around_it() -> None:
    assert offsets(0) == (0,) and offsets(2) == (0, -1, 1, -2, 2)
    latent = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 9, 484), np.float32)
    assert with_neighbours(latent, 0) is latent
    wide = with_neighbours(latent, 2)
    assert wide.shape == (5, 45, 484)
    assert wide[2, ::9, 0].tolist() == [2, 1, 3, 0, 4]
    assert wide[0, ::9, 0].tolist() == [0, 0, 1, 0, 2]  # the first frame stands in
    assert wide[4, ::9, 0].tolist() == [4, 3, 4, 2, 4]


@pytest.mark.parametrize(
    ("sizes", "context"),
    [
        *(([7], context) for context in (0, 1, 2)),
        *(([3, 4], context) for context in (0, 1, 2)),
        *(([2, 2, 2, 1], context) for context in (0, 1, 2)),
        *(([1, 1, 1, 1, 1, 1, 1], context) for context in (0, 1)),
    ],
)
def test_blocks_have_the_context_of_the_whole_recording(sizes: list[int], context: int) -> None:
    latent = np.random.default_rng(0).random((7, 9, 484), dtype=np.float32)
    blocks = _blocks(latent, sizes)
    found = list(in_context(iter(blocks), context))
    assert [len(block.closure) for block in found] == sizes
    whole = np.concatenate([block.latent for block in found])
    np.testing.assert_array_equal(whole, with_neighbours(latent, context))


def test_no_blocks() -> None:
    assert list(in_context(iter([]), 1)) == []
