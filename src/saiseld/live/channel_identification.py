"""Which channel is which microphone, which polarity it has, and where the array's front points.

Someone claps in front, to the left and above. Waves far longer than the array reach all microphones
alike, so a channel that moves against the others there is wired the other way round. Then the turn
is sought at which what the array would record of the three directions is most like what was
recorded, with the channels in the described order; another order is taken where it fits clearly
better. For that, source and order are estimated in turns at each turn of the array, the order as an
optimal assignment of channels to microphones (Kuhn, "The Hungarian method", 1955). The clap above
is needed: front and left alone cannot tell an array from its mirror image below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from saiseld.arrays.description import MicrophoneArray
from saiseld.arrays.responses import array_response
from saiseld.conventions.sphere import unit_vector
from saiseld.live.sources import Source
from saiseld.runtime.errors import AudioError

CLAPS = {"in front": (0.0, 0.0), "to the left": (90.0, 0.0), "above": (0.0, 75.0)}
"""Where it is clapped: azimuth and elevation in degrees."""

SECONDS = 4.0
"""For each clap."""

YAW_STEP_DEG = 2.0
_YAWS = np.arange(-180.0, 180.0, YAW_STEP_DEG)
MIN_FIT = 0.8
"""Below this the claps are not of the array."""
_CLEARLY = 0.03
"""By how much another order must fit better than the described one."""

_LONG_HZ = (80.0, 400.0)
_SHAPE_HZ = (500.0, 4000.0)
_DIRECT_S = 0.008
"""Of a clap, from just before its onset: before most echoes come."""
_LOUDER = 10.0
_SEARCH_STEP_DEG = 10.0
_ROUNDS = 3

Samples = NDArray[np.float32]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Identified:
    """What the claps say.

    Parameters
    ----------
    array
        The array with its channels, polarity and yaw.
    fit
        Share of the claps' power that is as it should be, 0 to 1.
    """

    array: MicrophoneArray
    fit: float


def record(source: Source, on_clap: Callable[[str], object]) -> list[Samples]:
    """Return `SECONDS` of sound (n, channels) for each of `CLAPS`, telling of each before it."""
    blocks = source.blocks()
    claps = []
    try:
        for where in CLAPS:
            on_clap(where)
            samples = round(SECONDS * source.sample_rate)
            parts: list[Samples] = []
            while sum(map(len, parts)) < samples:
                block = next(blocks, None)
                if block is None:
                    raise AudioError(source.name, expected=f"a clap {where}", found="the end")
                parts.append(block.samples)
            claps.append(np.concatenate(parts))
    finally:
        source.stop()
    return claps


def identify(claps: Sequence[Samples], sample_rate: int, array: MicrophoneArray) -> Identified:
    """Return the array as it is wired and turned.

    Parameters
    ----------
    claps
        One (n, channels) recording for each of `CLAPS`, of all channels of the device.
    sample_rate
        In Hz.
    array
        The array, with the channels that its microphones are expected on.

    Raises
    ------
    AudioError
        If there are fewer channels than microphones, a clap is missing, or no order fits.
    """
    for clap in claps:
        if clap.ndim != 2 or clap.shape[1] < array.microphones:
            raise AudioError(
                "claps",
                place="channels",
                expected=f"{array.microphones} or more, for {array.name}",
                found=str(clap.shape[1] if clap.ndim == 2 else clap.shape),
                advice="Say how many the source has with --source-channels",
            )
    parts = [_direct(clap, sample_rate, where) for clap, where in zip(claps, CLAPS, strict=True)]
    polarity = _polarity(claps, sample_rate, int(np.square(parts).sum((0, 1)).argmax()))
    frequency = np.fft.rfftfreq(len(parts[0]), 1 / sample_rate)
    used = (frequency > _SHAPE_HZ[0]) & (frequency < _SHAPE_HZ[1])
    spectra = np.stack([np.fft.rfft(part * polarity, axis=0)[used] for part in parts])
    responses = _responses(array, frequency[used])
    found: _Candidate = (-1.0, 0.0, 0.0, ())
    if max(array.channels) <= claps[0].shape[1]:
        described = tuple(channel - 1 for channel in array.channels)
        found = max(_candidate(responses, spectra, index, described) for index in range(len(_YAWS)))
    searched = _search(responses, spectra)
    if searched[0] > found[0] + _CLEARLY:
        found = searched
    fit, _, yaw, order = found
    if fit < MIN_FIT:
        raise AudioError(
            "claps",
            expected=f"claps in front, to the left and above, by {array.name}",
            found=f"a fit of {fit:.0%}",
            advice="Clap once each time, one metre away, in a room that is not loud",
        )
    signs = polarity[list(order)]
    signs = signs if signs.sum() >= 0 else -signs
    wired = replace(
        array,
        channels=tuple(int(channel) + 1 for channel in order),
        polarity=tuple(int(sign) for sign in signs),
        yaw_deg=float(yaw),
    )
    return Identified(wired, fit)


_Candidate = tuple[float, float, float, tuple[int, ...]]
"""Fit, minus how far the array is turned, turn, order."""


def _responses(array: MicrophoneArray, frequency: NDArray[np.floating[Any]]) -> Complex:
    """Return the array's responses (Y, claps, F, M) to the claps, turned by each of `_YAWS`."""
    azimuth, elevation = np.array(list(CLAPS.values())).T
    seen = unit_vector(*np.broadcast_arrays(azimuth - _YAWS[:, None], elevation))
    response = array_response(array.turned(0.0), np.asarray(frequency, float), seen.reshape(-1, 3))
    return response.reshape(len(frequency), *seen.shape[:2], -1).transpose(1, 2, 0, 3)


