"""Measured responses of an array, read from SOFA (AES69): HDF5 by h5py, an optional package.

Any convention with FIR data will do (``GeneralFIR``, ``SimpleFreeFieldHRIR``,
``SingleRoomSRIR`` ...): directions from ``SourcePosition``, receivers in channel order.
"""

from __future__ import annotations

import logging
import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import real_harmonics, unit_vector
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.limits import Limit

VALUES = Limit("responses", 50_000_000)
"""Samples in all responses of a file: 480 directions of 32 receivers hold 4 million."""

POSITIONS = Limit("positions", 1_000_000)
"""Coordinates in all positions of a file."""

_MOST_CHUNKS = 100_000
_CHUNK_ALWAYS_READ = 1 << 20
"""Values; a larger chunk must not be larger than its dataset."""
_DEFLATE, _SHUFFLE, _CHECKSUM = 1, 2, 3
"""Numbers of the filters of HDF5 that netCDF, and so SOFA, uses."""

_MOST_SAMPLE_RATE = 768_000
_NEAREST_M, _FARTHEST_M = 1e-6, 1e6

MIN_DIRECTIONS = 100
_MAX_ORDER = 12
_RIDGE = 1e-3
_LATENCY_HZ = (300.0, 2000.0)

_log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class MeasuredResponses:
    """Impulse responses of an array to plane waves from many directions.

    Parameters
    ----------
    impulse_responses
        (D, M, N).
    sample_rate
        Of them, in Hz.
    directions
        (D, 3) unit vectors that the sound came from.
    positions_m
        (M, 3) of the receivers, in metres.
    """

    impulse_responses: FloatArray
    sample_rate: float
    directions: FloatArray
    positions_m: FloatArray

    @property
    def receivers(self) -> int:
        """Number of microphones, M."""
        return len(self.positions_m)

    def response(self, frequency_hz: FloatArray, directions: FloatArray) -> Complex:
        """Return the response (F, D', M) at frequencies (F,), to unit vectors (D', 3).

        Spherical harmonics are fitted to the measured directions. What is common to all
        directions and microphones, gain and delay, is taken out: it says nothing of direction.
        0 above half the sample rate.
        """
        order = min(_MAX_ORDER, int(np.sqrt(len(self.directions) / 1.5)) - 1)
        degree = np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)
        orthonormal = np.sqrt((2 * degree + 1) / (4 * np.pi))
        basis = real_harmonics(self.directions, order) * orthonormal
        target = real_harmonics(directions, order) * orthonormal
        # Regularised as a smooth function is: high orders cost more.
        ridge = _RIDGE * len(basis) / (4 * np.pi) * np.diag(1 + degree * (degree + 1.0)) / 50
        fit = target @ np.linalg.solve(basis.T @ basis + ridge, basis.T)
        time_s = np.arange(self.impulse_responses.shape[-1]) / self.sample_rate - self.latency_s
        out = np.zeros((len(frequency_hz), len(directions), self.receivers), complex)
        for row, hz in zip(out, frequency_hz, strict=True):
            if hz < self.sample_rate / 2:
                raw = self.impulse_responses @ np.exp(-2j * np.pi * hz * time_s)
                size = np.sqrt(np.mean(np.abs(raw) ** 2))
                row[:] = fit @ (raw / (size or 1.0))
        return out

    @cached_property
    def latency_s(self) -> float:
        """Seconds of delay that all directions and microphones share.

        Of the mean over both, which is the wave at the centre: the slope of its phase.
        """
        mean = self.impulse_responses.mean(axis=(0, 1))
        size = 1 << (8 * len(mean)).bit_length()
        spectrum = np.fft.rfft(mean, size)
        hz = np.fft.rfftfreq(size, 1 / self.sample_rate)
        used = (hz > _LATENCY_HZ[0]) & (hz < _LATENCY_HZ[1])
        phase = np.unwrap(np.angle(spectrum[used]))
        slope = np.polyfit(hz[used], phase, 1, w=np.abs(spectrum[used]))[0]
        return float(-slope / (2 * np.pi))


def read_sofa(path: Path) -> MeasuredResponses:
    """Read a SOFA file.

    Raises
    ------
    DataError
        If it is none, holds no impulse responses, or too few directions.
    """
    if not path.is_file():
        raise DataError(path, expected="a SOFA file with the array's responses", found="no file")
    import h5py

    with refusing(DataError, path, "a SOFA file (AES69)"), h5py.File(path, "r") as file:
        kind = _attribute(file, "Conventions")
        if kind != "SOFA" or "Data.IR" not in file:
            raise DataError(
                path,
                place="Data.IR",
                expected="SOFA with impulse responses (DataType FIR)",
                found=f"Conventions {kind!r}, DataType {_attribute(file, 'DataType')!r}",
            )
        values = _numbers(file, path, "Data.IR", VALUES)
        if values.ndim == 4:  # FIR-E: one emitter is enough for a plane wave
            values = values[..., 0] if values.shape[-1] == 1 else values[:, :, 0]
        rate = float(np.ravel(_numbers(file, path, "Data.SamplingRate", POSITIONS))[0])
        sources, receivers = (
            _cartesian(file[name], _numbers(file, path, name, POSITIONS))
            for name in ("SourcePosition", "ReceiverPosition")
        )
    _check(path, values, rate, sources)
    if values.shape[1] != len(receivers) or not (np.abs(receivers) < _FARTHEST_M).all():
        raise DataError(
            path,
            place="ReceiverPosition",
            expected=f"{values.shape[1]} finite positions, as receivers in Data.IR",
            found=f"{len(receivers)}",
        )
    return MeasuredResponses(
        values, rate, sources / np.linalg.norm(sources, axis=1, keepdims=True), receivers
    )


