"""Recordings: WAV or FLAC, 4 or 32 channels, any rate, read in blocks of whole frames.

A one-hour recording needs no more memory than a one-minute one. Other rates are resampled to
24 kHz with soxr and the log says so. The four input capsules are picked from 32 channels.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.runtime.errors import AudioError

AUDIO_SUFFIXES = (".wav", ".flac")

_READ_SAMPLES = 1 << 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recording:
    """A readable recording.

    Parameters
    ----------
    path
        The file.
    channels
        4 or 32.
    sample_rate, samples
        As stored in the file.
    """

    path: Path
    channels: int
    sample_rate: int
    samples: int

    @property
    def name(self) -> str:
        """Its name without folder and suffix."""
        return self.path.stem

    @property
    def frames(self) -> int:
        """Whole 100 ms frames in it."""
        return self.samples * FPS // self.sample_rate

    def blocks(
        self, frames_per_block: int = 100, *, tetrahedral: bool = True
    ) -> Iterator[NDArray[np.float32]]:
        """Yield (n x 2400, channels) float32 blocks at 24 kHz, n <= ``frames_per_block``.

        ``tetrahedral`` yields the four input capsules of a 32-channel recording. All blocks
        together hold exactly ``frames`` frames; samples after the last whole frame are left out.

        Raises
        ------
        AudioError
            If a sample is not finite, or the file ends before its header says.
        """
        wanted = frames_per_block * SAMPLES_PER_FRAME
        remaining = self.frames * SAMPLES_PER_FRAME
        pending: list[NDArray[np.float32]] = []
        held = 0
        for piece in self._pieces(tetrahedral):
            pending.append(piece)
            held += len(piece)
            if held >= wanted:
                joined = np.concatenate(pending)
                while len(joined) >= wanted and remaining >= wanted:
                    yield joined[:wanted]
                    joined, remaining = joined[wanted:], remaining - wanted
                pending, held = [joined], len(joined)
        if remaining:
            joined = np.concatenate(pending)[:remaining]
            # A resampler may end a sample early: the last frame is filled with silence.
            yield np.pad(joined, ((0, remaining - len(joined)), (0, 0)))

    def _pieces(self, tetrahedral: bool) -> Iterator[NDArray[np.float32]]:
        picked = list(TETRAHEDRON) if tetrahedral and self.channels == 32 else slice(None)
        stream = None
        if self.sample_rate != SAMPLE_RATE:
            _log.info("%s: %d Hz resampled to %d Hz", self.path, self.sample_rate, SAMPLE_RATE)
            channels = 4 if isinstance(picked, list) else self.channels
            stream = soxr.ResampleStream(
                self.sample_rate, SAMPLE_RATE, channels, dtype="float32", quality="VHQ"
            )
        read = 0
        try:
            with soundfile.SoundFile(self.path) as file:
                while read < self.samples:
                    piece = file.read(_READ_SAMPLES, dtype="float32", always_2d=True)
                    if not len(piece):
                        break
                    self._check_finite(piece, read)
                    read += len(piece)
                    piece = np.ascontiguousarray(piece[:, picked])
                    last = read >= self.samples
                    yield piece if stream is None else stream.resample_chunk(piece, last=last)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                self.path, place=f"sample {read}", expected="audio", found=error.error_string
            ) from error
        if read < self.samples:
            raise AudioError(
                self.path,
                expected=f"{self.samples} samples a channel, as the header says",
                found=f"{read}",
                advice="The file is cut off",
            )

    def _check_finite(self, piece: NDArray[np.float32], start: int) -> None:
        finite = np.isfinite(piece)
        if not finite.all():
            sample, channel = np.argwhere(~finite)[0]
            raise AudioError(
                self.path,
                place=f"channel {channel + 1}, sample {start + sample}",
                expected="finite samples",
                found=str(piece[sample, channel]),
            )


def open_recording(path: str | Path) -> Recording:
    """Check a recording's header and return it, reading no audio yet.

    Raises
    ------
    AudioError
        If it is absent, not audio, cut off, shorter than one frame, or not of 4 or 32 channels.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(path, expected="a WAV or FLAC recording", found="no such file")
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            path, expected="a WAV or FLAC recording", found=error.error_string
        ) from error
    if info.channels not in (4, 32):
        raise AudioError(
            path,
            place="channels",
            expected="4 (the tetrahedron) or 32 (the whole em32)",
            found=str(info.channels),
        )
    _check_wav_is_whole(path)
    recording = Recording(path, info.channels, info.samplerate, info.frames)
    if recording.frames < 1:
        raise AudioError(
            path, expected="at least one frame (100 ms)", found=f"{info.frames} samples"
        )
    return recording


def find_recordings(paths: Iterable[str | Path]) -> list[Path]:
    """Return the audio files among ``paths`` and, recursively, in the folders among them.

    Raises
    ------
    AudioError
        If a path is not there, a folder holds no recording, or two have the same name: results are
        named after recordings.
    """
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        if path.is_dir() and not inside:
            raise AudioError(path, expected="recordings (WAV, FLAC) in it", found="none")
        for file in inside if path.is_dir() else [open_recording(path).path]:
            if file.stem in found:
                raise AudioError(
                    file, expected="recordings of different names", found=f"also {found[file.stem]}"
                )
            found[file.stem] = file
    return list(found.values())


def read_audio(path: str | Path, *, tetrahedral: bool = True) -> NDArray[np.float32]:
    """Return a whole recording as (frames x 2400, channels) float32 at 24 kHz; see `Recording`."""
    recording = open_recording(path)
    return np.concatenate(list(recording.blocks(tetrahedral=tetrahedral)))


def _check_wav_is_whole(path: Path) -> None:
    """Refuse a WAV whose data chunk is longer than the file; libsndfile would shorten it."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return
        file.seek(12)
        size = path.stat().st_size
        while len(header := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", header)
            if name == b"data":
                held = size - file.tell()
                # Streaming writers leave the length open as all ones.
                if length != 0xFFFFFFFF and held < length:
                    raise AudioError(
                        path,
                        place="data chunk",
                        expected=f"{length} bytes, as the header says",
                        found=f"{held}",
                        advice="The file is cut off",
                    )
                return
            file.seek(length + length % 2, 1)
