"""Where live sound comes from: a file played in real time, a device, a raw stream.

A source yields blocks until it ends; what goes wrong is an ``AudioError`` that says what.
"""

from __future__ import annotations

import logging
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias, cast

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.ambisonics import AmbisonicFormat, Converter
from saiseld.data.coded_sound import samples_of, tracks_of
from saiseld.data.containers import open_stream
from saiseld.data.recordings import MIN_SAMPLE_RATE, SAMPLE_RATE_HZ, Recording
from saiseld.data.sound_headers import SoundHeader, announced_bytes, read_sound_header
from saiseld.runtime.errors import AudioError, DeviceError, message_of, refusing

Opened: TypeAlias = Callable[[], Callable[[int], bytes]]
"""Opens a stream and returns what reads up to so many bytes of it, none at its end."""

BLOCK_S = 0.05
"""Seconds of sound that a device or a stream is asked for at a time."""

SETTLES_S = 6.0
"""Seconds of silence after a sender that went: more than an exact stream holds back."""

_log = logging.getLogger(__name__)

Form = Literal["int16", "float32"]
FORMS: dict[Form, np.dtype[Any]] = {"int16": np.dtype("<i2"), "float32": np.dtype("<f4")}
_FULL_SCALE = 32768.0
_MOST_WAITING = 200
_PACKET_BYTES = 1 << 16
_HEADER = np.dtype("<u8")
_START_BYTES = 12
_HEADS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff", b"FORM", b"caff")
_POLL_S = 0.5
"""Seconds after which who waits for a sender looks whether it is to stop."""
_LARGEST_GAP = 240_000
"""Samples; a block farther from its place is the first of a sender that began anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Samples as they come.

    Parameters
    ----------
    samples
        (n, channels) full scale 1.
    time
        ``time.monotonic()`` when the last of them arrived.
    position
        What the source calls the first, if it counts.
    """

    samples: NDArray[np.float32]
    time: float
    position: int | None = None


class Source(Protocol):
    """What sound comes from."""

    name: str
    sample_rate: int
    channels: int

    def blocks(self) -> Iterator[Block]:
        """Yield what comes until it ends."""
        ...

    def stop(self) -> None:
        """Let `blocks` end soon; called from another thread."""
        ...


class FileSource:
    """A recording played in real time, once or again and again.

    Parameters
    ----------
    recording
        4 or 32 channels.
    loop
        Whether it begins again where it ends; its last, unfinished frame is left out.
    """

    channels = 4
    sample_rate = SAMPLE_RATE

    def __init__(self, recording: Recording, *, loop: bool = False) -> None:
        self.name = recording.name
        self.elevation_assumed = recording.elevation_assumed
        self._recording, self._loop = recording, loop
        self._stopped = threading.Event()
        self.began: float | None = None

    def begin(self) -> float:
        """Return when it began to play; now, if it had not."""
        if self.began is None:
            self.began = time.monotonic()
        return self.began

    def blocks(self) -> Iterator[Block]:
        """Yield a frame when it has been played."""
        due = self.begin()
        while True:
            for frame in self._recording.blocks(1):
                due += len(frame) / SAMPLE_RATE
                if self._stopped.wait(max(due - time.monotonic(), 0)):
                    return
                yield Block(frame, due)
            if not self._loop:
                return

    def stop(self) -> None:
        """Let `blocks` end soon."""
        self._stopped.set()


