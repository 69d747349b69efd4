from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.errors import raises
from tests.training.tiny_tree import make_features, make_tree

from saiseld.conventions.symmetry import IDENTITY, SYMMETRIES
from saiseld.data.stairs26 import open_dataset
from saiseld.detector.model import Detector
from saiseld.formats.checkpoint import write_checkpoint
from saiseld.formats.features import Features
from saiseld.runtime.errors import CheckpointError, DataError, OutputError, RecipeError
from saiseld.training import loop
from saiseld.training.detector.data import TrainingData, training_data
from saiseld.training.detector.dataset import FrameDataset
from saiseld.training.detector.engine import STATE, WEIGHTS, Trainer
from saiseld.training.detector.model_selection import Selection
from saiseld.training.detector.recipes import Recipe, read_recipe
from saiseld.training.detector.start_weights import start_from
from saiseld.training.detector.symmetric import SymmetricFrames


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def data(tree: Path) -> TrainingData:
    return training_data(tree, tree / "features", tree / "cache", recipe=recipe())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def recipe(**changes) -> Recipe:
    tiny = {"epochs": 2, "frames_per_epoch": 2, "batch_size": 1, "selection_frames": 2}
    augmentation = {"rgb_dropout": 0.5, "rotation": True, "flip": 0.5, "rgb_jitter": 0.2}
    known = read_recipe("compact").model_dump()
    return Recipe.model_validate(known | tiny | {"augmentation": augmentation} | changes)


class _Killed(BaseException):
    """Stands for a process that is ended from outside."""


def test_a_killed_run_goes_on_bit_for_bit(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Trainer(data, recipe(checkpoint_minutes=0), tmp_path / "whole")
    whole.run()
    learn = Trainer.training_step
    calls = 0

    def dying(self, *args):
        nonlocal calls
        calls += 1
        if calls == 2:  # in the middle of the first epoch
            raise _Killed
        return learn(self, *args)

    monkeypatch.setattr(Trainer, "training_step", dying)
    with pytest.raises(_Killed):
        Trainer(data, recipe(checkpoint_minutes=0), tmp_path / "killed").run()
    resumed = Trainer(data, recipe(checkpoint_minutes=0), tmp_path / "killed")
    assert (resumed.epoch, resumed.step) == (1, 1)
    resumed.run()
    for key, value in whole.detector.state_dict().items():
        assert torch.equal(value, resumed.detector.state_dict()[key]), key
    assert (tmp_path / "whole" / WEIGHTS).read_bytes() == (
        tmp_path / "killed" / WEIGHTS
    ).read_bytes()


def test_a_run_leaves_weights_and_logs(data: TrainingData, tmp_path: Path) -> None:
    trainer = Trainer(data, recipe(epochs=1), tmp_path)
    assert not list(tmp_path.glob("*.pt"))
    loaded = Detector.load(trainer.run())
    assert loaded.projection == data.projection == "official"
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["kind"] == "select" and lines[-1]["macro_mAP"] == trainer.best
    assert list((tmp_path / "tensorboard").glob("events*"))
    # A finished run has nothing left to do.
    before = (tmp_path / WEIGHTS).stat().st_mtime_ns
    Trainer(data, recipe(epochs=1), tmp_path).run()
    assert (tmp_path / WEIGHTS).stat().st_mtime_ns == before


def test_the_plateau_halves_the_rate(data: TrainingData, tmp_path: Path) -> None:
    chosen = recipe(epochs=3, frames_per_epoch=1, schedule="plateau", patience=0)
    trainer = Trainer(data, chosen, tmp_path)
    trainer.run()
    assert trainer.best >= 0
    assert trainer.rate <= 0.5  # three epochs of one step do not all improve


@pytest.mark.parametrize(("restarts", "rate"), [(False, 0.25), (True, 1.0)])
def test_the_plateau_restarts_where_a_group_begins_to_move(
    data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    restarts: bool,
    rate: float,
) -> None:
    falling = iter([0.5, 0.4, 0.3])
    monkeypatch.setattr(
        Selection,
        "score",
        lambda *_: SimpleNamespace(headline=lambda: {"macro_mAP": next(falling)}),
    )
    groups = [{"parameters": "energy_head", "from_epoch": 3}]
    plateau = {"schedule": "plateau", "patience": 0, "plateau_restarts": restarts}
    trainer = Trainer(
        data, recipe(epochs=3, frames_per_epoch=1, groups=groups, **plateau), tmp_path
    )
    trainer.run()
    assert (trainer.best, trainer.rate) == (0.5, rate)


def test_the_epoch_can_be_chosen_on_dev_test(tree: Path, tmp_path: Path) -> None:
    own = tmp_path / "tree"
    shutil.copytree(tree, own, ignore=shutil.ignore_patterns("cache"))
    for path in [*own.glob("*_dev/*/*room1*"), *own.glob("features/*room1*")]:
        copy = own / path.relative_to(own).as_posix().replace("room1", "room7")
        copy = Path(str(copy).replace("dev-train", "dev-test"))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    chosen = recipe(selection_rooms="dev_test")
    known = training_data(own, own / "features", tmp_path / "cache", recipe=chosen).provenance
    assert known["training_rooms"] == ["1", "2", "3"] and known["selection_rooms"] == ["7"]


def test_another_recipe_is_refused(data: TrainingData, tmp_path: Path) -> None:
    Trainer(data, recipe(), tmp_path).save()
    with raises(RecipeError, place="recipe", expected="5.0", found="2.0"):
        Trainer(data, recipe(clip_norm=2.0), tmp_path)


def test_not_a_state(data: TrainingData, tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"nothing")
    with raises(CheckpointError, expected="the state of a training run"):
        Trainer(data, recipe(), tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("recipe", 5), ("done", "1"), ("done", -1), ("done", 1.5), ("best", None)),
        *(("model", {}), ("model", {"x": 1}), ("optimizer", {}), ("optimizer", {"state": 1})),
        *(("random", []), ("random", [[torch.zeros(3)]]), ("random", [5])),
    ],
)
def test_a_state_of_other_values_is_refused(
    data: TrainingData, tmp_path: Path, name: str, value: object
) -> None:
    Trainer(data, recipe(), tmp_path).save()
    state = torch.load(tmp_path / STATE, weights_only=True)
    torch.save({**state, name: value}, tmp_path / STATE)
    with raises(CheckpointError, tmp_path / STATE):
        Trainer(data, recipe(), tmp_path)