def _candidate(
    responses: Complex, spectra: Complex, index: int, order: tuple[int, ...]
) -> _Candidate:
    """Return how a turn and an order fit: the mean share of the claps' power that is right."""
    turned, picked = responses[index], spectra[..., list(order)]
    along = np.abs((turned.conj() * picked).sum(-1)) ** 2
    along /= np.maximum(np.square(np.abs(turned)).sum(-1), 1e-12)
    total = np.maximum(np.square(np.abs(picked)).sum((1, 2)), 1e-30)
    yaw = float(_YAWS[index])
    return round(float(np.mean(along.sum(1) / total)), 6), -abs(yaw), yaw, order


def _search(responses: Complex, spectra: Complex) -> _Candidate:
    """Return the best of all orders and turns."""
    step = round(_SEARCH_STEP_DEG / YAW_STEP_DEG)
    best = max(_assigned(responses, spectra, i) for i in range(0, len(_YAWS), step))
    middle = int(np.flatnonzero(best[2] == _YAWS)[0])
    near = [(middle + i) % len(_YAWS) for i in range(1 - step, step)]
    return max(_assigned(responses, spectra, i) for i in near)


def _assigned(responses: Complex, spectra: Complex, index: int) -> _Candidate:
    """Return the best order at a turn.

    The loudest channel is taken for each microphone in turn, which gives the source, which gives
    the order, and again.
    """
    turned = responses[index]
    power = np.maximum(np.square(np.abs(turned)).sum(-1), 1e-12)
    loudest = int(np.square(np.abs(spectra)).sum((0, 1)).argmax())
    best: _Candidate = (-1.0, 0.0, 0.0, ())
    for microphone in range(turned.shape[-1]):
        one = turned[..., microphone]
        wave = spectra[..., loudest] * one.conj() / np.maximum(np.abs(one) ** 2, 0.01)
        for _ in range(_ROUNDS):
            expected = turned * wave[..., None]
            alike = np.tensordot(expected.conj(), spectra, axes=((0, 1), (0, 1))).real
            _, order = linear_sum_assignment(alike, maximize=True)
            wave = (turned.conj() * spectra[..., order]).sum(-1) / power
        best = max(best, _candidate(responses, spectra, index, tuple(map(int, order))))
    return best


def _direct(clap: Samples, sample_rate: int, where: str) -> NDArray[np.float64]:
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


def _polarity(claps: Sequence[Samples], sample_rate: int, reference: int) -> NDArray[np.float64]:
    """Return 1 or -1 a channel: whether long waves move it as they move a reference channel."""
    cross = np.zeros(claps[0].shape[1])
    for clap in claps:
        spectrum = np.fft.rfft(clap - clap.mean(0), axis=0)
        frequency = np.fft.rfftfreq(len(clap), 1 / sample_rate)
        long = spectrum[(frequency > _LONG_HZ[0]) & (frequency < _LONG_HZ[1])]
        cross += (long[:, [reference]].conj() * long).sum(0).real
    return np.where(cross < 0, -1.0, 1.0)
