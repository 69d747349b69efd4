"""``saiseld calibrate --risk`` guarantees nothing about what the model has seen."""

import numpy as np

from saiseld.decision.detection_features import FEATURE_NAMES
from saiseld.decision.matchability import Examples, fit
from saiseld.formats.candidates import candidate_files


def test_risk_needs_recordings_the_model_has_not_seen(judged_tree, tmp_path, saiseld) -> None:
    model, cache = tmp_path / "m.skops", ("--cache", judged_tree / "cache")
    candidates, labels = judged_tree / "candidates", judged_tree / "labels_dev"
    rows = np.random.default_rng(0).random((60, len(FEATURE_NAMES)), np.float32)
    room = np.repeat(["a", "b"], 30)
    known = Examples(rows, rows[:, 0] > 0.5, np.arange(60) % 13, room)
    fit(known, recordings=sorted(candidate_files(candidates)), kind="linear").save(model)
    command = ("calibrate", candidates, "--model", model, "--risk", "fdr=0.5", *cache)
    code, told = saiseld(*command)
    assert code == 2 and "expected --labels to calibrate on" in told
    code, told = saiseld(*command, "--labels", labels)
    assert code == 2 and "found 3 that it was, such as fold4_room0_mix001" in told
