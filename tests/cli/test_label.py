"""``saiseld label`` makes labels and goes on where it stopped."""

import numpy as np
import soundfile
from tests import GOLDEN


def test_labels_are_made_once(tmp_path, saiseld) -> None:
    with np.load(GOLDEN / "labels_input.npz") as file:
        soundfile.write(tmp_path / "a.wav", file["audio32"][:2400], 24_000, subtype="FLOAT")
    (tmp_path / "a.csv").write_text("0,0,0,40,10,150\n")
    out = tmp_path / "out"
    command = ("label", "--audio", tmp_path / "a.wav", "--events", tmp_path, "-o", out)
    code, told = saiseld(*command)
    assert code == 0 and "1 recording labelled, 0 there before" in told
    assert {path.name for path in out.iterdir()} == {"a_raw.json", "a_std.json"}
    assert "0 recordings labelled, 1 there before" in saiseld(*command)[1]
