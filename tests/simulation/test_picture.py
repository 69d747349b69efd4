import dataclasses

import numpy as np
import pytest
from PIL import Image
from tests.errors import raises

from saiseld.conventions.sphere import WIDTH, pixel_of_angles
from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.runtime.errors import DataError
from saiseld.simulation.pictures.picture import draw_room, rays, read_panoramas, render_frames
from saiseld.simulation.rooms.room import Room
from saiseld.simulation.scene import Scene, Sound, Source


def scene_of(*sources, sounding=False):
    sounds = tuple(Sound(s, 0, np.ones(2400, np.float32)) for s in sources) if sounding else ()
    return Scene(
        name="fold3_room1_mix001",
        room=Room((8.0, 6.0, 3.0), 0.4),
        room_seed=3,
        array_m=(4.0, 3.0, 1.5),
        sources=sources,
        sounds=sounds,
        samples=2400,
        snr_db=20.0,
        peak=0.5,
        seed=0,
    )


GREY = np.full((180, 360, 3), 0.5, np.float32)


def picture(*sources, sounding=False):
    return next(render_frames(scene_of(*sources, sounding=sounding), GREY)).astype(int)


def drawn(class_id, azimuth, *, seed=2, up=0.0, range_m=2.0):
    """Return the mask of the pixels that a figure changes (below it lies its shadow)."""
    source = Source(0, class_id, seed, azimuth, range_m, up)
    return np.abs(picture(source) - picture()).max(axis=-1) > 8


@pytest.mark.parametrize("class_id", range(NUM_CLASSES))
@pytest.mark.parametrize("azimuth", [0.0, 90.0, -40.0, 180.0])
def test_every_class_is_drawn_where_it_sounds(class_id, azimuth):
    range_m = {0.0: 4.0, 90.0: 3.0, -40.0: 4.0 / np.cos(np.radians(40)), 180.0: 4.0}[azimuth]
    mask = drawn(class_id, azimuth, range_m=range_m, up=-0.35)
    x, _ = pixel_of_angles(azimuth, 0.0)
    _, y = pixel_of_angles(azimuth, np.degrees(np.arctan2(-0.35, range_m)))
    near = np.roll(mask, 180 - int(x), axis=1)[int(y) - 8 : int(y) + 8, 172:188]
    assert near.mean() > 0.1  # the figure is at the sound's direction
    columns = np.flatnonzero(np.roll(mask, 180 - int(x), axis=1).any(axis=0))
    assert columns.min() > 120 and columns.max() < 240  # and nowhere else
    assert columns.min() < 180 < columns.max()


def test_a_figure_at_the_seam_is_on_both_sides_of_it():
    across = drawn(0, 180.0)
    assert across[:, :3].any() and across[:, -3:].any()
    np.testing.assert_array_equal(np.roll(across, 180, axis=1), drawn(0, 0.0))


def test_left_is_positive_azimuth_and_near_is_large():
    assert drawn(0, 60.0)[:, :180].any() and not drawn(0, 60.0)[:, 180:].any()
    areas = [drawn(0, 0.0, range_m=r).sum() for r in (1.0, 2.0, 4.0)]
    assert areas[0] > 2.5 * areas[1] > 6 * areas[2]
    view = rays()
    assert view[90, 90] @ [0, 1, 0] > 0.99  # a quarter from the left edge is the left


def test_looks_vary_within_a_class_and_change_while_sounding():
    same = [picture(Source(0, 1, seed, 0.0, 2.0, 0.1)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(same[0], same[1])
    assert (same[0] != same[2]).any()
    tap = Source(0, 10, 5, 0.0, 2.0, -0.4)
    silent, running = picture(tap), picture(tap, sounding=True)
    assert (silent != running).any()


def test_nearer_figures_hide_farther_ones():
    near, far = Source(0, 0, 1, 0.0, 1.0, 0.0), Source(1, 1, 9, 0.0, 3.0, 0.0)
    middle = np.s_[88:92, 178:182]
    np.testing.assert_array_equal(picture(near, far)[middle], picture(near)[middle])


def test_rooms_meet_at_their_edges(monkeypatch):
    def paint(colour):
        return lambda u, *_: np.tile(np.array(colour, float), (len(u), 1))

    monkeypatch.setattr("saiseld.simulation.pictures.picture.paint_floor", paint((1, 0, 0)))
    monkeypatch.setattr("saiseld.simulation.pictures.picture.paint_wall", paint((0, 1, 0)))
    monkeypatch.setattr("saiseld.simulation.pictures.picture.paint_ceiling", paint((0, 0, 1)))
    surface = draw_room(scene_of()).argmax(axis=-1)  # 8 x 6 x 3 m, seen from (4, 3, 1.5)
    for azimuth, wall_m in ((0, 4), (90, 3), (-90, 3), (45, 3 * np.sqrt(2)), (179.5, 4)):
        column = surface[:, int(pixel_of_angles(azimuth, 0)[0])]
        edge = np.degrees(np.arctan2(1.5, wall_m))
        assert abs(np.argmax(column == 0) - (90 + edge)) <= 1
        assert abs(np.argmax(column == 1) - (90 - edge)) <= 1


def test_rooms_are_lit_coloured_and_seamless():
    scene = scene_of()
    room, other = draw_room(scene), draw_room(dataclasses.replace(scene, room_seed=4))
    assert room.shape == (180, 360, 3)
    assert room.min() >= 0
    assert room.max() <= 1
    assert np.abs(room - other).mean() > 0.03
    assert np.abs(room[:, 0] - room[:, -1]).mean() < 2 * np.abs(np.diff(room, axis=1)).mean() + 0.01


def test_panoramas_are_scaled_turned_and_kept_apart(tmp_path):
    for side, value in (("train", 60), ("test", 200)):
        (tmp_path / side).mkdir()
        Image.new("RGB", (720, 360), (value, value, value)).save(tmp_path / side / "room.png")
    panoramas = read_panoramas(tmp_path)
    rng = np.random.default_rng(0)
    train, test = panoramas.draw("train", rng), panoramas.draw("test", rng)
    assert train.shape == (180, WIDTH, 3)
    assert train.max() < 0.4 < 0.5 < test.min()


def test_bad_panoramas_are_refused(tmp_path):
    with raises(DataError, expected="a panorama for train", found="none"):
        read_panoramas(tmp_path)
    Image.new("RGB", (300, 300)).save(tmp_path / "square.png")
    with raises(DataError, expected="a panorama for test"):
        read_panoramas(tmp_path)
    (tmp_path / "text.jpg").write_text("no picture")
    with raises(DataError, "square.png", expected="a picture twice as wide as high"):
        read_panoramas(tmp_path)
    (tmp_path / "square.png").unlink()
    Image.new("RGB", (400, 200)).save(tmp_path / "good.png")
    with raises(DataError, "text.jpg", expected="a PNG or JPEG picture"):
        read_panoramas(tmp_path)
