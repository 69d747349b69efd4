"""Mixing, targets and the loop of the ear's training, on sounds and rooms made up for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests.errors import raises

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import great_circle, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import CheckpointError, DataError, OutputError, RecipeError
from saiseld.runtime.files import only_run
from saiseld.seld.decode import peaks
from saiseld.seld.encoders import YAMNetEncoder
from saiseld.seld.inputs import inputs, steering
from saiseld.seld.model import Seld
from saiseld.seld.network import SeldLogits, SeldNetwork
from saiseld.seld.output import GRID, ROWS
from saiseld.training.processes import Processes
from saiseld.training.seld import run
from saiseld.training.seld.data import Simulated, TrainingData
from saiseld.training.seld.losses import class_targets, losses, map_targets
from saiseld.training.seld.mixing import Mixer
from saiseld.training.seld.model_selection import Scores, average_precision, score
from saiseld.training.seld.recipes import LossWeights, Recipe, SceneRanges, read_recipe
from saiseld.training.seld.responses import Room, read_rooms
from saiseld.training.seld.run import STATE, WEIGHTS, Trainer
from saiseld.training.seld.sounds import PROCEDURAL, Clip, SoundPool
from saiseld.training.seld.windows import Shard, rows, shard_of, turned

STANDING = [(20.0, 10.0), (-90.0, -20.0), (150.0, 0.0)]
WALK = [(60.0 + 4 * step, 5.0) for step in range(12)]


@cache
def responses() -> dict[str, np.ndarray]:
    """Return the responses of a room without walls."""
    array = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
    angles = np.array(STANDING + WALK, np.float32)
    response = np.zeros((len(angles), 4, 256), np.float32)
    for row, (azimuth, elevation) in enumerate(angles):
        direction = unit_vector(azimuth, elevation)[None]
        response[row] = array.arrivals(direction, np.full(1, 60.0), np.ones((1, 1)), 256)[0]
    scale = np.abs(response).max((1, 2))
    return {
        "response": (response / scale[:, None, None]).astype(np.float16),
        "scale": scale,
        "azimuth": angles[:, 0].copy(),
        "elevation": angles[:, 1].copy(),
        "distance_cm": np.full(len(angles), 150, np.float32),
        "path": np.array([-1] * len(STANDING) + [0] * len(WALK), np.int16),
    }


def room(path: Path) -> Room:
    """Write a room without walls."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(responses(), path, metadata={"saiseld": json.dumps({})})
    return Room(path)


@cache
def pool() -> SoundPool:
    """Return two seconds of noise from four sources and a procedural one, for each class."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(13 * 5 * 2 * SAMPLE_RATE).astype(np.float16)
    names = ["a", "b", "c", "d", PROCEDURAL]
    clips = [
        Clip(class_id, name, 0, (5 * class_id + number) * 2 * SAMPLE_RATE, 2 * SAMPLE_RATE)
        for class_id in range(13)
        for number, name in enumerate(names)
    ]
    return SoundPool([samples], clips)


def test_selection_hears_other_sources() -> None:
    train, select = pool().split(0.25)
    for class_id in range(13):
        of_train = set(train.by_source(class_id)) - {PROCEDURAL}
        of_selection = set(select.by_source(class_id)) - {PROCEDURAL}
        assert len(of_selection) == 1
        assert len(of_train) == 3
        assert not of_train & of_selection


def test_rooms_that_cannot_be_read_are_told(tmp_path) -> None:
    with raises(DataError, expected="room responses"):
        read_rooms(tmp_path)
    (tmp_path / "room_000.safetensors").write_bytes(b"no room")
    with raises(DataError, "room_000"):
        read_rooms(tmp_path)


CLEAN = SceneRanges(
    sources=(0, 1),
    equaliser_db=0,
    room_equaliser_db=0,
    capsule_db=0,
    snr_db=(40, 40),
    moving=0,
    class_weights=(0, 0, 0, 1, *[0] * 9),
)


@pytest.mark.parametrize("moving", [0.0, 1.0])
def test_scenes_sound_from_where_they_say(tmp_path, moving) -> None:
    of = CLEAN.model_copy(update={"moving": moving, "class_weights": (1.0, *[0.0] * 12)})
    mixer = Mixer(pool(), [room(tmp_path / "room_000.safetensors")], of, 30)
    for seed in range(3):
        scene = mixer.scene(np.random.default_rng(seed))
        assert scene.audio.shape == (4, 30 * 2400)
        (track,) = scene.tracks
        assert (np.ptp(track.azimuth) > 2) == bool(moving)
        response = np.einsum("tmk,mkp->tp", inputs(scene.audio).covariance, steering(GRID))
        found = unit_vector_of(peaks(response, 1, 20.0).point[:, 0])
        error = great_circle(*found, track.azimuth, track.elevation)
        assert np.median(error[track.active]) < 9


def unit_vector_of(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the angles of points of the grid."""
    x, y, z = GRID[:, point]
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(z))


