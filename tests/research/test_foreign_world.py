"""The foreign world: its rooms, its array, and that train and test have nothing in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import angles_of_vector, great_circle, unit_vector
from saiseld.runtime.errors import DataError
from saiseld.seld.decode import peaks
from saiseld.seld.inputs import inputs, steering
from saiseld.seld.output import GRID
from saiseld.simulation.sounds.bank import FolderBank

pytest.importorskip("pyroomacoustics")

from research.foreign_world.measured_array import MeasuredArray, measured_directions
from research.foreign_world.polygons import draw_room
from research.foreign_world.world import halves, read_world_recipe, recordings_of

RECIPE = Path(__file__).parents[2] / "research/foreign_world/world.toml"
IDEAL = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])


@pytest.mark.parametrize("seed", range(3))
def test_a_source_in_a_polygon_is_heard_from_where_it_is(seed) -> None:
    room = draw_room(np.random.default_rng(seed))
    way = unit_vector(70.0 * seed - 90, -10.0)
    source = way * min(1.0, room.reach(way[None])[0])
    early, late = room.responses(source[None], IDEAL, late=True)
    again = room.responses(source[None], IDEAL, late=True)
    np.testing.assert_array_equal(early, again[0])
    np.testing.assert_array_equal(late, again[1])
    assert late.shape[1] > early.shape[1] / 2 and np.square(late).sum() > 0
    audio = np.zeros((4, 2 * 2400), np.float32)
    length = min(early.shape[1], audio.shape[1])
    audio[:, :length] = early[:, :length]
    response = np.einsum("tmk,mkp->tp", inputs(audio).covariance, steering(GRID))
    point = peaks(response, 1, 20.0).point[0, 0]
    assert great_circle(*angles_of_vector(GRID[:, point]), *angles_of_vector(way)) < 15


def test_sources_stay_in_the_room() -> None:
    for seed in range(20):
        room = draw_room(np.random.default_rng(seed))
        directions = measured_directions()
        ends = room.array_m + room.reach(directions)[:, None] * directions
        assert (ends > -1e-9).all() and (ends < np.array(room.size_m) + 1e-9).all()


def test_rooms_and_recordings_are_apart() -> None:
    recipe = read_world_recipe(RECIPE)
    recordings = recordings_of(recipe)
    sides = [{r.room for r in recordings if r.split == split} for split in ("train", "test")]
    assert [len(side) for side in sides] == [recipe.train.rooms, recipe.test.rooms]
    assert not sides[0] & sides[1]
    assert len({r.name for r in recordings}) == len(recordings)


def test_sounds_of_a_bank_are_apart_by_source(tmp_path) -> None:
    lines = ["file,kind,source,package"]
    clips = []
    for class_id in range(13):
        paths = [tmp_path / f"test/{class_id}/{n}.wav" for n in range(6)]
        lines += [f"test/{class_id}/{n}.wav,recording,s{n // 2},p" for n in range(6)]
        clips.append(paths)
    (tmp_path / "ATTRIBUTION.csv").write_text("\n".join(lines) + "\n")
    sides = halves(FolderBank({"train": [[]] * 13, "test": clips}), tmp_path).clips
    for class_id in range(13):
        sources = [{int(p.stem) // 2 for p in sides[side][class_id]} for side in ("train", "test")]
        assert sources[0] and sources[1] and not sources[0] & sources[1]


def test_another_file_than_the_measurement_is_refused(tmp_path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "EM32_Directivity.sofa"
    path.write_bytes(b"no measurement")
    with pytest.raises(DataError) as caught:
        MeasuredArray(path)
    assert caught.value.source == str(path)
