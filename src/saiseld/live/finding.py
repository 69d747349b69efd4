"""The channel wizard: which channel is which capsule, which way round, and where the front is.

Someone claps in front, to the left and above. Waves far longer than the array reach every capsule
alike, so a channel that moves against the first one there is wired the other way round. Of the 24
orders and every turn, in steps, that one is taken in which what the rigid sphere would hear of the
three directions is most like what was heard. Two orders half a turn apart are the same array
turned: the smaller turn is taken. The clap above is needed: front and left alone cannot tell an
array from its mirror image below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.arrays import RADIUS_M, TETRAHEDRON, eigenmike_xyz
from saiseld.conventions.rigid_sphere import SPEED_OF_SOUND, rigid_sphere_response
from saiseld.conventions.sphere import unit_vector
from saiseld.live.arrays import CAPSULES, ChannelMap
from saiseld.live.sources import Source
from saiseld.runtime.errors import AudioError

CLAPS = {"in front": (0.0, 0.0), "to the left": (90.0, 0.0), "above": (0.0, 75.0)}
"""Where it is clapped: azimuth and elevation in degrees."""

SECONDS = 4.0
"""For each clap."""

TURN_STEP = 2.0
LEAST_FIT = 0.8
"""Below this the claps are of no array that is known here."""

_LONG_HZ = (80.0, 400.0)
_SHAPE_HZ = (500.0, 4000.0)
_DIRECT_S = 0.008
"""Of a clap, from just before its onset: before most echoes come."""
_LOUDER = 10.0

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """What the wizard found.

    Parameters
    ----------
    map
        The channel map.
    fit
        Share of the claps' power that is as it should be, 0 to 1.
    """

    map: ChannelMap
    fit: float


def record(source: Source, on_clap: Callable[[str], object]) -> list[Array]:
    """Return `SECONDS` of sound (n, channels) for each of `CLAPS`, telling of each before it."""
    blocks = source.blocks()
    claps = []
    try:
        for where in CLAPS:
            on_clap(where)
            wanted = round(SECONDS * source.sample_rate)
            parts: list[Array] = []
            while sum(map(len, parts)) < wanted:
                block = next(blocks, None)
                if block is None:
                    raise AudioError(source.name, expected=f"a clap {where}", found="the end")
                parts.append(block.samples)
            claps.append(np.concatenate(parts))
    finally:
        source.stop()
    return claps


def find(claps: Sequence[Array], sample_rate: int) -> Found:
    """Return the channel map of an array of which four channels were recorded.

    Parameters
    ----------
    claps
        One (n, 4) recording for each of `CLAPS`.
    sample_rate
        In Hz.

    Raises
    ------
    AudioError
        If there are not four channels, a clap is missing, or the claps fit no order.
    """
    for clap in claps:
        if clap.ndim != 2 or clap.shape[1] != CAPSULES:
            raise AudioError(
                "claps",
                place="channels",
                expected=f"{CAPSULES}",
                found=f"shape {clap.shape}",
                advice="Say how many the source has with --source-channels",
            )
    heard = [_direct(clap, sample_rate, where) for clap, where in zip(claps, CLAPS, strict=True)]
    polarity = _polarity(claps, sample_rate)
    frequency = np.fft.rfftfreq(len(heard[0]), 1 / sample_rate)
    wanted = (frequency > _SHAPE_HZ[0]) & (frequency < _SHAPE_HZ[1])
    spectra = [np.fft.rfft(clap * polarity, axis=0)[wanted] for clap in heard]
    orders = np.array(list(permutations(range(CAPSULES))))
    # Of orders that fit alike, half a turn apart, the one that is turned less.
    fit, _, number, turn = max(
        (round(float(fit), 6), -abs(turn), number, turn)
        for turn in np.arange(-180, 180, TURN_STEP).tolist()
        for number, fit in enumerate(_fits(spectra, frequency[wanted], orders, turn))
    )
    order = orders[number].tolist()
    if fit < LEAST_FIT:
        raise AudioError(
            "claps",
            expected="what a tetrahedron on a rigid sphere of 4.2 cm hears",
            found=f"a fit of {fit:.0%}",
            advice="Clap once each time, one metre away, in a room that is not loud",
        )
    channels = tuple(channel + 1 for channel in order)
    signs = tuple(int(polarity[channel]) for channel in order)
    return Found(ChannelMap(channels, signs, turn), fit)


def _direct(clap: Array, sample_rate: int, where: str) -> NDArray[np.float64]:
    """Return the first milliseconds of the loudest sound, faded at both ends."""
    loud = np.square(clap - clap.mean(0)).sum(1)
    peak = int(loud.argmax())
    if loud[peak] <= _LOUDER**2 * np.median(loud):
        raise AudioError("claps", expected=f"a clap {where}", found="nothing loud")
    length = round(_DIRECT_S * sample_rate)
    before = length // 4
    padded = np.pad(clap.astype(float), ((length, length), (0, 0)))
    part = padded[peak + length - before : peak + 2 * length - before]
    return np.asarray(part * np.hanning(length)[:, None])


def _polarity(claps: Sequence[Array], sample_rate: int) -> NDArray[np.float64]:
    """Return 1 or -1 a channel: whether long waves move it as they move the first."""
    cross = np.zeros(CAPSULES)
    for clap in claps:
        spectrum = np.fft.rfft(clap - clap.mean(0), axis=0)
        frequency = np.fft.rfftfreq(len(clap), 1 / sample_rate)
        long = spectrum[(frequency > _LONG_HZ[0]) & (frequency < _LONG_HZ[1])]
        cross += (long[:, :1].conj() * long).sum(0).real
    return np.where(cross < 0, -1.0, 1.0)


def _fits(
    spectra: Sequence[NDArray[np.complex128]],
    frequency: NDArray[np.floating],
    orders: NDArray[np.intp],
    turn: float,
) -> NDArray[np.float64]:
    """Return the mean share of each clap's power that each order (n, 4) explains at a turn."""
    shares = np.zeros(len(orders))
    capsules = eigenmike_xyz()[list(TETRAHEDRON)] / RADIUS_M
    for spectrum, (azimuth, elevation) in zip(spectra, CLAPS.values(), strict=True):
        towards = capsules @ unit_vector(azimuth - turn, elevation)
        ka = 2 * np.pi * frequency * RADIUS_M / SPEED_OF_SOUND
        wave = rigid_sphere_response(ka, towards)
        wave /= np.linalg.norm(wave, axis=1, keepdims=True)
        along = np.abs(np.einsum("fc,fnc->nf", wave.conj(), spectrum[:, orders])) ** 2
        shares += along.sum(1) / np.square(np.abs(spectrum)).sum() / len(spectra)
    return shares