def test_a_scene_is_a_function_of_its_seed(tmp_path) -> None:
    mixer = Mixer(pool(), [room(tmp_path / "room_000.safetensors")], SceneRanges(), 20)
    one, same, other = (mixer.scene(np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.audio, same.audio)
    assert not np.array_equal(one.audio, other.audio)


def test_targets_by_hand(tmp_path) -> None:
    mixer = Mixer(pool(), [room(tmp_path / "room_000.safetensors")], CLEAN, 20)
    shard = shard_of([mixer.scene(np.random.default_rng(0))], YAMNetEncoder())
    active = shard["active"][0, 0]
    classes = class_targets(shard)[0]
    assert classes.shape == (20, ROWS)
    torch.testing.assert_close(classes[:, 3], active.float())
    torch.testing.assert_close(classes[:, 13], active.float())
    assert classes[:, [c for c in range(13) if c != 3]].sum() == 0
    points = torch.arange(GRID.shape[1])
    maps = map_targets(shard, points, 9.0)[0]
    frame = int(active.nonzero()[0])
    place = unit_vector(shard["azimuth"][0, 0, frame], shard["elevation"][0, 0, frame])
    angle = np.degrees(np.arccos(np.clip(GRID.T @ place, -1, 1)))
    np.testing.assert_allclose(maps[frame, 3], np.exp(-0.5 * (angle / 9) ** 2), atol=1e-3)
    torch.testing.assert_close(maps[:, 13], maps[:, 3])
    assert maps[:, 4].sum() == 0

    perfect = SeldLogits(
        torch.logit(class_targets(shard), eps=1e-6),
        torch.logit(map_targets(shard, points, 9.0), eps=1e-6),
        torch.log(torch.full((1, 20, 13), 1.5)),
    )
    nothing = SeldLogits(*(torch.zeros_like(part) for part in perfect))
    best = losses(perfect, shard, points, 9.0, LossWeights())
    worse = losses(nothing, shard, points, 9.0, LossWeights())
    assert best["distance"] < 1e-3
    assert all(best[name] < worse[name] for name in best)


def test_turned_windows_sound_from_turned_directions(tmp_path) -> None:
    mixer = Mixer(pool(), [room(tmp_path / "room_000.safetensors")], CLEAN, 20)
    shard = shard_of([mixer.scene(np.random.default_rng(1))], YAMNetEncoder())
    for name in ("half_turn", "mirror_45", "mirror_-45"):
        other = turned(shard, name)
        table = torch.from_numpy(steering(GRID))
        response = torch.einsum("btmk,mkp->btp", other["covariance"].float(), table)[0].numpy()
        active = other["active"][0, 0].numpy()
        found = unit_vector_of(peaks(response, 1, 20.0).point[:, 0])
        true = other["azimuth"][0, 0].numpy(), other["elevation"][0, 0].numpy()
        assert np.median(great_circle(*found, *true)[active]) < 9
    assert len(rows(shard, [0, 0])["class_id"]) == 2


def test_average_precision_by_hand() -> None:
    value = np.array([0.9, 0.8, 0.7, 0.6])
    right = np.array([True, False, True, False])
    assert average_precision(value, right, 2) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(average_precision(value, right, 0))


TINY = Recipe(
    steps=4,
    batch_size=2,
    fresh=1,
    learning_rate=1e-3,
    points=16,
    selection_scenes=2,
    selection_every=2,
    precision="no",
)


def data(folder: Path, encoder: YAMNetEncoder) -> TrainingData:
    rooms = [room(folder / "rooms/room_000.safetensors")]
    return TrainingData(Simulated(pool(), rooms, rooms), None, encoder, "yamnet", {"made": "up"})


@pytest.mark.slow
def test_a_prior_that_learns_too_is_looked_at_as_it_is_now(tmp_path, monkeypatch) -> None:
    looked_at = []

    def look(network: SeldNetwork, scenes: Shard) -> Scores:
        looked_at.append(scenes["embedding"])
        return score(network, scenes)

    monkeypatch.setattr(run, "score", look)
    recipe = TINY.model_copy(update={"encoder_lr_factor": 0.1})
    trainer = Trainer(data(tmp_path, YAMNetEncoder()), recipe, tmp_path / "run", workers=0)
    trainer.run()
    with torch.no_grad():
        now = trainer.encoder(None, trainer.selection[0]["mels"].float())
    torch.testing.assert_close(looked_at[-1], now)
    assert not torch.allclose(looked_at[0], looked_at[-1])


@pytest.mark.parametrize("encoder_lr_factor", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
def test_a_run_that_stopped_ends_in_the_same_weights(tmp_path, encoder_lr_factor) -> None:
    short = {"steps": 2, "selection_every": 1, "encoder_lr_factor": encoder_lr_factor}
    recipe = TINY.model_copy(update=short)
    torch.manual_seed(5)
    state = YAMNetEncoder().state_dict()

    def trainer(folder: Path, start: Path | None = None) -> Trainer:
        encoder = YAMNetEncoder()
        encoder.load_state_dict(state)
        return Trainer(data(tmp_path, encoder), recipe, folder, start=start, workers=0)

    whole = trainer(tmp_path / "whole")
    weights = whole.run()
    Seld.load(weights)

    stopped = trainer(tmp_path / "stopped")
    stopped.run(until=1)
    goes_on = trainer(tmp_path / "stopped")
    assert goes_on.done == 1
    goes_on.run()
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, goes_on.network.state_dict()[name]), name
    for name, value in whole.encoder.state_dict().items():
        assert torch.equal(value, goes_on.encoder.state_dict()[name]), name
    assert whole.best == goes_on.best
    log = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["kind"] == "select"] == [1, 2]

    again = trainer(tmp_path / "again", start=weights)
    held = Seld.load(weights).network.state_dict()
    for name, value in again.network.state_dict().items():
        torch.testing.assert_close(value, held[name], msg=name)


