"""``saiseld train matchability``: a model that calibrates, and says what it was trained on."""

import json
from dataclasses import replace

import numpy as np

from saiseld.decision.matchability import Matchability
from saiseld.formats.candidates import candidate_files, read_candidates


def test_train_calibrate_emit_end_to_end(judged_tree, tmp_path, saiseld, caplog) -> None:
    model = tmp_path / "m.skops"
    candidates, labels = judged_tree / "candidates", judged_tree / "labels_dev"
    options = ("-o", model, "--temporal", "--cache", judged_tree / "cache")
    assert saiseld("train", "matchability", candidates, labels, *options)[0] == 0
    report = json.loads(model.with_suffix(".json").read_text())
    assert report["training"]["recordings"] == sorted(candidate_files(candidates))
    assert Matchability.load(model).smoother is not None
    assert saiseld("calibrate", candidates, "--model", model, "-o", tmp_path / "c")[0] == 0
    calibrated = read_candidates(next(iter(candidate_files(tmp_path / "c").values())))
    assert np.isfinite(calibrated.matchability).all()
    for source, extra in ((tmp_path / "c", ()), (candidates, ("--model", model))):
        out = tmp_path / f"out{len(extra)}"
        assert saiseld("emit", source, "--system", "TASK3B_2", "-o", out, *extra)[0] == 0
    first, second = (
        [p.read_bytes() for p in sorted((tmp_path / f"out{k}").iterdir())] for k in (0, 2)
    )
    assert first == second and len(first) == 3
    assert not caplog.records
    learned = Matchability.load(model)
    training = replace(learned.training, examples_per_class=[0] * 13)
    replace(learned, training=training).save(model)
    assert saiseld("calibrate", candidates, "--model", model, "-o", tmp_path / "c")[0] == 0
    assert "the model was trained without: " in caplog.text
