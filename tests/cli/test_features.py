"""``saiseld features`` goes on where it stopped."""


def test_features_go_on_where_they_stopped(untrained, tmp_path, saiseld) -> None:
    command = ("features", untrained / "rec.wav", "--weights", untrained, "-o", tmp_path)
    assert saiseld(*command)[0] == 0
    made = (tmp_path / "rec.features.safetensors").stat().st_mtime_ns
    assert saiseld(*command)[0] == 0
    assert (tmp_path / "rec.features.safetensors").stat().st_mtime_ns == made
