"""``saiseld doctor`` says what is wrong, and exits 1."""


def test_doctor_says_what_is_wrong_and_exits_1(untrained, tmp_path, saiseld) -> None:
    assert saiseld("doctor", untrained / "rec.wav")[0] == 0
    (tmp_path / "text.wav").write_text("no sound")
    assert saiseld("doctor", tmp_path / "text.wav")[0] == 1
