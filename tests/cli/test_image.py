"""The command line: exit codes, one clear line, and never a half-written result."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from saiseld.detector.model import Detector
from saiseld.formats.annotation import read_annotations
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.prediction import Prediction
from saiseld.pipeline.results import Results, read_run_record
from saiseld.pipeline.weights import DEMO

RESULTS = {
    "rec.json",
    "rec.candidates.parquet",
    "rec.events.csv",
    "rec.overlay.mp4",
    "rec.provenance",
    "rec.page.html",
    "index.html",
}


def names(path: Path) -> set[str]:
    return {p.name for p in path.iterdir()}


def test_image_writes_masks_candidates_and_overlay_once(untrained, tmp_path, saiseld) -> None:
    command = ("image", untrained / "rec.wav", "--weights", untrained, "-o", tmp_path)
    code, told = saiseld(*command)
    assert code == 0 and "in 3 frames" in told and "3 frames without a picture" in told
    assert names(tmp_path) == RESULTS
    assert read_annotations(tmp_path / "rec.json", predictions=True)
    code, told = saiseld(*command)
    assert code == 0 and "already imaged" in told


def test_page_says_what_is_wrong_with_the_recording(untrained, tmp_path, saiseld) -> None:
    audio, rate = soundfile.read(untrained / "rec.wav")
    audio[:, 2] = 0
    soundfile.write(tmp_path / "rec.wav", audio, rate)
    out = tmp_path / "out"
    command = ("image", tmp_path / "rec.wav", "--weights", untrained, "--no-overlay", "-o", out)
    assert saiseld(*command)[0] == 0
    assert any(
        "channel 3 is dead" in text for text in read_run_record(Results(out, "rec")).warnings
    )
    assert "channel 3 is dead" in (out / "rec.page.html").read_text()
    assert str(tmp_path) not in (out / "rec.page.html").read_text()


def test_a_run_that_goes_on_repeats_what_was_warned_of(untrained, tmp_path, saiseld) -> None:
    """Stopped between the candidate table and the masks."""
    command = (
        "image",
        untrained / "rec.wav",
        "--weights",
        untrained,
        "--no-overlay",
        "-o",
        tmp_path,
    )
    image = Imager.image

    def warning(*args: Any, **options: Any) -> Prediction:
        logging.getLogger("saiseld.seld.inference").warning("%s: odd", args[1].path)
        return image(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Imager, "image", warning)
        assert saiseld(*command)[0] == 0
    whole = (tmp_path / "rec.provenance").read_bytes()
    assert "odd" in read_run_record(Results(tmp_path, "rec")).warnings
    (tmp_path / "rec.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Imager, "image", None)  # it is not imaged again
        assert saiseld(*command)[0] == 0
    assert (tmp_path / "rec.provenance").read_bytes() == whole


def test_formats_of_other_programs_are_written_later_too(untrained, tmp_path, saiseld) -> None:
    command = ("image", untrained / "rec.wav", "--weights", untrained, "-o", tmp_path)
    code, told = saiseld(*command, "--no-overlay", "--write", "rttm")
    assert code == 0, told
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("saiseld.pipeline.imager.Imager.image", None)  # it is not imaged again
        assert saiseld(*command, "--no-overlay", "--write", "audacity,textgrid")[0] == 0
    written = {"rec.rttm", "rec.audacity.txt", "rec.TextGrid"}
    assert names(tmp_path) == (RESULTS - {"rec.overlay.mp4"}) | written


def test_a_stop_in_the_middle_leaves_nothing_half_done(untrained, tmp_path, saiseld) -> None:
    command = ("image", untrained / "rec.wav", "--weights", untrained, "-o", tmp_path)
    with pytest.MonkeyPatch.context() as patch:

        def stop(*arguments: object, **options: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("saiseld.viewing.overlay.draw_yuv", stop)
        code, told = saiseld(*command)
    assert code == 130 and "the same command goes on" in told
    assert names(tmp_path) == {"rec.candidates.parquet", "rec.events.csv", "rec.provenance"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("saiseld.pipeline.imager.Imager.image", stop)  # it is not imaged again
        assert saiseld(*command)[0] == 0
    assert names(tmp_path) == RESULTS
    assert saiseld(*command[:-1], tmp_path / "at_once")[0] == 0
    for name in ("rec.json", "rec.events.csv"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "at_once" / name).read_bytes()


def test_a_users_video_is_never_written_over(untrained, tmp_path, saiseld) -> None:
    """Imaging meeting.wav with meeting.mp4 into their own folder."""
    shutil.copy(untrained / "rec.wav", tmp_path / "rec.wav")
    shutil.copy(DEMO / "fold4_room2_mix001.mp4", tmp_path / "rec.mp4")
    before = {name: (tmp_path / name).read_bytes() for name in ("rec.wav", "rec.mp4")}
    command = ("image", tmp_path / "rec.wav", "--weights", untrained, "-o", tmp_path)
    assert saiseld(*command, "--video", tmp_path / "rec.mp4")[0] == 0
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    # Nor is an overlay ever taken for a picture, by whatever name it goes.
    shutil.copy(tmp_path / "rec.overlay.mp4", tmp_path / "rec.mp4")
    code, told = saiseld(*command, "--video", tmp_path / "rec.mp4", "--force")
    assert code == 2 and "an overlay that was drawn over one" in told
    code, told = saiseld(*command, "--video", tmp_path, "--force")
    assert code == 0 and "3 frames without a picture" in told


def test_a_result_that_is_an_input_is_refused_before_any_work(untrained, tmp_path, saiseld) -> None:
    shutil.copy(untrained / "rec.wav", tmp_path / "rec.wav")
    (tmp_path / "rec.overlay.mp4").symlink_to(tmp_path / "video.mp4")
    shutil.copy(DEMO / "fold4_room2_mix001.mp4", tmp_path / "video.mp4")
    command = ("image", tmp_path / "rec.wav", "--weights", untrained, "-o", tmp_path)
    code, told = saiseld(*command, "--video", tmp_path / "video.mp4")
    assert code == 2 and "expected a result that is none of the inputs" in told
    assert names(tmp_path) == {"rec.wav", "video.mp4", "rec.overlay.mp4"}


def test_an_old_result_is_never_called_a_new_one(untrained, tmp_path, saiseld) -> None:
    out = tmp_path / "out"
    command = ("image", untrained / "rec.wav", "--weights", untrained, "-o", out, "--no-overlay")
    assert saiseld(*command)[0] == 0
    made = (out / "rec.json").read_bytes()
    torch.manual_seed(1)
    shutil.copytree(untrained, tmp_path / "other")
    Detector("compact", "great_circle").save(tmp_path / "other" / "detector.safetensors")
    video = DEMO / "fold4_room2_mix001.mp4"
    for changed, difference in (
        (("--weights", tmp_path / "other"), "another detector.safetensors"),
        (("--video", video), "another video"),
        (("--system", "TASK3B_4"), "another system"),
    ):
        code, told = saiseld(*command, *changed)
        assert code == 2 and f"masks of an earlier run ({difference})" in told
        assert "--force" in told and (out / "rec.json").read_bytes() == made
    code, told = saiseld(*command, "--weights", tmp_path / "other", "--force")
    assert code == 0 and (out / "rec.json").read_bytes() != made
    (out / "rec.provenance").write_text("{")
    code, told = saiseld(*command)
    assert code == 2 and "what made them is not known" in told


def test_one_bad_file_does_not_stop_a_folder(untrained, tmp_path, saiseld) -> None:
    takes, out = tmp_path / "takes", tmp_path / "out"
    takes.mkdir()
    for name in ("a", "c"):
        shutil.copy(untrained / "rec.wav", takes / f"{name}.wav")
    (takes / "b.wav").write_text("no sound")
    command = ("image", takes, "--weights", untrained, "-o", out, "--no-overlay")
    code, told = saiseld(*command)
    assert code == 2 and (out / "a.json").exists() and not (out / "c.json").exists()
    code, told = saiseld(*command, "--keep-going")
    assert code == 1 and "b.wav: expected" in told and "1 of 3 failed: b" in told
    assert {"a.json", "c.json"} <= names(out)


def test_a_broken_file_that_is_named_first_does_not_stop_the_others(
    untrained, tmp_path, saiseld
) -> None:
    (tmp_path / "broken.wav").write_text("no sound")
    named = (tmp_path / "broken.wav", tmp_path / "absent.wav", untrained / "rec.wav")
    command = ("image", *named, "--weights", untrained, "-o", tmp_path / "out", "--no-overlay")
    code, told = saiseld(*command, "--keep-going")
    assert code == 1 and "2 of 3 failed: broken, absent" in told
    assert "rec.json" in names(tmp_path / "out")
    assert saiseld(*command)[0] == 2


def test_what_is_asked_for_beyond_what_is_there_is_drawn(untrained, tmp_path, saiseld) -> None:
    command = ("image", untrained / "rec.wav", "--weights", untrained, "-o", tmp_path)
    assert saiseld(*command, "--no-overlay")[0] == 0
    masks = (tmp_path / "rec.json").stat().st_mtime_ns
    events = (tmp_path / "rec.events.csv").read_bytes()
    code, told = saiseld(*command, "--no-overlay", "--threshold", 0)
    assert code == 0 and "drawn again" in told
    assert (tmp_path / "rec.events.csv").read_bytes() != events
    assert "already imaged" in saiseld(*command, "--no-overlay", "--threshold", 0)[1]
    assert "drawn again" in saiseld(*command, "--threshold", 0, "--starss")[1]
    assert names(tmp_path) == {*RESULTS, "rec.csv"}
    # Back to the usual threshold: nothing that was drawn at another one is left.
    assert saiseld(*command, "--no-overlay")[0] == 0
    assert (tmp_path / "rec.events.csv").read_bytes() == events
    assert names(tmp_path) == RESULTS - {"rec.overlay.mp4"}
    assert (tmp_path / "rec.json").stat().st_mtime_ns == masks


def test_a_recording_is_opened_once(untrained, tmp_path, saiseld, monkeypatch) -> None:
    from saiseld.data import recordings

    opened = []
    check = recordings.check_length
    monkeypatch.setattr(
        recordings, "check_length", lambda *what: opened.append(what) or check(*what)
    )
    command = ("image", untrained / "rec.wav", "--weights", untrained, "-o", tmp_path)
    assert saiseld(*command)[0] == 0 and len(opened) == 1


def test_nothing_of_a_recordings_name_takes_effect(untrained, tmp_path, saiseld) -> None:
    name = "[red]take $x_$"
    shutil.copy(untrained / "rec.wav", tmp_path / f"{name}.wav")
    command = ("image", tmp_path / f"{name}.wav", "--weights", untrained, "-o", tmp_path / "out")
    code, told = saiseld(*command)
    assert code == 0 and f"{name}: nothing credible was heard" in told
    shutil.copy(untrained / "rec.wav", tmp_path / "a\x1b[2Jb.wav")
    code, told = saiseld("image", tmp_path / "a\x1b[2Jb.wav", *command[2:])
    assert code == 2 and "\x1b" not in told and "a name" in told


def test_a_full_disk_is_one_clear_line(untrained, tmp_path, saiseld, monkeypatch) -> None:
    def full(self: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, told = saiseld("image", untrained / "rec.wav", "--weights", untrained, "-o", tmp_path)
    assert code == 2 and "rec.provenance: expected to write it, found No space left" in told
    assert "rec.json" not in names(tmp_path)


def test_user_mistakes_are_one_line_and_exit_2(untrained, tmp_path, saiseld) -> None:
    recording = untrained / "rec.wav"
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "file").write_text("")
    weights = ("--weights", untrained)
    for command, message in (
        ((tmp_path / "absent.wav", *weights, "-o", tmp_path), "no such file"),
        ((tmp_path / "text.wav", *weights, "-o", tmp_path), "expected a WAV or FLAC"),
        ((recording, "--weights", tmp_path, "-o", tmp_path), "Train them with `saiseld train"),
        ((recording, *weights, "-o", tmp_path / "file" / "x"), "a folder that can be written"),
        (
            (recording, *weights, "-o", tmp_path, "--system", "TASK3B_9"),
            "expected one of audiovisual",
        ),
        ((recording, *weights, "-o", tmp_path, "--video", tmp_path / "no.mp4"), "no such file"),
    ):
        code, told = saiseld("image", *command)
        assert code == 2 and message in told and "Traceback" not in told
    assert names(tmp_path) == {"text.wav", "file"}
