"""Pictures are upright, of the right moment, one panorama, and of the recording's name."""

import struct
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.errors import raises

from saiseld.checks.video import check_video, glance_at_video
from saiseld.data.pictures import read_picture
from saiseld.data.recordings import recording_of_array
from saiseld.data.video import find_video, open_video, video_size
from saiseld.runtime.errors import VideoError

RATE = 24_000


def corner(width: int = 360, height: int = 180) -> np.ndarray:
    """Return a grey picture whose upper left quarter is red."""
    picture = np.full((height, width, 3), 128, np.uint8)
    picture[: height // 2, : width // 2] = 255, 0, 0
    return picture


def red_quarter(picture: np.ndarray) -> tuple[str, str]:
    """Return where the red quarter is."""
    red = picture[..., 0].astype(int) - picture[..., 1] > 100
    height, width = red.shape
    rows, columns = (np.nonzero(red)[axis].mean() for axis in (0, 1))
    return "top" if rows < height / 2 else "bottom", "left" if columns < width / 2 else "right"


def write_video(
    path: Path,
    pictures: list[np.ndarray],
    *,
    rate: int = 10,
    start_s: float = 0.0,
    sound_s: float | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write pictures that begin at ``start_s``, and silence that begins at ``sound_s``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.options = {"bf": "0"}
        stream.metadata.update(metadata or {})
        sound = None
        if sound_s is not None:
            codec = "pcm_s16le" if path.suffix == ".mov" else "flac"
            sound = container.add_stream(codec, rate=RATE, layout="mono")
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = round(1000 * (start_s + number / rate))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * RATE), np.int16), "s16", "mono")
            frame.sample_rate = RATE
            frame.pts, frame.time_base = round(sound_s * RATE), Fraction(1, RATE)
            resampler = av.AudioResampler("s16", "mono", RATE, frame_size=sound.frame_size or 4800)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(sound.encode(part))
            container.mux(sound.encode())
    return path


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into the track header of an MP4 file."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 4 + 20 + 16
    one = 1 << 16
    matrix = (a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    content[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(
    ("matrix", "where"),
    [
        ((1, 0, 0, 1), ("top", "left")),
        ((0, 1, -1, 0), ("top", "right")),  # a quarter turn clockwise
        ((-1, 0, 0, -1), ("bottom", "right")),
        ((0, -1, 1, 0), ("bottom", "left")),
        ((-1, 0, 0, 1), ("top", "right")),  # mirrored
        ((1, 0, 0, -1), ("bottom", "left")),
        ((0, 1, 1, 0), ("top", "left")),
        ((0, -1, -1, 0), ("bottom", "right")),
    ],
)
def test_display_matrices_turn_and_mirror(tmp_path, matrix, where) -> None:
    is_transposed = matrix[0] == 0
    stored = corner(180, 360) if is_transposed else corner()
    path = turn(write_video(tmp_path / "a.mp4", [stored]), *matrix)
    (shown,) = open_video(path)
    assert shown is not None and red_quarter(shown) == where
    assert video_size(path) == (360, 180)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(
    ("orientation", "where"),
    [
        (1, ("top", "left")),
        (2, ("top", "right")),
        (3, ("bottom", "right")),
        (4, ("bottom", "left")),
        (5, ("top", "left")),
        (6, ("top", "right")),
        (7, ("bottom", "right")),
        (8, ("bottom", "left")),
    ],
)
def test_exif_orientations(tmp_path, suffix, orientation: int, where) -> None:
    stored = corner(180, 360) if orientation >= 5 else corner()
    picture = Image.fromarray(stored)
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / f"a_0000.{suffix}", exif=exif)
    (shown,) = open_video(tmp_path)
    assert shown is not None and red_quarter(shown) == where
    assert video_size(tmp_path) == (360, 180)


BLACK, RED = np.zeros((180, 360, 3), np.uint8), np.full((180, 360, 3), (255, 0, 0), np.uint8)


@pytest.mark.parametrize("suffix", ["mkv", "mov", "mp4"])
@pytest.mark.parametrize(
    ("start_s", "sound_s", "first", "red"),
    [
        (0.8, 0.0, 8, 13),
        (0.0, 0.4, 0, 1),
        (0.3, 0.3, 0, 5),
        (0.02, 0.0, 0, 5),
        (0.0, None, 0, 5),
        (0.5, 0.2, 3, 8),
    ],
)
def test_pictures_begin_when_the_sound_does(tmp_path, suffix, start_s, sound_s, first, red) -> None:
    path = write_video(
        tmp_path / f"a.{suffix}", [*[BLACK] * 5, *[RED] * 5], start_s=start_s, sound_s=sound_s
    )
    shown = list(open_video(path))
    there = [number for number, frame in enumerate(shown) if frame is not None]
    assert there[0] == first
    assert next(n for n in there if shown[n][90, 180, 0] > 128) == red


def test_a_file_without_sound_begins_with_its_first_picture(tmp_path) -> None:
    path = write_video(tmp_path / "a.mkv", [*[BLACK] * 5, *[RED] * 5], start_s=0.8)
    assert [frame[90, 180, 0] > 128 for frame in open_video(path)].index(True) == 5


@pytest.mark.parametrize("mode", ["left_right", "right_left", "top_bottom", "bottom_top"])
def test_stereo_pictures_are_refused_with_advice(tmp_path, mode: str) -> None:
    path = write_video(tmp_path / "a.mkv", [corner()], metadata={"stereo_mode": mode})
    with pytest.raises(VideoError) as caught:
        next(open_video(path))
    assert caught.value.place == "spherical metadata"
    assert "crop=" in caught.value.advice
    assert check_video(path, 1)[0].severity == "error"


@pytest.mark.parametrize("mode", ["anaglyph_cyan_red", "anaglyph_green_magenta"])
def test_stereo_pictures_in_two_colours_are_refused(tmp_path, mode: str) -> None:
    path = write_video(tmp_path / "a.mkv", [corner()], metadata={"stereo_mode": mode})
    with raises(VideoError, place="spherical metadata"):
        next(open_video(path))


def spherical_v1(path: Path, inner: str) -> Path:
    """Add Google's Spherical Video V1 metadata to the video track of an MP4 file."""
    body = (
        '<?xml version="1.0"?><rdf:SphericalVideo '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
        "<GSpherical:Spherical>true</GSpherical:Spherical>"
        "<GSpherical:StitchingSoftware>x</GSpherical:StitchingSoftware>"
        "<GSpherical:Stitched>true</GSpherical:Stitched>"
        f"{inner}</rdf:SphericalVideo>"
    ).encode()
    box = bytes.fromhex("ffcc8263f8554a938814587a02521fdd") + body
    box = struct.pack(">I4s", len(box) + 8, b"uuid") + box
    content = path.read_bytes()
    at = content.index(b"trak") - 4
    end = at + struct.unpack(">I", content[at : at + 4])[0]
    content = bytearray(content[:end] + box + content[end:])
    for name in (b"trak", b"moov"):
        start = content.index(name) - 4
        size = struct.unpack(">I", content[start : start + 4])[0]
        content[start : start + 4] = struct.pack(">I", size + len(box))
    path.write_bytes(bytes(content))
    return path


PLAIN = "<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"


@pytest.mark.parametrize("mode", ["left-right", "top-bottom"])
def test_stereo_metadata_of_the_first_version_is_read(tmp_path, mode: str) -> None:
    inner = f"{PLAIN}<GSpherical:StereoMode>{mode}</GSpherical:StereoMode>"
    path = spherical_v1(write_video(tmp_path / "a.mp4", [corner()]), inner)
    with pytest.raises(VideoError) as caught:
        next(open_video(path))
    assert caught.value.place == "spherical metadata"


def test_a_panorama_that_says_so_is_read(tmp_path, caplog) -> None:
    path = spherical_v1(write_video(tmp_path / "a.mp4", [corner()]), PLAIN)
    (shown,) = open_video(path)
    assert shown is not None and not caplog.records


@pytest.mark.parametrize(
    "name",
    [
        "take.mp4",
        "take.MP4",
        "take.mov",
        "take.MKV",
        "take.webm",
        "take.Avi",
        "TAKE.mp4",
        "Take.m4v",
    ],
)
@pytest.mark.parametrize("below", ["", "dev-test-tau"])
def test_videos_of_a_recording_are_found_by_any_suffix(tmp_path, name: str, below: str) -> None:
    (tmp_path / below).mkdir(exist_ok=True)
    (tmp_path / below / name).touch()
    (tmp_path / below / "other.mp4").touch()
    (tmp_path / below / "take.txt").touch()
    assert find_video(tmp_path, "take") == tmp_path / below / name


def test_the_same_case_goes_before_another(tmp_path) -> None:
    for name in ("TAKE.mp4", "take.mov"):
        (tmp_path / name).touch()
    assert find_video(tmp_path, "take") == tmp_path / "take.mov"


def test_a_recording_without_a_video_is_warned_of(tmp_path, caplog) -> None:
    for name in ("other.mp4", "take.wmv"):
        (tmp_path / name).touch()
    assert find_video(tmp_path, "take") is None
    for part in ("take.mp4", ".mkv", "other.mp4", "take.wmv"):
        assert part in caplog.text


@pytest.mark.parametrize(
    "pattern", ["{:05}.jpg", "take_{:04}.png", "frame-{:03}.JPG", "img{:06}.jpeg", "{}.png"]
)
def test_frames_are_named_in_many_ways(tmp_path, pattern: str) -> None:
    for number in range(3):
        Image.fromarray(corner() if number == 2 else BLACK).save(tmp_path / pattern.format(number))
    shown = list(open_video(find_video(tmp_path, "take")))
    assert len(shown) == 3 and shown[2][10, 10, 0] > 128


@pytest.mark.parametrize(
    "names", [("a_0001.png", "a_0001.jpg"), ("a_0001.png", "b_0001.png"), ("a_1.png", "a_0001.png")]
)
def test_two_pictures_of_one_frame_are_refused(tmp_path, names: tuple[str, str]) -> None:
    for name in names:
        Image.fromarray(BLACK).save(tmp_path / name)
    with pytest.raises(VideoError) as caught:
        next(iter(open_video(tmp_path)))
    assert caught.value.place == "frame 1"
    assert all(name in caught.value.found for name in names)


@pytest.mark.parametrize(("rate", "is_said"), [(10, False), (30, True), (25, True), (5, True)])
def test_folders_of_another_rate_are_said(tmp_path, rate: int, is_said: bool) -> None:
    for number in range(rate):
        Image.fromarray(BLACK).save(tmp_path / f"a_{number:04}.png")
    recording = recording_of_array(np.zeros((RATE, 4)), RATE)
    assert bool(glance_at_video(tmp_path, recording)) == is_said
    assert bool(check_video(tmp_path, 10)) == is_said


@pytest.mark.parametrize("size", [(640, 360), (180, 180), (360, 360)])
def test_what_is_no_panorama_is_said_by_both(tmp_path, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "a.mp4", [corner(*size)] * 10)
    recording = recording_of_array(np.zeros((RATE, 4)), RATE)
    for findings in (glance_at_video(path, recording), check_video(path, 10)):
        assert [f.severity for f in findings] == ["warning"]
        assert f"{size[0]} x {size[1]} pixels" in findings[0].what


def grey(value: int) -> np.ndarray:
    return np.full((180, 360), value)


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(grey(134 * 257).astype(np.uint16)), (134, 134, 134)),
        (Image.fromarray(grey(300).astype(np.uint16)), (1, 1, 1)),
        (Image.fromarray(grey(65535).astype(np.uint16)), (255, 255, 255)),
        (Image.fromarray(grey(77).astype(np.uint8)), (77, 77, 77)),
        (Image.new("LA", (360, 180), (90, 255)), (90, 90, 90)),
        (Image.new("RGBA", (360, 180), (1, 2, 3, 255)), (1, 2, 3)),
        (Image.new("RGB", (360, 180), (9, 200, 30)).quantize(4), (9, 200, 30)),
        (Image.new("1", (360, 180), 1), (255, 255, 255)),
    ],
)
def test_pictures_of_every_depth(tmp_path, picture: Image.Image, expected) -> None:
    picture.save(tmp_path / "a_0000.png")
    assert read_picture(tmp_path / "a_0000.png", VideoError).getpixel((5, 5)) == expected


