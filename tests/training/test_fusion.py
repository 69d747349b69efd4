"""What fusion is fitted on."""

import numpy as np
import pytest

from saiseld.runtime.errors import DataError
from saiseld.training.fusion import LabelledCandidates, RecordingFit, fit


def test_a_network_that_finds_nothing_is_refused() -> None:
    nothing = LabelledCandidates(np.zeros((0, 3)), np.zeros(0), np.zeros(0, np.int8))
    with pytest.raises(DataError) as refused:
        fit({"fold3_room1_mix001": RecordingFit("room1", None, None, nothing, None, {})})
    assert (refused.value.found, refused.value.source) == ("none", "candidate tables")
