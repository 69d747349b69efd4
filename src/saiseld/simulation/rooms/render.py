"""A planned scene as the array hears it: 32 channels at 24 kHz."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, oaconvolve

from saiseld.conventions.rigid_sphere import RigidSphereArray
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.simulation.scene import Scene, Sound

KNOT_S = 0.25
"""A moving source's early response is computed this often, and crossfaded between."""
SENSOR_NOISE_DB = -15.0
"""Independent noise of the capsules, relative to the ambient noise."""

Audio = NDArray[np.float32]


def render_audio(scene: Scene, array: RigidSphereArray) -> Audio:
    """Return what the array records, (samples, M), with its peak at ``scene.peak``."""
    rng = np.random.default_rng(scene.seed)
    mix = np.zeros((array.channels, scene.samples), np.float32)
    sounding = np.zeros(scene.samples, bool)
    tails: dict[int, Audio] = {}
    for sound in scene.sounds:
        source = sound.source
        if source.source_id not in tails:
            voice = np.random.default_rng(source.seed)
            tails[source.source_id] = scene.room.diffuse_tail(array, voice)
        _add(mix, sound.start, oaconvolve(sound.signal[None], tails[source.source_id], axes=1))
        _add_early(mix, scene, sound, array)
        sounding[sound.start : sound.start + len(sound.signal)] = True
    power = float(np.mean(np.square(mix[:, sounding]))) if sounding.any() else 1e-4
    mix += np.sqrt(power * 10 ** (-scene.snr_db / 10)) * _noise(scene.samples, array, rng)
    return np.ascontiguousarray((mix * (scene.peak / np.abs(mix).max())).T)


def _add(mix: Audio, start: int, response: Audio) -> None:
    part = mix[:, start : start + response.shape[1]]
    part += response[:, : part.shape[1]]


def _add_early(mix: Audio, scene: Scene, sound: Sound, array: RigidSphereArray) -> None:
    """Add direct sound and images: one response, or knots along the way with triangular fades."""
    receiver = np.array(scene.array_m)
    if not sound.source.moves:
        place = receiver + sound.source.position(0.0)
        response = scene.room.early_response(place, receiver, array)
        _add(mix, sound.start, oaconvolve(sound.signal[None], response, axes=1))
        return
    hop = int(KNOT_S * SAMPLE_RATE)
    for knot in range(-(-len(sound.signal) // hop) + 1):
        first = max((knot - 1) * hop, 0)
        piece = sound.signal[first : (knot + 1) * hop]
        if len(piece) == 0:
            continue
        away = np.abs(np.arange(first, first + len(piece)) - knot * hop) / hop
        place = receiver + sound.source.position((sound.start + knot * hop) / SAMPLE_RATE)
        response = scene.room.early_response(place, receiver, array)
        faded = piece * (1 - away).astype(np.float32)
        _add(mix, sound.start + first, oaconvolve(faded[None], response, axes=1))


def _noise(samples: int, array: RigidSphereArray, rng: np.random.Generator) -> Audio:
    """Return room noise, (M, samples) of RMS about 1: diffuse, falling with frequency, and hiss."""
    ambient = lfilter(
        [np.float32(1)],
        np.array([1, -0.85], np.float32),
        array.diffuse_field(np.ones(samples, np.float32), rng),
        axis=1,
    )
    ambient /= np.std(ambient)
    hiss = rng.standard_normal(ambient.shape, np.float32)
    return np.asarray(ambient + np.float32(10 ** (SENSOR_NOISE_DB / 20)) * hiss)
