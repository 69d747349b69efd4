"""Where live sound comes from: a file played in real time, a device, a raw stream.

A source yields blocks until it ends; what goes wrong is an ``AudioError`` that says what.
"""

from __future__ import annotations

import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.timebase import SAMPLE_RATE
from saiseld.data.recordings import MIN_SAMPLE_RATE, SAMPLE_RATE_HZ, Recording
from saiseld.runtime.errors import AudioError, DeviceError, what_was_said

Opened: TypeAlias = Callable[[], Callable[[int], bytes]]
"""Opens a stream and returns what reads up to so many bytes of it, none at its end."""

BLOCK_S = 0.05
"""Seconds of sound that a device or a stream is asked for at a time."""

Form = Literal["int16", "float32"]
FORMS: dict[Form, np.dtype[Any]] = {"int16": np.dtype("<i2"), "float32": np.dtype("<f4")}
_FULL_SCALE = 32768.0
_MOST_WAITING = 200
_PACKET_BYTES = 1 << 16
_HEADER = np.dtype("<u8")


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
                found=what_was_said(error),
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
            found=what_was_said(error),
            advice="pip install 'saiseld[live]'; on Debian and Ubuntu apt install libportaudio2",
        ) from error
    return sounddevice


def devices() -> list[tuple[int, str, int, int]]:
    """Return number, name, channels and usual rate of each device that has inputs."""
    return [
        (number, str(d["name"]), int(d["max_input_channels"]), int(d["default_samplerate"]))
        for number, d in enumerate(sounddevice().query_devices())
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
        step = FORMS[self._form].itemsize * self.channels
        wanted = max(round(BLOCK_S * self.sample_rate), 1) * step
        read, left = self._opened(), b""
        while not self._stopped.is_set() and (content := read(wanted)):
            left += content
            whole = len(left) - len(left) % step
            if whole:
                yield Block(decoded(left[:whole], self._form, self.channels), time.monotonic())
            left = left[whole:]
        if left and not self._stopped.is_set():
            raise AudioError(
                self.name,
                expected=f"samples of {self.channels} channels of {self._form} to the end",
                found=f"{len(left)} bytes of {step} at the end",
                advice="Say what comes with --rate, --source-channels and --form",
            )

    def stop(self) -> None:
        """Let `blocks` end with what it reads next."""
        self._stopped.set()


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


def standard_input() -> Callable[[int], bytes]:
    """Open what `RawSource` reads of standard input."""
    return cast(BinaryIO, getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)).read


def tcp_listener(host: str, port: int) -> tuple[int, Opened]:
    """Return the port of a new listener, and what waits for one sender there (for `RawSource`).

    Raises
    ------
    DeviceError
        If the place cannot be had.
    """
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise _not_bound(f"tcp://{host}:{port}", error) from error

    def opened() -> Callable[[int], bytes]:
        with listening:
            connection, _ = listening.accept()

        def read(most: int) -> bytes:
            content = connection.recv(most)
            if not content:
                connection.close()
            return content

        return read

    return int(listening.getsockname()[1]), opened


def _not_bound(name: str, error: OSError) -> DeviceError:
    return DeviceError(name, expected="a place to listen at", found=what_was_said(error))


def _check_rate(name: str, sample_rate: int) -> None:
    if sample_rate < MIN_SAMPLE_RATE:
        raise AudioError(
            name,
            place="sample rate",
            expected=f"at least {MIN_SAMPLE_RATE} Hz",
            found=f"{sample_rate} Hz",
        )
    SAMPLE_RATE_HZ.check(sample_rate, AudioError, name)