def png16(path: Path, values: tuple[int, ...]) -> Path:
    """Write a PNG of 16 bits a channel: 2 of grey and alpha, 3 of RGB, 4 of RGB and alpha."""
    import zlib

    kind = {2: 4, 3: 2, 4: 6}[len(values)]
    row = b"\0" + struct.pack(f">{len(values)}H", *values) * 8

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", 8, 4, 16, kind, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(row * 4)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bits_a_channel(tmp_path, channels: int) -> None:
    picture = read_picture(png16(tmp_path / "a.png", (134 * 257,) * channels), VideoError)
    assert picture.getpixel((0, 0)) == (134, 134, 134)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def spherical_v2(path: Path, projection: bytes = b"", stereo: int | None = None, yaw=0) -> Path:
    """Write Google's Spherical Video V2 boxes into the sample entry of an MP4 file."""
    boxes = b"" if stereo is None else box(b"st3d", bytes(4), bytes([stereo]))
    if projection:
        pose = box(b"prhd", bytes(4), struct.pack(">3i", yaw << 16, 0, 0))
        boxes += box(b"sv3d", box(b"svhd", bytes(5)), box(b"proj", pose, projection))
    content, at, starts, end = bytearray(path.read_bytes()), 0, [], 0
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        while content[at + 4 : at + 8] != kind:
            at += int.from_bytes(content[at : at + 4], "big")
        starts.append(at)
        end = at + int.from_bytes(content[at : at + 4], "big")
        at += 16 if kind == b"stsd" else 8
    content[end:end] = boxes
    for start in starts:
        size = int.from_bytes(content[start : start + 4], "big") + len(boxes)
        content[start : start + 4] = size.to_bytes(4, "big")
    path.write_bytes(bytes(content))
    return path


