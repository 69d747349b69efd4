"""What a training run notes can be read by any JSON reader."""

import json
from pathlib import Path

from saiseld.training.logs import EVERY, LOG, run_log


def test_a_number_that_is_none_is_null(tmp_path: Path) -> None:
    with run_log(tmp_path, 0, EVERY) as log:
        for step in range(EVERY):
            log.step(step + 1, 1, {"loss": 1.0, "distance": float("nan")})
        log.epoch(EVERY, 1, {"macro_mAP": float("nan"), "loss": float("inf")})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    train, select = (
        json.loads(line, parse_constant=refuse)
        for line in (tmp_path / LOG).read_text().splitlines()
    )
    assert (train["kind"], train["loss"], train["distance"]) == ("train", 1.0, None)
    assert (select["macro_mAP"], select["loss"]) == (None, None)
