"""Recordings: 4 or 32 channels at any rate, read in blocks of whole frames.

A one-hour recording needs no more memory than a one-minute one. Other rates are resampled to
24 kHz with soxr and the log says so. The four input capsules are picked from 32 channels, or made
of ambisonics or of another array's channels by a converter. WAV (RF64, BW64, W64), AIFF, CAF, AU
and FLAC are as good as the microphones; M4A, MP3, OGG and the sound of a video are read too, with a
warning where their coding is lossy. An array will do as well.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.conventions.timebase import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from saiseld.data.ambisonics import (
    AmbisonicConverter,
    AmbisonicFormat,
    Converter,
    converted,
)
from saiseld.data.sound_files import Reader, SoundFile, open_sound_file
from saiseld.runtime.errors import AudioError
from saiseld.runtime.files import files_below, is_plain_name
from saiseld.runtime.limits import FRAMES, Limit

AUDIO_SUFFIXES = (".wav", ".flac")
"""Of recordings without loss."""
OTHER_SUFFIXES = (
    *(
        ".rf64",
        ".bw64",
        ".bwf",
        ".wave",
        ".w64",
        ".aif",
        ".aiff",
        ".aifc",
        ".caf",
        ".au",
        ".amb",
        ".ambix",
    ),
    *(".m4a", ".mp3", ".ogg", ".oga", ".opus", ".mka", ".wv", ".tta"),
)
"""Of other sound files that are read; found in folders too."""
CAMERA_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".360")
"""Of videos, whose sound is a recording where no sound file has their name."""

MIN_SAMPLE_RATE = 9_000
"""Hz; below it there is nothing in most bands of an acoustic image."""
SAMPLE_RATE_HZ = Limit("sample_rate", 768_000)
_LOUDEST = 16.0
"""Peak of samples in floats up to which they are taken as they are, 24 dB over full scale."""
_FEWEST = 3
"""Channels of the smallest arrays that hear directions round a listener."""
CHANNELS_SUFFIX = ".channels.wav"
"""Of all channels of a live source, recorded beside the capsules that were made of them."""
_ADVICE_STEREO = (
    "Mono and stereo hold no directions round a listener: record with a microphone array or an "
    "ambisonics microphone, and give all its channels"
)
_ADVICE_ARRAY = "Name the microphone array with --array: `saiseld array list`, or a TOML file"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recording:
    """A readable recording.

    Parameters
    ----------
    path
        The file.
    channels
        As stored: 4 or 32, or as many as ``converter`` takes.
    sample_rate, samples
        As stored in the file.
    converter
        What makes the four capsules' signals of its channels; None if they are capsules.
    reader
        Reads the samples.
    gain
        What samples are multiplied by, a power of two: 1 unless they are floats far above full
        scale.
    says
        Which ambisonics the file says that it holds; None if it says nothing.
    is_float
        Whether samples may be beyond full scale without being clipped.
    """

    path: Path
    channels: int
    sample_rate: int
    samples: int
    converter: Converter | None = None
    reader: Reader | None = field(default=None, repr=False)
    gain: float = 1.0
    says: AmbisonicFormat | None = None
    is_float: bool = False

    @property
    def name(self) -> str:
        """Its name without folder and suffix."""
        return self.path.stem

    @property
    def frames(self) -> int:
        """Whole 100 ms frames in it."""
        return self.samples * FPS // self.sample_rate

    @property
    def layout(self) -> str:
        """What its channels are: ``capsules``, or the name of the converter."""
        return "capsules" if self.converter is None else self.converter.name

    @property
    def elevation_assumed(self) -> bool:
        """Whether elevations of what is found are assumed: a planar array hears azimuth alone."""
        return self.converter is not None and self.converter.elevation_assumed

    @property
    def ambisonics(self) -> AmbisonicFormat | None:
        """What ambisonics its channels are converted from; None if they are not."""
        converter = self.converter
        return converter.format if isinstance(converter, AmbisonicConverter) else None

    def converted_by(self, converter: Converter | None) -> Recording:
        """Return the same recording with another converter.

        Raises
        ------
        AudioError
            If it has not the channels that the converter, or None, needs.
        """
        recording = replace(self, converter=converter)
        _check_channels(recording)
        return recording

    def blocks(
        self, frames_per_block: int = 100, *, tetrahedral: bool = True
    ) -> Iterator[NDArray[np.float32]]:
        """Yield (n x 2400, channels) float32 blocks at 24 kHz, n <= ``frames_per_block``.

        ``tetrahedral`` yields the four input capsules, picked from 32 channels or converted;
        otherwise all channels as they are stored. All blocks together hold exactly ``frames``
        frames; samples after the last whole frame are left out.

        Raises
        ------
        AudioError
            If a sample is not finite, or the file ends before its header says.
        """
        size = frames_per_block * SAMPLES_PER_FRAME
        remaining = self.frames * SAMPLES_PER_FRAME
        pending: list[NDArray[np.float32]] = []
        held = 0
        pieces = self._pieces(tetrahedral)
        if tetrahedral and self.converter is not None:
            pieces = converted(pieces, self.converter)
        for piece in pieces:
            pending.append(piece)
            held += len(piece)
            if held >= size:
                joined = np.concatenate(pending)
                while len(joined) >= size and remaining >= size:
                    yield joined[:size]
                    joined, remaining = joined[size:], remaining - size
                pending, held = [joined], len(joined)
        if remaining:
            joined = np.concatenate(pending)[:remaining]
            # A resampler may end a sample early: the last frame is filled with silence.
            yield np.pad(joined, ((0, remaining - len(joined)), (0, 0)))

    def _pieces(self, tetrahedral: bool) -> Iterator[NDArray[np.float32]]:
        is_picked = tetrahedral and self.converter is None and self.channels == 32
        picked = list(TETRAHEDRON) if is_picked else slice(None)
        stream = None
        if self.sample_rate != SAMPLE_RATE:
            _log.info("%s: %d Hz resampled to %d Hz", self.path, self.sample_rate, SAMPLE_RATE)
            channels = 4 if is_picked else self.channels
            stream = soxr.ResampleStream(
                self.sample_rate, SAMPLE_RATE, channels, dtype="float32", quality="VHQ"
            )
        read = 0
        assert self.reader is not None
        for decoded in self.reader(self.path, is_wide=self.gain != 1):
            piece = decoded[: self.samples - read]
            if not len(piece):
                break
            check_finite(self.path, piece, read)
            read += len(piece)
            piece = piece[:, picked]
            if self.gain != 1:
                piece = piece * self.gain
            piece = np.ascontiguousarray(piece, np.float32)
            last = read >= self.samples
            yield piece if stream is None else stream.resample_chunk(piece, last=last)
        if read < self.samples:
            raise AudioError(
                self.path,
                expected=f"{self.samples} samples a channel, as the header says",
                found=f"{read}",
                advice="The file is cut off",
            )


@dataclass(frozen=True, slots=True, eq=False)
class _ArrayReader:
    """Reads an array (samples, channels) in memory."""

    audio: NDArray[np.floating]

    def __call__(self, path: Path, *, is_wide: bool = False) -> Iterator[NDArray[np.floating]]:
        yield self.audio if is_wide else self.audio.astype(np.float32, copy=False)


def open_recording(
    path: str | Path,
    converter: Converter | AmbisonicFormat | None = None,
    *,
    any_channels: bool = False,
) -> Recording:
    """Check a recording and return it, reading no audio yet where the header tells all.

    Samples in floats are read once, since nothing but they says how loud they are.

    Parameters
    ----------
    path
        The file.
    converter
        What makes capsules of its channels, or which ambisonics it holds; None for capsules.
    any_channels
        Whether it may have any number of channels, for a caller that finds a converter.

    Raises
    ------
    AudioError
        If it is absent, not audio, cut off, shorter than one frame, holds a number that is not
        finite, or has not the channels that are needed.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(path, expected="a WAV or FLAC recording", found="no such file")
    if not is_plain_name(path.stem):
        raise AudioError(path, expected="a name that results can have too", found=repr(path.stem))
    sound = open_sound_file(path)
    if isinstance(converter, str):
        converter = AmbisonicConverter(converter)
    recording = Recording(
        path,
        sound.channels,
        sound.sample_rate,
        sound.samples,
        converter,
        sound.reader,
        says=sound.ambisonics,
        is_float=sound.is_float,
    )
    if not any_channels or (sound.channels < _FEWEST and sound.ambisonics is None):
        _check_channels(recording, sound)
    check_length(recording)
    return _with_gain(recording) if sound.is_float else recording


