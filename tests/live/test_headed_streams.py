"""A sound file that is piped is read as what it is; ambisonics become capsules while they come."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from saiseld.conventions.sphere import unit_vector
from saiseld.data.ambisonics import AmbisonicConverter, capsules_of_foa
from saiseld.live.opening import SourceConfig, open_live
from saiseld.live.sources import Block, ConvertedSource, HeadedSource, RawSource, stream_source
from saiseld.runtime.errors import AudioError

RATE, SAMPLES = 16_000, 9_000
NOISE = np.random.default_rng(6).integers(-9000, 9000, (SAMPLES, 4)).astype(np.int16)
FLOATS = (NOISE / 32768).astype(np.float32)


def piped(content: bytes, most: int = 1000, **asked) -> RawSource | HeadedSource:
    """Return the source of bytes that come a few at a time."""
    file = io.BytesIO(content)

    def opened():
        return lambda size: file.read(min(size, most))

    return stream_source(
        "pipe", opened, "int16", asked.get("channels", 4), asked.get("rate", 48_000)
    )


def came(source) -> np.ndarray:
    return np.concatenate([block.samples for block in source.blocks()])


def encoded(container: str, subtype: str = "PCM_16", audio=NOISE, **options) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, audio, RATE, format=container, subtype=subtype, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "subtype", "options"),
    [
        ("WAV", "PCM_16", {}),
        ("WAV", "PCM_24", {}),
        ("WAV", "FLOAT", {}),
        ("WAV", "PCM_16", {"endian": "BIG"}),
        ("WAVEX", "PCM_32", {}),
        ("RF64", "PCM_16", {}),
        ("W64", "PCM_16", {}),
        ("AIFF", "PCM_24", {}),
        ("CAF", "FLOAT", {}),
        ("FLAC", "PCM_16", {}),
        ("FLAC", "PCM_24", {}),
    ],
)
def test_headers_say_what_comes(container: str, subtype: str, options) -> None:
    audio = FLOATS if subtype == "FLOAT" else NOISE
    source = piped(encoded(container, subtype, audio, **options))
    assert (source.channels, source.sample_rate) == (4, RATE)
    np.testing.assert_array_equal(came(source), FLOATS)


@pytest.mark.parametrize("length", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_wav_that_is_written_into_a_pipe_leaves_its_length_open(length: int) -> None:
    content = bytearray(encoded("WAV"))
    at = content.index(b"data") + 4
    content[at : at + 4] = length.to_bytes(4, "little")
    np.testing.assert_array_equal(came(piped(bytes(content))), FLOATS)


def test_what_follows_the_samples_is_no_sound() -> None:
    content = encoded("WAV") + b"LIST\x10\0\0\0" + bytes(16)
    np.testing.assert_array_equal(came(piped(content)), FLOATS)


@pytest.mark.parametrize("channels", [4, 32])
def test_matroska_is_read_too(tmp_path: Path, channels: int) -> None:
    audio = np.tile(NOISE, (1, channels // 4))
    layout = "4.0" if channels == 4 else "32C"
    with av.open(str(tmp_path / "a.mka"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout=layout)
        frame = av.AudioFrame.from_ndarray(audio.reshape(1, -1), "s16", layout)
        frame.sample_rate = RATE
        container.mux([*stream.encode(frame), *stream.encode()])
    source = piped((tmp_path / "a.mka").read_bytes())
    assert source.channels == channels
    np.testing.assert_array_equal(came(source)[:, :4], FLOATS)


@pytest.mark.parametrize("start", [b"", b"RI", bytes(200), b"\x01\x02" * 40])
def test_all_else_is_raw_samples(start: bytes) -> None:
    source = piped(start[: len(start) // 8 * 8] + NOISE.tobytes())
    assert isinstance(source, RawSource)
    np.testing.assert_array_equal(came(source)[-SAMPLES:], FLOATS)


@pytest.mark.parametrize(
    "content",
    [
        encoded("WAV", "IMA_ADPCM", NOISE[:, :1]),
        encoded("WAV")[:30],
        b"RIFF\x10\0\0\0WEBPVP8 " + bytes(40),
        b"\0\0\0\x18ftypmp42" + bytes(40),
        b"RIFF\x10\0\0\0AVI LIST" + bytes(40),
        b"fLaC" + bytes(100),
    ],
)
def test_headers_that_cannot_be_used_are_refused(content: bytes) -> None:
    with pytest.raises(AudioError):
        came(piped(content))


@pytest.mark.parametrize("container", ["WAV", "RF64", "FLAC", "CAF"])
def test_a_header_among_raw_samples_is_refused(container: str) -> None:
    file = io.BytesIO(encoded(container))
    source = RawSource("tcp", lambda: file.read, "int16", 4, 48_000)
    with pytest.raises(AudioError) as caught:
        came(source)
    assert caught.value.expected == "raw samples"


def given(monkeypatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


@pytest.mark.parametrize(("kind", "converted"), [("auto", False), ("foa", True), ("n3d", True)])
def test_standard_input_of_a_format(monkeypatch, kind: str, converted: bool) -> None:
    given(monkeypatch, encoded("WAV"))
    source, _ = open_live(SourceConfig("-", kind=kind))
    assert isinstance(source, ConvertedSource) == converted
    assert source.sample_rate == (24_000 if converted else RATE)


def test_a_header_of_b_format_is_believed(monkeypatch) -> None:
    plain = bytes.fromhex("0000 1000 8000 00aa 0038 9b71")
    content = encoded("WAVEX").replace(plain, bytes.fromhex("2107 d311 8644 c8c1 ca00 0000"))
    given(monkeypatch, content)
    source, _ = open_live(SourceConfig("-"))
    assert isinstance(source, ConvertedSource)


class Blocks:
    """A source of what it is given."""

    name, channels, sample_rate = "blocks", 4, 24_000

    def __init__(self, blocks: list[Block]) -> None:
        self._blocks = blocks

    def blocks(self):
        return iter(self._blocks)

    def stop(self) -> None:
        raise AssertionError


def foa(samples: int) -> np.ndarray:
    x, y, z = unit_vector(30, 20)
    w = np.random.default_rng(0).standard_normal((samples, 1))
    return (0.1 * w * [1, y, z, x]).astype(np.float32)


def test_ambisonics_while_they_come_are_those_of_a_file() -> None:
    audio = foa(20_000)
    blocks = [Block(part, 0.0) for part in np.split(audio, [1, 2400, 3000, 11_000])]
    source = ConvertedSource(Blocks(blocks), AmbisonicConverter("ambix"))
    expected = np.concatenate(list(capsules_of_foa([audio])))
    np.testing.assert_array_equal(came(source), expected)


def test_ambisonics_come_soon() -> None:
    source = ConvertedSource(
        Blocks([Block(part, 0.0) for part in np.split(foa(24_000), 20)]), AmbisonicConverter()
    )
    taken = given_ = 0
    for block in source.blocks():
        taken += 1200
        given_ += len(block.samples)
        assert taken - given_ <= 2400 + 1200
    assert given_ == 24_000


def test_counted_blocks_keep_their_place() -> None:
    audio = foa(12_000)
    parts = [(0, 3000), (3000, 6000), (6500, 9000), (8000, 9000), (9000, 12_000)]
    blocks = [Block(audio[a:b], 0.0, 1000 + a) for a, b in parts]
    silenced = audio.copy()
    silenced[6000:6500] = 0
    expected = np.concatenate(list(capsules_of_foa([silenced])))
    got = came(ConvertedSource(Blocks(blocks), AmbisonicConverter()))
    np.testing.assert_array_equal(got, expected)


def test_too_few_channels_are_refused() -> None:
    source = Blocks([])
    source.channels = 2
    with pytest.raises(AudioError) as caught:
        ConvertedSource(source, AmbisonicConverter("ambix"))
    assert (caught.value.place, caught.value.found) == ("channels", "2")
