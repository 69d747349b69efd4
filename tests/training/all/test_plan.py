"""What ``saiseld train all`` will do, for corpora with and without pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.errors import raises
from typer.main import get_command

from saiseld.cli.main import build
from saiseld.cli.train_all import train_all
from saiseld.data.corpora import open_corpus
from saiseld.formats.checkpoint import write_checkpoint
from saiseld.runtime.errors import CheckpointError, DataError
from saiseld.training.all.plan import Choices, make_plan


def corpus(folder: Path, *, video: bool, train_rooms: int = 3, test_rooms: int = 1) -> Path:
    for room in range(1, 1 + train_rooms + test_rooms):
        split = "dev-train-a" if room <= train_rooms else "dev-test-a"
        for where, suffix in (
            ("mic_dev", ".wav"),
            ("metadata_dev", ".csv"),
            ("labels_dev", "_std.json"),
            ("video_dev", ".mp4"),
        ):
            if video or suffix != ".mp4":
                path = folder / where / split / f"fold1_room{room}_mix001{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"")
    return folder


CHOICES = Choices(front_end="uplam.safetensors")


def test_a_corpus_with_video_makes_both_branches(tmp_path) -> None:
    data = open_corpus(corpus(tmp_path / "data", video=True, train_rooms=12))
    plan = make_plan(data, tmp_path / "out", CHOICES)
    assert [stage.name for stage in plan.stages] == [
        "front end",
        "features",
        "detector",
        "SELD network",
        "candidates to decide by",
        "fusion",
        "matchability",
        "viewing threshold",
        "graphs",
        "candidates to score",
        "predictions",
        "scores",
    ]
    assert not plan.is_optimistic and plan.has_detector
    assert plan.rooms["score"] == ["room13"]
    of_score = [path.name for path in (tmp_path / "out/work/audio/score").iterdir()]
    assert of_score == ["fold1_room13_mix001.wav"]
    decided, scored = plan.rooms["calibrate"], plan.rooms["score"]
    assert decided and not set(decided) & {*plan.rooms["train"], *plan.rooms["select"], *scored}


def test_matchability_takes_two_rooms_to_calibrate_in(tmp_path) -> None:
    plan = make_plan(open_corpus(corpus(tmp_path / "data", video=True)), tmp_path / "out", CHOICES)
    assert plan.has_detector and "matchability" not in [stage.name for stage in plan.stages]
    (predictions,) = (stage for stage in plan.stages if stage.name == "predictions")
    assert [path.name for path in predictions.makes] == ["audiovisual", "audio", "TASK3B_3"]


def test_without_video_there_is_an_audio_branch_alone(tmp_path) -> None:
    data = open_corpus(corpus(tmp_path / "data", video=False, test_rooms=0))
    plan = make_plan(data, tmp_path / "out", CHOICES)
    names = [stage.name for stage in plan.stages]
    assert not plan.has_detector and "detector" not in names and "matchability" not in names
    assert plan.is_optimistic and plan.rooms["score"] == plan.rooms["select"]


@pytest.mark.parametrize("video", [True, False])
def test_every_command_of_a_plan_can_be_parsed(tmp_path, video) -> None:
    choices = Choices("train", bank=tmp_path, responses=tmp_path, steps=1, jobs=2, device="cpu")
    data = open_corpus(corpus(tmp_path / "data", video=video, train_rooms=12))
    application = get_command(build())
    for stage in make_plan(data, tmp_path / "out", choices).stages:
        for words in map(list, stage.commands):
            command = application
            while hasattr(command, "commands"):
                command = command.commands[words.pop(0)]
            with command.make_context("saiseld", words) as context:
                assert context.params


def test_a_recogniser_lies_beside_the_network_before_anything_is_decided(tmp_path) -> None:
    choices = Choices("uplam.safetensors", recogniser=tmp_path / "mine.safetensors")
    data = open_corpus(corpus(tmp_path / "data", video=False))
    stages = make_plan(data, tmp_path / "out", choices).stages
    names = [stage.name for stage in stages]
    taken = stages[names.index("recogniser")]
    assert taken.copies == {choices.recogniser: tmp_path / "out/recogniser.safetensors"}
    assert names.index("recogniser") < names.index("candidates to decide by")


def test_a_file_that_is_no_recogniser_is_told_before_any_work(tmp_path) -> None:
    other = tmp_path / "other.safetensors"
    write_checkpoint(other, {"weight": torch.zeros(1)}, {"kind": "seld"})
    data = corpus(tmp_path / "data", video=False)
    with raises(CheckpointError, place="kind", expected="recogniser", found="seld"):
        train_all(data, tmp_path / "out", recogniser=str(other))
    assert not (tmp_path / "out").exists()


def test_links_follow_the_corpus(tmp_path) -> None:
    folder = tmp_path / "out/work/audio/score"
    folder.mkdir(parents=True)
    (folder / "old.wav").symlink_to(tmp_path / "gone.wav")
    make_plan(open_corpus(corpus(tmp_path / "data", video=False)), tmp_path / "out", CHOICES)
    assert [path.name for path in folder.iterdir()] == ["fold1_room4_mix001.wav"]


def test_recordings_without_masks_cannot_be_scored(tmp_path) -> None:
    data = corpus(tmp_path / "data", video=False)
    (data / "labels_dev/dev-test-a/fold1_room4_mix001_std.json").unlink()
    with pytest.raises(DataError) as caught:
        make_plan(open_corpus(data), tmp_path / "out", CHOICES)
    assert caught.value.source.endswith("fold1_room4_mix001.wav")
