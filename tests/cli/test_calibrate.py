"""``saiseld calibrate --risk`` guarantees nothing about what the model has seen."""


def test_risk_needs_recordings_the_model_has_not_seen(judged_tree, tmp_path, saiseld) -> None:
    model, cache = tmp_path / "m.skops", ("--cache", judged_tree / "cache")
    candidates, labels = judged_tree / "candidates", judged_tree / "labels_dev"
    assert saiseld("train", "matchability", candidates, labels, "-o", model, *cache)[0] == 0
    command = ("calibrate", candidates, "--model", model, "--risk", "fdr=0.5", *cache)
    code, told = saiseld(*command)
    assert code == 2 and "expected --labels to calibrate on" in told
    code, told = saiseld(*command, "--labels", labels)
    assert code == 2 and "found 3 that it was, such as fold4_room0_mix001" in told
