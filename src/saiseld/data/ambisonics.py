"""First-order ambisonics as the four capsules of the tetrahedron would have heard it.

A plane wave from direction u has W = 1 and (X, Y, Z) = u in SN3D. On the rigid sphere of the em32 a
capsule hears it through the series of `saiseld.conventions.rigid_sphere`, of which first order
holds two terms. Those two alone miss a tenth of the pressure at 750 Hz and most of it above 2.5
kHz, just where acoustic images are made. So each bin of a short-time spectrum is taken for one
plane wave, from where its intensity Re(W* (X, Y, Z)) points (Pulkki, "Spatial Sound Reproduction
with Directional Audio Coding", JAES 55, 2007), that is heard through the whole series; what the
wave leaves over of X, Y and Z is heard through the first-order term. One source is exact, several
are as apart as they are in time and frequency. docs/data.md has the measured error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import uniform_filter

from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import (
    SPEED_OF_SOUND,
    radial_term,
    rigid_sphere_response,
)
from saiseld.conventions.timebase import SAMPLE_RATE

Ambisonics = Literal["ambix", "fuma"]
"""``ambix``: W, Y, Z, X (ACN) in SN3D. ``fuma``: W, X, Y, Z with W 3 dB lower."""

_WINDOW, _HOP = 512, 128
_CHUNK, _MARGIN = 200 * _HOP, 8 * _HOP
_SMOOTH = (5, 3)
"""Short-time frames and bins over which an intensity is averaged."""
_ANGLES = 361
_ORDER = {"ambix": (0, 3, 1, 2), "fuma": (0, 1, 2, 3)}

Complex = NDArray[np.complex128]


def capsules_of_foa(
    blocks: Iterable[NDArray[np.float32]], kind: Ambisonics = "ambix"
) -> Iterator[NDArray[np.float32]]:
    """Yield (n, 4) capsule signals of (n, 4) first-order blocks at 24 kHz, of the same lengths.

    The same numbers whatever the blocks' sizes.
    """
    lengths: list[int] = []
    held = np.zeros((_MARGIN, 4))
    ready = np.zeros((0, 4), np.float32)
    for block in blocks:
        lengths.append(len(block))
        held = np.concatenate([held, _wxyz(block, kind)])
        while len(held) >= _CHUNK + 2 * _MARGIN:
            ready = np.concatenate([ready, _capsules(held[: _CHUNK + 2 * _MARGIN])])
            held = held[_CHUNK:]
        while lengths and len(ready) >= lengths[0]:
            length = lengths.pop(0)
            yield ready[:length]
            ready = ready[length:]
    for length in lengths:
        while len(ready) < length:
            part = held[: _CHUNK + 2 * _MARGIN]
            padded = np.pad(part, ((0, _CHUNK + 2 * _MARGIN - len(part)), (0, 0)))
            ready, held = np.concatenate([ready, _capsules(padded)]), held[_CHUNK:]
        yield ready[:length]
        ready = ready[length:]


def _wxyz(block: NDArray[np.float32], kind: Ambisonics) -> NDArray[np.float64]:
    ordered = block[:, _ORDER[kind]].astype(float)
    if kind == "fuma":
        ordered[:, 0] *= np.sqrt(2)
    return ordered


def _capsules(wxyz: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the capsule signals (_CHUNK, 4) of W, X, Y, Z with a margin on either side."""
    starts = np.arange(0, len(wxyz) - _WINDOW + 1, _HOP)
    window = np.sqrt(np.hanning(_WINDOW + 1)[:-1])
    frames = wxyz[starts[:, None] + np.arange(_WINDOW)] * window[:, None]
    spectra = rfft(frames, axis=1)
    heard = _heard(spectra[..., 0], spectra[..., 1:])
    parts = irfft(heard, _WINDOW, axis=1) * (window[:, None] * 2 * _HOP / _WINDOW)
    out = np.zeros((len(wxyz), 4))
    for start, part in zip(starts, parts, strict=True):
        out[start : start + _WINDOW] += part
    return out[_MARGIN:-_MARGIN].astype(np.float32)


def _heard(pressure: Complex, velocity: Complex) -> Complex:
    """Return capsule spectra (T, F, 4) of W (T, F) and X, Y, Z (T, F, 3)."""
    whole, dipole = _responses()
    facing = eigenmike_xyz()[list(TETRAHEDRON)] / RADIUS_M
    intensity = uniform_filter((pressure.conj()[..., None] * velocity).real, (*_SMOOTH, 0))
    length = np.linalg.norm(intensity, axis=-1, keepdims=True)
    direction = np.divide(intensity, length, out=np.zeros_like(intensity), where=length > 0)
    cosine = np.clip(direction @ facing.T, -1, 1)
    angle = np.rint(np.arccos(cosine) * ((_ANGLES - 1) / np.pi)).astype(int)
    wave = whole[np.arange(whole.shape[0])[None, :, None], angle] * pressure[..., None]
    left_over = velocity - direction * pressure[..., None]
    return np.asarray(wave + dipole[None, :, None] * (left_over @ facing.T))


@cache
def _responses() -> tuple[Complex, Complex]:
    """Return the responses by frequency and angle (F, _ANGLES), and the first-order term (F,)."""
    ka = 2 * np.pi * np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE) * RADIUS_M / SPEED_OF_SOUND
    angle = np.linspace(0, np.pi, _ANGLES)
    return rigid_sphere_response(ka, np.cos(angle)), radial_term(1, ka)
