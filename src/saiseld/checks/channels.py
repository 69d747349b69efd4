"""What the channels of a recording are: capsules of an array, or ambisonics of which kind.

Waves much longer than an array reach all capsules alike, so that their low frequencies are
coherent; W, X, Y and Z are as different there as their patterns, and no less alike where waves are
short. Cardioids of A-format lie between. For any sound field X, Y and Z together have the power of
W in SN3D, twice that in FuMa and three times in N3D. W, X, Y and Z are coherent with each other
moment by moment, as independent tracks are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from saiseld.checks.summary import BANDS_HZ, ChannelSummary
from saiseld.data.ambisonics import MAX_ORDER, AmbisonicFormat, wxyz
from saiseld.data.recordings import Recording

LONGEST_S = 30.0
"""Seconds of a recording that are looked at: what its channels are shows from the start."""

_LOW_HZ = (60.0, 500.0)
_SHORT_HZ = (2000.0, 3000.0)
_CARDIOID_HZ = (3000.0, 4000.0)
_SHARE_HZ = (200.0, 4000.0)
_PAIRS = np.triu_indices(4, 1)
_TRIPLES = tuple(combinations(range(4), 3))
_ALIKE, _SOMEWHAT_ALIKE = 0.85, 0.3
"""Least coherence of all pairs where channels are one point to the waves, and nearly so."""
_COINCIDENT = 0.6
"""Share of that coherence that is left at short waves where channels are at one point."""
_DIRECT = 0.02
"""Mean square of the coherence with W above chance, which even a church has."""
_SHARES: dict[AmbisonicFormat, float] = {"ambix": 1.0, "fuma": 2.0, "n3d": 3.0}
_SECOND_SHARES: dict[AmbisonicFormat, float] = {"ambix": 1.0, "fuma": 2.53, "n3d": 5.0}
"""Power of W that the five channels of second order have."""
_SHARE_STD = 0.14
"""Standard deviation of the share's logarithm, over simulated and real rooms."""
_SHARE_BIAS = 1.08
"""What reverberation adds to the estimate of the share, in the mean over the same rooms."""
_SECOND_BIAS = 1.19
"""The same for second order."""
_ORDERS_STD = 0.085
"""Standard deviation of the ratio of both shares, half as much again as over simulated rooms."""
_HEIGHT_STD, _HEIGHT_MEAN = 0.7, 0.3
"""Of the logarithm of the power of a horizontal channel against the one of height."""
_POSITIVE, _A_FORMAT_ODDS = 0.2, 2.0
"""Least coherence between cardioids, and the logarithm of the odds that channels so alike are."""
_A_FORMAT_SHARE = 1.2
"""Share of what is made of cardioids 1.5 cm from their middle."""
_LEFT, _LEFT_STD = 0.74, 0.12
"""Share of their coherence that cardioids 1.5 cm from their middle keep at 3 to 4 kHz."""
_FARTHEST = 2.5
_NO_HEIGHT_SHARE = 0.95
"""Of FuMa without height: 1.0 to 1.6 over simulated rooms; of ambiX without X: 0.4 to 1.0."""
_COPY, _NO_COPY = 0.9999, 0.99
"""Coherence at short waves of channels that are the same, and the most of some that are not."""
_SECOND_ORDER = 9
_OF_ONE_FIELD = 0.15
"""Most coherence of first with second order: 0.21 and more over simulated rooms, of tracks 0.09."""
_SURE = 0.9
_SILENT = 1e-6
_SAME_DB = 0.1


@dataclass(frozen=True, slots=True)
class Recognition:
    """What the channels of a recording are.

    Parameters
    ----------
    format
        Which ambisonics; None for capsules.
    is_sure
        Whether there is little doubt.
    reason
        What it was recognised by.
    """

    format: AmbisonicFormat | None
    is_sure: bool
    reason: str


def recognise(recording: Recording, summary: ChannelSummary | None = None) -> Recognition:
    """Return what the channels of a recording are, by what it says of itself or by its sound.

    Parameters
    ----------
    recording
        Four channels or more, of which the first four are looked at; 32 are always capsules.
    summary
        Of its channels, if there is one already.
    """
    if recording.says is not None:
        return Recognition(recording.says, True, "the file says so")
    if recording.channels == 32 or recording.channels < 4:
        return Recognition(None, True, f"{recording.channels} channels")
    return _by_sound(summary or ChannelSummary(recording, LONGEST_S))


