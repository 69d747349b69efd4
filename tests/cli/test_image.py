"""The command line: exit codes, one clear line, and never a half-written result."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from saiseld.acoustics.uplam import UpLAM
from saiseld.cli.main import main
from saiseld.detector.model import Detector
from saiseld.formats.annotation import read_annotations
from saiseld.formats.checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * 2400, 4))
    soundfile.write(folder / "rec.wav", audio, 24000, subtype="FLOAT")
    torch.manual_seed(0)
    header = {"projection": "great_circle"}
    write_checkpoint(folder / "uplam.safetensors", UpLAM().state_dict(), header)
    Detector("compact", "great_circle").save(folder / "detector.safetensors")
    return folder


@pytest.fixture
def saiseld(monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[..., tuple[int, str]]:
    """Run the command line and return its exit code and what it said on standard error."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["saiseld", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), " ".join(capsys.readouterr().err.split())

    return run


def names(path: Path) -> set[str]:
    return {p.name for p in path.iterdir()}


def test_image_writes_masks_candidates_and_overlay_once(folder, tmp_path, saiseld) -> None:
    command = ("image", folder / "rec.wav", "--weights", folder, "-o", tmp_path)
    code, told = saiseld(*command)
    assert code == 0 and "in 3 frames" in told and "3 frames without a picture" in told
    assert names(tmp_path) == {"rec.json", "rec.mp4", "rec.candidates.parquet"}
    assert read_annotations(tmp_path / "rec.json", predictions=True)
    code, told = saiseld(*command)
    assert code == 0 and "already imaged" in told


def test_a_stop_in_the_middle_leaves_nothing_half_done(folder, tmp_path, saiseld) -> None:
    command = ("image", folder / "rec.wav", "--weights", folder, "-o", tmp_path)
    with pytest.MonkeyPatch.context() as patch:

        def stop(*arguments: object, **options: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("saiseld.viewing.overlay.draw_panorama", stop)
        code, told = saiseld(*command)
    assert code == 130 and "the same command goes on" in told
    assert names(tmp_path) == set()
    assert saiseld(*command)[0] == 0
    assert "rec.json" in names(tmp_path)


def test_a_full_disk_is_one_clear_line(folder, tmp_path, saiseld, monkeypatch) -> None:
    def full(self: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, told = saiseld("image", folder / "rec.wav", "--weights", folder, "-o", tmp_path)
    assert code == 2 and "rec.json: expected to write it, found No space left" in told
    assert "rec.json" not in names(tmp_path)


def test_user_mistakes_are_one_line_and_exit_2(folder, tmp_path, saiseld) -> None:
    recording = folder / "rec.wav"
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "file").write_text("")
    weights = ("--weights", folder)
    for command, message in (
        ((tmp_path / "absent.wav", *weights, "-o", tmp_path), "no such file"),
        ((tmp_path / "text.wav", *weights, "-o", tmp_path), "expected a WAV or FLAC"),
        ((recording, "--weights", tmp_path, "-o", tmp_path), "Train them with `saiseld train"),
        ((recording, *weights, "-o", tmp_path / "file" / "x"), "a folder that can be written"),
        ((recording, *weights, "-o", tmp_path, "--system", "TASK3B_9"), "expected one of Baseline"),
        ((recording, *weights, "-o", tmp_path, "--video", tmp_path / "no.mp4"), "no such file"),
    ):
        code, told = saiseld("image", *command)
        assert code == 2 and message in told and "Traceback" not in told
    assert names(tmp_path) == {"text.wav", "file"}


def test_doctor_says_what_is_wrong_and_exits_1(folder, tmp_path, saiseld, capsys) -> None:
    assert saiseld("doctor", folder / "rec.wav")[0] == 0
    (tmp_path / "text.wav").write_text("no sound")
    assert saiseld("doctor", tmp_path / "text.wav")[0] == 1


def test_features_go_on_where_they_stopped(folder, tmp_path, saiseld) -> None:
    command = ("features", folder / "rec.wav", "--weights", folder, "-o", tmp_path)
    assert saiseld(*command)[0] == 0
    made = (tmp_path / "rec.features.safetensors").stat().st_mtime_ns
    assert saiseld(*command)[0] == 0
    assert (tmp_path / "rec.features.safetensors").stat().st_mtime_ns == made