def test_a_loss_that_is_not_a_number_stops(data: TrainingData, tmp_path: Path) -> None:
    trainer = Trainer(data, recipe(checkpoint_minutes=0), tmp_path)
    trainer.save()
    good = (tmp_path / STATE).read_bytes()
    with torch.no_grad():
        trainer.detector.energy_head.net[0].weight.fill_(torch.nan)
    with raises(
        RecipeError,
        place="epoch 1, step 1 of 2,",
        expected="finite",
        found="nan",
        advice="state.pt",
    ):
        trainer.run()
    assert (tmp_path / STATE).read_bytes() == good
    Trainer(data, recipe(checkpoint_minutes=0), tmp_path).run()


def test_a_full_disk_leaves_the_former_state(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(data, recipe(), tmp_path)
    trainer.save()
    good = (tmp_path / STATE).read_bytes()

    def full(state, file) -> None:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop.torch, "save", full)
    with raises(OutputError, "state.pt", found="No space left"):
        trainer.save()
    assert (tmp_path / STATE).read_bytes() == good
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".pt"] == [STATE]


def test_no_positive_frames(tree: Path, data: TrainingData, tmp_path: Path) -> None:
    labels = tmp_path / "empty_std.json"
    labels.write_text('{"annotations": []}')
    recordings = [replace(r, labels=labels) for r in data.train.recordings]
    frames = FrameDataset(
        recordings,
        lambda r: Features(tree / "features" / f"{r.name}.features.safetensors"),
        tmp_path / "cache",
    )
    silent = replace(data, train=frames, varied=SymmetricFrames([(IDENTITY, frames)]))
    with raises(DataError, expected="frames with labels", found="4 frames without"):
        Trainer(silent, recipe(), tmp_path / "run").run()


def test_the_paper_size_starts_from_what_there_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = Detector("paper")
    coco = {
        key.removeprefix("det.").replace("conv1.conv1_rgb", "conv1"): value
        for key, value in given.state_dict().items()
        if key.startswith(("det.backbone", "det.rpn", "det.roi_heads.box_head"))
        and "conv1_audio" not in key
        and "conv1.rgb_scale" not in key
        and "audio_raw" not in key
    }
    coco["roi_heads.mask_head.0.0.weight"] = torch.zeros(1)
    torch.save(coco, tmp_path / "coco.pth")
    own = Detector("paper")
    assert start_from(own, tmp_path / "coco.pth") == len(coco) - 1
    for name in ("conv1.conv1_rgb.weight", "layer3.1.conv2.weight"):
        key = f"det.backbone.body.{name}"
        assert torch.equal(own.state_dict()[key], given.state_dict()[key])
    with raises(CheckpointError, expected="weights of a compact detector"):
        start_from(Detector("compact"), tmp_path / "coco.pth")


