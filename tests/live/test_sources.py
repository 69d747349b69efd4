"""Where sound and pictures come from, and what is told when they stop; the device is a stand-in."""

from __future__ import annotations

import io
import socket
import sys
import threading
import time
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
from tests.errors import raises
from tests.live.fakes import picture
from tests.pictures import black

from saiseld.data.recordings import open_recording, read_audio
from saiseld.live import camera as cameras
from saiseld.live import sources
from saiseld.live.camera import DeviceCamera, FileCamera
from saiseld.live.opening import SourceConfig, open_live
from saiseld.live.sources import (
    DeviceSource,
    FileSource,
    PacketSource,
    RawSource,
    TcpSource,
    devices,
)
from saiseld.pipeline.weights import DEMO
from saiseld.runtime.errors import AudioError, DeviceError, VideoError


class FakeStream:
    """A device that calls back from a thread of its own until it is unplugged."""

    def __init__(self, **asked) -> None:
        if asked["channels"] > 4:
            raise ValueError("Invalid number of channels")
        self.asked, self.active = asked, True

    def __enter__(self):
        threading.Thread(target=self._play, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.active = False

    def _play(self) -> None:
        size, adc = self.asked["blocksize"], 100.0
        for number in range(10):
            lost = 3 if number > 5 else 0  # three blocks
            samples = np.full((size, 4), number, np.float32)
            when = SimpleNamespace(inputBufferAdcTime=adc + (number + lost) * size / 48_000)
            overflow = SimpleNamespace(input_overflow=number == 6)
            self.asked["callback"](samples, size, when, overflow)
            samples[:] = -1  # PortAudio's memory is its own
        self.active = False
        self.asked["finished_callback"]()


@pytest.fixture
def portaudio(monkeypatch) -> None:
    inputs = [
        {"name": "Webcam", "max_input_channels": 2, "default_samplerate": 44100.0, "hostapi": 0},
        {"name": "Speakers", "max_input_channels": 0, "default_samplerate": 44100.0, "hostapi": 0},
        {"name": "Ambeo", "max_input_channels": 4, "default_samplerate": 48000.0, "hostapi": 0},
        {"name": "Ambeo", "max_input_channels": 4, "default_samplerate": 48000.0, "hostapi": 1},
    ]
    fake = SimpleNamespace(
        InputStream=FakeStream,
        PortAudioError=OSError,
        query_devices=lambda: inputs,
        query_hostapis=lambda: ({"name": "MME"}, {"name": "Windows WASAPI"}),
    )
    monkeypatch.setitem(sys.modules, "sounddevice", fake)


def test_a_device_that_is_unplugged_is_told_after_what_it_gave(portaudio) -> None:
    came, source = [], DeviceSource(None, 4, 48_000)
    with raises(AudioError, "microphones", expected="sound until", found="unplugged"):
        for block in source.blocks():
            came.append(block)
    assert [block.samples[0, 0] for block in came] == list(range(10))
    size = len(came[0].samples)
    assert [block.position // size for block in came] == [0, 1, 2, 3, 4, 5, 9, 10, 11, 12]


def test_a_device_is_stopped(portaudio) -> None:
    source = DeviceSource("Ambeo", 4, 48_000)
    blocks = source.blocks()
    next(blocks)
    source.stop()
    assert len(list(blocks)) < 10


def test_devices_are_listed_and_refused(portaudio) -> None:
    assert devices() == [
        (0, "Webcam, MME", 2, 44100),
        (2, "Ambeo, MME", 4, 48000),
        (3, "Ambeo, Windows WASAPI", 4, 48000),
    ]
    with raises(DeviceError, expected="device with 32 channels at 48000 Hz", advice="list-devices"):
        DeviceSource("Webcam", 32, 48_000)


def test_without_portaudio_it_is_told_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with raises(DeviceError, advice="pip install 'saiseld[live]'"):
        devices()


def test_a_recording_is_played_in_real_time_again_and_again(tmp_path) -> None:
    path = tmp_path / "rec.wav"
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2400 * 3 + 100, 4))
    soundfile.write(path, audio, 24_000, subtype="FLOAT")
    source = FileSource(open_recording(path), loop=True)
    began, came = time.monotonic(), []
    for block in source.blocks():
        came.append(block)
        if len(came) == 7:
            source.stop()
    assert time.monotonic() - began > 0.69
    np.testing.assert_allclose(np.diff([block.time for block in came]), 0.1)
    whole = np.concatenate([block.samples for block in came])
    np.testing.assert_array_equal(whole[: 3 * 2400], read_audio(path))
    np.testing.assert_array_equal(whole[3 * 2400 : 6 * 2400], read_audio(path))


