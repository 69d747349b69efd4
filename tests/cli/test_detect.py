from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from saiseld.acoustics.uplam import UpLAM
from saiseld.cli.detect import detect
from saiseld.cli.features import features
from saiseld.detector.model import Detector
from saiseld.formats.candidates import read_candidates
from saiseld.formats.checkpoint import write_checkpoint
from saiseld.runtime.errors import CheckpointError, DataError


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    write_checkpoint(folder / "uplam.safetensors", UpLAM().state_dict(), {"projection": "official"})
    Detector("compact", "official").save(folder / "detector.safetensors", half=True)
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "room1.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal((7300, 4))
    soundfile.write(path, noise, 24_000)
    return path


def test_tables_are_made_once(recording: Path, weights: Path, tmp_path: Path, capsys) -> None:
    detect([recording], tmp_path, weights=weights)
    table_path = tmp_path / "room1.candidates.parquet"
    table = read_candidates(table_path)
    assert (table.recording, table.frames) == ("room1", 3)
    assert 0 < table.has_map.sum() < len(table)
    assert "1 recordings detected" in (said := capsys.readouterr().out)
    assert "3 frames without a picture" in said
    before = table_path.stat().st_mtime_ns
    detect([recording], tmp_path, weights=weights)
    assert table_path.stat().st_mtime_ns == before
    assert "0 recordings detected" in capsys.readouterr().out


def test_features_stand_in_for_the_sound(recording: Path, weights: Path, tmp_path: Path) -> None:
    features([recording], tmp_path / "features", weights=weights)
    detect([recording], tmp_path, features=tmp_path / "features", weights=weights, all_maps=True)
    table = read_candidates(tmp_path / "room1.candidates.parquet")
    assert table.frames == 3 and table.has_map.all()


def test_absent_features_are_named(recording: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"room1\.features\.safetensors: expected a features file"):
        detect([recording], tmp_path, features=tmp_path / "none", weights=weights)
    assert not list(tmp_path.glob("*.parquet"))


def test_absent_weights_are_named(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="saiseld train detector"):
        detect([recording], tmp_path, weights=tmp_path)
