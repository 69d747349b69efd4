"""Channel identification on claps that arrays with mixed-up wires would record."""

from __future__ import annotations

import numpy as np
import pytest

from saiseld.arrays.description import read_array, tetrahedron
from saiseld.arrays.responses import array_response
from saiseld.conventions.sphere import unit_vector
from saiseld.live.channel_identification import CLAPS, identify
from saiseld.runtime.errors import AudioError

RATE = 48_000


def clapped(array, channels, polarity, yaw: float, count: int, seed: int = 0) -> list[np.ndarray]:
    """Return what a device of ``count`` channels records of the claps, wired and turned so."""
    rng = np.random.default_rng(seed)
    samples = RATE // 4
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    claps = []
    for azimuth, elevation in CLAPS.values():
        sound = np.zeros((samples, array.microphones))
        for delay, loud, where in (
            (0.1, 1.0, (azimuth, elevation)),
            (0.112, 0.5, (azimuth + 130, -20)),  # an echo
        ):
            burst = np.zeros(samples)
            start = round(delay * RATE)
            burst[start : start + 96] = rng.standard_normal(96) * np.hanning(96) * loud
            low = frequency < 6000  # far above what is looked at, where the series is long
            response = np.zeros((len(frequency), array.microphones), complex)
            directions = np.atleast_2d(unit_vector(*where))
            response[low] = array_response(array.turned(yaw), frequency[low], directions)[:, 0]
            sound += np.fft.irfft(np.fft.rfft(burst)[:, None] * response, samples, axis=0)
        wired = np.zeros((samples, count))
        for microphone, (channel, sign) in enumerate(zip(channels, polarity, strict=True)):
            wired[:, channel - 1] = sign * sound[:, microphone]
        wired += 0.003 * rng.standard_normal(wired.shape)
        claps.append(wired.astype(np.float32))
    return claps


CASES = (
    ("tetrahedron", (1, 2, 3, 4), (1, 1, 1, 1), 40.0, 4),
    ("tetrahedron", (3, 1, 4, 2), (1, 1, 1, 1), 40.0, 4),
    ("tetrahedron", (2, 1, 3, 4), (-1, 1, 1, -1), 12.0, 4),
    ("tetrahedron", (6, 10, 26, 22), (1, -1, 1, 1), -70.0, 32),
    ("respeaker-usb-4", (2, 3, 4, 5), (1, 1, 1, 1), 130.0, 6),
    ("respeaker-usb-4", (3, 2, 4, 5), (1, 1, -1, 1), 0.0, 6),
    ("uma-8", (1, 2, 3, 4, 5, 6, 7), (1, 1, 1, 1, -1, 1, 1), -50.0, 8),
    ("ambeo", (1, 2, 3, 4), (1, 1, 1, 1), 20.0, 4),
)


@pytest.mark.parametrize(("name", "channels", "polarity", "yaw", "count"), CASES)
def test_wiring_and_front_are_found(name, channels, polarity, yaw, count) -> None:
    array = tetrahedron() if name == "tetrahedron" else read_array(name)
    real = clapped(array, channels, polarity, yaw, count)
    found = identify(real, RATE, array)
    assert found.fit > 0.9
    # An array of symmetrical shape may be turned and its channels with it: what counts is that
    # what it records of any direction is what the real one would have recorded.
    frequency, directions = np.array([1500.0]), unit_vector([0, 50, 160, -80], [0, 20, -10, 5])
    recorded = np.zeros((4, count), complex)
    wanted = array_response(array.turned(yaw), frequency, directions)[0]
    recorded[:, np.array(channels) - 1] = wanted * np.array(polarity)
    picked = recorded[:, np.array(found.array.channels) - 1] * np.array(found.array.polarity)
    model = array_response(found.array, frequency, directions)[0]
    alike = np.abs((model.conj() * picked).sum(1))
    alike /= np.linalg.norm(model, axis=1) * np.linalg.norm(picked, axis=1)
    assert alike.min() > 0.98


def test_the_described_order_is_kept_where_it_fits() -> None:
    found = identify(clapped(tetrahedron(), (1, 2, 3, 4), (1,) * 4, 170.0, 4), RATE, tetrahedron())
    assert found.array.channels == (1, 2, 3, 4) and abs(found.array.yaw_deg - 170) <= 4


def test_what_is_no_array_or_no_clap_is_told() -> None:
    rng = np.random.default_rng(0)
    noise = [(0.01 * rng.standard_normal((RATE, 4))).astype(np.float32) for _ in CLAPS]
    with pytest.raises(AudioError) as error:
        identify(noise, RATE, tetrahedron())
    assert error.value.expected == "a clap in front"
    for clap in noise:
        clap[1000:1100] += rng.standard_normal((100, 4)).astype(np.float32)
    with pytest.raises(AudioError) as error:
        identify(noise, RATE, tetrahedron())
    assert error.value.found.startswith("a fit of")
    with pytest.raises(AudioError) as error:
        identify([clap[:, :2] for clap in noise], RATE, tetrahedron())
    assert (error.value.place, error.value.found) == ("channels", "2")
