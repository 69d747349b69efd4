"""The official JSON, in and out; every broken file is refused with its place."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.errors import raises

from saiseld.formats.annotation import (
    EnergyMask,
    annotation_writer,
    encode_annotations,
    iter_annotations,
    read_annotations,
    write_annotations,
)
from saiseld.runtime.errors import AnnotationError, OutputError


def annotation(**changes: object) -> dict[str, object]:
    good = {
        "metadata_frame_index": 12,
        "instance_id": 0,
        "category_id": 1,
        "distance": 150.0,
        "score": 0.73,
        "segmentation": [[[10, 20, 0.5], [11.5, 20, 1.0]], [[359, 3, 0.25]]],
    }
    return {key: value for key, value in {**good, **changes}.items() if value != "absent"}


def write(path: Path, *items: dict[str, object]) -> Path:
    path.write_text(json.dumps({"annotations": list(items)}))
    return path


def test_reading_gives_every_field(tmp_path: Path) -> None:
    (mask,) = read_annotations(write(tmp_path / "a.json", annotation()), predictions=True)
    assert (mask.frame, mask.instance_id, mask.class_id) == (12, 0, 1)
    assert (mask.distance_cm, mask.score) == (150.0, 0.73)
    assert [blob.tolist() for blob in mask.segmentation] == annotation()["segmentation"]


def test_labels_need_neither_score_nor_distance(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", annotation(score="absent", distance="absent"))
    assert read_annotations(path)[0].score is None
    with raises(AnnotationError, place="annotation 0, score", expected="a finite number"):
        read_annotations(path, predictions=True)


def test_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [
        EnergyMask(k, k % 3, k % 13, (rng.uniform(0, 180, (9, 3)).round(4),), 120.5, 0.25)
        for k in range(20)
    ]
    size = write_annotations(tmp_path / "a.json", masks)
    assert size == (tmp_path / "a.json").stat().st_size
    for mask, back in zip(masks, iter_annotations(tmp_path / "a.json"), strict=True):
        assert (back.frame, back.class_id, back.score) == (mask.frame, mask.class_id, mask.score)
        np.testing.assert_array_equal(back.segmentation[0], mask.segmentation[0])


@pytest.mark.parametrize(
    ("changes", "place", "found"),
    [
        ({"segmentation": [[[360.5, 1, 1]]]}, "annotation 1, segmentation 0, point 0", "360.5"),
        ({"segmentation": [[[1, 1, 1], [1, -0.1, 1]]]}, "segmentation 0, point 1", "-0.1"),
        ({"segmentation": [[[1, 2]]]}, "annotation 1", "$.segmentation[0][0]"),
        ({"segmentation": [[1, 2, 3]]}, "annotation 1", "$.segmentation[0][0]"),
        ({"score": "0.7"}, "annotation 1", "`$.score`"),
        ({"metadata_frame_index": -1}, "annotation 1, metadata_frame_index", "-1"),
        ({"metadata_frame_index": "absent"}, "annotation 1", "metadata_frame_index"),
        ({"score": float("nan")}, "", "JSON"),
        ({"segmentation": [[[1, 2, float("inf")]]]}, "", "JSON"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, changes: dict[str, object], place: str, found: str
) -> None:
    path = write(tmp_path / "bad.json", annotation(), annotation(**changes))
    with raises(AnnotationError, path, place=place, found=found):
        read_annotations(path, predictions=True)


def test_broken_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", annotation())
    with raises(AnnotationError, expected="at most 10 bytes"):
        read_annotations(path, max_bytes=10)
    path.write_text(path.read_text()[:-20])
    with raises(AnnotationError, found="truncated"):
        read_annotations(path)
    path.write_text("[]")
    with raises(AnnotationError, expected="JSON of the form"):
        read_annotations(path)
    path.write_text('{"annotations": [' + "[" * 5000)
    with raises(AnnotationError, expected="JSON of the form"):
        read_annotations(path)
    with raises(AnnotationError, found="No such file"):
        read_annotations(tmp_path / "absent.json")


def test_nothing_half_written_or_out_of_range_is_kept(tmp_path: Path) -> None:
    mask = EnergyMask(0, 0, 0, (np.array([[1.0, 2.0, 3.0]]),), None, 0.5)
    with raises(OutputError, expected="at most 5 bytes"):
        write_annotations(tmp_path / "a.json", [mask], max_bytes=5)
    outside = EnergyMask(0, 0, 0, (np.array([[1.0, 200.0, 3.0]]),), None, 0.5)
    with raises(AnnotationError, place="annotation 0, segmentation 0, point 0"):
        write_annotations(tmp_path / "a.json", [outside])
    assert not list(tmp_path.iterdir())


def test_masks_are_written_one_by_one_as_all_at_once(tmp_path: Path) -> None:
    masks = [mask(frame) for frame in range(5)]
    size = write_annotations(tmp_path / "whole.json", masks)
    with annotation_writer(tmp_path / "parts.json") as writer:
        for part in (masks[:2], [], masks[2:]):
            writer.append(part)
    assert (writer.masks, writer.size) == (5, size)
    assert (tmp_path / "parts.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert (tmp_path / "whole.json").read_bytes() == encode_annotations(masks)
    with raises(OutputError, expected=f"at most {size - 1} bytes", found="more"):
        write_annotations(tmp_path / "limited.json", masks, max_bytes=size - 1)
    assert write_annotations(tmp_path / "limited.json", masks, max_bytes=size) == size


def test_a_frame_beyond_a_day_is_refused(tmp_path: Path) -> None:
    write_annotations(tmp_path / "a.json", [mask(864_000)])
    with raises(AnnotationError, place="annotation 0, frames", expected="at most 864000"):
        read_annotations(tmp_path / "a.json")


def mask(frame: int) -> EnergyMask:
    return EnergyMask(frame, 0, 1, (np.array([[1.0, 2.0, 0.5], [3.0, 4.0, 1.0]]),), 120.0, 0.5)
