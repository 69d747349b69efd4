"""Measured responses: a SOFA file of a rigid sphere is the rigid sphere."""

from __future__ import annotations

import zlib

import h5py
import numpy as np
import pytest

from saiseld.arrays.description import read_array, tetrahedron
from saiseld.arrays.measured import read_sofa
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


def _elsewhere(path, file):
    del file["Data.IR"]
    file["Data.IR"] = h5py.ExternalLink(str(path.with_name("other.sofa")), "/Data.IR")


def _soft(path, file):
    file.move("Data.IR", "other")
    file["Data.IR"] = h5py.SoftLink("/other")


def _raw(path, file):
    del file["Data.IR"]
    path.with_name("other.raw").write_bytes(bytes(8 * 196 * 4 * LENGTH))
    kept = [(str(path.with_name("other.raw")), 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("Data.IR", (196, 4, LENGTH), "f8", external=kept)


def _virtual(path, file):
    del file["Data.IR"]
    layout = h5py.VirtualLayout((196, 4, LENGTH), "f8")
    layout[:] = h5py.VirtualSource(str(path.with_name("other.sofa")), "Data.IR", (196, 4, LENGTH))
    file.create_virtual_dataset("Data.IR", layout)


def _claims(name, shape):
    def change(path, file):
        del file[name]
        file.create_dataset(name, shape, "f8")

    return change


def _set(name, value):
    def change(path, file):
        del file[name]
        file[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (_elsewhere, "Data.IR"),
        (_soft, "Data.IR"),
        (_raw, "Data.IR"),
        (_virtual, "Data.IR"),
        (_claims("Data.IR", (196, 4, 1 << 24)), "Data.IR"),
        (_claims("SourcePosition", (1 << 28, 3)), "SourcePosition"),
        (_claims("ReceiverPosition", (1 << 28, 3)), "ReceiverPosition"),
        (_set("Data.IR", np.zeros((196, 4))), "Data.IR"),
        (_set("Data.IR", np.zeros((196, 4, 0))), "Data.IR"),
        (_set("Data.IR", b"x" * 100), "Data.IR"),
        (_set("SourcePosition", 1e-200 * fibonacci_sphere(6).T), "SourcePosition"),
        (_set("SourcePosition", 1e200 * fibonacci_sphere(6).T), "SourcePosition"),
        (_set("Data.SamplingRate", np.inf), "Data.SamplingRate"),
        (_set("Data.SamplingRate", 1e30), "Data.SamplingRate"),
        (_set("ReceiverPosition", np.full((4, 3), np.nan)), "ReceiverPosition"),
        (_set("ReceiverPosition", np.ones((5, 3))), "ReceiverPosition"),
    ],
)
def test_a_file_that_leads_elsewhere_or_claims_much_is_refused(
    tmp_path, responses, change, place
) -> None:
    sofa(tmp_path / "other.sofa", responses)
    path = sofa(tmp_path / "mine.sofa", responses)
    with h5py.File(path, "a") as file:
        change(path, file)
    with pytest.raises(DataError) as error:
        read_sofa(path)
    assert error.value.place == place


@pytest.mark.parametrize("name", ["../other.sofa", "/etc/hostname", "a/b.sofa"])
def test_responses_lie_beside_their_description(tmp_path, responses, name) -> None:
    sofa(tmp_path / "other.sofa", responses)
    (tmp_path / "own").mkdir()
    own = tmp_path / "own" / "mine.toml"
    own.write_text(f'model = "responses"\nresponses = "{name}"\n')
    with pytest.raises(DataError) as error:
        read_array(own)
    assert error.value.place == "responses"
    assert error.value.found == repr(name)


def _packed(path, responses, unpacked, **how):
    """Write a file whose responses are in chunks, of which the first unpacks to zeros."""
    sofa(path, responses)
    with h5py.File(path, "a") as file:
        del file["Data.IR"]
        held = file.create_dataset("Data.IR", responses.shape, "f8", compression="gzip", **how)
        held.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(unpacked)))
    return path


def test_packed_responses_are_those_that_are_not(tmp_path, responses) -> None:
    plain, packed = sofa(tmp_path / "plain.sofa", responses), tmp_path / "packed.sofa"
    sofa(packed, responses)
    with h5py.File(packed, "a") as file:
        del file["Data.IR"]
        how = {"chunks": (50, 4, 64), "compression": "gzip", "shuffle": True, "fletcher32": True}
        file.create_dataset("Data.IR", data=responses, **how)
    wanted, found = (read_sofa(path).impulse_responses for path in (plain, packed))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("unpacked", [1 << 24, 100])
def test_chunks_that_unpack_to_more_or_less_than_they_are_are_refused(
    tmp_path, responses, unpacked
) -> None:
    path = _packed(tmp_path / "a.sofa", responses, unpacked, chunks=(1, 4, LENGTH))
    with pytest.raises(DataError, match="chunks that unpack to 4096 bytes"):
        read_sofa(path)


@pytest.mark.parametrize("chunks", [(1, 1, (1 << 28) + 5), (1, 1, 1)])
def test_chunks_of_other_sizes_than_the_numbers_need_are_refused(
    tmp_path, responses, chunks
) -> None:
    how = {"chunks": chunks, "maxshape": (None, None, None)}
    path = _packed(tmp_path / "a.sofa", responses, 8, **how)
    with pytest.raises(DataError, match="in chunks of"):
        read_sofa(path)


def test_packing_that_sofa_does_not_use_is_refused(tmp_path, responses) -> None:
    path = sofa(tmp_path / "a.sofa", responses)
    with h5py.File(path, "a") as file:
        del file["Data.IR"]
        file.create_dataset("Data.IR", data=responses, compression="lzf")
    with pytest.raises(DataError, match="shuffle and deflate"):
        read_sofa(path)