class DeviceSource:
    """A microphone array by PortAudio.

    Parameters
    ----------
    device
        Its number or a part of its name, as `devices` lists them; None for the usual one.
    channels
        How many to open.
    sample_rate
        In Hz.

    Raises
    ------
    DeviceError
        If there is no such device, or no PortAudio.
    """

    def __init__(self, device: int | str | None, channels: int, sample_rate: int) -> None:
        portaudio = sounddevice()
        self.channels, self.sample_rate = channels, sample_rate
        self._came: queue.SimpleQueue[Block | None] = queue.SimpleQueue()
        self._taken = 0
        self._stopped = threading.Event()
        self.name = "microphones" if device is None else str(device)
        try:
            self._stream = portaudio.InputStream(
                device=device,
                channels=channels,
                samplerate=sample_rate,
                blocksize=round(BLOCK_S * sample_rate),
                dtype="float32",
                callback=self._take,
                finished_callback=lambda: self._came.put(None),
            )
        except (portaudio.PortAudioError, ValueError) as error:
            raise DeviceError(
                self.name,
                expected=f"a device with {channels} channels at {sample_rate} Hz",
                found=message_of(error),
                advice="See `saiseld live --list-devices`",
            ) from error
        # From the first sample on, by the time at which each block was digitised.
        self._first: float | None = None

    def _take(self, samples: NDArray[np.float32], frames: int, when: Any, status: Any) -> None:
        # Called by PortAudio's own thread, which must never wait.
        arrived = time.monotonic()
        digitised = float(when.inputBufferAdcTime)
        position = self._taken
        if status.input_overflow and self._first is not None and digitised > 0:
            # Something was lost: how much, the device's own clock says.
            position = max(round((digitised - self._first) * self.sample_rate), position)
        elif self._first is None:
            self._first = digitised
        self._taken = position + frames
        if self._came.qsize() < _MOST_WAITING:
            self._came.put(Block(samples.copy(), arrived, position))

    def blocks(self) -> Iterator[Block]:
        """Yield what the device gives; an ``AudioError`` where it gives no more."""
        with self._stream:
            while not self._stopped.is_set():
                try:
                    block = self._came.get(timeout=1.0)
                except queue.Empty:
                    block = None if not self._stream.active else Block(self._nothing, 0.0)
                if block is None and not self._stopped.is_set():
                    raise AudioError(
                        self.name,
                        expected="sound until it is stopped",
                        found="the end: the device was unplugged or taken away",
                    )
                if block is not None and len(block.samples):
                    yield block

    @property
    def _nothing(self) -> NDArray[np.float32]:
        return np.empty((0, self.channels), np.float32)

    def stop(self) -> None:
        """Let `blocks` end soon."""
        self._stopped.set()
        self._came.put(None)


