"""Conversion of an array's sound to the tetrahedron's: its definition, and plane waves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.array_converter import convert

from saiseld.arrays.converter import LATENCY, ArrayConverter, Levels, converter_for
from saiseld.arrays.description import MicrophoneArray, read_array, tetrahedron
from saiseld.arrays.responses import array_response
from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.sphere import fibonacci_sphere, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.runtime.errors import AudioError

ARRAYS = ("respeaker-usb-4", "ambeo", "uma-8")


@pytest.fixture(scope="module")
def converters() -> dict[str, ArrayConverter]:
    return {name: ArrayConverter(read_array(name)) for name in ARRAYS}


def plane_wave(array, direction, samples: int, seed: int) -> np.ndarray:
    """Return (n, M) of noise from one direction, and no sound above 11 kHz."""
    rng = np.random.default_rng(seed)
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(samples)) * (frequency < 11e3)
    response = array_response(array, frequency, np.atleast_2d(direction))[:, 0]
    return np.fft.irfft(spectrum[:, None] * response, samples, axis=0).astype(np.float32)


@pytest.mark.parametrize("name", ARRAYS)
def test_fast_is_the_definition(name, converters) -> None:
    array = read_array(name)
    directions = unit_vector([40, -130], [10, 35])
    sound = plane_wave(array, directions[0], 3000, 1) + plane_wave(array, directions[1], 3000, 2)
    slow = convert(sound, array)
    fast = converters[name].stream()
    made = np.concatenate([fast.push(sound), fast.close()])
    # Where two directions are as loud but for rounding, either may be taken: rare, and close.
    assert np.linalg.norm(made - slow) < 0.02 * np.linalg.norm(slow)


@settings(derandomize=True, max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=8))
def test_the_same_numbers_whatever_the_blocks(converters, lengths) -> None:
    sound = np.random.default_rng(0).standard_normal((sum(lengths), 4)).astype(np.float32)
    whole, parts = converters["ambeo"].stream(), converters["ambeo"].stream()
    expected = np.concatenate([whole.push(sound), whole.close()])
    cuts = np.cumsum(lengths)[:-1]
    pushed = 0
    made = []
    for part in np.split(sound, cuts):
        made.append(parts.push(part))
        pushed += len(part)
        assert pushed - sum(map(len, made)) <= LATENCY
    made.append(parts.close())
    np.testing.assert_array_equal(np.concatenate(made), expected)
    assert expected.shape == sound.shape


def levels_of(array, gains, own_noise=0.0) -> np.ndarray:
    """Return the last gains (M,) learnt of long waves from all round, unequally recorded."""
    rng = np.random.default_rng(4)
    learnt = Levels(array)
    for _ in range(60):
        wave = rng.standard_normal((1, 16, 257)) + 1j * rng.standard_normal((1, 16, 257))
        own = rng.standard_normal((array.microphones, 16, 257))
        own[1:] *= 0.01
        heard = np.array(gains)[:, None, None] * wave + own_noise * own
        found = learnt.gains(heard.astype(np.complex64))
    return found


def test_gains_are_learnt_of_long_waves() -> None:
    gains = np.array([1.0, 1.2, 0.85, 0.95])
    square = replace(read_array("respeaker-usb-4"), channels=(1, 2, 3, 4))
    relative = np.exp(np.log(gains).mean()) / gains
    believed = relative ** (60 / 65)
    np.testing.assert_allclose(levels_of(square, gains), believed, rtol=0.02)
    # The first microphone's own noise, three times as loud, is not taken for a gain.
    np.testing.assert_allclose(levels_of(square, gains, 3.0), believed, rtol=0.1)
    most = 10 ** (3 / 20 * 60 / 65)
    assert levels_of(square, [1, 1, 1, 1e-3]).max() == pytest.approx(most, rel=0.01)
    wide = replace(square, positions_m=3 * square.positions_m)
    for other in (read_array("ambeo"), wide):
        np.testing.assert_array_equal(levels_of(other, gains), 1)


def test_streams_do_not_touch_one_another(converters) -> None:
    sound = np.random.default_rng(0).standard_normal((5000, 4)).astype(np.float32)
    first, other = converters["ambeo"].stream(), converters["ambeo"].stream()
    alone = np.concatenate([other.push(sound), other.close()])
    made = [first.push(sound[:3000])]
    converters["ambeo"].stream().push(sound)
    made += [first.push(sound[3000:]), first.close()]
    np.testing.assert_array_equal(np.concatenate(made), alone)


def test_silence_is_silence(converters) -> None:
    converter = converters["uma-8"].stream()
    out = np.concatenate([converter.push(np.zeros((4800, 7), np.float32)), converter.close()])
    assert not out.any() and len(out) == 4800


@pytest.mark.parametrize("name", ["ambeo", "octahedron"])
def test_one_plane_wave_is_as_the_tetrahedron_records_it(name, converters) -> None:
    """From a direction of the grid, where the one wave model is exact."""
    axes = 0.04 * np.concatenate([np.eye(3), -np.eye(3)])
    array = (
        MicrophoneArray("octahedron", "open", axes, (1, 2, 3, 4, 5, 6))
        if name == "octahedron"
        else read_array(name)
    )
    direction = fibonacci_sphere().T[200]
    converter = (converters.get(name) or ArrayConverter(array)).stream()
    sound = plane_wave(array, direction, 12_000, 3)
    made = np.concatenate([converter.push(sound), converter.close()])
    wanted = plane_wave(tetrahedron(), direction, 12_000, 3)
    error = np.fft.rfft(made - wanted, axis=0)
    whole = np.fft.rfft(wanted, axis=0)
    frequency = np.fft.rfftfreq(12_000, 1 / SAMPLE_RATE)
    bands = (frequency > 500) & (frequency < 6000)
    assert np.linalg.norm(error[bands]) < 0.1 * np.linalg.norm(whole[bands])


@pytest.mark.parametrize(("name", "channels"), [("em32", 32), ("tetrahedron", 4)])
def test_the_em32_goes_on_unchanged(name, channels) -> None:
    array = read_array("em32") if name == "em32" else tetrahedron()
    sound = np.random.default_rng(0).standard_normal((5000, channels)).astype(np.float32)
    stream = converter_for(array).stream()
    made = np.concatenate([stream.push(sound[:999]), stream.push(sound[999:]), stream.close()])
    wanted = sound[:, list(TETRAHEDRON)] if name == "em32" else sound
    np.testing.assert_array_equal(made, wanted)


def test_channels_of_a_device_are_picked_and_counted(converters) -> None:
    converter = converters["respeaker-usb-4"]
    four = np.random.default_rng(0).standard_normal((3000, 4)).astype(np.float32)
    six = np.ones((3000, 6), np.float32)
    six[:, 1:5] = four
    one, other = converter.stream(), converter.stream()
    np.testing.assert_array_equal(one.push(four), other.push(six))
    with pytest.raises(AudioError) as error:
        converter.check(3, "meeting.wav")
    assert (error.value.source, error.value.place) == ("meeting.wav", "channels")
    assert converter.elevation_assumed and not converters["ambeo"].elevation_assumed


def test_names_tell_descriptions_apart() -> None:
    array = read_array("uma-8")
    names = {ArrayConverter(a).name for a in (array, array.turned(10), read_array("ambeo"))}
    assert len(names) == 3
    assert ArrayConverter(array).name == ArrayConverter(read_array("uma-8")).name
