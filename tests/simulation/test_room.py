import numpy as np
import pytest

from saiseld.conventions.arrays import eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.simulation.rooms.room import Room, image_sources


@pytest.fixture(scope="module")
def array():
    return RigidSphereArray(eigenmike_xyz())


def reverberation_time(response):
    """RT60 from the slope of the backward-integrated decay between -5 and -35 dB."""
    left = np.cumsum(np.square(response).sum(axis=0)[::-1])[::-1]
    decay = 10 * np.log10(left / left[0])
    start, end = np.argmax(decay < -5), np.argmax(decay < -35)
    slope = np.polyfit(np.arange(start, end) / SAMPLE_RATE, decay[start:end], 1)[0]
    return -60 / slope


def whole_response(room, source, receiver, array, seed=0):
    response = room.diffuse_tail(array, np.random.default_rng(seed))
    early = room.early_response(source, receiver, array)
    response[:, : early.shape[1]] += early
    return response


ROOMS = [
    Room((4.5, 4.0, 2.5), 0.30, (0.5, 1.5, 1.0, 0.7, 1.3, 1.0)),
    Room((6.0, 5.0, 3.0), 0.45, (1.0, 1.0, 0.6, 1.4, 1.5, 0.5)),
    Room((9.0, 7.5, 3.6), 0.70, (1.5, 0.5, 0.5, 1.5, 1.0, 1.0)),
]


@pytest.mark.parametrize("room", ROOMS)
def test_decay_is_the_one_asked_for(room, array):
    size = np.array(room.size_m)
    response = whole_response(room, size * [0.3, 0.7, 0.5], size * [0.5, 0.45, 0.5], array)
    assert reverberation_time(response) == pytest.approx(room.rt60_s, rel=0.15)


@pytest.mark.parametrize("room", ROOMS)
def test_tail_goes_on_where_the_images_stop(room, array):
    size = np.array(room.size_m)
    power = np.square(
        whole_response(room, size * [0.3, 0.7, 0.5], size * [0.5, 0.45, 0.5], array)
    ).sum(axis=0)

    def level(start_s, end_s):
        part = power[int(start_s * SAMPLE_RATE) : int(end_s * SAMPLE_RATE)]
        return 10 * np.log10(part.mean()) + 60 * (start_s + end_s) / 2 / room.rt60_s

    images, mixture, tail = level(0.015, 0.03), level(0.03, 0.06), level(0.06, 0.1)
    assert abs(images - tail) < 2.5
    assert abs(mixture - tail) < 2.5


def test_direct_sound_falls_as_one_over_distance(array):
    room, receiver = Room((9.0, 7.5, 3.6), 0.3), np.array([4.5, 3.5, 1.8])
    energies = []
    for distance in (0.5, 1.0, 2.0):
        response = room.early_response(receiver + np.array([distance, 0, 0]), receiver, array)
        arrival = int(distance / 343 * SAMPLE_RATE)
        # The first reflection, off floor or ceiling, comes no less than 4 ms behind.
        energies.append(np.square(response[:, arrival - 20 : arrival + 60]).sum())
    assert np.sqrt(energies[0] / energies[1]) == pytest.approx(2, rel=0.01)
    assert np.sqrt(energies[1] / energies[2]) == pytest.approx(2, rel=0.01)


def test_images_are_those_of_pyroomacoustics():
    pra = pytest.importorskip("pyroomacoustics")
    room = ROOMS[1]
    source, receiver = np.array([1.2, 3.9, 1.1]), np.array([3.1, 2.4, 1.5])
    names = ("west", "east", "south", "north", "floor", "ceiling")
    materials = {
        name: pra.Material(energy_absorption=float(1 - reflection**2))
        for name, reflection in zip(names, room.reflection, strict=True)
    }
    other = pra.ShoeBox(room.size_m, fs=SAMPLE_RATE, materials=materials, max_order=8)
    other.add_source(source)
    other.add_microphone(receiver)
    other.image_source_model()
    theirs = other.sources[0].images.T - receiver
    near = np.linalg.norm(theirs, axis=1) < 12
    theirs, damping = theirs[near], other.sources[0].damping[0][near]
    ours, gain, _ = image_sources(room, source, receiver, 12.0)
    assert len(ours) == len(theirs) > 50
    order, their_order = (np.lexsort(np.round(v, 6).T) for v in (ours, theirs))
    np.testing.assert_allclose(ours[order], theirs[their_order], atol=1e-6)
    np.testing.assert_allclose(gain[order], damping[their_order], rtol=1e-4)
