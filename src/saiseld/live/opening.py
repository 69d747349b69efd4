"""A source and a camera by what a user calls them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from saiseld.arrays.converter import converter_for
from saiseld.arrays.description import MicrophoneArray
from saiseld.conventions.timebase import FPS
from saiseld.data.ambisonics import AmbisonicConverter
from saiseld.live.camera import Camera, DeviceCamera, FileCamera
from saiseld.live.sources import (
    ConvertedSource,
    DeviceSource,
    FileSource,
    Form,
    HeadedSource,
    PacketSource,
    RawSource,
    Source,
    TcpSource,
    standard_input,
    stream_source,
)
from saiseld.pipeline.open import AMBISONIC_NAMES, AMBISONICS, Layout, open_checked
from saiseld.pipeline.weights import DEMO
from saiseld.runtime.errors import AudioError, VideoError, refusing

DEVICE = "device"
"""What microphones are called; ``device:NAME`` is one by its number or a part of its name."""

STDIN = "-"
_CHANNELS = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """What a user says of a source and a camera.

    Parameters
    ----------
    source
        A recording, `DEVICE`, `STDIN`, ``tcp://HOST:PORT`` or ``udp://HOST:PORT``; None for the
        packaged scene.
    video
        ``/dev/video0``, ``rtsp://...``, a video or a folder of frames; None for none, or for that
        of the packaged scene.
    loop
        Whether a recording begins again where it ends.
    channels, sample_rate, form
        What a device is opened with; what the samples of a raw stream are. None: as many channels
        as the array needs, or 4.
    camera_late_s
        Seconds from when a camera takes a picture to when it comes.
    kind
        What the channels are; see `saiseld.pipeline.open.open_checked`. A stream's sound is not
        looked at beforehand: ``auto`` believes its header, and takes the others for capsules.
    once
        Whether the end of the first sender by TCP is the end; else the next is waited for.
    """

    source: str | None = None
    video: str | None = None
    loop: bool = False
    channels: int | None = None
    sample_rate: int = 48_000
    form: Form = "int16"
    camera_late_s: float = 0.0
    kind: Layout = "auto"
    once: bool = False


def open_live(config: SourceConfig) -> tuple[Source, Camera | None]:
    """Return a source, and a camera if there is one, neither of them begun.

    Raises
    ------
    AudioError, VideoError, DeviceError
        For what cannot be had.
    """
    source, video = config.source, config.video
    if source is None:
        (path,) = DEMO.glob("*.wav")
        return _played(path, video or str(path.with_suffix(".mp4")), config)
    scheme = source.partition(":")[0]
    if scheme != DEVICE and source != STDIN and "://" not in source:
        return _played(Path(source), video, config)
    camera = None if video is None else _camera(video, config)
    return _converted(_opened(source, scheme, config), config.kind), camera


def elevation_assumed(source: Source) -> bool:
    """Return whether a source's array is planar, so that elevations are assumed."""
    if isinstance(source, ConvertedSource):
        return source.converter.elevation_assumed
    return isinstance(source, FileSource) and source.elevation_assumed


def _converted(source: Source, kind: Layout) -> Source:
    if isinstance(kind, MicrophoneArray):
        _log.info("%s: %s, converted to capsules", source.name, kind.name)
        return ConvertedSource(source, converter_for(kind))
    convention = getattr(source, "ambisonics", None) if kind == "auto" else AMBISONICS.get(kind)
    if convention is not None:
        _log.info("%s: %s, converted to capsules", source.name, AMBISONIC_NAMES[convention])
        return ConvertedSource(source, AmbisonicConverter(convention))
    if kind == "auto" and isinstance(source, HeadedSource) and source.channels not in (4, 32):
        _log.warning(
            "%s: of %d channels those of --channels are taken for capsules; say --format foa if "
            "they are ambisonics",
            source.name,
            source.channels,
        )
    return source


def _opened(source: str, scheme: str, config: SourceConfig) -> Source:
    wanted = max(config.kind.channels) if isinstance(config.kind, MicrophoneArray) else _CHANNELS
    channels = wanted if config.channels is None else config.channels
    raw = config.form, channels, config.sample_rate
    if scheme == DEVICE:
        name = source.partition(":")[2]
        device = int(name) if name.isdecimal() else name or None
        return DeviceSource(device, channels, config.sample_rate)
    if source == STDIN:
        stream = stream_source("standard input", standard_input, *raw)
        if isinstance(stream, RawSource):
            _check_counted(stream.name, config)
        return stream
    _check_counted(source, config)
    host, port = _place(source)
    if scheme == "udp":
        return PacketSource(host, port, *raw)
    return TcpSource(host, port, *raw, once=config.once)


def _check_counted(name: str, config: SourceConfig) -> None:
    """Refuse raw samples whose number of channels nobody said, where an array uses some of them."""
    array = config.kind
    if config.channels is not None or not isinstance(array, MicrophoneArray):
        return
    if max(array.channels) > array.microphones:
        used = ", ".join(map(str, array.channels))
        raise AudioError(
            name,
            place="channels",
            expected=f"how many the raw samples have: {array.name} uses {used} of them",
            found="no --source-channels",
            advice="Say how many with --source-channels",
        )


def _played(path: Path, video: str | None, config: SourceConfig) -> tuple[Source, Camera | None]:
    recording = open_checked(path, config.kind)
    sound = FileSource(recording, loop=config.loop)
    if video is None:
        return sound, None
    if not Path(video).exists() or video.startswith("/dev/"):
        return sound, _camera(video, config)
    seconds = recording.frames / FPS
    return sound, FileCamera(Path(video), sound, seconds, loop=config.loop)


def _camera(video: str, config: SourceConfig) -> Camera:
    if not (video.startswith("/dev/") or "://" in video):
        raise VideoError(
            video,
            expected="a camera (/dev/video0, rtsp://...), or a video with a recording",
            found="neither",
        )
    return DeviceCamera(video, config.camera_late_s)


def _place(address: str) -> tuple[str, int]:
    """Return host and port."""
    with refusing(AudioError, address, "an address like tcp://127.0.0.1:5000, or udp://"):
        parts = urlsplit(address)
        if parts.port is None or parts.scheme not in ("tcp", "udp"):
            raise ValueError(f"scheme {parts.scheme}, port {parts.port}")
        return parts.hostname or "127.0.0.1", parts.port
