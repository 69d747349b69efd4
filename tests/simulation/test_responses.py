import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray, rigid_sphere_response
from saiseld.conventions.sphere import angles_of_vector, fibonacci_sphere, great_circle
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.simulation.rooms.responses import STEP_DEG, draw_place, write_responses
from saiseld.simulation.rooms.walls import AIR, MID, OCTAVES_HZ, furnish, octave_filters

CAPSULES = eigenmike_xyz()[list(TETRAHEDRON)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("responses")
    assert write_responses(folder, train=1, valid=1, seed=7) == (2, 0)
    return folder


def test_octave_filters_sum_to_one_and_peak_at_their_centres():
    filters = octave_filters(SAMPLE_RATE)
    np.testing.assert_allclose(filters.sum(axis=0), 1)
    np.testing.assert_allclose(filters[range(len(OCTAVES_HZ)), OCTAVES_HZ], 1)


@pytest.mark.parametrize("rt60_s", [0.2, 0.5, 1.0])
def test_furnished_rooms_have_the_reverberation_asked_for(rt60_s):
    room = furnish((6.0, 5.0, 3.0), rt60_s, np.random.default_rng(3))
    assert room.rt60_s[MID].mean() == pytest.approx(rt60_s, rel=0.15)
    assert np.all((room.reflection > 0) & (room.reflection < 1))
    assert len(AIR) == len(OCTAVES_HZ) == room.reflection.shape[1]


def test_each_octave_decays_at_its_own_pace():
    rng = np.random.default_rng(5)
    place = draw_place(rng)
    array = RigidSphereArray(CAPSULES)
    tail = np.stack([place.room.diffuse_tail(array, rng) for _ in range(8)])
    samples = tail.shape[-1]
    padded = 2 * samples
    spectrum = np.fft.rfft(tail, padded, axis=-1)
    frequency = np.maximum(np.fft.rfftfreq(padded, 1 / SAMPLE_RATE), 1)
    for band in (1, 3, 5):
        # Narrower than an octave, where the neighbours' decay does not leak in.
        narrow = np.exp(-((np.log2(frequency / OCTAVES_HZ[band]) / 0.1) ** 2))
        filtered = np.fft.irfft(spectrum * narrow, axis=-1)[..., :samples]
        rt60 = place.room.rt60_s[band]
        start, end = (int(time_s * SAMPLE_RATE) for time_s in (0.08, 0.08 + 0.4 * rt60))
        decay = 10 * np.log10(np.square(filtered).mean(axis=(0, 1))[start:end])
        slope = np.polyfit(np.arange(start, end) / SAMPLE_RATE, decay, 1)[0]
        assert -60 / slope == pytest.approx(rt60, rel=0.2)


def test_the_first_sound_comes_from_where_the_file_says(folder):
    grid = fibonacci_sphere(20)
    frequency = np.fft.rfftfreq(256, 1 / SAMPLE_RATE)
    heard = (frequency > 500) & (frequency < 6000)
    capsules = CAPSULES / np.linalg.norm(CAPSULES, axis=1, keepdims=True)
    model = rigid_sphere_response(2 * np.pi * frequency[heard] * 0.042 / 343, capsules @ grid)
    apart = []
    for path in sorted(folder.glob("train/*")):
        room = load_file(path)
        for index in np.flatnonzero(room["path"] < 0):
            arrival = int(room["distance_cm"][index] / 34300 * SAMPLE_RATE)
            first = room["response"][index, :, max(arrival - 30, 0) : arrival + 50].astype(float)
            spectrum = np.fft.rfft(first, 256)[:, heard].T
            match = np.abs(np.einsum("fmp,fm->fp", model.conj(), spectrum)) ** 2
            best = (match / (np.abs(model) ** 2).sum(axis=1)).sum(axis=0).argmax()
            apart.append(
                great_circle(
                    *angles_of_vector(grid[:, best]),
                    room["azimuth"][index],
                    room["elevation"][index],
                )
            )
    assert np.median(apart) < 3.5


def test_files_are_as_described_and_walks_take_small_steps(folder):
    for path in folder.rglob("room_*.safetensors"):
        room = load_file(path)
        points = len(room["path"])
        assert room["response"].dtype == np.float16 and room["response"].shape[:2] == (points, 4)
        assert np.abs(room["response"]).max(axis=(1, 2)) == pytest.approx(np.ones(points))
        assert room["scale"].shape == room["azimuth"].shape == (points,)
        assert np.sum(room["path"] < 0) == 24
        for walk in range(3):
            azimuth, elevation = (
                room[name][room["path"] == walk] for name in ("azimuth", "elevation")
            )
            steps = great_circle(azimuth[:-1], elevation[:-1], azimuth[1:], elevation[1:])
            assert 0 < steps.max() <= STEP_DEG
        header = json.loads(safe_open(path, "np").metadata()["saiseld"])
        assert len(header["rt60_s"]) == len(header["octaves_hz"])


def test_rooms_are_made_once_and_each_from_its_own_seed(folder, tmp_path):
    assert write_responses(folder, train=1, valid=1, seed=7) == (0, 2)
    assert write_responses(tmp_path, train=0, valid=1, seed=7) == (1, 0)
    made = "valid/room_000.safetensors"
    assert (tmp_path / made).read_bytes() == (folder / made).read_bytes()
