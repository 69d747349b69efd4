"""Video comes out at 10 FPS by timestamps, 360 x 180, and what is missing is said."""

import gc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.errors import raises
from tests.pictures import black

from saiseld.data.display import upright
from saiseld.data.video import (
    IMAGENET_MEAN,
    find_video,
    open_video,
    rgb_planes,
    timed_pictures,
)
from saiseld.data.video_array import video_array
from saiseld.runtime.errors import VideoError


def write_video(
    path: Path,
    levels: list[int],
    fps: int = 10,
    size=(720, 360),
    codec: str = "libx264",
    pixels: str = "yuv420p",
) -> Path:
    with av.open(str(path), "w") as container:
        options = {"crf": "1"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for number, level in enumerate(levels):
            frame = av.VideoFrame.from_ndarray(
                np.full((size[1], size[0], 3), level, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def levels_of(path: Path) -> list[int]:
    return [round(float(frame.mean())) for frame in open_video(path) if frame is not None]


def test_ten_fps_video_keeps_every_frame_and_is_scaled(tmp_path: Path) -> None:
    levels = list(range(20, 220, 10))
    path = write_video(tmp_path / "a.mp4", levels)
    assert next(iter(open_video(path))).shape == (180, 360, 3)
    assert np.abs(np.array(levels_of(path)) - levels).max() <= 3


def test_thirty_fps_video_is_thinned_by_time(tmp_path: Path) -> None:
    levels = [10 + 4 * k for k in range(60)]
    found = levels_of(write_video(tmp_path / "a.mp4", levels, fps=30))
    # Input times round to the nearest tenth: output k shows the last input up to k + 1/2.
    assert len(found) == 20
    assert np.abs(np.array(found[:-1]) - [levels[3 * k + 1] for k in range(19)]).max() <= 3


def test_a_picture_that_is_cut_off_is_left_out(tmp_path: Path, caplog) -> None:
    path = write_video(tmp_path / "a.avi", [0, 40, 80], size=(64, 32), codec="mpeg4")
    content = path.read_bytes()
    for kept in (10, 50, 80):  # bytes of the last picture, which decoders would complete
        path.write_bytes(content[: content.rfind(b"00dc", 0, content.rfind(b"idx1")) + 8 + kept])
        caplog.clear()
        assert np.abs(np.array(levels_of(path)) - [0, 40, 40][: len(levels_of(path))]).max() <= 5
        assert "pictures cut off: 1" in caplog.text


def test_more_samples_than_bytes_are_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [0, 40], size=(64, 32))
    content = bytearray(path.read_bytes())
    at = content.rfind(b"stsz") + 8
    content[at : at + 8] = (1 << 28).to_bytes(4, "big") + (1 << 25).to_bytes(4, "big")
    path.write_bytes(content)
    with raises(VideoError, place="stsz", found="33,554,432"):
        list(open_video(path))


def test_five_fps_video_repeats_frames(tmp_path: Path) -> None:
    found = levels_of(write_video(tmp_path / "a.mp4", [50, 100, 150], fps=5))
    assert np.abs(np.array(found) - [50, 50, 100, 100, 150, 150]).max() <= 3


def test_folder_of_frames_with_a_hole(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        Image.new("RGB", (360, 180), (number, 0, 0)).save(tmp_path / f"rec_{number:04d}.png")
    frames = list(open_video(tmp_path))
    assert [None if f is None else int(f[0, 0, 0]) for f in frames] == [0, 1, None, 3]
    np.testing.assert_allclose(rgb_planes(frames)[2, :, 7, 9], IMAGENET_MEAN, rtol=1e-6)


def test_mp4_without_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=24000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 24000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with raises(VideoError, "sound.mp4", expected="a video stream", found="none"):
        next(iter(open_video(path)))


def test_damaged_missing_and_empty(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"not a video" * 100)
    with raises(VideoError, expected="MP4, MOV,"):
        next(iter(open_video(tmp_path / "bad.mp4")))
    with raises(VideoError, found="no such file"):
        open_video(tmp_path / "absent.mp4")
    (tmp_path / "frames").mkdir()
    with raises(VideoError, expected="frames named"):
        list(open_video(tmp_path / "frames"))
    (tmp_path / "frames" / "rec_0000.png").write_text("no image")
    with raises(VideoError, "rec_0000.png", expected="a PNG or JPEG picture"):
        list(open_video(tmp_path / "frames"))


def test_a_recording_s_own_video_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b").mkdir()
    assert find_video(tmp_path / "a.mp4", "x") == tmp_path / "a.mp4"
    assert find_video(tmp_path, "a") == tmp_path / "a.mp4"
    assert find_video(tmp_path, "b") == tmp_path / "b"
    assert find_video(tmp_path, "c") is None
    (tmp_path / "tau").mkdir()
    (tmp_path / "tau" / "d.mp4").touch()
    assert find_video(tmp_path, "d") == tmp_path / "tau" / "d.mp4"
    (tmp_path / "b" / "b_0000.png").touch()
    assert find_video(tmp_path / "b", "x") == tmp_path / "b"


def refusal(path: Path) -> str:
    with pytest.raises(VideoError) as caught:
        list(open_video(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_only_real_containers_are_opened(tmp_path: Path) -> None:
    write_video(tmp_path / "secret.mp4", [100] * 3)
    playlist = tmp_path / "a.mp4"
    playlist.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    assert "expected MP4" in refusal(playlist)
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nsecret.mp4\n")
    assert "expected MP4" in refusal(playlist)


def test_names_that_ffmpeg_would_take_for_commands(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a|b.mp4", "%03d.mp4", "pipe:0.mp4"):
        assert len(levels_of(write_video(tmp_path / "a.mp4", [100] * 3).rename(name))) == 3


def test_a_title_in_latin_1_is_no_obstacle(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        container.metadata["title"] = "café!"
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        container.mux(stream.encode(black(64, 32)))
        container.mux(stream.encode())
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.count("é!".encode()) == 1
    (tmp_path / "a.mp4").write_bytes(content.replace("é!".encode(), b"\xe9!!"))
    assert len(list(open_video(tmp_path / "a.mp4"))) == 1


def test_an_unknown_codec_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [100] * 3)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9"))
    assert refusal(path).startswith(f"{path}: expected")


def test_a_picture_of_another_format_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a_0000.png").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(hi) print\n%%EOF\n"
    )
    assert "expected a PNG or JPEG picture" in refusal(tmp_path / "f")
    Image.new("RGB", (8, 4)).save(tmp_path / "f" / "a_0000.png", format="BMP")
    assert "expected a PNG or JPEG picture" in refusal(tmp_path / "f")


def test_a_small_file_of_two_million_frames_fills_no_disk(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for number in (0, 2_097_151):
            frame = black(64, 32)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert video.stat().st_size < 4096
    told = "frames: expected at most 864000, found 2097151"
    assert told in refusal(video)
    with raises(VideoError, video, place="frames", expected="864000", found="2097151"):
        video_array(video, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_pixels_of_more_bits_count_for_more(tmp_path: Path, monkeypatch) -> None:
    """Where a decoder holds many frames; one that holds one takes what it takes."""
    size, levels = (64, 32), [100] * 3
    monkeypatch.setenv("SAISELD_MAX_VIDEO_PIXELS", "4096")
    usual = write_video(tmp_path / "a.mp4", levels, size=size)
    deep = write_video(tmp_path / "b.mp4", levels, size=size, pixels="yuv444p10le")
    single = write_video(tmp_path / "c.avi", levels, size=size, codec="mjpeg", pixels="yuvj444p")
    assert len(levels_of(usual)) == len(levels_of(single)) == 3
    assert "pixels: expected at most 4096, found 8192" in refusal(deep)


def test_frames_that_were_shown_are_let_go(tmp_path: Path) -> None:
    """At once, not when Python looks for cycles: a frame may be 50 MB."""
    path = write_video(tmp_path / "a.mp4", [100] * 30, size=(64, 32))
    gc.collect()
    gc.disable()
    try:
        assert len(levels_of(path)) == 30
        shown = sum(1 for one in timed_pictures(path) if upright(one.frame, one.display))
        held = sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())
    finally:
        gc.enable()
    assert shown == 30 and held <= 4  # the first of each video was asked how it is to be shown


def test_claims_of_frames_and_pixels_are_checked(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "f").mkdir()
    picture = tmp_path / "f" / "a_0000.png"
    Image.new("RGB", (360, 180)).save(picture)
    monkeypatch.setenv("SAISELD_MAX_PIXELS", "64000")
    assert "pixels: expected at most 64000, found 64800" in refusal(tmp_path / "f")
    video = write_video(tmp_path / "v.mp4", [100] * 3)
    monkeypatch.setenv("SAISELD_MAX_VIDEO_PIXELS", "64000")
    assert "pixels: expected at most 64000, found 259200" in refusal(video)
    monkeypatch.delenv("SAISELD_MAX_VIDEO_PIXELS")
    monkeypatch.delenv("SAISELD_MAX_PIXELS")
    monkeypatch.setenv("SAISELD_MAX_FRAMES", "2")
    assert "frames: expected at most 2, found 3" in refusal(video)
    monkeypatch.delenv("SAISELD_MAX_FRAMES")
    picture.rename(tmp_path / "f" / "a_99999999999.png")
    assert "frames: expected at most 864000, found 100000000000" in refusal(tmp_path / "f")