def test_neighbouring_frames_are_ignored_at_first(tree: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    alone = Detector("compact").eval()
    alone.save(tmp_path / "alone.safetensors")
    wide = Detector("compact", context=1).eval()
    start_from(wide, tmp_path / "alone.safetensors")
    latent = torch.rand(1, 27, 484)
    rgb = torch.rand(1, 3, 180, 360)
    one, other = alone.detect(rgb, latent[:, :9])[0], wide.detect(rgb, latent)[0]
    torch.testing.assert_close(other["scores"], one["scores"])
    torch.testing.assert_close(other["boxes"], one["boxes"])
    wide.save(tmp_path / "wide.safetensors")
    assert Detector.load(tmp_path / "wide.safetensors").context == 1
    other_shape = {"det.backbone.body.acoustic.conv.weight": torch.zeros(2, 9, 3, 3)}
    write_checkpoint(tmp_path / "odd.safetensors", other_shape, {})
    with raises(CheckpointError, expected="weights of a compact detector"):
        start_from(wide, tmp_path / "odd.safetensors")


@pytest.mark.slow
def test_neighbouring_frames_and_public_targets_can_be_learnt_from(
    tree: Path, tmp_path: Path
) -> None:
    chosen = recipe(context=1, targets="public", sampling="public", frame_scaling="bilinear")
    data = training_data(tree, tree / "features", tmp_path / "cache", recipe=chosen)
    weights = Trainer(data, chosen, tmp_path / "run").run()
    learnt = Detector.load(weights)
    assert (learnt.acoustic_channels, learnt.frame_scaling) == (27, "bilinear")
    assert data.train[0].targets["boxes"][0].tolist() == [0, 70, 360, 105]
    first, last = data.train[0].latent, data.train[len(data.train) - 1].latent
    assert torch.equal(first[:9], first[9:18]) and not torch.equal(first[:9], first[18:])
    assert torch.equal(last[:9], last[18:]) and not torch.equal(last[:9], last[9:18])


def test_the_tree_is_open_about_its_rooms(tree: Path, data: TrainingData) -> None:
    rooms = {str(r.room) for r in open_dataset(tree).recordings}
    known = data.provenance
    assert len(known["training_rooms"]) == len(known["selection_rooms"]) == 1
    assert {*known["training_rooms"], *known["selection_rooms"]} < rooms


def test_symmetries_act_on_channels_picture_and_targets(tree: Path, tmp_path: Path) -> None:
    names = [name for name in SYMMETRIES if name != "identity"]
    for name in names:
        make_features(tree, name)
    chosen = recipe(epochs=1, augmentation={"symmetries": names})
    data = training_data(tree, tree / "features", tree / "cache", recipe=chosen)
    count = len(data.train)
    assert len(data.varied) == 4 * count
    for frame in range(count):
        original = data.train[frame]
        x0, y0, x1, y1 = original.targets["boxes"][0].tolist()
        azimuth = 180 - (x0 + x1) / 2 - 0.5  # of the middle of the middle pixel
        for number, symmetry in enumerate(SYMMETRIES.values()):
            sample = data.varied[number * count + frame]
            u0, v0, u1, v1 = sample.targets["boxes"][0].tolist()
            assert (u1 - u0, v0, v1) == pytest.approx((x1 - x0, y0, y1))
            moved = symmetry.turn + (-azimuth if symmetry.mirrored else azimuth)
            assert (180 - (u0 + u1) / 2 - 0.5 - moved) % 360 == pytest.approx(0, abs=1e-3)
            assert 0 <= u0 < 360
            inside = sample.targets["energy"][0, :, [int(u0), int(u1) % 360]]
            assert (inside > 0).any(dim=0).all()
            assert torch.equal(sample.latent, original.latent) == (symmetry is IDENTITY)
    run = Trainer(data, chosen, tmp_path)
    assert next(run.steps())["loss"] > 0


def test_features_of_another_symmetry_are_refused(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "features"
    plain = shutil.ignore_patterns("half_turn", "mirror*")
    for copy in (folder, folder / "half_turn"):
        shutil.copytree(tree / "features", copy, ignore=plain)
    with raises(DataError, place="weights", expected="features by the front end"):
        turned = recipe(augmentation={"symmetries": ["half_turn"]})
        training_data(tree, folder, tree / "cache", recipe=turned)
