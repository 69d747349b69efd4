"""The SELD metrics said plainly: loops over segments, frames, classes and sources."""

from __future__ import annotations

import itertools
import math

import numpy as np


def angle(a, b) -> float:
    """Degrees between two (azimuth, elevation) in degrees."""
    (az_a, el_a), (az_b, el_b) = np.radians(a), np.radians(b)
    cosine = math.sin(el_a) * math.sin(el_b) + math.cos(el_a) * math.cos(el_b) * math.cos(
        az_a - az_b
    )
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def assigned(truths, guesses):
    """Return the (truth, guess) indices of the smallest sum of angles, by trying every way."""
    few, many = sorted((len(truths), len(guesses)))
    ways = (
        list(zip(range(few), way, strict=True)) for way in itertools.permutations(range(many), few)
    )
    if len(guesses) < len(truths):
        ways = ([(j, i) for i, j in way] for way in ways)
    return min(ways, key=lambda way: sum(angle(truths[i], guesses[j]) for i, j in way))


def counts(reference, estimate, metric):
    """Return counts of (frame, class, azimuth, elevation, distance) rows as a dictionary."""
    last = max(row[0] for row in reference)
    step = 1 if metric == "seld-2024" else 10
    total = {name: np.zeros(13) for name in ("references", "matched", "wrong", "missed", "extra")}
    errors, degrees, relative = 0, np.zeros(13), np.zeros(13)
    for start in range(0, last, step):
        false_positives = misses = 0
        for class_id in range(13):
            frames = range(start, start + step)
            truths, guesses = (
                {
                    k: [row[2:] for row in side if row[:2] == (k, class_id)]
                    for k in frames
                    if any(row[:2] == (k, class_id) for row in side)
                }
                for side in (reference, estimate)
            )
            n_true, n_guessed = (
                max(map(len, side.values()), default=0) for side in (truths, guesses)
            )
            total["references"][class_id] += n_true
            tracks = {}
            for k in truths.keys() & guesses.keys():
                true, guessed = truths[k], guesses[k]
                for i, j in assigned([t[:2] for t in true], [g[:2] for g in guessed]):
                    off = abs(true[i][2] - guessed[j][2]) / true[i][2]
                    tracks.setdefault(i, []).append((angle(true[i][:2], guessed[j][:2]), off))
            if n_true and n_guessed and not tracks:
                missed, extra = n_guessed, 0
            else:
                missed = max(n_true - n_guessed, 0)
                extra = max(n_guessed - n_true, 0)
            wrong = 0
            for pairs in tracks.values():
                mean, off = np.mean(pairs, axis=0)
                wrong += mean > 20 or (metric == "seld-2024" and off > 1)
                degrees[class_id] += mean
                relative[class_id] += off
            for name, value in (
                ("matched", len(tracks)),
                ("wrong", wrong),
                ("missed", missed),
                ("extra", extra),
            ):
                total[name][class_id] += value
            false_positives += extra + wrong
            misses += missed
        errors += max(false_positives, misses)
    return total | {"errors": errors, "degrees": degrees, "relative": relative}