@pytest.mark.parametrize("encoder_lr_factor", [0.1, pytest.param(0.0, marks=pytest.mark.slow)])
def test_a_step_stays_on_its_device_until_its_numbers_are_read(
    tmp_path, monkeypatch, encoder_lr_factor
) -> None:
    given = data(tmp_path, YAMNetEncoder())
    fresh = Trainer(given, TINY, tmp_path / "cpu", device="cpu").shards[0]
    read: list[dict[str, torch.Tensor]] = []

    def no_numbers(values: dict[str, torch.Tensor]) -> dict[str, float]:
        read.append(values)
        return dict.fromkeys(values, 0.0)

    # A device without numbers: whoever waits for one, or mixes devices, fails.
    monkeypatch.setattr(run, "device_of", lambda device: "meta")
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **options: nullcontext())
    monkeypatch.setattr(run, "read", no_numbers)
    recipe = TINY.model_copy(update={"encoder_lr_factor": encoder_lr_factor})
    Trainer(given, recipe, tmp_path / "there").training_step(fresh)
    assert len(read) == 1 and all(value.is_meta for value in read[0].values())


def test_a_second_run_in_the_same_folder_says_so(tmp_path) -> None:
    trainer = Trainer(data(tmp_path, YAMNetEncoder()), TINY, tmp_path / "run", workers=0)
    with only_run(tmp_path / "run"), raises(OutputError, found="still going on"):
        trainer.run()
    assert not (tmp_path / "run/log.jsonl").exists()