def _by_sound(summary: ChannelSummary) -> Recognition:
    power = summary.power[:4]
    silent = power <= _SILENT * power.max()
    if silent.any():
        return _with_silent(summary, silent)
    signed, short = (summary.coherence(band)[:4, :4] for band in (_LOW_HZ, _SHORT_HZ))
    low, short = np.abs(signed), np.abs(short)
    if _are_apart(low, short):
        return Recognition(None, True, "low frequencies are alike in all channels, high ones not")
    if _are_the_same(summary):
        return Recognition(None, True, "the channels hold the same sound")
    if signed[_PAIRS].min() > _SOMEWHAT_ALIKE and not _is_coincident(low[_PAIRS], short[_PAIRS]):
        return Recognition(None, False, "low frequencies are somewhat alike in all channels")
    if directness(summary) < _DIRECT:
        return Recognition(None, False, "the channels have nothing in common")
    if short.min() < _NO_COPY and (short[_PAIRS] > _COPY).any():
        one, other = (int(of[int(short[_PAIRS].argmax())]) + 1 for of in _PAIRS)
        return Recognition(None, False, f"channels {one} and {other} hold the same sound")
    return _of_gains(summary)


def _are_apart(low: NDArray[np.float64], short: NDArray[np.float64]) -> bool:
    """Return whether three channels or four are alike at long waves alone, as capsules are."""
    for triple in _TRIPLES:
        pairs = tuple(np.array(list(combinations(triple, 2))).T)
        if low[pairs].min() >= _ALIKE and not _is_coincident(low[pairs], short[pairs]):
            return True
    return False


def _is_coincident(low: NDArray[np.float64], short: NDArray[np.float64]) -> bool:
    return bool(short.mean() >= _COINCIDENT * low.mean())


def _are_the_same(summary: ChannelSummary) -> bool:
    level = 10 * np.log10(np.diag(summary.total(_LOW_HZ)).real[:4] + 1e-30)
    coherence = summary.coherence(_SHORT_HZ)[:4, :4][_PAIRS]
    return bool(coherence.min() > 0.9999 and np.ptp(level) < _SAME_DB)


def _with_silent(summary: ChannelSummary, silent: NDArray[np.bool_]) -> Recognition:
    """Recognise ambisonics whose channel of height is silent, or of one source on an axis."""
    first = int(np.flatnonzero(silent)[0])
    capsules = Recognition(None, True, f"channel {first + 1} is silent")
    sounding = ~(silent[_PAIRS[0]] | silent[_PAIRS[1]])
    low, short = (
        np.abs(summary.coherence(band)[:4, :4][_PAIRS][sounding]) for band in (_LOW_HZ, _SHORT_HZ)
    )
    if silent[0] or not sounding.any() or directness(summary) < _DIRECT:
        return capsules
    if low.min() > _ALIKE and not _is_coincident(low, short):
        return capsules
    share = power_share(summary)
    if silent.sum() > 1 or low.min() > _ALIKE:
        best = min(_SHARES, key=lambda f: abs(np.log(share / _SHARES[f])))
        return Recognition(best, False, f"one source, of {share:.1f} times the power of W")
    reason = f"channel {first + 1}, of height, is silent"
    if first == 3:
        # Without its X, ambiX leaves less beside W than FuMa without its height.
        return Recognition("fuma", True, reason) if share > _NO_HEIGHT_SHARE else capsules
    if first == 1:
        return capsules
    # Without its height a diffuse field has two thirds of the share.
    return Recognition("ambix" if share < np.sqrt(2) else "n3d", True, reason)


def _of_gains(summary: ChannelSummary) -> Recognition:
    """Tell the kinds of ambisonics by their gains, and a little by which channel is height."""
    low = summary.coherence(_LOW_HZ)[:4, :4][_PAIRS]
    share = power_share(summary)
    power = np.diag(summary.total(_SHARE_HZ)).real[:4]
    height = np.log(power[2] / power[3])  # below 0 where the third channel is height, as in ACN
    second = _second_share(summary)
    weight: dict[AmbisonicFormat, float] = {}
    for format_, expected in _SHARES.items():
        side = 1 if format_ == "fuma" else -1
        away = np.log(share / expected)
        misfit = (away / _SHARE_STD) ** 2
        if second:
            # Both are off alike, by what W is off.
            other = np.log(second / _SECOND_SHARES[format_])
            misfit = ((away + other) / 2 / _SHARE_STD) ** 2 + ((away - other) / _ORDERS_STD) ** 2
        misfit += ((height - side * _HEIGHT_MEAN) / _HEIGHT_STD) ** 2
        weight[format_] = float(-misfit / 2)
    apart = summary.coherence(_CARDIOID_HZ)[:4, :4][_PAIRS]
    if low.min() > _POSITIVE:
        left = float(apart.mean() / low.mean())
        of_a_format = power_share(summary, wxyz(np.eye(4), "a-format").T)
        misfit = (np.log(of_a_format / _A_FORMAT_SHARE) / _SHARE_STD) ** 2
        weight = {f: w - _misfit(left, 1.0, _LEFT_STD) for f, w in weight.items()}
        misfit = misfit / 2 + _misfit(left, _LEFT, _LEFT_STD)
        weight["a-format"] = float(_A_FORMAT_ODDS - misfit)
    best = max(weight, key=lambda f: weight[f])
    others = sum(float(np.exp(w - weight[best])) for w in weight.values())
    reason = f"coherence {low.min():.2f} at low frequencies, "
    if best == "a-format":
        return Recognition(best, False, f"{reason}as cardioids in four directions have it")
    is_far = abs(np.log(share / _SHARES[best])) > 3 * _SHARE_STD
    reason += f"Y, Z and X of {share:.1f} times the power of W"
    is_sure = bool(1 / others >= _SURE and not is_far)
    if best != "ambix" and (elsewhere := _elsewhere(summary)) is not None:
        reason += f"; or channel {elsewhere + 1} is W, which has to be the first"
        is_sure = False
    return Recognition(best, is_sure, reason)


