"""Tables of the ear alone are kept as long as sound and weights are the same."""

import shutil
from pathlib import Path

import numpy as np
import soundfile

from saiseld.formats.candidates import read_candidates
from saiseld.pipeline.hear import hear_recordings
from saiseld.pipeline.weights import PACKAGED


def test_an_old_table_is_never_taken_for_that_of_other_weights_or_sound(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, weights in (("ear", "seld.safetensors"), ("other", "copy.safetensors")):
        (tmp_path / name).mkdir()
        shutil.copy(PACKAGED / "seld.safetensors", tmp_path / name / weights)
    ear = tmp_path / "ear" / "seld.safetensors"
    other = tmp_path / "other" / "copy.safetensors"  # another name is another digest
    recording, folder = tmp_path / "rec.wav", tmp_path / "tables"
    soundfile.write(recording, rng.uniform(-0.1, 0.1, (12_000, 4)), 24_000)
    table = hear_recordings([recording], folder, ear)["rec"]
    assert table is not None and read_candidates(table).frames == 5
    assert hear_recordings([recording], folder, ear)["rec"] is None
    assert hear_recordings([recording], folder, other)["rec"] == table
    soundfile.write(recording, rng.uniform(-0.1, 0.1, (14_400, 4)), 24_000)
    assert hear_recordings([recording], folder, other)["rec"] == table
    assert read_candidates(table).frames == 6