def _numbers(file: Any, path: Path, name: str, most: Limit) -> FloatArray:
    """Return a dataset of this file itself, its size checked before memory of it is taken.

    HDF5 can keep a dataset in other files: by a link, raw, or pieced together.
    """
    import h5py

    link = file.get(name, getlink=True)
    held = file.get(name) if isinstance(link, h5py.HardLink) else None
    if not isinstance(held, h5py.Dataset) or held.external or held.is_virtual:
        raise DataError(
            path, place=name, expected="numbers in this file", found="none, or a link to others"
        )
    if held.dtype.kind not in "fiu" or held.dtype.itemsize > 8 or held.shape is None:
        raise DataError(path, place=name, expected="numbers", found=str(held.dtype))
    most.check(int(held.size), DataError, path, place=name)
    if held.chunks is not None:
        _check_chunks(held, path, name)
    return np.asarray(held, float)


def _check_chunks(held: Any, path: Path, name: str) -> None:
    """Refuse what HDF5 would take much more memory or time to unpack than the numbers need."""
    values = math.prod(held.chunks)
    count = math.prod(-(-n // of) for n, of in zip(held.shape, held.chunks, strict=True))
    if values > max(held.size, _CHUNK_ALWAYS_READ) or count > _MOST_CHUNKS:
        raise DataError(
            path,
            place=name,
            expected=f"at most {_MOST_CHUNKS} chunks, none larger than all numbers together",
            found=f"shape {held.shape} in chunks of {held.chunks}",
        )
    created = held.id.get_create_plist()
    filters = [created.get_filter(number)[0] for number in range(created.get_nfilters())]
    packed = [number for number in filters if number != _CHECKSUM]
    if packed not in ([], [_SHUFFLE], [_DEFLATE], [_SHUFFLE, _DEFLATE]):
        raise DataError(
            path,
            place=name,
            expected="numbers as they are, or packed by shuffle and deflate (gzip)",
            found=f"HDF5 filters {filters}",
        )
    if not filters:
        return
    size, stored = values * held.dtype.itemsize, list[Any]()
    held.id.chunk_iter(stored.append)
    for chunk in stored:
        used = [f for bit, f in enumerate(filters) if not chunk.filter_mask >> bit & 1]
        found = chunk.size - 4 * (_CHECKSUM in used)
        if _DEFLATE in used:
            found = len(zlib.decompressobj().decompress(_raw(held, chunk, path), size + 1))
        # HDF5 makes place for all that comes, and takes what does not come from its memory.
        if found != size:
            raise DataError(
                path,
                place=name,
                expected=f"chunks that unpack to {size} bytes",
                found=f"{found} or more" if found > size else str(found),
            )


def _raw(held: Any, chunk: Any, path: Path) -> bytes:
    if chunk.size > path.stat().st_size:
        raise DataError(path, expected="chunks within the file", found=f"{chunk.size} bytes in one")
    _, content = held.id.read_direct_chunk(chunk.chunk_offset)
    return bytes(content)


def _check(path: Path, values: FloatArray, rate: float, sources: FloatArray) -> None:
    if values.ndim != 3 or 0 in values.shape:
        raise DataError(
            path,
            place="Data.IR",
            expected="responses of directions, receivers and samples",
            found=f"shape {values.shape}",
        )
    if len(values) < MIN_DIRECTIONS or len(sources) != len(values):
        raise DataError(
            path,
            place="SourcePosition",
            expected=f"{MIN_DIRECTIONS} or more directions, one for each response",
            found=f"{len(sources)} for {len(values)}",
        )
    if not (np.isfinite(values).all() and np.isfinite(sources).all()):
        raise DataError(path, place="Data.IR", expected="finite numbers", found="some are not")
    if not 0 < rate <= _MOST_SAMPLE_RATE:
        raise DataError(
            path,
            place="Data.SamplingRate",
            expected=f"above 0 and at most {_MOST_SAMPLE_RATE} Hz",
            found=f"{rate:g}",
        )
    with np.errstate(over="ignore", under="ignore"):
        length = np.linalg.norm(sources, axis=1)
    if length.min() < _NEAREST_M or length.max() > _FARTHEST_M:
        raise DataError(
            path,
            place="SourcePosition",
            expected=f"sources around the array, {_NEAREST_M:g} to {_FARTHEST_M:g} m away",
            found=f"one at {length.min():g} or {length.max():g} m",
        )
    centre = np.linalg.norm((sources / length[:, None]).mean(axis=0))
    if centre > 0.5:
        raise DataError(
            path,
            place="SourcePosition",
            expected="directions from all round the array",
            found="directions from one side",
        )


def _attribute(holder: Any, name: str) -> str:
    value = holder.attrs.get(name, "")
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _cartesian(positions: Any, values: FloatArray) -> FloatArray:
    """Return (n, 3) metres of SOFA's positions (n, 3) or (n, 3, 1), spherical or cartesian."""
    values = values.reshape(len(values), 3, -1)[..., 0]
    if _attribute(positions, "Type") != "spherical":
        return values
    if _attribute(positions, "Units").startswith("rad"):
        values = values * np.array([180 / np.pi, 180 / np.pi, 1])
    if values[:, 1].max() > 90 + 1e-6:  # AES69 has elevations, some files hold polar angles
        _log.warning(
            "%s: %s holds angles from the pole up to %.0f degrees, not elevations",
            positions.file.filename,
            positions.name,
            values[:, 1].max(),
        )
        values = values * np.array([1, -1, 1]) + np.array([0, 90, 0])
    return np.asarray(values[:, 2:] * unit_vector(values[:, 0], values[:, 1]))