def recording_of_array(
    audio: NDArray[np.number],
    sample_rate: int,
    name: str = "recording",
    converter: Converter | AmbisonicFormat | None = None,
    *,
    any_channels: bool = False,
) -> Recording:
    """Return a recording of an array (samples, channels) in memory.

    Parameters
    ----------
    audio
        Floats of full scale 1, or integers of their type's full scale.
    sample_rate
        In Hz.
    name
        Its path is this alone.
    converter, any_channels
        As in `open_recording`.

    Raises
    ------
    AudioError
        If it has not the channels that are needed, is shorter than one frame, or holds a number
        that is not finite.
    """
    samples = _floats(np.asarray(audio), name)
    if isinstance(converter, str):
        converter = AmbisonicConverter(converter)
    recording = Recording(
        Path(name),
        samples.shape[1],
        sample_rate,
        len(samples),
        converter,
        _ArrayReader(samples),
        is_float=True,
    )
    if not any_channels:
        _check_channels(recording)
    check_length(recording)
    return _with_gain(recording)


def _floats(audio: NDArray[np.number], name: str) -> NDArray[np.floating]:
    """Return an array in floats, integers by their type's full scale."""
    if audio.ndim != 2:
        raise AudioError(name, expected="an array (samples, channels)", found=f"{audio.shape}")
    if np.issubdtype(audio.dtype, np.floating):
        return np.asarray(audio.astype(np.float32) if audio.dtype == np.float16 else audio)
    if not np.issubdtype(audio.dtype, np.integer):
        raise AudioError(name, expected="an array of real numbers", found=str(audio.dtype))
    full_scale = 2.0 ** (8 * audio.dtype.itemsize - 1)
    middle = full_scale if np.issubdtype(audio.dtype, np.unsignedinteger) else 0.0
    return np.asarray((audio - middle) / full_scale, np.float32)