WHOLE = box(b"equi", bytes(20))
PART = box(b"equi", bytes(4), struct.pack(">4I", 0, 0, 1 << 30, 1 << 30))


@pytest.mark.parametrize(
    ("projection", "stereo", "found"),
    [
        (box(b"cbmp", bytes(12)), None, "cubemap"),
        (PART, None, "part of a sphere"),
        (PART, 2, "side by side"),
        (WHOLE, 1, "above the other"),
        (box(b"mshp", bytes(20)), None, "mesh"),
        (box(b"mshp", bytes(20)), 3, "mesh for each eye"),
        (box(b"fish", bytes(20)), None, "fish"),
        (WHOLE, 4, "right eye beside left"),
    ],
)
def test_boxes_of_other_projections_are_refused(tmp_path, projection, stereo, found) -> None:
    path = spherical_v2(write_video(tmp_path / "a.mp4", [corner()]), projection, stereo)
    with pytest.raises(VideoError) as caught:
        next(iter(open_video(path)))
    assert caught.value.place == "spherical metadata" and found in caught.value.found
    assert "Convert it" in caught.value.advice


def test_a_panorama_s_boxes_are_taken_and_its_pose_is_warned_of(tmp_path) -> None:
    recording = recording_of_array(np.zeros((2400, 4)), RATE)
    for yaw, warned in ((0, False), (90, True)):
        path = write_video(tmp_path / f"{yaw}.mp4", [corner()])
        spherical_v2(path, WHOLE, 0, yaw)
        assert len(list(open_video(path))) == 1
        for findings in (check_video(path, 1), glance_at_video(path, recording)):
            assert any(f"yaw {yaw}" in f.what for f in findings) == warned


def test_a_jpeg_that_goes_over_its_pixels_again_and_again_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 32), (90, 80, 70)).save(path, progressive=True)
    content = path.read_bytes()
    assert read_picture(path, VideoError).size == (64, 32)
    scan = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + scan * 200 + content[-2:])
    with pytest.raises(VideoError, match="scans") as told:
        read_picture(path, VideoError)
    assert told.value.place == "scans"


def test_grey_of_16_bits_takes_little_memory_beside_its_pixels(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((2000, 4000), 134 * 257, np.uint16)).save(path)
    tracemalloc.start()
    picture = read_picture(path, VideoError)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert picture.getpixel((0, 0)) == (134,) * 3
    assert peak < 8 * 2000 * 4000  # bytes of numpy: 16 a pixel before
