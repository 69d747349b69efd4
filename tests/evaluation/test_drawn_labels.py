from __future__ import annotations

import shutil
from dataclasses import fields
from multiprocessing import get_context

import numpy as np
import pytest

from saiseld.evaluation import drawn_labels
from saiseld.evaluation.drawn_labels import draw_labels
from saiseld.formats.annotation import write_annotations


@pytest.fixture
def label(tmp_path, small_case):
    _, labels = small_case
    path = tmp_path / "take1_std.json"
    write_annotations(path, next(iter(labels.values())))
    return path


def assert_same(a, b):
    for field in fields(a):
        assert np.array_equal(getattr(a, field.name), getattr(b, field.name), equal_nan=True)


def test_cached_masks_are_the_drawn_ones_and_are_not_drawn_again(tmp_path, label, monkeypatch):
    fresh = draw_labels(label, None)
    assert_same(draw_labels(label, tmp_path / "cache"), fresh)
    monkeypatch.setattr(drawn_labels, "render_masks", None)  # drawing would now fail
    assert_same(draw_labels(label, tmp_path / "cache"), fresh)


def test_an_entry_is_found_by_content(tmp_path, label):
    cache = tmp_path / "cache"
    draw_labels(label, cache)
    moved = tmp_path / "elsewhere" / label.name
    moved.parent.mkdir()
    shutil.copy(label, moved)
    draw_labels(moved, cache)
    assert len(list(cache.glob("*.npz"))) == 1
    moved.write_text('{"annotations": []}')
    assert len(draw_labels(moved, cache)) == 0
    assert len(list(cache.glob("*.npz"))) == 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", None])
def test_a_damaged_entry_is_drawn_again(tmp_path, label, damage):
    cache = tmp_path / "cache"
    fresh = draw_labels(label, cache)
    (entry,) = cache.glob("*.npz")
    entry.write_bytes(entry.read_bytes()[:-50] if damage is None else damage)
    assert_same(draw_labels(label, cache), fresh)
    assert_same(draw_labels(label, cache), fresh)


@pytest.mark.slow
def test_many_processes_share_a_cache(tmp_path, label):
    cache = tmp_path / "cache"
    with get_context("spawn").Pool(2) as pool:
        drawn = pool.starmap(draw_labels, [(label, cache)] * 4)
    for masks in drawn:
        assert_same(masks, draw_labels(label, None))
    assert len(list(cache.glob("*.npz"))) == 1
