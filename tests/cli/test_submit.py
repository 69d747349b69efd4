"""``saiseld submit`` packs four systems, or says why not."""

from dataclasses import replace

import numpy as np
from tests.reference.perturbed_labels import perturbed

from saiseld.decision.systems import KIST_SUBMISSION
from saiseld.formats.candidates import write_candidates


def test_four_systems_are_packed(tmp_path, saiseld) -> None:
    table, _ = perturbed(0, "fold4_room0_mix001", frames=2)
    calibrated = replace(table, matchability=np.linspace(0, 1, len(table), dtype=np.float32))
    write_candidates(tmp_path / "c" / "fold4_room0_mix001.candidates.parquet", calibrated)
    command = ("submit", tmp_path / "c", "-o", tmp_path / "s.zip")
    code, told = saiseld(*command)
    assert code == 2 and "branch: expected rows of detector and audio" in told
    for name in KIST_SUBMISSION:
        command += ("--system", name)
    code, told = saiseld(*command)
    assert code == 0 and "4 prediction files of 1 recording, read back" in told
    assert "not ready to submit: labels say Author_INST" in told and "to be completed" in told
    code, told = saiseld(*command, "--author", "Kwon", "--institute", "KIST")
    assert code == 0 and "not ready" not in told
    code, told = saiseld(*command[:-2])
    assert code == 2 and "4 different systems" in told
    code, told = saiseld(*command, "--author", "two words")
    assert code == 2 and "author: expected one word" in told
