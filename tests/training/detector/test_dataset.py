"""Label columns, video arrays and the frame dataset."""

import os

import av
import numpy as np
import pytest
import torch
from PIL import Image
from tests.errors import raises

from saiseld.data import label_columns as columns_module
from saiseld.data.label_columns import box_of, label_columns
from saiseld.data.stairs26 import DatasetRecording
from saiseld.data.video import rgb_planes
from saiseld.data.video_array import MISSING_RGB, float_planes, video_array
from saiseld.formats.annotation import EnergyMask, write_annotations
from saiseld.runtime.errors import AnnotationError, DataError
from saiseld.training.detector.dataset import FrameDataset, collate
from saiseld.training.detector.decoded import fill_cache


def blob(x, y, energy):
    return np.stack(np.broadcast_arrays(x, y, energy), axis=-1).reshape(-1, 3).astype(float)


MASKS = [
    EnergyMask(2, 1, 8, (blob([100, 101], 50, 0.5), blob([110], 52, 0.75)), 150.0),
    EnergyMask(1, 0, 3, (blob(np.arange(350, 360), 90, 0.25), blob(np.arange(5), 91, 0.5)), 90.0),
    EnergyMask(1, 2, 0, (blob([360, 20], [180, 179], [0.3, 0.4]),)),
    EnergyMask(1, 3, 5, (), 10.0),
]


@pytest.fixture
def recording(tmp_path):
    write_annotations(tmp_path / "labels_std.json", MASKS)
    frames = tmp_path / "video"
    frames.mkdir()
    rng = np.random.default_rng(0)
    for number in (0, 2):
        picture = rng.integers(0, 256, (180, 360, 3), np.uint8)
        Image.fromarray(picture).save(frames / f"video_{number:04}.png")
    return DatasetRecording(
        "fold3_room1_mix001",
        "dev-train",
        "dev-train-tau",
        1,
        None,
        tmp_path / "labels_std.json",
        frames,
        None,
    )


class Latents:
    def __init__(self, recording):
        self.frames = 4

    def latent(self, start, stop):
        values = np.arange(self.frames * 9 * 484, dtype=np.float32).reshape(self.frames, 9, 484)
        return values[start:stop]


def test_columns_hold_the_masks_sorted_by_frame(recording, tmp_path):
    columns = label_columns(recording.labels, tmp_path / "cache")
    assert columns.frame.tolist() == [1, 1, 2]
    assert columns.class_id.tolist() == [0, 3, 8]
    assert columns.instance_id.tolist() == [2, 0, 1]
    assert np.array_equal(columns.distance_cm, [np.nan, 90, 150], equal_nan=True)
    assert columns.rows(0) == range(0)
    assert columns.rows(1) == range(2)
    field = columns.field(2)
    assert field[50, 100] == field[50, 101] == 0.5
    assert field[52, 110] == 0.75
    assert np.count_nonzero(field) == 3


def test_edges_of_the_canvas_are_on_it(recording, tmp_path):
    columns = label_columns(recording.labels, tmp_path)
    field = columns.field(0)
    assert field[179, 0] == np.float32(0.3)  # x = 360, y = 180
    assert field[179, 20] == np.float32(0.4)


def test_a_mask_cut_by_the_seam_has_one_small_box(recording, tmp_path):
    box = label_columns(recording.labels, tmp_path).box[1]
    assert box.tolist() == [350, 90, 364, 91]


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([10, 30], [5, 9], (10, 5, 30, 9)),
        ([359, 0], [5, 9], (359, 5, 360, 9)),
        ([200, 201, 90], [0, 0, 0], (90, 0, 201, 1)),
        ([7], [7], (7, 7, 8, 8)),
        (np.arange(360), [1, 3] * 180, (0, 1, 359, 3)),
    ],
)
def test_boxes_are_the_smallest_on_the_cylinder(x, y, expected):
    assert box_of(x, y) == expected


def test_columns_are_decoded_once_and_again_when_the_labels_change(
    recording, tmp_path, monkeypatch
):
    read = []
    real = columns_module.read_annotations
    monkeypatch.setattr(columns_module, "read_annotations", lambda p: read.append(p) or real(p))
    for _ in range(2):
        label_columns(recording.labels, tmp_path / "cache")
    assert len(read) == 1
    write_annotations(recording.labels, MASKS[:1])
    assert label_columns(recording.labels, tmp_path / "cache").frame.tolist() == [2]
    assert len(read) == 2


def test_no_masks_are_no_rows(tmp_path):
    write_annotations(tmp_path / "a_std.json", [])
    columns = label_columns(tmp_path / "a_std.json", tmp_path)
    assert len(columns.frame) == len(columns.pixel) == 0
    assert columns.rows(0) == range(0)


def test_unknown_class_is_named(tmp_path):
    write_annotations(tmp_path / "a.json", [EnergyMask(0, 0, 13, MASKS[0].segmentation)])
    with raises(DataError, place="annotation 0, category_id", expected="a class of 0-12"):
        label_columns(tmp_path / "a.json", tmp_path)


