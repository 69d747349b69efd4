"""The channel wizard on claps that a rigid sphere with mixed-up wires would hear."""

from __future__ import annotations

import numpy as np
import pytest
from tests.errors import raises

from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, rigid_sphere_response
from saiseld.conventions.sphere import unit_vector
from saiseld.live.arrays import ChannelMap
from saiseld.live.finding import CLAPS, find
from saiseld.runtime.errors import AudioError, DataError

RATE = 48_000


def clapped(channels, polarity, turn: float, seed: int = 0) -> list[np.ndarray]:
    """Return what is recorded of the claps by an array that is wired and turned like this."""
    rng = np.random.default_rng(seed)
    samples = RATE // 2
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    capsules = eigenmike_xyz()[list(TETRAHEDRON)] / RADIUS_M
    claps = []
    for azimuth, elevation in CLAPS.values():
        sound = np.zeros((samples, 4))
        for delay, loud, where in (
            (0.3, 1.0, (azimuth, elevation)),
            (0.312, 0.5, (azimuth + 130, -20)),  # an echo
        ):
            burst = np.zeros(samples)
            start = round(delay * RATE)
            burst[start : start + 96] = rng.standard_normal(96) * np.hanning(96) * loud
            ka = 2 * np.pi * frequency * RADIUS_M / SPEED_OF_SOUND
            towards = capsules @ unit_vector(where[0] - turn, where[1])
            low = ka < 5  # far above what is looked at, where the series is long
            response = np.zeros((len(ka), 4), complex)
            response[low] = rigid_sphere_response(ka[low], towards)
            sound += np.fft.irfft(np.fft.rfft(burst)[:, None] * response, samples, axis=0)
        sound += 0.003 * rng.standard_normal(sound.shape)
        wired = np.empty_like(sound)
        for capsule, (channel, sign) in enumerate(zip(channels, polarity, strict=True)):
            wired[:, channel - 1] = sign * sound[:, capsule]
        claps.append(wired.astype(np.float32))
    return claps


@pytest.mark.parametrize(
    ("channels", "polarity", "turn"),
    [
        ((1, 2, 3, 4), (1, 1, 1, 1), 0.0),
        ((3, 1, 4, 2), (1, 1, 1, 1), 40.0),
        ((4, 3, 2, 1), (1, -1, 1, 1), -70.0),
        ((2, 1, 3, 4), (-1, 1, 1, -1), 12.0),
    ],
)
def test_order_polarity_and_front_are_found(channels, polarity, turn) -> None:
    found = find(clapped(channels, polarity, turn), RATE)
    assert found.map.channels == channels
    assert abs(found.map.turn - turn) <= 4
    relative = [sign * found.map.polarity[0] * polarity[0] for sign in found.map.polarity]
    assert relative == list(polarity)
    assert found.fit > 0.9


def test_half_a_turn_is_another_order() -> None:
    found = find(clapped((1, 2, 3, 4), (1, 1, 1, 1), 170.0), RATE).map
    assert found.channels == (4, 3, 2, 1) and abs(found.turn + 10) <= 4


def test_what_is_no_array_or_no_clap_is_told() -> None:
    rng = np.random.default_rng(0)
    noise = [(0.01 * rng.standard_normal((RATE, 4))).astype(np.float32) for _ in CLAPS]
    with raises(AudioError, expected="a clap in front", found="nothing loud"):
        find(noise, RATE)
    for clap in noise:
        clap[1000:1100] += rng.standard_normal((100, 4)).astype(np.float32)
    with raises(AudioError, found="a fit of"):
        find(noise, RATE)
    with raises(AudioError, place="channels", expected="4"):
        find([clap[:, :2] for clap in noise], RATE)


def test_a_map_there_and_back_and_what_it_does(tmp_path) -> None:
    known = ChannelMap((3, 1, 2, 6), (1, -1, 1, 1), 30.0)
    known.write(tmp_path / "array.json")
    assert ChannelMap.read(tmp_path / "array.json") == known
    samples = np.arange(12, dtype=np.float32).reshape(2, 6)
    np.testing.assert_array_equal(known.capsules(samples), [[2, 0, 1, 5], [8, -6, 7, 11]])
    with raises(AudioError, place="channels", expected="6 or more", found="4"):
        known.check("microphones", 4)


@pytest.mark.parametrize(
    "wrong",
    [
        '{"channels": [1, 2, 3]}',
        '{"channels": [1, 2, 3, 3]}',
        '{"channels": [0, 1, 2, 3]}',
        '{"polarity": [1, 1, 1, 2]}',
        '{"turn": "left"}',
        "[]",
        "",
    ],
)
def test_a_file_that_is_no_map_is_told(tmp_path, wrong) -> None:
    path = tmp_path / "array.json"
    path.write_text(wrong)
    with raises(DataError, path):
        ChannelMap.read(path)
