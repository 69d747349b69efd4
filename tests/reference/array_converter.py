"""The conversion of an array's sound to four capsules, whole and cell by cell, as it is defined.

What `saiseld.arrays.converter` does block by block, with tables of low rank and real arithmetic.
"""

from itertools import pairwise

import numpy as np

from saiseld.arrays.converter import (
    CELL,
    HOP,
    LEVEL_AFTER,
    LEVEL_BINS,
    LEVEL_MEMORY,
    LEVEL_MOST_DB,
    LOADING,
    STEP,
    WHITENING,
    WINDOW,
    band_edges,
    direction_prior,
)
from saiseld.arrays.description import tetrahedron
from saiseld.arrays.responses import array_response
from saiseld.conventions.sphere import fibonacci_sphere
from saiseld.conventions.timebase import SAMPLE_RATE


def levels(spectra, array):
    """Return (hops, 1, M) gains, of each step by all sound up to its end."""
    hops, _, microphones = spectra.shape
    gains = np.ones((hops, 1, microphones))
    if array.model == "cardioid":
        return gains
    pairs = [(i, j) for i in range(microphones) for j in range(i + 1, microphones)]
    design = np.array([[1.0] + [float(k in pair) for k in range(microphones)] for pair in pairs])
    covariance, count, step = np.zeros((microphones, microphones), complex), 0.0, STEP * CELL
    for first in range(0, hops, step):
        covariance *= LEVEL_MEMORY
        for hop in spectra[first : first + step, LEVEL_BINS].reshape(-1, microphones):
            covariance += np.outer(hop, hop.conj())
        count = LEVEL_MEMORY * count + 1
        sizes = [np.log(abs(covariance[i, j])) for i, j in pairs]
        level = np.linalg.lstsq(design, np.array(sizes), rcond=None)[0][1:]
        decibels = 20 * np.log10(np.exp(level - level.mean()))
        decibels = np.clip(decibels, -LEVEL_MOST_DB, LEVEL_MOST_DB) * count / (count + LEVEL_AFTER)
        gains[first : first + step] = 10 ** (-decibels / 20)
    return gains


def convert(audio, array):
    """Return the capsule signals (n, 4) of microphone signals (n, M), M at most 9."""
    samples, microphones = audio.shape
    directions = fibonacci_sphere().T
    frequency = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    seen = array_response(array, frequency, directions)
    wanted = array_response(tetrahedron(), frequency, directions)
    prior = direction_prior(array, directions)
    edges = band_edges()
    bands = list(pairwise(edges))

    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW))
    before = WINDOW - HOP
    hops = -(-(samples + before) // (CELL * HOP)) * CELL
    padded = np.zeros((before + hops * HOP + WINDOW, microphones))
    padded[before : before + samples] = audio
    spectra = np.stack([
        np.fft.rfft(padded[h * HOP : h * HOP + WINDOW] * window[:, None], axis=0)
        for h in range(hops)
    ])  # fmt: skip

    spectra = spectra * levels(spectra, array)
    diffuse = [seen[f].T @ seen[f].conj() / len(directions) for f in range(len(frequency))]
    size = [max(np.trace(g).real / microphones, 1e-6) for g in diffuse]
    power = np.zeros((hops // CELL, len(bands), len(directions)))
    for band, (first, last) in enumerate(bands):
        for f in range(first, last):
            value, vector = np.linalg.eigh(diffuse[f] / size[f])
            whitening = vector @ np.diag((value + WHITENING) ** -0.5) @ vector.conj().T
            steered = seen[f] @ whitening.T
            steered /= np.linalg.norm(steered, axis=1, keepdims=True)
            whitened = spectra[:, f] @ whitening.T
            heard = np.abs(whitened @ steered.conj().T) ** 2
            power[:, band] += heard.reshape(-1, CELL, len(directions)).sum(1)
    padded_power = np.pad(power, ((1, 1), (1, 1), (0, 0)))
    best = np.zeros(power.shape[:2], int)
    for cell in range(power.shape[0]):
        for band in range(power.shape[1]):
            near = padded_power[cell : cell + 3, band : band + 3].sum(axis=(0, 1))
            best[cell, band] = np.argmax(near * prior)

    capsules = np.zeros((hops, len(frequency), 4), complex)
    for f in range(len(frequency)):
        loaded = diffuse[f] + LOADING * size[f] * np.eye(microphones)
        residual = wanted[f].T @ seen[f].conj() / len(directions) @ np.linalg.inv(loaded)
        band = sum(f >= last for _, last in bands)
        for hop in range(hops):
            direction = best[hop // CELL, min(band, len(bands) - 1)]
            a, h = seen[f, direction], wanted[f, direction]
            beam = np.linalg.solve(loaded, a)
            beam = beam / (a.conj() @ beam)
            wave = beam.conj() @ spectra[hop, f]
            capsules[hop, f] = h * wave + residual @ (spectra[hop, f] - a * wave)

    out = np.zeros((len(padded), 4))
    for hop in range(hops):
        part = np.fft.irfft(capsules[hop], WINDOW, axis=0)
        out[hop * HOP : hop * HOP + WINDOW] += part * window[:, None] * 2 * HOP / WINDOW
    return out[before : before + samples]
