"""``saiseld table1`` writes text, JSON and figures."""

import json

from PIL import Image


def test_text_json_and_figures(judged_tree, tmp_path, saiseld) -> None:
    candidates, cache = judged_tree / "candidates", judged_tree / "cache"
    options = ("--cache", cache, "--emissions", "-o", tmp_path)
    code, _ = saiseld("table1", "--data", judged_tree, "--candidates", candidates, *options)
    assert code == 0
    found = json.loads((tmp_path / "table1.json").read_text())
    assert [row["name"] for row in found["rows"]][:2] == ["Baseline", "Sparse peaks"]
    assert [row["name"] for row in found["emissions"]][-1] == "cap 1, blob"
    text = (tmp_path / "table1.txt").read_text()
    assert "cross-fitted by room" in text and "same split (optimistic)" in text
    assert f"{found['rows'][4]['mAP']['value']:.4f}" in text
    for figure in ("table1", "figure2", "figure3"):
        with Image.open(tmp_path / f"{figure}.png") as picture:
            assert min(picture.size) > 200