def sounddevice() -> Any:
    """Return the module ``sounddevice``.

    Raises
    ------
    DeviceError
        If it, or the library that it needs, is not there.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise DeviceError(
            "sounddevice",
            expected="PortAudio and its Python package",
            found=message_of(error),
            advice="pip install 'saiseld[live]'; on Debian and Ubuntu apt install libportaudio2",
        ) from error
    return sounddevice


def devices() -> list[tuple[int, str, int, int]]:
    """Return number, name, channels and usual rate of each device that has inputs.

    A name ends with its host API, which tells apart a device that is there by several.
    `DeviceSource` takes such a name.
    """
    portaudio = sounddevice()
    apis = [str(api["name"]) for api in portaudio.query_hostapis()]
    return [
        (
            number,
            f"{d['name']}, {apis[d['hostapi']]}",
            int(d["max_input_channels"]),
            int(d["default_samplerate"]),
        )
        for number, d in enumerate(portaudio.query_devices())
        if d["max_input_channels"] > 0
    ]


class RawSource:
    """Interleaved samples from a stream of bytes, little-endian, without a header.

    Parameters
    ----------
    name
        What it is called.
    opened
        Opens the stream.
    form, channels, sample_rate
        What the samples are.
    """

    def __init__(
        self,
        name: str,
        opened: Opened,
        form: Form,
        channels: int,
        sample_rate: int,
    ) -> None:
        _check_rate(name, sample_rate)
        self.name, self.channels, self.sample_rate = name, channels, sample_rate
        self._opened, self._form = opened, form
        self._stopped = threading.Event()

    def blocks(self) -> Iterator[Block]:
        """Yield what comes; an ``AudioError`` where it ends within a sample."""
        left = yield from self._blocks_of(self._opened())
        if left and not self._stopped.is_set():
            raise AudioError(
                self.name,
                expected=f"samples of {self.channels} channels of {self._form} to the end",
                found=f"{left} bytes of {self._step} at the end",
                advice="Say what comes with --rate, --source-channels and --form",
            )

    @property
    def _step(self) -> int:
        return FORMS[self._form].itemsize * self.channels

    def _blocks_of(self, read: Callable[[int], bytes]) -> Generator[Block, None, int]:
        """Yield what a stream holds; return how many bytes of an unfinished sample were left."""
        size = max(round(BLOCK_S * self.sample_rate), 1) * self._step
        left = b""
        is_first = True
        while not self._stopped.is_set() and (content := read(size)):
            left += content
            if is_first:
                self._refuse_header(left)
            is_first = False
            whole = len(left) - len(left) % self._step
            if whole:
                yield Block(decoded(left[:whole], self._form, self.channels), time.monotonic())
            left = left[whole:]
        return len(left)

    def _refuse_header(self, start: bytes) -> None:
        if start.startswith((*_HEADS, b"fLaC")):
            raise AudioError(
                self.name,
                expected="raw samples",
                found="the header of a sound file",
                advice="Send raw samples, or pipe the file into `saiseld live -`",
            )

    def stop(self) -> None:
        """Let `blocks` end with what it reads next."""
        self._stopped.set()


class TcpSource(RawSource):
    """Raw samples of one sender after another that connects to a port.

    After a sender that has ended, `SETTLES_S` of silence come while the next is waited for: what
    was held back is shown, and its events end.

    Parameters
    ----------
    host, port
        Where it listens; port 0 takes a free one.
    form, channels, sample_rate
        As of `RawSource`.
    once
        Whether the end of the first sender is the end.

    Raises
    ------
    DeviceError
        If the place cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        form: Form,
        channels: int,
        sample_rate: int,
        *,
        once: bool = False,
    ) -> None:
        name = f"tcp://{host}:{port}"
        super().__init__(name, lambda: self._receive, form, channels, sample_rate)
        self._once = once
        try:
            self._listening = socket.create_server((host, port))
        except OSError as error:
            raise _not_bound(name, error) from error
        self._listening.settimeout(BLOCK_S)
        self._connection: socket.socket | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def blocks(self) -> Iterator[Block]:
        """Yield what comes until it is stopped; a sender that ends may come again."""
        silence = np.zeros((round(BLOCK_S * self.sample_rate), self.channels), np.float32)
        silent = 0
        with self._listening:
            while not self._stopped.is_set():
                try:
                    self._connection, _ = self._listening.accept()
                except TimeoutError:
                    if silent:
                        silent -= 1
                        yield Block(silence, time.monotonic())
                    continue
                with self._connection:
                    self._connection.settimeout(_POLL_S)
                    if self._once:
                        yield from super().blocks()
                        return
                    left = yield from self._blocks_of(self._receive)
                silent = round(SETTLES_S / BLOCK_S)
                if not self._stopped.is_set():
                    unfinished = f" within a sample ({left} bytes of {self._step})" if left else ""
                    _log.warning(
                        "%s: the sender has ended%s; waiting for the next", self.name, unfinished
                    )

    def _receive(self, most: int) -> bytes:
        assert self._connection is not None
        while not self._stopped.is_set():
            try:
                return self._connection.recv(most)
            except TimeoutError:
                continue
            except ConnectionError:
                break
        return b""


class PacketSource:
    """UDP packets: 8 bytes with the number of the first sample, then samples as in `RawSource`.

    The number counts on from any start (unsigned, little-endian), so that lost, repeated and
    overtaken packets are told from others.
    """

    def __init__(self, host: str, port: int, form: Form, channels: int, sample_rate: int) -> None:
        self.name, self.channels, self.sample_rate = f"udp://{host}:{port}", channels, sample_rate
        _check_rate(self.name, sample_rate)
        self._form = form
        self._stopped = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            raise _not_bound(self.name, error) from error
        self._socket.settimeout(0.5)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def blocks(self) -> Iterator[Block]:
        """Yield what comes until it is stopped."""
        step = FORMS[self._form].itemsize * self.channels
        with self._socket:
            while not self._stopped.is_set():
                try:
                    packet = self._socket.recv(_PACKET_BYTES)
                except TimeoutError:
                    continue
                except OSError:
                    if self._stopped.is_set():
                        return
                    raise
                body = packet[_HEADER.itemsize :]
                if len(packet) < _HEADER.itemsize or len(body) % step:
                    raise AudioError(
                        self.name,
                        expected=f"packets of 8 bytes and samples of {step} bytes",
                        found=f"one of {len(packet)} bytes",
                        advice="Say what comes with --rate, --source-channels and --form",
                    )
                position = int(np.frombuffer(packet, _HEADER, 1)[0])
                samples = decoded(body, self._form, self.channels)
                yield Block(samples, time.monotonic(), position)

    def stop(self) -> None:
        """Let `blocks` end soon."""
        self._stopped.set()
        self._socket.close()