def test_damaged_entries_are_made_again_and_damaged_labels_are_named(recording, tmp_path):
    cached = tmp_path / "cache"
    pixel = label_columns(recording.labels, cached).pixel.copy()
    next(cached.glob("*.arrow")).write_bytes(b"not columns")
    assert np.array_equal(label_columns(recording.labels, cached).pixel, pixel)
    recording.labels.write_text("{")
    with raises(AnnotationError, expected="JSON"):
        label_columns(recording.labels, cached)


def test_video_frames_are_exact(recording, tmp_path):
    frames = video_array(recording.video, tmp_path / "cache")
    assert frames.shape == (3, 3, 180, 360)
    shown = np.asarray(Image.open(recording.video / "video_0002.png"))
    assert np.array_equal(frames[2], shown.transpose(2, 0, 1))
    assert (frames[1] == MISSING_RGB[:, None, None]).all()


def test_a_missing_picture_is_the_mean_itself(recording, tmp_path):
    frames = np.array(video_array(recording.video, tmp_path / "cache"))
    shown = [frames[0].transpose(1, 2, 0), None, frames[2].transpose(1, 2, 0)]
    assert np.array_equal(float_planes(frames), rgb_planes(shown))


@pytest.mark.parametrize("scaling", ["bicubic", "bilinear"])
def test_pictures_are_scaled_as_asked(scaling, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 400, 3), np.uint8))
    large.save(folder / "a_0000.png")
    for _ in range(2):  # each scaling has its own entry
        found = video_array(folder, tmp_path / "cache", scaling)[0].transpose(1, 2, 0)
        assert np.array_equal(found, large.resize((360, 180), Image.Resampling[scaling.upper()]))
        other = "bilinear" if scaling == "bicubic" else "bicubic"
        assert not np.array_equal(video_array(folder, tmp_path / "cache", other)[0], found)


def test_video_files_are_cached_too(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 360, 180, "yuv420p"
        for level in (40, 200):
            picture = np.full((180, 360, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    frames = video_array(path, tmp_path / "cache")
    assert np.allclose(frames.mean(axis=(1, 2, 3)), [40, 200], atol=4)
    os.utime(path, (0, 0))
    assert np.array_equal(video_array(path, tmp_path / "cache"), frames)
    assert len(list((tmp_path / "cache").glob("*.rgb"))) == 1


def test_samples(recording, tmp_path):
    data = FrameDataset([recording, recording], Latents, tmp_path / "cache")
    assert len(data) == 8
    assert data.place(5) == (1, 1)
    sample = data[5]
    assert sample.rgb.dtype == torch.uint8
    assert torch.equal(sample.rgb[:, 0, 0], torch.from_numpy(MISSING_RGB))
    assert np.array_equal(sample.latent, Latents(recording).latent(1, 2)[0])
    targets = sample.targets
    assert targets["labels"].tolist() == [1, 4]
    assert targets["boxes"][1].tolist() == [350, 90, 364, 91]
    assert targets["energy"].shape == (2, 180, 360)
    assert targets["energy"][1, 91, 4] == 0.5
    assert targets["distance_cm"][1] == 90
    assert torch.isnan(targets["distance_cm"][0])
    rgb, latent, listed = collate([data[0], data[2], data[3]])
    assert rgb.shape == (3, 3, 180, 360)
    assert torch.equal(rgb[0], data[0].rgb / 255)
    assert latent.shape == (3, 9, 484)
    assert [len(targets["boxes"]) for targets in listed] == [0, 1, 0]
    with pytest.raises(IndexError):
        data[8]


def test_counts_tell_what_is_in_each_sample(recording, tmp_path):
    data = FrameDataset([recording, recording], Latents, tmp_path / "cache")
    assert data.counts.sum(axis=0).nonzero()[0].tolist() == [0, 3, 8]
    assert data.counts[6, 8] == 1
    assert data.counts.sum() == 6


@pytest.mark.slow
def test_cache_is_filled_by_several_processes(recording, tmp_path):
    fill_cache([recording], tmp_path / "one")
    fill_cache(
        [recording, DatasetRecording(**{**asdict(recording), "name": "twin"})],
        tmp_path / "two",
        jobs=2,
    )
    assert [p.name for p in sorted((tmp_path / "one").glob("*.rgb"))] == [
        p.name for p in sorted((tmp_path / "two").glob("*.rgb"))
    ]


def asdict(recording):
    return {name: getattr(recording, name) for name in DatasetRecording.__slots__}


def test_labels_beyond_the_recording_are_named(recording, tmp_path):
    class Short(Latents):
        def __init__(self, recording):
            self.frames = 2

    with raises(DataError, "labels_std.json", expected="labels of frames below 2"):
        FrameDataset([recording], Short, tmp_path / "cache")


def test_no_labels_are_named(recording, tmp_path):
    bare = DatasetRecording(**{**asdict(recording), "labels": None})
    with raises(DataError, "fold3_room1_mix001", expected="labels to train on"):
        FrameDataset([bare], Latents, tmp_path / "cache")