def _elsewhere(summary: ChannelSummary) -> int | None:
    """Return which other channel may be W, the rest X, Y and Z in SN3D; None if none may."""
    for channel in (1, 2, 3):
        order = [channel, *(other for other in range(4) if other != channel)]
        if abs(np.log(power_share(summary, np.eye(4)[order]))) < 2 * _SHARE_STD:
            return channel
    return None


def _misfit(value: float, expected: float, std: float) -> float:
    """Return half the squared standard score, bounded: rooms are not normally distributed."""
    return float(min(abs(value - expected) / std, _FARTHEST) ** 2 / 2)


def power_share(summary: ChannelSummary, mixing: NDArray[np.float64] | None = None) -> float:
    """Return how many times the power of the first channel the next three have together.

    ``mixing`` (4, 4) mixes the first four channels before. The geometric mean of two estimates:
    bands count alike in the one, single bins in the other.
    """
    return _share(summary, range(4), mixing) / _SHARE_BIAS


def order_of(summary: ChannelSummary) -> int:
    """Return the order of ambisonics up to which components can be used, 1 to `MAX_ORDER`.

    1 where channels after the fourth are not as many, or as strong, as those of an order, or have
    nothing in common with the first four.
    """
    if _second_share(summary) is None:
        return 1
    between = summary.coherence(_SHARE_HZ)[:4, 4:_SECOND_ORDER]
    if np.abs(between).max() < _OF_ONE_FIELD:
        return 1
    return min(int(np.sqrt(summary.channels)) - 1, MAX_ORDER)


def _second_share(summary: ChannelSummary) -> float | None:
    """Return as `power_share` what the channels of second order have.

    None where there are none, or their power fits no format: what follows is something else.
    """
    if summary.channels < _SECOND_ORDER or np.sqrt(summary.channels) % 1:
        return None
    share = _share(summary, (0, *range(4, _SECOND_ORDER))) / _SECOND_BIAS
    off = min(abs(float(np.log(share / expected))) for expected in _SECOND_SHARES.values())
    return share if off < _FARTHEST * _SHARE_STD else None


def _share(
    summary: ChannelSummary, channels: Sequence[int], mixing: NDArray[np.float64] | None = None
) -> float:
    """Return the power of all channels but the first of these against that of the first."""
    inside = (summary.frequency >= _SHARE_HZ[0]) & (summary.frequency <= _SHARE_HZ[1])
    covariance = summary.covariance[inside][:, channels][:, :, channels]
    if mixing is not None:
        covariance = mixing @ covariance @ mixing.T
    power = np.einsum("fii->fi", covariance).real
    edges = np.searchsorted(summary.frequency[inside], np.geomspace(*_SHARE_HZ, 19)[:-1])
    banded = np.add.reduceat(power, np.unique(edges), axis=0)
    by_band = np.exp(np.mean(np.log((banded[:, 1:].sum(axis=1) + 1e-30) / (banded[:, 0] + 1e-30))))
    total = power.sum(axis=1)
    relative = (power[total > 0] / total[total > 0, None]).mean(axis=0)
    by_bin = relative[1:].sum() / max(relative[0], 1e-30)
    return float(np.sqrt(by_band * by_bin))


def directness(summary: ChannelSummary) -> float:
    """Return the mean square of the coherence of the first channel with the next three.

    Frame by frame in third octaves, less what independent channels have by chance.
    """
    bins = np.diff(np.searchsorted(summary.frequency, [*BANDS_HZ[:-1], np.inf]))
    squares = (summary.intensity**2).sum(axis=-1)
    # A Hann window leaves two thirds of the bins independent.
    chance = 1 / (2 * bins * 2 / 3)
    return float(np.where(squares == 0, 0, squares - chance).mean())