def test_another_process_than_the_first_makes_its_windows_and_writes_nothing(
    tmp_path, monkeypatch
) -> None:
    class Second(Processes):
        def __init__(self, device: str) -> None:
            super().__init__(device)
            self.count, self.rank, self.is_main = 2, 1, False

        def average_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
            pass

        def of_main(self, values: list[float]) -> list[float]:
            return [0.5, 0, 2]

    monkeypatch.setattr(run, "Processes", Second)
    trainer = Trainer(data(tmp_path, YAMNetEncoder()), TINY, tmp_path / "run", workers=0)
    trainer.run(until=2)
    assert trainer.best_step == 2
    made = sorted(path.name for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert made == ["00001.safetensors", "00003.safetensors"]


def test_a_folder_of_another_run_is_told(tmp_path) -> None:
    trainer = Trainer(data(tmp_path, YAMNetEncoder()), TINY, tmp_path / "run", workers=0)
    trainer.run(until=2)
    assert (tmp_path / "run" / STATE).exists()
    assert (tmp_path / "run" / WEIGHTS).exists()
    other = TINY.model_copy(update={"seed": 1})
    with raises(RecipeError, place="recipe", expected='"seed":0', found='"seed":1'):
        Trainer(data(tmp_path, YAMNetEncoder()), other, tmp_path / "run", workers=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("azimuth", 400.0), ("elevation", np.nan), ("distance_cm", -1.0), ("scale", np.inf)),
        *(("scale", -1.0), ("path", -5), ("response", np.nan)),
    ],
)
def test_responses_that_cannot_be_are_refused(tmp_path, name, value) -> None:
    path = tmp_path / "room_0.safetensors"
    room(path)
    columns = load_file(path)
    columns[name].flat[0] = value
    save_file(columns, path)
    with raises(DataError, path, place=name):
        Room(path).responses([0])


def test_a_state_of_other_values_is_refused(tmp_path) -> None:
    given = data(tmp_path, YAMNetEncoder())

    def trainer() -> Trainer:
        return Trainer(given, TINY, tmp_path / "run", workers=0)

    trainer().run(until=2)
    path = tmp_path / "run" / STATE
    state = torch.load(path, weights_only=True)
    for name, value in (
        *(("network", {}), ("network", {"x": 1}), ("ema", 3), ("optimizer", {})),
        *(("done", "x"), ("best", []), ("since_best", None)),
    ):
        torch.save({**state, name: value}, path)
        with raises(CheckpointError, path):
            trainer()
    for content in (b"nothing", b""):
        path.write_bytes(content)
        with raises(CheckpointError, path):
            trainer()


def test_the_builtin_recipe_is_read_and_mistakes_are_told(tmp_path) -> None:
    assert read_recipe("compact").batch_size >= 1
    for text, fields in (
        ("seeds = 1", {"place": "seeds", "advice": "seed"}),
        ("fresh = 99", {"found": "fresh exceeds batch_size"}),
        ("[scenes]\nlevel_db = [1]", {"place": "scenes", "found": "level_db needs 13"}),
    ):
        path = tmp_path / "mine.toml"
        path.write_text(f'extends = "compact"\n{text}\n')
        with raises(RecipeError, path, **fields):
            read_recipe(str(path))
