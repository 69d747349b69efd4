"""Sound files of every container: whole or refused, whatever their headers say of their length."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from saiseld.data.containers import missing_bytes
from saiseld.data.pcm import SampleFormat
from saiseld.data.recordings import find_recordings, open_recording, recording_of_array
from saiseld.data.sound_files import open_sound_file
from saiseld.data.sound_headers import read_sound_header
from saiseld.runtime.errors import AudioError

RATE = 24_000
SAMPLES = 7_300
NOISE = np.random.default_rng(3).integers(-8000, 8000, (SAMPLES, 4)).astype(np.int16)
FLOATS = (NOISE / 32768).astype(np.float32)
CONTAINERS = {
    "wav": ("WAV", "LITTLE"),
    "rifx": ("WAV", "BIG"),
    "wavex": ("WAVEX", "FILE"),
    "rf64": ("RF64", "FILE"),
    "w64": ("W64", "FILE"),
    "aiff": ("AIFF", "FILE"),
    "aifc": ("AIFF", "LITTLE"),
    "caf": ("CAF", "FILE"),
    "caf-little": ("CAF", "LITTLE"),
    "au": ("AU", "BIG"),
    "au-little": ("AU", "LITTLE"),
}


def written(path: Path, kind: str = "wav", subtype: str = "PCM_16", audio=NOISE) -> Path:
    container, endian = CONTAINERS[kind]
    soundfile.write(path, audio, RATE, format=container, subtype=subtype, endian=endian)
    return path


def as_bw64(path: Path) -> Path:
    """Turn an RF64 file into a BW64 one, as ITU-R BS.2088 has it."""
    path.write_bytes(b"BW64" + path.read_bytes()[4:])
    return path


def samples_of(path: Path) -> np.ndarray:
    recording = open_recording(path)
    assert recording.samples == SAMPLES
    return np.concatenate(list(recording.blocks(tetrahedral=False)))


def data_at(content: bytes, name: bytes = b"data") -> int:
    """Return where the length of the data chunk stands."""
    return content.index(name) + 4


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_whole_files_are_read_without_a_word(tmp_path, caplog, kind: str, subtype: str) -> None:
    if kind == "aifc" and subtype == "FLOAT":
        pytest.skip("AIFC has no little-endian floats")
    audio = FLOATS if subtype == "FLOAT" else NOISE
    got = samples_of(written(tmp_path / "a.bin", kind, subtype, audio))
    np.testing.assert_array_equal(got, FLOATS[: len(got)])
    assert not caplog.records


@pytest.mark.parametrize("kind", [*CONTAINERS, "bw64"])
@pytest.mark.parametrize("kept", [0.3, 0.97])
def test_files_that_are_cut_off_are_refused(tmp_path, kind: str, kept: float) -> None:
    path = written(tmp_path / "a.bin", "rf64" if kind == "bw64" else kind)
    path = as_bw64(path) if kind == "bw64" else path
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(AudioError) as caught:
        open_recording(path)
    assert caught.value.place == "data chunk"
    assert caught.value.advice == "The file is cut off"


@pytest.mark.parametrize(
    "length", [0, 0x7FFFF000, 0x7FFFEFF8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB]
)
@pytest.mark.parametrize(("kind", "order"), [("wav", "<"), ("rifx", ">"), ("wavex", "<")])
def test_open_lengths_are_read_to_the_end(tmp_path, caplog, kind, order, length: int) -> None:
    path = written(tmp_path / "a.wav", kind)
    content = bytearray(path.read_bytes())
    at = data_at(content)
    content[at : at + 4] = struct.pack(f"{order}I", length)
    path.write_bytes(bytes(content) + b"\x01")  # and half a sample, as a lost battery leaves
    got = samples_of(path)
    np.testing.assert_array_equal(got, FLOATS[: len(got)])
    assert "read to the end, 0.3 s" in caplog.text


@pytest.mark.parametrize(
    ("kind", "name", "form", "value"),
    [
        ("rf64", b"ds64", "<4xQQ", (0, 0)),
        ("rf64", b"ds64", "<4xQQ", (2**64 - 1, 2**64 - 1)),
        ("w64", b"data", "<12xQ", (24,)),
        ("w64", b"data", "<12xQ", (2**63 - 1,)),
        ("aiff", b"SSND", ">I", (0,)),
        ("aiff", b"SSND", ">I", (0x7FFFF000,)),
        ("caf", b"data", ">q", (-1,)),
        ("w64", b"data", "<12xQ", (7,)),
        ("au", b".snd", ">4xI", (0xFFFFFFFF,)),
        ("au-little", b"dns.", "<4xI", (0,)),
    ],
)
def test_wide_headers_may_leave_the_length_open(tmp_path, kind, name, form, value) -> None:
    path = written(tmp_path / "a.bin", kind)
    content = bytearray(path.read_bytes())
    at = content.index(name) + 4
    old = content[at : at + struct.calcsize(form)]
    new = struct.pack(form, *value)
    padding = len(new) - len(struct.pack(form.replace("4x", "").replace("12x", ""), *value))
    content[at : at + len(new)] = old[:padding] + new[padding:]
    path.write_bytes(bytes(content))
    got = samples_of(path)
    np.testing.assert_array_equal(got, FLOATS[: len(got)])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_lengths_that_did_not_fit_are_read_to_the_end(tmp_path, caplog, subtype, share) -> None:
    path = written(tmp_path / "a.wav", "wav", subtype, FLOATS)
    whole = np.concatenate(list(open_recording(path).blocks()))
    content = bytearray(path.read_bytes())
    at = data_at(content)
    step = 4 * {"PCM_16": 2, "PCM_24": 3, "DOUBLE": 8, "ULAW": 1}.get(subtype, 4)
    content[at : at + 4] = struct.pack("<I", int(share * SAMPLES) * step)
    path.write_bytes(bytes(content))
    caplog.clear()
    np.testing.assert_array_equal(np.concatenate(list(open_recording(path).blocks())), whole)
    assert "read to the end, 0.3 s" in caplog.text


def test_more_than_four_gibibytes_in_a_wav(tmp_path, caplog) -> None:
    header = written(tmp_path / "a.wav", audio=NOISE[:0]).read_bytes()
    at = data_at(header)
    length = 2**32 + 48_000 * 8
    with (tmp_path / "long.wav").open("wb") as file:  # a sparse file: it takes no room
        file.write(header[:at] + struct.pack("<I", length % 2**32))
        file.write(NOISE.tobytes())
        file.truncate(at + 4 + length)
        file.seek(at + 4 + length)
        file.write(b"LIST" + struct.pack("<I", 4) + b"INFO")
    recording = open_recording(tmp_path / "long.wav")
    assert recording.samples == length // 8
    np.testing.assert_array_equal(next(recording.blocks(3)), FLOATS[:7200])
    assert "the header says 2.0 s" in caplog.text


@pytest.mark.parametrize("tail", [b"LIST\4\0\0\0INFO", b"id3 \3\0\0\0abc", b"", bytes(100), b"\n"])
def test_chunks_and_padding_after_the_sound_are_no_sound(tmp_path, caplog, tail: bytes) -> None:
    path = written(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes() + tail)
    samples_of(path)
    assert not caplog.records


def test_a_file_of_no_samples_is_no_open_length(tmp_path) -> None:
    path = written(tmp_path / "a.wav", audio=NOISE[:0])
    path.write_bytes(path.read_bytes() + b"LIST\4\0\0\0INFO")
    with pytest.raises(AudioError) as caught:
        open_recording(path)
    assert caught.value.found == "0 samples"


def test_flac_of_unknown_length(tmp_path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, NOISE, RATE, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # 36 bits of STREAMINFO: how many samples there are
    content[22:26] = bytes(4)
    path.write_bytes(bytes(content))
    got = samples_of(path)
    np.testing.assert_array_equal(got, FLOATS[: len(got)])


def coded(path: Path, tracks: list[np.ndarray], codec: str = "pcm_s16le", starts=()) -> Path:
    """Write (samples, channels) tracks of int16 by FFmpeg."""
    layouts = {1: "mono", 2: "stereo", 4: "4.0"}
    with av.open(str(path), "w") as container:
        streams = []
        for audio in tracks:
            channels = audio.shape[1]
            layout = layouts.get(channels, f"{channels}C")
            streams.append(container.add_stream(codec, rate=RATE, layout=layout))
            if codec == "wavpack":
                streams[-1].codec_context.format = "s16p"
        for number, (stream, audio) in enumerate(zip(streams, tracks, strict=True)):
            layout = layouts.get(audio.shape[1], f"{audio.shape[1]}C")
            packed = np.ascontiguousarray(audio).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, "s16", layout)
            frame.sample_rate = RATE
            frame.pts = round(starts[number] * RATE) if starts else 0
            frame.time_base = Fraction(1, RATE)
            resampler = av.AudioResampler(stream.format.name, layout, RATE)
            if stream.frame_size:
                resampler.frame_size = stream.frame_size
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", ["mka", "mkv", "mov", "avi"])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "pcm_f32le"])
def test_many_channels_in_every_container(tmp_path, suffix: str, codec: str) -> None:
    audio = np.random.default_rng(1).integers(-9000, 9000, (3000, 32)).astype(np.int16)
    recording = open_recording(coded(tmp_path / f"a.{suffix}", [audio], codec))
    (block,) = recording.blocks(tetrahedral=False)
    np.testing.assert_array_equal(block, audio[:2400] / np.float32(32768))


def test_many_channels_of_a_planar_codec(tmp_path) -> None:
    audio = np.random.default_rng(1).integers(-9000, 9000, (3000, 16)).astype(np.int16)
    path = coded(tmp_path / "a.wv", [audio], "wavpack")
    (block,) = open_recording(path, any_channels=True).blocks(tetrahedral=False)
    np.testing.assert_array_equal(block, audio[:2400] / np.float32(32768))


STEREO = NOISE[:, :2] // 2


@pytest.mark.parametrize("suffix", ["mov", "mka", "mkv"])
@pytest.mark.parametrize(
    "tracks",
    [
        [STEREO, NOISE],
        [NOISE, STEREO],
        [STEREO[:, :1], STEREO, NOISE],
        [NOISE[:, [c]] for c in range(4)],
        [STEREO, *(NOISE[:, [c]] for c in range(4))],
        [NOISE[:, :2], NOISE[:, 2:]],
    ],
)
def test_the_track_with_the_microphones_is_taken(tmp_path, caplog, suffix, tracks) -> None:
    got = samples_of(coded(tmp_path / f"a.{suffix}", tracks))
    np.testing.assert_array_equal(got, FLOATS[: len(got)])
    assert "several sound tracks" in caplog.text


def test_tracks_that_begin_later_begin_with_silence(tmp_path) -> None:
    tracks = [NOISE[:, [0]], NOISE[:, [1]], NOISE[:, [2]], NOISE[:4900, [3]]]
    path = coded(tmp_path / "a.mka", tracks, starts=(0, 0, 0, 0.1))
    got = samples_of(path)
    assert not got[:2400, 3].any()
    np.testing.assert_array_equal(got[2400:7200, 3], FLOATS[:4800, 3])
    np.testing.assert_array_equal(got[:, 0], FLOATS[:7200, 0])


def test_a_track_that_ends_early_is_said(tmp_path, caplog) -> None:
    tracks = [NOISE[:, [0]], NOISE[:, [1]], NOISE[:4800, [2]], NOISE[:, [3]]]
    recording = open_recording(coded(tmp_path / "a.mka", tracks))
    assert recording.samples == 4800
    assert "track 3 ends 0.1 s before others" in caplog.text


def test_two_channels_name_their_tracks(tmp_path) -> None:
    with pytest.raises(AudioError) as caught:
        open_recording(coded(tmp_path / "a.mka", [STEREO, STEREO[:, :1]]))
    assert caught.value.place == "channels" and "1 channels pcm_s16le" in caught.value.found


@pytest.mark.parametrize("suffix", ["mka", "mov", "avi", "m4a"])
def test_coded_files_that_are_cut_off_are_refused(tmp_path, suffix: str) -> None:
    path = coded(tmp_path / f"a.{suffix}", [NOISE], "aac" if suffix == "m4a" else "pcm_s16le")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(AudioError) as caught:
        open_recording(path)
    assert caught.value.advice == "The file is cut off"


@pytest.mark.parametrize(
    ("kept", "is_whole"), [(1.0, True), (0.97, False), (0.6, False), ("channels", False)]
)
def test_wavpack_that_is_cut_off_is_refused(tmp_path, kept, is_whole: bool) -> None:
    path = coded(tmp_path / "a.wv", [np.tile(NOISE, (4, 1))], "wavpack")
    content = path.read_bytes()
    if kept == "channels":  # of the last samples, two channels are a block of their own
        kept = content.rindex(b"wvpk") / len(content)
    path.write_bytes(content[: round(len(content) * kept)])
    assert (missing_bytes(path, AudioError) == 0) == is_whole
    if is_whole:
        assert open_recording(path).samples == 4 * SAMPLES
        path.write_bytes(content + b"APETAGEX" + bytes(24))
        assert missing_bytes(path, AudioError) == 0
        return
    with pytest.raises(AudioError) as caught:
        open_recording(path)
    assert caught.value.advice == "The file is cut off"


def test_an_ogg_file_that_is_cut_off_is_refused(tmp_path) -> None:
    soundfile.write(tmp_path / "a.ogg", np.tile(FLOATS, (10, 1)), RATE)
    assert open_recording(tmp_path / "a.ogg").frames == 30
    content = (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "a.ogg").write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(AudioError) as caught:
        open_recording(tmp_path / "a.ogg")
    assert caught.value.advice == "The file is cut off"


def test_an_ogg_file_that_is_cut_off_between_pages_is_said_to_be(tmp_path, caplog) -> None:
    soundfile.write(tmp_path / "a.ogg", np.tile(FLOATS, (10, 1)), RATE)
    content = (tmp_path / "a.ogg").read_bytes()
    whole = open_recording(tmp_path / "a.ogg").samples
    assert "its end is not marked" not in caplog.text
    (tmp_path / "a.ogg").write_bytes(content[: content.rindex(b"OggS")])
    assert 0 < open_recording(tmp_path / "a.ogg").samples < whole
    assert "its end is not marked" in caplog.text


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("wav", "ULAW"), ("wav", "ALAW"), ("aiff", "ULAW"), ("caf", "ALAW"), ("wav", "IMA_ADPCM")],
)
def test_companded_sound_is_said_to_be_lossy(tmp_path, caplog, kind, subtype) -> None:
    channels = 1 if subtype == "IMA_ADPCM" else 4
    open_sound_file(written(tmp_path / "a.bin", kind, subtype, FLOATS[:, :channels]))
    assert "lossy coding" in caplog.text


@pytest.mark.parametrize("codec", ["pcm_mulaw", "pcm_alaw"])
def test_companded_tracks_are_said_to_be_lossy(tmp_path, caplog, codec: str) -> None:
    open_recording(coded(tmp_path / "a.mka", [NOISE], codec))
    assert f"lossy coding ({codec})" in caplog.text


@pytest.mark.parametrize("loud", [2.0**70, 3e38, 32768.0, 2.0**31, 1e300])
@pytest.mark.parametrize("kind", ["wav", "caf", "array"])
def test_floats_far_above_full_scale_are_scaled(tmp_path, caplog, loud: float, kind: str) -> None:
    audio = FLOATS.astype(float) / np.abs(FLOATS).max() * loud
    if kind == "array":
        recording = recording_of_array(audio, RATE)
    else:
        subtype = "DOUBLE" if loud > 3.5e38 else "FLOAT"
        path = written(tmp_path / "a.bin", kind, subtype, audio)
        recording = open_recording(path)
    (block,) = recording.blocks()
    assert 0.5 <= np.abs(block).max() <= 1
    np.testing.assert_allclose(block / block.max(), FLOATS[:7200] / FLOATS[:7200].max(), rtol=1e-5)
    assert "times full scale" in caplog.text


def test_floats_a_little_above_full_scale_stay(tmp_path, caplog) -> None:
    audio = 4 * FLOATS / np.abs(FLOATS).max()
    (block,) = open_recording(written(tmp_path / "a.wav", "wav", "FLOAT", audio)).blocks()
    np.testing.assert_array_equal(block, audio[:7200])
    assert not caplog.records


@pytest.mark.parametrize("kind", ["wav", "caf", "aiff", "w64", "rf64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_at_once(tmp_path, kind, value: float) -> None:
    audio = FLOATS.copy()
    audio[4321, 2] = value
    with pytest.raises(AudioError) as caught:
        open_recording(written(tmp_path / "a.bin", kind, "FLOAT", audio))
    assert caught.value.place == "channel 3, sample 4321"
    assert caught.value.found == str(np.float32(value))


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint8, np.float64])
def test_arrays_of_integers_are_of_their_full_scale(kind) -> None:
    if kind is np.float64:
        audio = FLOATS.astype(kind)
    else:
        limits = np.iinfo(kind)
        middle = 0 if limits.min else 128
        audio = (FLOATS.astype(float) * (limits.max - middle) + middle).round().astype(kind)
    (block,) = recording_of_array(audio, RATE).blocks()
    np.testing.assert_allclose(block, FLOATS[:7200], atol=0.01)


def test_folders_are_searched_for_all_that_opens(tmp_path) -> None:
    names = {"a.RF64": "rf64", "b.w64": "w64", "c.AIF": "aiff", "d.caf": "caf", "e.AMB": "wavex"}
    for name, kind in names.items():
        written(tmp_path / name, kind)
    coded(tmp_path / "f.MOV", [STEREO, NOISE])
    coded(tmp_path / "g.mkv", [STEREO])  # a video without microphones
    coded(tmp_path / "a.mp4", [NOISE], "aac")  # the picture of a.RF64
    found = [path.name for path in find_recordings([tmp_path])]
    assert found == ["a.RF64", "b.w64", "c.AIF", "d.caf", "e.AMB", "f.MOV"]


@pytest.mark.parametrize(
    ("codec", "width", "big"),
    [("integer", 1, False), ("integer", 3, True), ("float", 8, True), ("alaw", 1, False)],
)
def test_samples_decode_as_libsndfile_has_them(tmp_path, codec, width: int, big: bool) -> None:
    names = {("integer", 1): "PCM_S8", ("integer", 3): "PCM_24", ("float", 8): "DOUBLE"}
    rng = np.random.default_rng(0)
    content = rng.integers(0, 256, 96 * width, dtype=np.uint8).tobytes()
    if codec == "float":
        content = rng.standard_normal(96).astype(">f8").tobytes()
    (tmp_path / "a.raw").write_bytes(content)
    expected, _ = soundfile.read(
        tmp_path / "a.raw",
        dtype="float32",
        format="RAW",
        subtype=names.get((codec, width), "ALAW"),
        channels=4,
        samplerate=RATE,
        endian="BIG" if big else "LITTLE",
    )
    got = SampleFormat(codec, width, big).decode(content, 4)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_headers_that_end_or_never_end_are_none(tmp_path) -> None:
    whole = written(tmp_path / "a.wav").read_bytes()
    for cut in range(44):
        (tmp_path / "b.wav").write_bytes(whole[:cut])
        with (tmp_path / "b.wav").open("rb") as file:
            assert read_sound_header(file) is None
