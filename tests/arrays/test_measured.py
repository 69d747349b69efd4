"""Measured responses: a SOFA file of a rigid sphere is the rigid sphere."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from saiseld.arrays.description import read_array, tetrahedron
from saiseld.arrays.responses import array_response
from saiseld.conventions.sphere import angles_of_vector, fibonacci_sphere
from saiseld.runtime.errors import DataError

RATE, LENGTH, LATE = 48_000, 128, 40


@pytest.fixture(scope="module")
def responses() -> np.ndarray:
    """(D, M, N) of the tetrahedron for 196 directions, 40 samples late."""
    frequency = np.fft.rfftfreq(LENGTH, 1 / RATE)
    response = array_response(tetrahedron(), frequency, fibonacci_sphere(6).T)
    response *= (np.exp(-2j * np.pi * frequency * LATE / RATE) * (frequency < 15e3))[:, None, None]
    return np.fft.irfft(response, LENGTH, axis=0).transpose(1, 2, 0)


def sofa(path, responses, *, kind="elevation", conventions="SOFA"):
    azimuth, elevation = angles_of_vector(fibonacci_sphere(6).T)
    positions = np.stack([azimuth % 360, elevation, np.ones_like(azimuth)], axis=1)
    if kind == "colatitude":
        positions[:, 1] = 90 - elevation
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_(conventions)
        file.attrs["DataType"] = np.bytes_("FIR")
        file["Data.IR"] = responses
        file["Data.SamplingRate"] = np.array([RATE])
        cartesian = kind == "cartesian"
        file["SourcePosition"] = fibonacci_sphere(6).T if cartesian else positions
        file["SourcePosition"].attrs["Type"] = np.bytes_("cartesian" if cartesian else "spherical")
        file["SourcePosition"].attrs["Units"] = np.bytes_("degree,degree,metre")
        file["ReceiverPosition"] = tetrahedron().positions_m[..., None]
        file["ReceiverPosition"].attrs["Type"] = np.bytes_("cartesian")
    return path


@pytest.mark.parametrize("kind", ["elevation", "colatitude", "cartesian"])
def test_a_measured_sphere_is_the_sphere(tmp_path, responses, kind) -> None:
    sofa(tmp_path / "mine.sofa", responses, kind=kind)
    (tmp_path / "mine.toml").write_text('model = "responses"\nresponses = "mine.sofa"\n')
    array = read_array(tmp_path / "mine.toml")
    frequency, directions = np.array([500.0, 1500.0, 3000.0]), fibonacci_sphere(3).T
    measured = array_response(array, frequency, directions)
    wanted = array_response(tetrahedron(), frequency, directions)
    for made, model in zip(measured, wanted, strict=True):
        alike = abs(np.vdot(made, model)) / np.linalg.norm(made) / np.linalg.norm(model)
        assert alike > 0.995
    assert (
        abs(array.measured.latency_s * RATE - LATE) < 4
    )  # a sphere delays what it scatters by itself


def test_what_is_no_measurement_is_refused(tmp_path, responses) -> None:
    path = tmp_path / "mine.sofa"
    (tmp_path / "mine.toml").write_text('model = "responses"\nresponses = "mine.sofa"\n')

    def refused() -> DataError:
        with pytest.raises(DataError) as error:
            read_array(tmp_path / "mine.toml")
        return error.value

    assert refused().found == "no file"
    path.write_bytes(b"not HDF5")
    assert "SOFA" in refused().expected
    sofa(path, responses, conventions="other")
    assert refused().place == "Data.IR"
    sofa(path, responses[:50])
    assert refused().place == "SourcePosition"
    sofa(path, np.full_like(responses, np.nan))
    assert refused().place == "Data.IR"