def check_finite(source: str | Path, samples: NDArray[np.floating], start: int) -> None:
    """Raise ``AudioError`` where one of (n, channels) samples is not finite.

    Parameters
    ----------
    source
        What the error names.
    samples
        The samples.
    start
        Number of the first of them in the source.
    """
    finite = np.isfinite(samples)
    if not finite.all():
        sample, channel = np.argwhere(~finite)[0]
        raise AudioError(
            source,
            place=f"channel {channel + 1}, sample {start + sample}",
            expected="finite samples",
            found=str(samples[sample, channel]),
        )


def _with_gain(recording: Recording) -> Recording:
    """Return a recording whose samples are near full scale, whatever their writer took for it.

    A power of two changes no digit of any sample.
    """
    peak, read = 0.0, 0
    assert recording.reader is not None
    for piece in recording.reader(recording.path, is_wide=True):
        used = piece[: recording.samples - read]
        check_finite(recording.path, used, read)
        read += len(used)
        peak = max(peak, float(np.abs(used).max(initial=0)))
    if peak <= _LOUDEST:
        return recording
    gain = 2.0 ** -int(np.ceil(np.log2(peak)))
    _log.warning(
        "%s: samples up to %.3g times full scale, as floats may be; scaled by %.3g",
        recording.path,
        peak,
        gain,
    )
    return replace(recording, gain=gain)


def _check_channels(recording: Recording, sound: SoundFile | None = None) -> None:
    if recording.converter is not None:
        recording.converter.check(recording.channels, recording.path)
    elif recording.channels not in (4, 32):
        tracks = f" (tracks: {sound.tracks})" if sound is not None and sound.tracks else ""
        raise AudioError(
            recording.path,
            place="channels",
            expected="4 (the tetrahedron) or 32 (the whole em32)",
            found=f"{recording.channels}{tracks}",
            advice=_ADVICE_STEREO if recording.channels < 4 else _ADVICE_ARRAY,
        )


def check_length(recording: Recording) -> None:
    """Raise ``AudioError`` where a recording is empty, too long or of an impossible rate."""
    source = recording.path
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


def find_recordings(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files among ``paths`` and, recursively, the audio files in the folders among them.

    A file that is named is not opened: whether it is a recording shows when it is. A video counts
    where its sound has four channels or more and no sound file has its name. What a live run kept
    of a source's channels (`CHANNELS_SUFFIX`) does not count beside its capsules.

    Raises
    ------
    AudioError
        If a folder holds no recording, or two have the same name: results are
        named after recordings.
    """
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        inside = _recordings_in(path)
        if path.is_dir() and not inside:
            raise AudioError(
                path,
                expected=f"recordings in it ({', '.join(AUDIO_SUFFIXES + OTHER_SUFFIXES)})",
                found="none",
            )
        for file in inside if path.is_dir() else [path]:
            if file.stem in found:
                raise AudioError(
                    file, expected="recordings of different names", found=f"also {found[file.stem]}"
                )
            found[file.stem] = file
    return list(found.values())


def _recordings_in(folder: Path) -> list[Path]:
    files = sorted(p for p in files_below(folder) if p.is_file())
    sounds = [p for p in files if p.suffix.lower() in AUDIO_SUFFIXES + OTHER_SUFFIXES]
    beside = {path.with_name(path.stem + CHANNELS_SUFFIX) for path in sounds}
    sounds = [path for path in sounds if path not in beside]
    names = {path.stem for path in sounds}
    videos = [p for p in files if p.suffix.lower() in CAMERA_SUFFIXES and p.stem not in names]
    return sorted([*sounds, *filter(has_microphones, videos)])


def has_microphones(video: Path) -> bool:
    """Return whether a video's sound has as many channels as a recording."""
    try:
        return open_sound_file(video).channels >= 4
    except AudioError:
        return False


def read_audio(path: str | Path, *, tetrahedral: bool = True) -> NDArray[np.float32]:
    """Return a whole recording as (frames x 2400, channels) float32 at 24 kHz; see `Recording`."""
    recording = open_recording(path)
    return np.concatenate(list(recording.blocks(tetrahedral=tetrahedral)))
