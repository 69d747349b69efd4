"""``saiseld draw`` shows again what was imaged."""


def test_what_was_imaged_is_drawn_again(untrained, tmp_path, saiseld) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    command = ("image", untrained / "rec.wav", "--weights", untrained, "-o", out)
    assert saiseld(*command, "--threshold", 0.03)[0] == 0
    for source in ("rec.candidates.parquet", "rec.json"):
        command = ("draw", out / source, untrained / "rec.wav", "--threshold", 0, "-o", again)
        assert saiseld(*command)[0] == 0
        assert {path.name for path in again.iterdir()} == {
            "rec.events.csv",
            "rec.overlay.mp4",
            "rec.page.html",
            "index.html",
        }
    code, _ = saiseld("draw", out / "rec.json", untrained / "rec.wav", "-o", out)
    assert code == 0  # results beside their source are no inputs
    page = (out / "rec.page.html").read_text()
    assert "0.03 or more" in page  # as it was imaged
    code, _ = saiseld(
        "draw", out / "rec.json", untrained / "rec.wav", "--weights", untrained, "-o", out
    )
    assert code == 2  # masks are decided already


def test_events_are_written_for_other_programs(untrained, tmp_path, saiseld) -> None:
    silent = tmp_path / "rec.json"
    silent.write_text('{"annotations": []}')
    command = ("draw", silent, untrained / "rec.wav", "-o", tmp_path / "out")
    assert saiseld(*command, "--write", "audacity,dcase")[0] == 0
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written >= {"rec.audacity.txt", "rec.dcase.csv"}
    code, printed = saiseld(*command, "--write", "word")
    assert code == 2 and "textgrid" in printed
