import numpy as np
import pytest

from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.training.uplam.directions import direction_errors, draw_room, steered_method


@pytest.mark.parametrize(("channels", "limit"), [(range(32), 10), (TETRAHEDRON, 15)])
def test_the_steered_response_finds_simulated_sources(channels: range, limit: float) -> None:
    rng = np.random.default_rng(7)
    rooms = [draw_room(1, rng) for _ in range(4)]
    errors = direction_errors(steered_method(rigid=True, channels=list(channels)), rooms)
    assert errors.shape == (12,) and np.median(errors) < limit
