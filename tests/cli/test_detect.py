"""``saiseld detect`` makes each table once, from sound or from features."""

from saiseld.formats.candidates import read_candidates


def test_tables_are_made_once(untrained, tmp_path, saiseld) -> None:
    command = ("detect", untrained / "rec.wav", "--weights", untrained, "-o", tmp_path)
    code, told = saiseld(*command)
    assert code == 0 and "1 recordings detected" in told and "3 frames without a picture" in told
    path = tmp_path / "rec.candidates.parquet"
    table = read_candidates(path)
    assert (table.recording, table.frames) == ("rec", 3)
    assert 0 < table.has_map.sum() < len(table)
    before = path.stat().st_mtime_ns
    code, told = saiseld(*command)
    assert code == 0 and "0 recordings detected" in told
    assert path.stat().st_mtime_ns == before


def test_features_stand_in_for_the_sound(untrained, tmp_path, saiseld) -> None:
    weights = ("--weights", untrained)
    features = tmp_path / "features"
    assert saiseld("features", untrained / "rec.wav", *weights, "-o", features)[0] == 0
    options = ("--features", features, "--all-maps", "-o", tmp_path)
    assert saiseld("detect", untrained / "rec.wav", *weights, *options)[0] == 0
    table = read_candidates(tmp_path / "rec.candidates.parquet")
    assert table.frames == 3 and table.has_map.all()


def test_what_is_absent_is_named(untrained, tmp_path, saiseld) -> None:
    command = ("detect", untrained / "rec.wav", "-o", tmp_path)
    code, told = saiseld(*command, "--weights", untrained, "--features", tmp_path / "none")
    assert code == 2 and "rec.features.safetensors: expected a features file" in told
    code, told = saiseld(*command, "--weights", tmp_path)
    assert code == 2 and "Train them with `saiseld train uplam`, `detector`" in told
    assert not list(tmp_path.glob("*.parquet"))
