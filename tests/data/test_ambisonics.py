"""Ambisonics becomes what the capsules of the tetrahedron hear."""

import numpy as np
import pytest
from tests.errors import raises

from saiseld.conventions.arrays import TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.sphere import real_harmonics, unit_vector
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.ambisonics import AmbisonicConverter, AmbisonicFormat, capsules_of_foa
from saiseld.runtime.errors import AudioError

CAPSULES = RigidSphereArray(eigenmike_xyz()[list(TETRAHEDRON)])
SAMPLES = 12_000


def plane_waves(*directions: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return (W, Y, Z, X in SN3D; what the capsules hear) of independent noises."""
    rng = np.random.default_rng(7)
    frequency = np.fft.rfftfreq(SAMPLES, 1 / SAMPLE_RATE)
    early = np.exp(2j * np.pi * frequency * CAPSULES.LATENCY / SAMPLE_RATE)
    foa, heard = np.zeros((SAMPLES, 4)), np.zeros((SAMPLES, 4))
    for direction in directions:
        x, y, z = unit_vector(*direction)
        noise = rng.standard_normal(SAMPLES)
        foa += noise[:, None] * [1, y, z, x]
        response = np.fft.rfft(CAPSULES.responses([x, y, z]), SAMPLES) * early
        heard += np.fft.irfft(response * np.fft.rfft(noise), SAMPLES).T
    return foa.astype(np.float32), heard


def error(got: np.ndarray, wanted: np.ndarray, low: float, high: float) -> float:
    frequency = np.fft.rfftfreq(len(got), 1 / SAMPLE_RATE)
    inside = (frequency >= low) & (frequency < high)
    spectra = [np.fft.rfft(signal, axis=0)[inside] for signal in (got - wanted, wanted)]
    return float(np.linalg.norm(spectra[0]) / np.linalg.norm(spectra[1]))


@pytest.mark.parametrize("direction", [(0, 0), (90, 0), (-60, 40), (170, -70)])
def test_one_source_is_exact(direction: tuple[float, float]) -> None:
    foa, heard = plane_waves(direction)
    got = np.concatenate(list(capsules_of_foa([foa])))
    assert error(got, heard, 100, 9000) < 0.03


def test_two_sources_are_near_at_long_waves() -> None:
    foa, heard = plane_waves((50, 10), (-100, -20))
    got = np.concatenate(list(capsules_of_foa([foa])))
    assert error(got, heard, 100, 500) < 0.05
    assert error(got, heard, 500, 1500) < 0.25


def test_blocks_of_any_size_give_the_same_numbers() -> None:
    foa, _ = plane_waves((20, 30))
    foa = np.tile(foa, (5, 1))
    whole = list(capsules_of_foa([foa]))
    parts = list(capsules_of_foa(np.split(foa, [2400, 7200, 7201, 50_000])))
    assert [len(part) for part in parts] == [2400, 4800, 1, 42_799, 10_000]
    assert np.array_equal(np.concatenate(parts), whole[0])


def test_fuma_is_another_order_and_level() -> None:
    foa, _ = plane_waves((20, 30))
    fuma = foa[:, [0, 3, 1, 2]] * np.array([0.5**0.5, 1, 1, 1], np.float32)
    got = next(iter(capsules_of_foa([fuma], "fuma")))
    assert np.allclose(got, next(iter(capsules_of_foa([foa]))), atol=1e-5)


def test_silence_stays_silence() -> None:
    silence = np.zeros((5000, 4), np.float32)
    assert not next(iter(capsules_of_foa([silence]))).any()


HIGHER = [(35, 20), (-100, -30), (160, 5)]


def third_order(*directions: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return (sixteen components in ACN and SN3D; what the capsules hear) of independent noises."""
    rng = np.random.default_rng(7)
    _, heard = plane_waves(*directions)
    noise = [rng.standard_normal(SAMPLES) for _ in directions]
    components = sum(
        one[:, None] * real_harmonics([unit_vector(*direction)], 3)
        for one, direction in zip(noise, directions, strict=True)
    )
    return np.asarray(components, np.float32), heard


def converted(audio: np.ndarray, format_: AmbisonicFormat, order: int) -> np.ndarray:
    stream = AmbisonicConverter(format_, order).stream()
    return np.concatenate([stream.push(audio), stream.close()])


def test_higher_orders_tell_several_sources_apart() -> None:
    audio, heard = third_order(*HIGHER)
    errors = [error(converted(audio, "ambix", order), heard, 1500, 3000) for order in (1, 2, 3)]
    assert errors[1] < 0.6 * errors[0] and errors[2] < 0.5 * errors[1] and errors[2] < 0.1


def test_one_source_of_higher_order_is_exact() -> None:
    audio, heard = third_order((-60, 40))
    assert error(converted(audio, "ambix", 3), heard, 100, 9000) < 0.03


@pytest.mark.parametrize(("order", "channels"), [(2, 9), (3, 16)])
def test_higher_orders_in_other_gains_and_orders(order: int, channels: int) -> None:
    audio, _ = third_order(*HIGHER)
    expected = converted(audio, "ambix", order)
    degree = np.repeat([0, 1, 2, 3], [1, 3, 5, 7])
    n3d = (audio * np.sqrt(2 * degree + 1))[:, :channels]
    assert np.allclose(converted(n3d, "n3d", order), expected, atol=1e-5)
    # Malham's table: W X Y Z, R S T U V, K L M N O P Q.
    gains = [0.5**0.5, 1, 1, 1, 1, *[2 / 3**0.5] * 4, 1, *[(45 / 32) ** 0.5] * 2]
    gains += [*[3 / 5**0.5] * 2, *[(8 / 5) ** 0.5] * 2]
    fuma = audio[:, [0, 3, 1, 2, 6, 7, 5, 8, 4, 12, 13, 11, 14, 10, 15, 9]] * gains
    assert np.allclose(converted(fuma[:, :channels], "fuma", order), expected, atol=1e-5)


def test_too_few_channels_for_an_order_are_refused() -> None:
    with raises(AudioError, place="channels", expected="9 or more"):
        AmbisonicConverter("ambix", 2).check(8, "a.wav")