def decoded(content: bytes, form: Form, channels: int) -> NDArray[np.float32]:
    """Return the (n, channels) samples of interleaved bytes, full scale 1."""
    samples = np.frombuffer(content, FORMS[form]).reshape(-1, channels).astype(np.float32)
    return samples / np.float32(_FULL_SCALE) if form == "int16" else samples


class TappedSource:
    """A source of whose blocks another is told as they come.

    Parameters
    ----------
    source
        What sound comes from.
    on_block
        Told each block before it goes on.
    """

    def __init__(self, source: Source, on_block: Callable[[Block], object]) -> None:
        self.name, self.channels, self.sample_rate = (
            source.name,
            source.channels,
            source.sample_rate,
        )
        self._source, self._on_block = source, on_block

    def blocks(self) -> Iterator[Block]:
        """Yield what the source gives."""
        for block in self._source.blocks():
            self._on_block(block)
            yield block

    def stop(self) -> None:
        """Let `blocks` end soon."""
        self._source.stop()


class HeadedSource:
    """A stream of bytes that begins with the header of a sound file, and is read as what it is.

    Parameters
    ----------
    name
        What it is called.
    channels, sample_rate
        As the header says.
    samples
        What comes after the header, (n, channels) at a time.
    ambisonics
        Which ambisonics the header says they are; None if it says nothing.
    """

    def __init__(
        self,
        name: str,
        channels: int,
        sample_rate: int,
        samples: Iterator[NDArray[np.floating]],
        ambisonics: AmbisonicFormat | None = None,
    ) -> None:
        _check_rate(name, sample_rate)
        self.name, self.channels, self.sample_rate = name, channels, sample_rate
        self.ambisonics = ambisonics
        self._samples = samples
        self._stopped = threading.Event()

    def blocks(self) -> Iterator[Block]:
        """Yield what comes; an ``AudioError`` where it cannot be decoded."""
        with refusing(AudioError, self.name, "sound to the end"):
            for samples in self._samples:
                if self._stopped.is_set():
                    return
                yield Block(samples.astype(np.float32, copy=False), time.monotonic())

    def stop(self) -> None:
        """Let `blocks` end with what it reads next."""
        self._stopped.set()


def stream_source(
    name: str, opened: Opened, form: Form, channels: int, sample_rate: int
) -> RawSource | HeadedSource:
    """Return a source of a stream of bytes, by its header where it has one.

    WAV, RF64, BW64, W64, AIFF, CAF, FLAC, Matroska and Ogg are read as they say; all else is raw
    samples. Waits for the first twelve bytes.

    Parameters
    ----------
    name, opened, form, channels, sample_rate
        As of `RawSource`.

    Raises
    ------
    AudioError
        If it has a header that cannot be used.
    """
    stream = _Stream(opened())
    start = stream.first(_START_BYTES)
    if not start.startswith(_HEADS) and start[8:12] != b"AVI ":
        container = open_stream(stream, start, name, AudioError)
        if container is None:
            return RawSource(name, lambda: stream.put_back(start), form, channels, sample_rate)
        return _coded_source(name, container)
    header = None if start[8:12] == b"AVI " else read_sound_header(stream, start)
    if header is None or header.format is None or not header.channels:
        raise AudioError(
            name,
            place="header",
            expected="a sound file that can be read forwards, of samples that are not compressed",
            found=repr(start),
            advice="Send WAV, FLAC or raw samples",
        )
    samples = _samples_after(header, stream)
    return HeadedSource(name, header.channels, header.sample_rate, samples, header.ambisonics)


