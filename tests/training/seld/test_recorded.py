"""Annotated recordings as training data: layouts, mistakes, windows, targets, the run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tests.training.annotated_corpus import FRAMES, PLACES, rows, sound, write_corpus

from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.sphere import great_circle
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.corpora import CorpusMap, corpus_events, open_corpus, read_corpus_map
from saiseld.formats.annotation import EnergyMask, write_annotations
from saiseld.runtime.errors import AudioError, DataError, InputError, RecipeError
from saiseld.seld.decode import peaks
from saiseld.seld.encoders import YAMNetEncoder
from saiseld.seld.inputs import inputs, steering
from saiseld.seld.network import SeldLogits
from saiseld.seld.output import GRID, ROWS
from saiseld.training.seld.data import (
    Recorded,
    TrainingData,
    corpus_roles,
    read_recorded,
    training_data,
)
from saiseld.training.seld.losses import losses, map_targets
from saiseld.training.seld.mixing import Track
from saiseld.training.seld.recipes import LossWeights, Recipe, RecordedRanges
from saiseld.training.seld.recorded import (
    AnnotatedAudio,
    RecordedScenes,
    annotated_audio,
    fixed_scenes,
)
from saiseld.training.seld.run import Trainer
from saiseld.training.seld.windows import joined, shard_of

RECIPE = Recipe(
    steps=2,
    batch_size=2,
    fresh=1,
    learning_rate=1e-3,
    points=16,
    selection_scenes=1,
    selection_every=1,
    precision="no",
)


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def audio(corpus_folder) -> AnnotatedAudio:
    corpus = open_corpus(corpus_folder)
    return annotated_audio(corpus.recordings[0], corpus.mapping, corpus_folder / "cache", "events")


FIRST_YEAR = read_corpus_map("tau2020")


@pytest.mark.parametrize(
    ("layout", "mapping", "ambisonics"),
    [
        (("eigen_dev/dev-{}-sony/", "metadata_dev/dev-{}-sony/"), None, None),
        (("foa_dev/dev-{}-tau/", "metadata_dev/dev-{}-tau/"), None, "ambix"),
        (("foa_dev/dev-{}/", "metadata_dev/dev-{}/"), read_corpus_map("tau2021"), "ambix"),
        (("foa_dev/", "metadata_dev/"), FIRST_YEAR, "ambix"),
        (("", ""), FIRST_YEAR, None),
        (("sounds/", "annotations/"), CorpusMap(classes={0: "Bell"}, test=("fold1*",)), None),
    ],
)
def test_layouts_of_published_corpora_are_read(tmp_path, layout, mapping, ambisonics) -> None:
    corpus = open_corpus(write_corpus(tmp_path, *layout), mapping)
    assert [len(corpus.split(split)) for split in ("dev-train", "dev-test")] == [3, 1]
    assert {one.ambisonics for one in corpus.recordings} == {ambisonics}
    assert all(one.events is not None for one in corpus.recordings)
    assert len({one.room for one in corpus.recordings}) == 4
    roles = corpus_roles(corpus)
    assert [len(roles[role]) for role in ("train", "select", "calibrate")] == [1, 1, 1]


def test_linked_folders_are_read(tmp_path) -> None:
    write_corpus(tmp_path / "disk")
    for kind in ("mic_dev", "metadata_dev"):
        (tmp_path / "corpus" / kind).mkdir(parents=True)
        for split in ("dev-train-a", "dev-test-a"):
            (tmp_path / "corpus" / kind / split).symlink_to(tmp_path / "disk" / kind / split)
    assert len(open_corpus(tmp_path / "corpus").recordings) == 4


def test_of_several_forms_the_best_is_taken(tmp_path) -> None:
    write_corpus(tmp_path, "foa_dev/dev-{}-a/")
    write_corpus(tmp_path)
    assert {one.audio.parts[-3] for one in open_corpus(tmp_path).recordings} == {"mic_dev"}


def of_class_map(folder: Path, text: str) -> CorpusMap:
    path = folder / "map.toml"
    path.write_text(text)
    return read_corpus_map(str(path))


def test_class_maps_name_merge_and_ignore_classes(tmp_path) -> None:
    write_corpus(tmp_path)
    mapping = of_class_map(tmp_path, 'other = "ignore"\n[classes]\n0 = "Bell"\n1 = "bell"\n')
    one = open_corpus(tmp_path, mapping).recordings[0]
    one.events.write_text("0,0,0,10,0\n0,1,0,90,0\n1,77,0,10,0\n")
    events = corpus_events(one, mapping)
    assert [(e.frame, e.class_id) for e in events] == [(0, 11), (0, 11), (1, -1)]
    assert events[0].source != events[1].source
    read = annotated_audio(one, mapping, tmp_path / "cache", "events")
    assert read.ignored[:3].tolist() == [False, True, False]


@pytest.mark.parametrize(
    "text",
    ['[classes]\n0 = "whistle"', "[classes]\n-1 = 'bell'", "room = '('\n[classes]\n0 = 'bell'"],
)
def test_impossible_class_maps_are_refused(tmp_path, text) -> None:
    with pytest.raises(RecipeError):
        of_class_map(tmp_path, text)


def test_frames_of_another_rate_become_ours(tmp_path) -> None:
    write_corpus(tmp_path)
    mapping = of_class_map(tmp_path, "frames_per_second = 50\n[classes]\n0 = 'bell'\n")
    one = open_corpus(tmp_path, mapping).recordings[0]
    one.events.write_text("".join(f"{frame},0,0,{frame},0\n" for frame in range(5, 15)))
    events = corpus_events(one, mapping)
    assert [(e.frame, e.azimuth) for e in events] == [(1, 7), (2, 12)]


def edit(name: str, change: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: change(folder / name)


CSV, WAV = (
    "metadata_dev/dev-train-a/fold3_room1_mix001.csv",
    "mic_dev/dev-train-a/fold3_room1_mix001.wav",
)
MISTAKES = {
    "a CSV cut off in a line": (
        edit(CSV, lambda p: p.write_text(rows()[:-9])),
        (DataError, CSV, "line 30", "columns", ""),
    ),
    "an unknown class": (
        edit(CSV, lambda p: p.write_text("3,13,0,10,0\n")),
        (DataError, CSV, "line 1, class", "0-12", ""),
    ),
    "a recording without a CSV": (
        edit(CSV, Path.unlink),
        (DataError, WAV, "", "fold3_room1_mix001.csv", "empty CSV"),
    ),
    "a CSV without a recording": (
        edit(WAV, Path.unlink),
        (DataError, CSV, "", "fold3_room1_mix001.wav", "take its annotations away"),
    ),
    "another frame rate": (
        edit(CSV, lambda p: p.write_text("299,0,0,10,0\n")),
        (DataError, CSV, "", f"below {FRAMES}", "10 frames a second"),
    ),
    "a source at two places": (
        edit(CSV, lambda p: p.write_text("3,0,0,10,0\n3,0,0,50,0\n")),
        (DataError, CSV, "frame 3", "once in a frame", "Number"),
    ),
    "a silent recording": (
        edit(WAV, lambda p: soundfile.write(p, np.zeros((FRAMES * 2400, 4)), SAMPLE_RATE)),
        (DataError, WAV, "", "sound", ""),
    ),
    "five channels": (
        edit(WAV, lambda p: soundfile.write(p, np.zeros((FRAMES * 2400, 5)), SAMPLE_RATE)),
        (AudioError, WAV, "channels", "4", ""),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_corpus_are_told_in_one_line(tmp_path, mistake) -> None:
    write_corpus(tmp_path)
    change, (kind, source, place, expected, advice) = MISTAKES[mistake]
    change(tmp_path)
    with pytest.raises(InputError) as caught:
        corpus = open_corpus(tmp_path)
        for one in corpus.recordings:
            annotated_audio(one, corpus.mapping, tmp_path / "cache", "events")
    error = caught.value
    assert type(error) is kind
    assert error.source == str(tmp_path / source)
    assert place in error.place and expected in error.expected and advice in error.advice
    assert "\n" not in str(error)


def test_annotations_that_end_early_are_told(tmp_path, caplog) -> None:
    write_corpus(tmp_path)
    (tmp_path / CSV).write_text("3,0,0,10,0\n")
    corpus = open_corpus(tmp_path)
    with caplog.at_level(logging.WARNING):
        annotated_audio(corpus.recordings[0], corpus.mapping, tmp_path / "cache", "events")
    (record,) = caplog.records
    assert record.args[1:] == (3, FRAMES)


def test_a_room_on_both_sides_is_refused(tmp_path) -> None:
    write_corpus(tmp_path)
    with pytest.raises(DataError) as caught:
        open_corpus(tmp_path, CorpusMap(classes={}, room="mix001"))
    assert caught.value.place == "mix001"


def test_a_window_holds_what_is_annotated(audio) -> None:
    scene = audio.scene(5, 50)
    assert scene.audio.shape == (4, 50 * 2400)
    by_class = {track.class_id: track for track in scene.tracks}
    assert np.flatnonzero(by_class[0].active).tolist() == list(range(5, 25))
    assert np.flatnonzero(by_class[3].active).tolist() == list(range(35, 45))
    assert by_class[0].azimuth[10] == PLACES[0][0] and by_class[0].distance_cm[10] == 150
    beyond = audio.scene(55, 50)
    assert not beyond.tracks and not beyond.audio[:, 5 * 2400 :].any()


def test_32_channels_give_their_four_capsules(tmp_path, audio) -> None:
    write_corpus(tmp_path, "eigen_dev/dev-{}-a/")
    path = tmp_path / "eigen_dev/dev-train-a/fold3_room1_mix001.wav"
    whole = np.zeros((FRAMES * 2400, 32), np.float32)
    whole[:, list(TETRAHEDRON)] = sound(1)
    soundfile.write(path, whole, SAMPLE_RATE, subtype="PCM_16")
    corpus = open_corpus(tmp_path)
    read = annotated_audio(corpus.recordings[0], corpus.mapping, tmp_path / "cache", "events")
    np.testing.assert_array_equal(read.window(7, 20), audio.window(7, 20))


def test_other_rates_and_ambisonics_are_converted_once(tmp_path) -> None:
    write_corpus(tmp_path, "foa_dev/dev-{}-a/")
    corpus = open_corpus(tmp_path)
    first, second = corpus.recordings[:2]
    soundfile.write(second.audio, sound(2)[::2], SAMPLE_RATE // 2)
    for one in (first, second):
        read = annotated_audio(one, corpus.mapping, tmp_path / "cache", "events")
        assert read.decoded is not None and read.frames == FRAMES
        assert read.window(40, 10).shape == (4, 24000)
        assert np.isfinite(read.window(0, FRAMES)).all()
    made = sorted((tmp_path / "cache").glob("*.npy"))
    annotated_audio(first, corpus.mapping, tmp_path / "cache", "events")
    assert sorted((tmp_path / "cache").glob("*.npy")) == made


def test_events_of_one_class_share_a_row_unless_they_overlap(audio) -> None:
    source = audio.sources[0]
    other = np.roll(source.active, 15)  # overlaps
    later = np.roll(source.active, 30)  # does not

    def with_active(active: np.ndarray) -> AnnotatedAudio:
        return replace(audio, sources=(source, replace(source, active=active)))

    assert len(with_active(other).scene(0, FRAMES).tracks) == 2
    (track,) = with_active(later).scene(0, FRAMES).tracks
    np.testing.assert_array_equal(track.active, source.active | later)


def test_rare_classes_are_drawn_as_often_as_common_ones(audio) -> None:
    scenes = RecordedScenes([audio], RecordedRanges(balanced=1.0, sums=0), 10)
    heard = [
        {track.class_id for track in scenes.scene(np.random.default_rng(seed)).tracks}
        for seed in range(60)
    ]
    share = [np.mean([class_id in classes for classes in heard]) for class_id in (0, 3)]
    assert min(share) > 0.35  # class 3 sounds in a third of class 0's frames


@pytest.mark.parametrize("sums", [0.0, 1.0])
def test_varied_windows_sound_from_where_they_are_annotated(audio, sums) -> None:
    ranges = RecordedRanges(sums=sums, balanced=1.0, masked_bands=3, equaliser_db=4.0)
    scenes = RecordedScenes([audio], ranges, 50)
    for seed in range(3):
        scene = scenes.scene(np.random.default_rng(seed))
        same = scenes.scene(np.random.default_rng(seed))
        np.testing.assert_array_equal(scene.audio, same.audio)
        response = np.einsum("tmk,mkp->tp", inputs(scene.audio).covariance, steering(GRID))
        x, y, z = GRID[:, peaks(response, 1, 20.0).point[:, 0]]
        found = np.degrees(np.arctan2(y, x)), np.degrees(np.arcsin(z))
        active = np.array([track.active for track in scene.tracks])
        for track in scene.tracks:
            alone = track.active & (active.sum(0) == 1)
            if alone.any():
                error = great_circle(*found, track.azimuth, track.elevation)
                assert np.median(error[alone]) < 9


def test_fixed_windows_are_spread_over_recordings_and_not_varied(audio) -> None:
    scenes = fixed_scenes([audio, audio], 3, 20)
    assert len(scenes) == 3
    np.testing.assert_array_equal(scenes[0].audio, audio.window(0, 20))
    assert len(fixed_scenes([audio], 99, 20)) == 3


def test_unknown_distances_and_ignored_sounds_teach_nothing(audio) -> None:
    frames = 20
    scene = audio.scene(15, frames)
    (track,) = scene.tracks
    unknown = Track(
        0, track.active, track.azimuth, track.elevation, np.full(frames, np.nan, np.float32)
    )
    ignored = np.ones(frames, bool)
    shard = joined(
        [
            shard_of([type(scene)(scene.audio, (unknown,) * 5, ignored)], YAMNetEncoder()),
            shard_of([type(scene)(scene.audio, (unknown,), ignored)], YAMNetEncoder()),
        ]
    )
    assert shard["class_id"].shape == (2, 5)
    points = torch.arange(GRID.shape[1])
    record = SeldLogits(
        torch.zeros(2, frames, ROWS, requires_grad=True),
        torch.zeros(2, frames, ROWS, len(points), requires_grad=True),
        torch.zeros(2, frames, ROWS - 1, requires_grad=True),
    )
    parts = losses(record, shard, points, 9.0, LossWeights())
    assert parts["activity"] == 0 and parts["distance"] == 0 and parts["loss"].isfinite()
    torch.autograd.backward(parts["loss"])
    assert record[0].grad is not None and not record[0].grad[..., -1].any()
    assert record[1].grad is not None and record[1].grad[..., 0, :].any()
    assert map_targets(shard, points, 9.0).isfinite().all()


def square(azimuth: int, elevation: int, size: int) -> np.ndarray:
    points = [
        [float((180 - azimuth - dx) % 360), float(90 - elevation - dy), 0.6]
        for dx in range(-size, size)
        for dy in range(-size, size)
    ]
    return np.array(points)


def test_masks_say_where_sources_are(tmp_path) -> None:
    write_corpus(tmp_path)
    labels = tmp_path / "labels_dev/dev-train-a/fold3_room1_mix001_std.json"
    labels.parent.mkdir(parents=True)
    write_annotations(
        labels,
        [
            EnergyMask(12, 0, 0, (square(36, 5, 5),), 120.0),
            EnergyMask(13, 0, 0, (square(179, 0, 5),), None),
        ],
    )
    corpus = open_corpus(tmp_path)
    one, mapping = corpus.recordings[0], corpus.mapping
    by_events, by_masks = (
        annotated_audio(one, mapping, tmp_path / "cache", targets).sources[0]
        for targets in ("events", "masks")
    )
    assert by_events.azimuth[12] == 30
    assert by_masks.azimuth[12] == pytest.approx(36, abs=1)
    assert by_masks.azimuth[13] == 30  # too far away to be of that event
    (tmp_path / CSV).unlink()
    one = open_corpus(tmp_path).recordings[0]
    alone = annotated_audio(one, mapping, tmp_path / "cache", "events").sources[0]
    assert np.flatnonzero(alone.active).tolist() == [12, 13]
    assert abs(alone.azimuth[13]) == pytest.approx(179, abs=1)
    assert alone.distance_cm[12] == 120 and np.isnan(alone.distance_cm[13])


def recorded_data(folder: Path, recipe: Recipe, encoder: YAMNetEncoder) -> TrainingData:
    recorded, record = read_recorded(open_corpus(folder), recipe, folder / "cache")
    return TrainingData(None, recorded, encoder, "yamnet", {"recordings": record})


@pytest.mark.slow
def test_a_run_on_recordings_goes_on_bit_for_bit(corpus_folder, tmp_path) -> None:
    encoder = YAMNetEncoder()

    def trainer(folder: Path) -> Trainer:
        return Trainer(recorded_data(corpus_folder, RECIPE, encoder), RECIPE, folder, workers=0)

    whole, stopped = trainer(tmp_path / "whole"), trainer(tmp_path / "stopped")
    whole.run()
    stopped.run(until=1)
    goes_on = trainer(tmp_path / "stopped")
    goes_on.run()
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, goes_on.network.state_dict()[name]), name
    assert (whole.best, whole.best_step) == (goes_on.best, goes_on.best_step)


def test_a_run_that_does_not_get_better_ends(corpus_folder, tmp_path) -> None:
    recipe = RECIPE.model_copy(update={"patience": 1, "selection_every": 1, "steps": 9})
    data = recorded_data(corpus_folder, recipe, YAMNetEncoder())
    trainer = Trainer(data, recipe, tmp_path / "run", workers=0)
    trainer.best = 2.0  # nothing is better
    trainer.run()
    assert trainer.done == 1 and trainer.stopped_early
    again = Trainer(data, recipe, tmp_path / "run", workers=0)
    again.run()
    assert again.done == 1


def test_selection_on_dev_test_is_called_optimistic(corpus_folder, caplog) -> None:
    recipe = RECIPE.model_copy(update={"selection_rooms": "dev_test"})
    with caplog.at_level(logging.WARNING):
        recorded, record = read_recorded(
            open_corpus(corpus_folder), recipe, corpus_folder / "cache"
        )
    assert isinstance(recorded, Recorded)
    assert (len(recorded.train), len(recorded.select)) == (3, 1)
    assert "optimistic" in record["selected_on"] and "optimistic" in caplog.text


@pytest.mark.parametrize(
    ("bank", "responses", "place"), [(Path("b"), None, "no responses"), (None, None, "neither")]
)
def test_nothing_to_learn_from_is_told(tmp_path, bank, responses, place) -> None:
    with pytest.raises(DataError) as caught:
        training_data(bank, responses, tmp_path / "prior", tmp_path / "cache", recipe=RECIPE)
    assert caught.value.found == place
