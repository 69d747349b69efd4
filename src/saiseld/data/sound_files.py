"""Sound files of every kind: opened, held against their headers, read in pieces.

libsndfile reads what it knows; what it shortens or cannot open is read here from the header on, or
by FFmpeg.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from saiseld.conventions.timebase import FPS
from saiseld.data.ambisonics import AmbisonicFormat
from saiseld.data.coded_sound import Tracks, decoded_tracks, tracks_of
from saiseld.data.containers import is_ended, missing_bytes, open_container
from saiseld.data.pcm import SampleFormat
from saiseld.data.sound_headers import SoundExtent, SoundHeader, header_of, sound_extent
from saiseld.data.vorbis import check_codebooks
from saiseld.runtime.errors import AudioError, refusing

_EXPECTED = "a WAV or FLAC recording"
_PLAIN_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "CAF", "AU")
_LOSSY_FORMATS = ("OGG", "MP3", "MPEG")
_LOSSLESS_SUBTYPES = ("PCM", "FLOAT", "DOUBLE", "ALAC")
_OF_SUFFIX: dict[str, AmbisonicFormat] = {".amb": "fuma", ".ambix": "ambix"}
_READ_SAMPLES = 1 << 16
_UNKNOWN_FRAMES = 1 << 62
_log = logging.getLogger(__name__)


class Reader(Protocol):
    """Reads a sound file's samples."""

    def __call__(self, path: Path, *, is_wide: bool = False) -> Iterator[NDArray[np.floating]]:
        """Yield (n, channels) samples as they are stored, full scale 1.

        In float32; ``is_wide`` in float64 where the file has that, whose numbers may be beyond.
        """
        ...


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A sound file that can be read.

    Parameters
    ----------
    channels, sample_rate, samples
        As stored.
    reader
        Reads it.
    is_float
        Whether samples may be beyond full scale.
    ambisonics
        Which ambisonics the file says that it holds; None if it says nothing.
    tracks
        What tracks there are, in words, where there are several.
    """

    channels: int
    sample_rate: int
    samples: int
    reader: Reader
    is_float: bool = False
    ambisonics: AmbisonicFormat | None = None
    tracks: str = ""


def open_sound_file(path: Path) -> SoundFile:
    """Open a sound file, or a video for its sound.

    What is lossy, of a length that its header leaves open, or chosen from several tracks is said.

    Raises
    ------
    AudioError
        If it is not audio, or cut off.
    """
    with refusing(AudioError, path, _EXPECTED):
        if path.stat().st_size == 0:
            raise AudioError(
                path, expected=_EXPECTED, found="an empty file", advice="Copy or record it again"
            )
        header = header_of(path)
        extent = None if header is None else sound_extent(path, header)
        if header is not None and extent is not None:
            if extent.verdict == "cut":
                raise _cut_off(path, header, extent)
            if extent.verdict != "whole" and header.length != extent.length:
                return _opened_by_header(path, header, extent)
        check_codebooks(path, AudioError)
        try:
            info = soundfile.info(path)
        except soundfile.LibsndfileError as error:
            return _opened_by_ffmpeg(path, error.error_string)
        return _opened_by_libsndfile(path, info, header)


def _opened_by_libsndfile(
    path: Path, info: soundfile._SoundFileInfo, header: SoundHeader | None
) -> SoundFile:
    if info.format not in (*_PLAIN_FORMATS, *_LOSSY_FORMATS):
        raise AudioError(path, expected=_EXPECTED, found=info.format)
    if info.format == "OGG":
        _check_container_is_whole(path)
    if not info.subtype.startswith(_LOSSLESS_SUBTYPES):
        _warn_of_loss(path, info.subtype)
    samples = info.frames
    if not 0 < samples < _UNKNOWN_FRAMES and info.format == "FLAC":
        return _opened_by_ffmpeg(path, "no length in the header")
    says = _OF_SUFFIX.get(path.suffix.lower())
    if header is not None and header.ambisonics is not None:
        says = header.ambisonics
    return SoundFile(
        info.channels,
        info.samplerate,
        samples,
        _read_by_libsndfile,
        is_float=info.subtype in ("FLOAT", "DOUBLE"),
        ambisonics=says,
    )


def _read_by_libsndfile(path: Path, *, is_wide: bool = False) -> Iterator[NDArray[np.floating]]:
    with refusing(AudioError, path, "audio to the end"), soundfile.SoundFile(path) as file:
        kind = "float64" if is_wide and file.subtype == "DOUBLE" else "float32"
        while len(piece := file.read(_READ_SAMPLES, dtype=kind, always_2d=True)):
            yield piece


@dataclass(frozen=True, slots=True)
class _HeaderReader:
    """Reads a file whose header says where samples begin, but not how many there are."""

    format: SampleFormat
    channels: int
    start: int
    length: int

    def __call__(self, path: Path, *, is_wide: bool = False) -> Iterator[NDArray[np.floating]]:
        step = self.format.width * self.channels
        left = self.length
        with refusing(AudioError, path, "audio to the end"), path.open("rb") as file:
            file.seek(self.start)
            while left and (content := file.read(min(left, _READ_SAMPLES * step))):
                left -= len(content)
                samples = self.format.decode(content[: len(content) // step * step], self.channels)
                yield samples if is_wide else samples.astype(np.float32, copy=False)


def _opened_by_header(path: Path, header: SoundHeader, extent: SoundExtent) -> SoundFile:
    if header.format is None or not header.channels or not header.sample_rate:
        raise AudioError(
            path,
            place="sound data",
            expected="a length in the header",
            found="none that the file keeps to",
            advice="Write it again, as WAV",
        )
    samples = extent.length // header.sample_bytes
    announced = "no length"
    if header.length is not None and extent.verdict == "open":
        announced = f"the length {header.length:#x}, as writers into a pipe leave it"
    elif header.length is not None:
        announced = f"{header.length / header.sample_bytes / header.sample_rate:.1f} s"
    _log.warning(
        "%s: the header says %s; read to the end, %.1f s",
        path,
        announced,
        samples / header.sample_rate,
    )
    if header.format.is_lossy:
        _warn_of_loss(path, header.format.coding)
    return SoundFile(
        header.channels,
        header.sample_rate,
        samples,
        _HeaderReader(header.format, header.channels, header.start, extent.length),
        is_float=header.format.coding == "float",
        ambisonics=header.ambisonics or _OF_SUFFIX.get(path.suffix.lower()),
    )


@dataclass(frozen=True, slots=True)
class _TrackReader:
    """Reads tracks by FFmpeg."""

    tracks: Tracks

    def __call__(self, path: Path, *, is_wide: bool = False) -> Iterator[NDArray[np.floating]]:
        return decoded_tracks(path, self.tracks)


def _opened_by_ffmpeg(path: Path, reason: str) -> SoundFile:
    """Open what libsndfile cannot; its length is known only when it has been decoded once."""
    try:
        container = open_container(path, AudioError)
    except AudioError:
        _check_container_is_whole(path)  # an MP4 ends with what tells its tracks
        raise AudioError(path, expected=_EXPECTED, found=reason) from None
    with container:
        several = len(container.streams.audio) > 1
        tracks = tracks_of(container)
    if tracks is None:
        raise AudioError(path, expected=_EXPECTED, found="no sound that can be decoded")
    _check_container_is_whole(path)
    if several:
        _say_tracks(path, tracks)
    if not tracks.is_lossless:
        _warn_of_loss(path, tracks.coding)
    left_out: list[int] = []
    samples = sum(map(len, decoded_tracks(path, tracks, left_out))) if tracks.channels >= 3 else 0
    if max(left_out, default=0) * FPS > tracks.sample_rate:
        _warn_of_ends(path, tracks, left_out)
    return SoundFile(
        tracks.channels,
        tracks.sample_rate,
        samples,
        _TrackReader(tracks),
        is_float=tracks.is_float,
        ambisonics=tracks.ambisonics,
        tracks=tracks.all_tracks if several else "",
    )


def _say_tracks(path: Path, tracks: Tracks) -> None:
    numbers = ", ".join(str(number + 1) for number in tracks.numbers)
    how = f"tracks {numbers} joined" if len(tracks.numbers) > 1 else f"track {numbers} taken"
    _log.warning("%s: several sound tracks (%s): %s", path, tracks.all_tracks, how)


def _warn_of_ends(path: Path, tracks: Tracks, left_out: list[int]) -> None:
    first = tracks.numbers[left_out.index(min(left_out))] + 1
    _log.warning(
        "%s: track %d ends %.1f s before others: the sound is read up to there",
        path,
        first,
        max(left_out) / tracks.sample_rate,
    )


def _check_container_is_whole(path: Path) -> None:
    try:
        missing = missing_bytes(path, AudioError)
    except AudioError:
        return  # of no container that announces its length
    if missing > 0:
        raise AudioError(
            path,
            expected="a whole file",
            found="less than its structure announces",
            advice="The file is cut off",
        )
    if not is_ended(path, AudioError):
        # A stream that was recorded up to a moment has no end either, and all of it can be heard.
        _log.warning(
            "%s: its end is not marked, as in a file that is cut off; read to the last page", path
        )


def _cut_off(path: Path, header: SoundHeader, extent: SoundExtent) -> AudioError:
    return AudioError(
        path,
        place="data chunk",
        expected=f"{header.length} bytes, as the header says",
        found=f"{extent.length}",
        advice="The file is cut off",
    )


def _warn_of_loss(path: Path, coding: str) -> None:
    _log.warning(
        "%s: lossy coding (%s) changes the phases between channels, and so directions; record as "
        "WAV or FLAC",
        path,
        coding,
    )