@pytest.mark.parametrize(("form", "scale"), [("int16", 32768), ("float32", 1)])
def test_raw_samples_in_pieces_of_any_length(form, scale) -> None:
    audio = np.arange(-40, 40, dtype="<i2" if form == "int16" else "<f4").reshape(-1, 4)
    content = io.BytesIO(audio.tobytes())
    source = RawSource("raw", lambda: lambda _: content.read(7), form, 4, 48_000)
    came = np.concatenate([block.samples for block in source.blocks()])
    np.testing.assert_array_equal(came, audio.astype(np.float32) / scale)


def test_raw_samples_that_are_cut_off_are_told() -> None:
    content = io.BytesIO(bytes(8 * 5 + 3))
    source = RawSource("raw", lambda: content.read, "int16", 4, 48_000)
    with raises(AudioError, expected="samples of 4 channels of int16", found="3 bytes of 8"):
        list(source.blocks())


def test_sound_by_tcp() -> None:
    source = TcpSource("127.0.0.1", 0, "float32", 4, 48_000)
    audio = np.random.default_rng(0).standard_normal((5000, 4)).astype("<f4")

    def send(*contents: bytes) -> None:
        for content in contents:  # a sender that ends, within a sample too, may come again
            with socket.create_connection(("127.0.0.1", source.port)) as sender:
                sender.sendall(content)

    first, second = audio[:2000].tobytes(), audio[2000:].tobytes()
    threading.Thread(target=send, args=(first + b"ab", second)).start()
    came: list[np.ndarray] = []
    for block in source.blocks():
        came.append(block.samples)
        if sum(map(len, came)) == len(audio):
            source.stop()
    np.testing.assert_array_equal(np.concatenate(came), audio)


def test_one_sender_by_tcp_is_the_end_where_one_is_asked_for() -> None:
    for content, found in ((np.ones((5000, 4), "<f4").tobytes(), None), (bytes(33), "1 bytes of")):
        source = TcpSource("127.0.0.1", 0, "float32", 4, 48_000, once=True)
        with socket.create_connection(("127.0.0.1", source.port)) as sender:
            sender.sendall(content)
        if found is None:
            assert sum(len(block.samples) for block in source.blocks()) == 5000
        else:
            with raises(AudioError, found=found):
                list(source.blocks())


def test_silence_follows_a_sender_that_ends(monkeypatch) -> None:
    monkeypatch.setattr(sources, "BLOCK_S", 0.005)
    monkeypatch.setattr(sources, "SETTLES_S", 0.01)
    source = TcpSource("127.0.0.1", 0, "float32", 4, 48_000)
    with socket.create_connection(("127.0.0.1", source.port)) as sender:
        sender.sendall(np.ones((1000, 4), "<f4").tobytes())
    blocks, came = source.blocks(), []
    while sum(map(len, came)) < 1480:
        came.append(next(blocks).samples)
    np.testing.assert_array_equal(np.concatenate(came), [[1.0] * 4] * 1000 + [[0.0] * 4] * 480)
    source.stop()
    assert list(blocks) == []


