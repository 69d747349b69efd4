"""Sound in the containers that FFmpeg reads: which tracks are the recording, and their samples.

A camera writes a stereo track and the microphones beside it; a field recorder writes one mono
track a microphone. The track that has the channels is taken, or tracks alike are joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.timebase import FPS
from saiseld.data.ambisonics import AmbisonicFormat
from saiseld.data.containers import open_container
from saiseld.data.pcm import SampleFormat
from saiseld.runtime.errors import AudioError, refusing
from saiseld.runtime.limits import FRAMES

_LOSSLESS = ("pcm", "flac", "alac", "wavpack", "tta", "mlp", "truehd")
_LOSSY_PCM = ("pcm_alaw", "pcm_mulaw", "pcm_vidc")
_PREFERRED = (32, 4)
_FEWEST = 4
_PIECE = 4096
_PCM = re.compile("pcm_(?:(s)(8)()|(u)(8)()|(s)(16|24|32)(le|be)|(f)(32|64)(le|be))")
_COMPANDED = {"pcm_alaw": SampleFormat("alaw", 1), "pcm_mulaw": SampleFormat("ulaw", 1)}


@dataclass(frozen=True, slots=True)
class Tracks:
    """The tracks of a file that are its recording.

    Parameters
    ----------
    numbers
        Which of the file's sound tracks, from 0; several are joined, channel after channel.
    channels, sample_rate
        Of all of them together.
    coding
        FFmpeg's name of the codec.
    ambisonics
        Which ambisonics the file says they are; None if it says nothing.
    all_tracks
        What tracks there are, in words.
    """

    numbers: tuple[int, ...]
    channels: int
    sample_rate: int
    coding: str
    ambisonics: AmbisonicFormat | None
    all_tracks: str

    @property
    def is_lossless(self) -> bool:
        """Whether the codec keeps every sample."""
        return self.coding.startswith(_LOSSLESS) and self.coding not in _LOSSY_PCM

    @property
    def is_float(self) -> bool:
        """Whether samples may be beyond full scale."""
        return self.coding.startswith(("pcm_f", "wavpack"))


def tracks_of(container: av.container.InputContainer) -> Tracks | None:
    """Return which tracks of an open file are its recording; None if there is no sound in it."""
    streams = [
        (number, stream)
        for number, stream in enumerate(container.streams.audio)
        if stream.codec_context is not None and stream.channels and stream.rate
    ]
    if not streams:
        return None
    chosen = _chosen(streams)
    _, first = chosen[0]
    is_ambisonic = len(chosen) == 1 and first.layout.name.startswith("ambisonic")
    return Tracks(
        numbers=tuple(number for number, _ in chosen),
        channels=sum(stream.channels for _, stream in chosen),
        sample_rate=first.rate,
        coding=first.codec_context.name,
        ambisonics="ambix" if is_ambisonic else None,
        all_tracks=", ".join(f"{s.channels} channels {s.codec_context.name}" for _, s in streams),
    )


def sound_start(container: av.container.InputContainer) -> float | None:
    """Return when the recording of an open file begins in s; None if there is none."""
    if (tracks := tracks_of(container)) is None:
        return None
    streams = [container.streams.audio[number] for number in tracks.numbers]
    starts = [start for start in map(_start, streams) if start is not None]
    return min(starts, default=None)


def decoded_tracks(
    path: Path, tracks: Tracks, left_out: list[int] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield (n, channels) samples of a file's recording.

    Tracks that begin later than the first of them begin with silence; ``left_out`` as in
    `samples_of`.

    Raises
    ------
    AudioError
        If it cannot be decoded to the end.
    """
    samples = 0
    with refusing(AudioError, path, "audio to the end"), open_container(path, AudioError) as file:
        for piece in samples_of(file, tracks, _PIECE, left_out):
            samples += len(piece)
            FRAMES.check(samples * FPS // tracks.sample_rate, AudioError, path)
            yield piece


def samples_of(
    container: av.container.InputContainer,
    tracks: Tracks,
    minimum: int = 1,
    left_out: list[int] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield (n, channels) samples of an open file, n at least ``minimum`` but for the last.

    Parameters
    ----------
    container
        The file.
    tracks
        Which tracks; the sound ends where the first of them does.
    minimum
        Samples that come together.
    left_out
        Takes at the end how many samples each of the tracks had more.
    """
    parts = [_Track(container.streams.audio[number]) for number in tracks.numbers]
    by_stream = {part.stream.index: part for part in parts}
    starts = [part.start for part in parts if part.start is not None]
    for part in parts:
        part.delay_from(min(starts, default=0.0), tracks.sample_rate)
    for packet in container.demux([part.stream for part in parts]):
        sound = cast("av.Packet[av.audio.stream.AudioStream]", packet)
        by_stream[packet.stream.index].take(sound)
        whole = min(part.held for part in parts)
        if whole >= minimum or (whole and packet.size == 0):
            yield np.concatenate([part.give(whole) for part in parts], axis=1)
    if left_out is not None:
        left_out[:] = [part.held for part in parts]


def _start(stream: av.audio.stream.AudioStream) -> float | None:
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def _chosen(
    streams: list[tuple[int, av.audio.stream.AudioStream]],
) -> list[tuple[int, av.audio.stream.AudioStream]]:
    for count in _PREFERRED:
        for stream in streams:
            if stream[1].channels == count:
                return [stream]
    most = max(streams, key=lambda stream: stream[1].channels)
    if most[1].channels >= _FEWEST:
        return [most]
    alike: dict[tuple[int, int], list[tuple[int, av.audio.stream.AudioStream]]] = {}
    for stream in streams:
        alike.setdefault((stream[1].channels, stream[1].rate), []).append(stream)
    enough = [group for (count, _), group in alike.items() if count * len(group) >= _FEWEST]
    return max(enough, key=len) if enough else [streams[0]]


class _Track:
    """One track's samples that were decoded and not yet given away."""

    def __init__(self, stream: av.audio.stream.AudioStream) -> None:
        self.stream = stream
        self.start = _start(stream)
        # Packed: of planes, PyAV gives the first eight alone.
        self._packed = av.AudioResampler("flt", stream.layout, stream.rate)
        # An AVI file may have one sample a packet, which must not cost a decoder's call each.
        self._plain = _plain_format(stream.codec_context.name)
        self._bytes: list[bytes] = []
        self._held: list[NDArray[np.float32]] = []
        self.held = 0

    def delay_from(self, start: float, sample_rate: int) -> None:
        """Begin with the silence before this track begins."""
        late = 0 if self.start is None else round((self.start - start) * sample_rate)
        if late > 0:
            FRAMES.check(late * FPS // sample_rate, AudioError, "track")
            self._hold(np.zeros((late, self.stream.channels), np.float32))

    def take(self, packet: av.Packet[av.audio.stream.AudioStream]) -> None:
        """Decode a packet; an empty one at the end."""
        if self._plain is not None:
            self._bytes.append(bytes(packet))
            self.held += len(self._bytes[-1]) // (self._plain.width * self.stream.channels)
            return
        for frame in self.stream.decode(packet):
            for part in self._packed.resample(frame):
                packed = np.asarray(part.to_ndarray(), np.float32)
                self._hold(packed.reshape(-1, self.stream.channels))

    def give(self, samples: int) -> NDArray[np.float32]:
        """Return the next (samples, channels)."""
        if self._plain is not None and self._bytes:
            decoded = self._plain.decode(b"".join(self._bytes), self.stream.channels)
            self._held.append(decoded.astype(np.float32, copy=False))
            self._bytes.clear()
        joined = np.concatenate(self._held)
        self._held = [joined[samples:]]
        self.held -= samples
        return joined[:samples]

    def _hold(self, samples: NDArray[np.float32]) -> None:
        self._held.append(samples)
        self.held += len(samples)


def _plain_format(coding: str) -> SampleFormat | None:
    """Return how FFmpeg's PCM codecs store samples; None for all others."""
    if coding in _COMPANDED:
        return _COMPANDED[coding]
    match = _PCM.fullmatch(coding)
    if match is None:
        return None
    kind, bits, end = (group for group in match.groups() if group is not None)
    if (kind, bits) == ("u", "8"):
        return SampleFormat("unsigned", 1)
    return SampleFormat("float" if kind == "f" else "integer", int(bits) // 8, end == "be")
