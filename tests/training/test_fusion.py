"""What fusion is fitted on."""

from dataclasses import replace

import numpy as np
import pytest
from tests.reference.perturbed_labels import perturbed

from saiseld.formats.annotation import write_annotations
from saiseld.formats.candidates import write_candidates
from saiseld.runtime.errors import DataError
from saiseld.training.fusion import LabelledCandidates, RecordingFit, fit, measure_all


def test_a_network_that_finds_nothing_is_refused() -> None:
    nothing = LabelledCandidates(np.zeros((0, 3)), np.zeros(0), np.zeros(0, np.int8))
    with pytest.raises(DataError) as refused:
        fit({"fold3_room1_mix001": RecordingFit("room1", None, None, nothing, None, {})})
    assert (refused.value.found, refused.value.source) == ("none", "candidate tables")


def test_few_recordings_are_warned_of(tmp_path, caplog) -> None:
    name = "fold4_room1_mix001"
    table, labels = perturbed(0, name, frames=2)
    table = replace(table, branches=("audio",), branch=np.full(len(table), "audio"))
    write_candidates(tmp_path / f"{name}.candidates.parquet", table)
    write_annotations(tmp_path / f"{name}_std.json", labels)
    measure_all(tmp_path, tmp_path, tmp_path, "spot")
    assert "1 recordings, fewer than 8" in caplog.text
