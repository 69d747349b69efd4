"""Where a scene's sounds come from: the procedural bank, or class folders of recordings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from saiseld.conventions.taxonomy import CLASS_FOLDERS, CLASS_NAMES, NUM_CLASSES
from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.recordings import SAMPLE_RATE_HZ
from saiseld.data.vorbis import check_codebooks
from saiseld.runtime.errors import DataError, refusing
from saiseld.runtime.files import visible
from saiseld.simulation.sounds.synthesis import synthesise

Half = Literal["train", "test"]
"""Sounds and pictures of dev-train and of dev-test have nothing in common."""
Signal = NDArray[np.float32]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3"})

FOLDER_ALIASES: Mapping[str, str] = {
    "femaleSpeech": "female_speech",
    "maleSpeech": "male_speech",
    "domesticSounds": "domestic_sounds",
    "doorCupboard": "door",
    "musicInstrument": "musical_instrument",
    "waterTap": "water_tap",
}
"""Folder names of FSD50K-based banks and what `CLASS_FOLDERS` calls them."""


INTERFERERS = "interferers"
"""Folder of sounds without a class: real recordings hold them, and nobody annotates them."""

BANK_FOLDERS = (*CLASS_FOLDERS, INTERFERERS)
"""Folders of a bank."""


class SoundBank(Protocol):
    """Anything that can give dry sounds."""

    def draw(
        self, class_id: int, split: Half, seconds: float, voice: int, rng: np.random.Generator
    ) -> Signal:
        """Return a mono 24 kHz sound, at most about ``seconds`` long, of RMS 1 while it sounds."""
        ...


class ProceduralBank:
    """Synthetic sounds of every class; ``voice`` numbers the sources."""

    def draw(
        self, class_id: int, split: Half, seconds: float, voice: int, rng: np.random.Generator
    ) -> Signal:
        """Return a synthetic sound; train and test differ by their seeds alone."""
        return levelled(synthesise(class_id, voice, rng, seconds))


@dataclass(frozen=True)
class FolderBank:
    """Recordings in class folders; made by `read_bank`.

    Parameters
    ----------
    clips
        For each split and class, the files.
    skipped
        Files that could not be used, with the reason.
    interferers
        For each split, sounds without a class (`INTERFERERS`); no part of ``files``.
    """

    clips: Mapping[Half, Sequence[Sequence[Path]]]
    skipped: Sequence[str] = ()
    interferers: Mapping[Half, Sequence[Path]] = field(default_factory=dict)

    def files(self) -> list[Path]:
        """Return all clips, train first."""
        return [path for side in ("train", "test") for c in self.clips[side] for path in c]

    def draw(
        self, class_id: int, split: Half, seconds: float, voice: int, rng: np.random.Generator
    ) -> Signal:
        """Return a random clip of the class, cut where it is longer than asked."""
        clips = self.clips[split][class_id]
        clip = levelled(decode(clips[int(rng.integers(len(clips)))]))
        length = int(seconds * SAMPLE_RATE)
        if len(clip) <= length:
            return clip
        start = int(rng.integers(len(clip) - length + 1))
        cut = clip[start : start + length]
        # A pause within the clip is no sound; a clip begins with one.
        return levelled(cut if np.abs(cut).max() > 0.01 * np.abs(clip).max() else clip[:length])


def read_bank(
    folder: str | Path,
    mapping: Mapping[str, str] = FOLDER_ALIASES,
    *,
    classes: Collection[int] = range(NUM_CLASSES),
) -> FolderBank:
    """Read a class-folder bank: ``<bank>/<class>/*.wav`` or ``<bank>/{train,test}/<class>/*.wav``.

    Parameters
    ----------
    folder
        The bank. Class folders are named as in `CLASS_FOLDERS` or by ``mapping``.
        Without ``train`` and ``test`` folders every second clip of a class (in name order) goes to
        each split, a class of one clip to both.
    mapping
        Other folder names and the class folder each stands for.
    classes
        Those that are to sound.

    Raises
    ------
    DataError
        If one of ``classes`` has no folder, no usable clip, or a folder is of no known class.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(folder, expected="a folder of class folders", found="no such folder")
    skipped: list[str] = []
    if (folder / "train").is_dir() or (folder / "test").is_dir():
        halves = {
            s: _read_folders(folder / s, mapping, classes, skipped) for s in ("train", "test")
        }
    else:
        found = _read_folders(folder, mapping, classes, skipped)
        halves = {"train": [c[0::2] for c in found], "test": [c[1::2] or c for c in found]}
    clips = {half: parts[:NUM_CLASSES] for half, parts in halves.items()}
    others = {half: parts[NUM_CLASSES] for half, parts in halves.items()}
    return FolderBank(clips, tuple(skipped), others)  # type: ignore[arg-type]


def _read_folders(
    folder: Path, mapping: Mapping[str, str], classes: Collection[int], skipped: list[str]
) -> list[list[Path]]:
    clips: list[list[Path]] = [[] for _ in BANK_FOLDERS]
    if not folder.is_dir():
        raise DataError(folder, expected="a folder of class folders", found="no such folder")
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        name = mapping.get(sub.name, sub.name)
        if name not in BANK_FOLDERS:
            raise DataError(
                sub,
                expected=f"a class folder ({', '.join(BANK_FOLDERS)})",
                found=sub.name,
                advice="Rename the folder or give a mapping",
            )
        files = sorted(p for p in visible(sub.rglob("*")) if p.suffix.lower() in AUDIO_SUFFIXES)
        usable = []
        for path in files:
            try:
                decode(path)
                usable.append(path)
            except DataError as error:
                skipped.append(str(error))
        if not usable:
            raise DataError(sub, expected="at least one usable clip", found=f"{len(files)} files")
        clips[BANK_FOLDERS.index(name)] += usable
    for class_id in classes:
        if not clips[class_id]:
            raise DataError(
                folder,
                expected=f"a folder {CLASS_FOLDERS[class_id]} for {CLASS_NAMES[class_id]}",
                found="none",
            )
    return clips


MAX_CLIP_S = 60.0
"""Only this much of a clip is read."""
MAX_CLIP_CHANNELS = 8
_BLOCK = 1 << 16


def _opened(path: Path) -> soundfile.SoundFile:
    check_codebooks(path, DataError)
    return soundfile.SoundFile(path)


def decode(path: Path) -> Signal:
    """Return a clip, mono, 24 kHz, silence trimmed off its ends."""
    with refusing(DataError, path, "a readable sound file"), _opened(path) as file:
        rate = file.samplerate
        SAMPLE_RATE_HZ.check(rate, DataError, path)
        if file.channels > MAX_CLIP_CHANNELS:
            raise DataError(
                path,
                place="channels",
                expected=f"at most {MAX_CLIP_CHANNELS}",
                found=str(file.channels),
            )
        # Minutes of silence in many channels are a small file: mono at once.
        most = int(MAX_CLIP_S * rate)
        parts = file.blocks(_BLOCK, frames=most, dtype="float32", always_2d=True)
        samples = np.concatenate([np.zeros(0, np.float32), *(part.mean(1) for part in parts)])
    if not np.isfinite(samples).all():
        raise DataError(path, expected="finite samples", found="NaN or infinity")
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max(initial=0))
    if len(loud) < SAMPLE_RATE // 20:
        raise DataError(path, expected="at least 50 ms of sound", found="silence")
    return np.ascontiguousarray(samples[loud[0] : loud[-1] + 1])


def levelled(signal: NDArray[np.floating]) -> Signal:
    """Return a signal with soft edges, RMS 1 over the 20 ms blocks within 25 dB of the loudest."""
    edge = np.hanning(2 * (SAMPLE_RATE // 200))[: SAMPLE_RATE // 200]
    out = np.array(signal, np.float64)
    out[: len(edge)] *= edge[: len(out)]
    out[-len(edge) :] *= edge[::-1][-len(out) :]
    block = SAMPLE_RATE // 50
    power = np.square(out[: max(len(out) // block, 1) * block])
    power = power.reshape(-1, block if len(power) >= block else len(power)).mean(1)
    active = power[power > power.max() * 10**-2.5]
    return np.asarray(out / np.sqrt(active.mean() + 1e-20), np.float32)
