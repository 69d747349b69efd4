"""Recordings: 4 or 32 channels at any rate, read in blocks of whole frames.

A one-hour recording needs no more memory than a one-minute one. Other rates are resampled to
24 kHz with soxr and the log says so. The four input capsules are picked from 32 channels, or made
of first-order ambisonics. WAV and FLAC are as good as the microphones; M4A, MP3, OGG and the sound
of a video are read too, with a warning where their coding is lossy. An array will do as well.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.ambisonics import Ambisonics, capsules_of_foa
from saiseld.data.containers import open_container
from saiseld.runtime.errors import AudioError, refusing
from saiseld.runtime.files import is_plain_name, visible
from saiseld.runtime.limits import FRAMES, Limit

AUDIO_SUFFIXES = (".wav", ".flac")
"""Of recordings without loss."""
OTHER_SUFFIXES = (".m4a", ".mp3", ".ogg", ".opus", ".mka")
"""Of sound files that PyAV or libsndfile decode; found in folders too, unlike videos."""
_LOSSLESS = ("pcm", "flac", "alac", "wavpack", "tta", "mlp")

MIN_SAMPLE_RATE = 9_000
"""Hz; below it there is nothing in most bands of an acoustic image."""
SAMPLE_RATE_HZ = Limit("sample_rate", 768_000)
_PLAIN_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "CAF")
_LOSSY_FORMATS = ("OGG", "MP3", "MPEG")
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
    ambisonics
        What first-order ambisonics its four channels are; None if they are capsules.
    """

    path: Path
    channels: int
    sample_rate: int
    samples: int
    ambisonics: Ambisonics | None = None

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
        pieces = self._pieces(tetrahedral)
        if self.ambisonics:
            pieces = capsules_of_foa(pieces, self.ambisonics)
        for piece in pieces:
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
        for decoded in self._decoded():
            piece = decoded[: self.samples - read]
            if not len(piece):
                break
            self._check_finite(piece, read)
            read += len(piece)
            piece = np.ascontiguousarray(piece[:, picked])
            last = read >= self.samples
            yield piece if stream is None else stream.resample_chunk(piece, last=last)
        if read < self.samples:
            raise AudioError(
                self.path,
                expected=f"{self.samples} samples a channel, as the header says",
                found=f"{read}",
                advice="The file is cut off",
            )

    def _decoded(self) -> Iterator[NDArray[np.float32]]:
        """Yield (n, channels) samples as they are stored."""
        expected = "audio to the end"
        with refusing(AudioError, self.path, expected), soundfile.SoundFile(self.path) as file:
            while len(piece := file.read(_READ_SAMPLES, dtype="float32", always_2d=True)):
                yield piece

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


class _Coded(Recording):
    """A recording that PyAV decodes."""

    __slots__ = ()

    def _decoded(self) -> Iterator[NDArray[np.float32]]:
        return _decode(self.path)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayRecording(Recording):
    """A recording in memory; made by `recording_of_array`. Its path is its name alone."""

    audio: NDArray[np.float32] | None = None

    def _decoded(self) -> Iterator[NDArray[np.float32]]:
        assert self.audio is not None
        yield self.audio


def open_recording(path: str | Path, ambisonics: Ambisonics | None = None) -> Recording:
    """Check a recording's header and return it, reading no audio yet where the header tells all.

    Parameters
    ----------
    path
        The file.
    ambisonics
        What first-order ambisonics it holds, to be turned into capsules; None for capsules.

    Raises
    ------
    AudioError
        If it is absent, not audio, cut off, shorter than one frame, or not of 4 or 32 channels.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(path, expected="a WAV or FLAC recording", found="no such file")
    if not is_plain_name(path.stem):
        raise AudioError(path, expected="a name that results can have too", found=repr(path.stem))
    with refusing(AudioError, path, "a WAV or FLAC recording"):
        try:
            info = soundfile.info(path)
        except soundfile.LibsndfileError as error:
            recording = _open_coded(path, error.error_string)
        else:
            recording = Recording(path, info.channels, info.samplerate, info.frames)
            _check_wav_is_whole(path)
            if info.format not in (*_PLAIN_FORMATS, *_LOSSY_FORMATS):
                raise AudioError(path, expected="a WAV or FLAC recording", found=info.format)
            if info.format in _LOSSY_FORMATS:
                _warn_of_loss(path, info.format)
    _check_shape(path, recording)
    return replace(recording, ambisonics=ambisonics)


def recording_of_array(
    audio: NDArray[np.floating], sample_rate: int, name: str = "recording"
) -> Recording:
    """Return a recording of an array (samples, channels) in memory.

    Raises
    ------
    AudioError
        If it has not 4 or 32 channels, or is shorter than one frame.
    """
    audio = np.asarray(audio, np.float32)
    if audio.ndim != 2:
        raise AudioError(name, expected="an array (samples, channels)", found=f"{audio.shape}")
    recording = ArrayRecording(Path(name), audio.shape[1], sample_rate, len(audio), audio=audio)
    _check_shape(name, recording)
    return recording


def _check_shape(source: str | Path, recording: Recording) -> None:
    if recording.channels not in (4, 32):
        raise AudioError(
            source,
            place="channels",
            expected="4 (the tetrahedron) or 32 (the whole em32)",
            found=str(recording.channels),
        )
    if recording.sample_rate < MIN_SAMPLE_RATE:
        raise AudioError(
            source,
            place="sample rate",
            expected=f"at least {MIN_SAMPLE_RATE} Hz: acoustic images are made of 1.5 to 4.5 kHz",
            found=f"{recording.sample_rate} Hz",
        )
    SAMPLE_RATE_HZ.check(recording.sample_rate, AudioError, source)
    FRAMES.check(recording.frames, AudioError, source)
    if recording.frames < 1:
        raise AudioError(
            source, expected="at least one frame (100 ms)", found=f"{recording.samples} samples"
        )


def _open_coded(path: Path, reason: str) -> Recording:
    """Open what libsndfile cannot; its length is known only when it has been decoded once."""
    try:
        container = open_container(path, AudioError)
    except AudioError:
        raise AudioError(path, expected="a WAV or FLAC recording", found=reason) from None
    with container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            raise AudioError(path, expected="a WAV or FLAC recording", found=reason)
        channels, rate, coding = stream.channels, stream.rate, stream.codec_context.name
    if not coding.startswith(_LOSSLESS):
        _warn_of_loss(path, coding)
    samples = sum(map(len, _decode(path))) if channels in (4, 32) else 0
    return _Coded(path, channels, rate, samples)


def _decode(path: Path) -> Iterator[NDArray[np.float32]]:
    with refusing(AudioError, path, "audio to the end"), open_container(path, AudioError) as file:
        stream = file.streams.audio[0]
        wanted = av.AudioResampler("fltp", stream.layout, stream.rate)
        samples = 0
        for frame in file.decode(audio=0):
            for part in wanted.resample(frame):
                samples += part.samples
                FRAMES.check(samples * FPS // stream.rate, AudioError, path)
                yield np.ascontiguousarray(part.to_ndarray().T)


def _warn_of_loss(path: Path, coding: str) -> None:
    _log.warning(
        "%s: lossy coding (%s) changes the phases between channels, and so directions; record as "
        "WAV or FLAC",
        path,
        coding,
    )


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
        inside = sorted(
            p
            for p in visible(path.rglob("*"))
            if p.suffix.lower() in AUDIO_SUFFIXES + OTHER_SUFFIXES
        )
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