class _Stream:
    """Reads a stream forwards, of which the first bytes were looked at."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self._start = read, b""

    def first(self, size: int) -> bytes:
        """Return the first bytes, fewer where the stream ends before."""
        content = b""
        while len(content) < size and (more := self._read(size - len(content))):
            content += more
        return content

    def put_back(self, start: bytes) -> Callable[[int], bytes]:
        """Return what reads the stream with its first bytes again."""
        self._start = start
        return self.read

    def read(self, size: int) -> bytes:
        """Return up to so many bytes, none at the end."""
        if self._start:
            content, self._start = self._start[:size], self._start[size:]
            return content
        return self._read(size)


def _samples_after(header: SoundHeader, stream: _Stream) -> Iterator[NDArray[np.floating]]:
    assert header.format is not None
    step = header.sample_bytes
    size = max(round(BLOCK_S * header.sample_rate), 1) * step
    remaining, held = announced_bytes(header), b""
    while remaining is None or remaining > 0:
        content = stream.read(size if remaining is None else min(size, remaining))
        if not content:
            return
        remaining = None if remaining is None else remaining - len(content)
        held += content
        whole = len(held) - len(held) % step
        if whole:
            yield header.format.decode(held[:whole], header.channels)
        held = held[whole:]


def _coded_source(name: str, container: av.container.InputContainer) -> HeadedSource:
    tracks = tracks_of(container)
    if tracks is None:
        raise AudioError(name, expected="a sound track", found="none that can be decoded")
    samples = samples_of(container, tracks)
    return HeadedSource(name, tracks.channels, tracks.sample_rate, samples, tracks.ambisonics)


class ConvertedSource:
    """A source whose channels are made into the tetrahedron's capsules as they come, at 24 kHz.

    Parameters
    ----------
    source
        What sound comes from.
    converter
        What makes capsules of its channels.

    Raises
    ------
    AudioError
        If the source has not the channels that the converter needs.
    """

    channels = 4
    sample_rate = SAMPLE_RATE

    def __init__(self, source: Source, converter: Converter) -> None:
        converter.check(source.channels, source.name)
        self.name = source.name
        self.source, self.converter = source, converter

    def blocks(self) -> Iterator[Block]:
        """Yield what the source gives, later by what the converter needs."""
        source = self.source
        stream = self.converter.stream(live=True)
        resampler = soxr.ResampleStream(
            source.sample_rate, SAMPLE_RATE, source.channels, dtype="float32", quality="VHQ"
        )
        is_same = source.sample_rate == SAMPLE_RATE
        expected: int | None = None
        for block in source.blocks():
            samples = block.samples
            if block.position is not None:
                samples, expected = in_order(block, expected)
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
            if not is_same:
                samples = resampler.resample_chunk(np.ascontiguousarray(samples))
            converted = stream.push(samples)
            if len(converted):
                yield Block(converted, block.time)
        yield Block(stream.close(), time.monotonic())

    def stop(self) -> None:
        """Let `blocks` end soon."""
        self.source.stop()


def tapped(source: Source, on_block: Callable[[Block], object]) -> Source:
    """Return a source that tells ``on_block`` each block as it comes, before any conversion."""
    if isinstance(source, ConvertedSource):
        return ConvertedSource(TappedSource(source.source, on_block), source.converter)
    return TappedSource(source, on_block)


def in_order(block: Block, expected: int | None) -> tuple[NDArray[np.float32], int]:
    """Return a counted block's samples in their place: silence where some are missing.

    What comes twice or too late is left out; where a sender begins anew, so does the count.
    """
    assert block.position is not None
    end = block.position + len(block.samples)
    gap = 0 if expected is None else block.position - expected
    if abs(gap) > _LARGEST_GAP:
        return block.samples, end
    if gap < 0:
        return block.samples[-gap:], max(end, expected or 0)
    return np.pad(block.samples, ((gap, 0), (0, 0))), end


def standard_input() -> Callable[[int], bytes]:
    """Open what `RawSource` reads of standard input."""
    return cast(BinaryIO, getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)).read


def _not_bound(name: str, error: OSError) -> DeviceError:
    return DeviceError(name, expected="a place to listen at", found=message_of(error))


def _check_rate(name: str, sample_rate: int) -> None:
    if sample_rate < MIN_SAMPLE_RATE:
        raise AudioError(
            name,
            place="sample rate",
            expected=f"at least {MIN_SAMPLE_RATE} Hz",
            found=f"{sample_rate} Hz",
        )
    SAMPLE_RATE_HZ.check(sample_rate, AudioError, name)