def test_sound_by_udp_counts_and_what_is_none_is_told() -> None:
    source = PacketSource("127.0.0.1", 0, "int16", 4, 48_000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for position in (0, 7, 5):
            body = np.full((2, 4), position, "<i2").tobytes()
            sender.sendto(np.uint64(position).tobytes() + body, ("127.0.0.1", source.port))
        sender.sendto(b"hello there", ("127.0.0.1", source.port))
    blocks = source.blocks()
    assert [next(blocks).position for _ in range(3)] == [0, 7, 5]
    with raises(AudioError, found="one of 11 bytes"):
        next(blocks)
    source.stop()
    assert list(source.blocks()) == []


def test_a_place_that_is_taken_is_told() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        raises(DeviceError, expected="a place to listen at"),
    ):
        TcpSource("127.0.0.1", other.getsockname()[1], "int16", 4, 48_000)


def test_the_video_of_a_recording_follows_it() -> None:
    (path,) = DEMO.glob("*.wav")
    sound = FileSource(open_recording(path), loop=True)
    camera = FileCamera(path.with_suffix(".mp4"), sound, 0.3, loop=True)
    sound.began = 100.0  # long ago: nothing is waited for
    pictures = camera.pictures()
    came = [next(pictures) for _ in range(7)]
    np.testing.assert_allclose([at for _, at in came], 100 + np.arange(7) / 10)
    camera.stop()


def test_a_video_that_ends_first_says_so(tmp_path) -> None:
    from PIL import Image

    for number in range(2):
        Image.fromarray(picture(number)).save(tmp_path / f"f_{number:04d}.png")
    sound = FileSource(open_recording(next(DEMO.glob("*.wav"))))
    sound.began = 0.0
    came = list(FileCamera(tmp_path, sound, 10.0, loop=False).pictures())
    assert [(shown is None, at) for shown, at in came] == [
        (False, 0.0),
        (False, 0.1),
        (True, pytest.approx(0.2)),
    ]


class FakeContainer:
    def __init__(self, frames) -> None:
        self._frames = frames
        self.streams = SimpleNamespace(video=[SimpleNamespace(metadata={})])

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass

    def decode(self, video):
        yield from self._frames


def test_a_camera_that_stops_is_tried_again(monkeypatch, caplog) -> None:
    frame = black(360, 180)
    opened = []

    def open_(address, **_):
        opened.append(address)
        if len(opened) == 2:
            raise av.error.ConnectionRefusedError(111, "refused", address)
        return FakeContainer([frame] * 2)

    monkeypatch.setattr(cameras.av, "open", open_)
    monkeypatch.setattr(cameras, "AGAIN_S", 0.01)
    camera = DeviceCamera("rtsp://camera")
    pictures = camera.pictures()
    shown = [next(pictures)[0] is not None for _ in range(7)]
    assert shown == [True, True, False, False, True, True, False]
    assert "the audio branch goes on alone" in caplog.text
    camera.stop()
    assert list(pictures) == []


def test_cameras_that_are_none_are_told(monkeypatch) -> None:
    with raises(VideoError, "/dev/nothing", expected="a camera"):
        DeviceCamera("/dev/nothing")
    with raises(VideoError, expected="a camera"):
        open_live(SourceConfig(source="udp://127.0.0.1:0", video="nothing.mp4"))


def test_what_a_user_calls_a_source(tmp_path, portaudio, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(bytes(100))))
    sound, camera = open_live(SourceConfig())
    assert isinstance(sound, FileSource) and isinstance(camera, FileCamera)
    sound, camera = open_live(SourceConfig(source=str(next(DEMO.glob("*.wav")))))
    assert isinstance(sound, FileSource) and camera is None
    assert isinstance(open_live(SourceConfig(source="device:Ambeo"))[0], DeviceSource)
    assert isinstance(open_live(SourceConfig(source="-"))[0], RawSource)
    sound, _ = open_live(SourceConfig(source="udp://127.0.0.1:0"))
    assert isinstance(sound, PacketSource)
    sound.stop()
    for wrong in (
        "tcp://127.0.0.1",
        "udp://127.0.0.1:many",
        "ftp://127.0.0.1:1",
        str(tmp_path / "no.wav"),
    ):
        with raises(AudioError, wrong):
            open_live(SourceConfig(source=wrong))
