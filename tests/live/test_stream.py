"""The stream: equal to `saiseld image`, whatever the blocks; what goes wrong is in its place."""

from __future__ import annotations

from itertools import islice

import av
import numpy as np
import pytest
from scipy.signal import resample_poly
from tests.errors import raises
from tests.live.fakes import FakeImager, picture, push_all, sound

from saiseld.conventions.timebase import SAMPLES_PER_FRAME
from saiseld.data.recordings import read_audio
from saiseld.data.video import open_video
from saiseld.decision.systems import system_named
from saiseld.live.frames import FLOOR_DB, HEAT_SHAPE, LiveFrame
from saiseld.live.stream import Stream
from saiseld.live.synchronizer import InputSynchronizer
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO
from saiseld.runtime.errors import AudioError, RecipeError, VideoError


@pytest.fixture(scope="module")
def imager() -> Imager:
    return Imager(threads=1, device="cpu")


def assert_same(found, expected) -> None:
    """Assert that masks are equal to the last digit."""
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert (one.frame, one.instance_id, one.class_id) == (
            other.frame,
            other.instance_id,
            other.class_id,
        )
        assert (one.score, one.distance_cm) == (other.score, other.distance_cm)
        for blob, expected_blob in zip(one.segmentation, other.segmentation, strict=True):
            np.testing.assert_array_equal(blob, expected_blob)


@pytest.fixture(scope="module")
def precise() -> Imager:
    return Imager(threads=1, device="cpu", precise=True)


@pytest.mark.parametrize(
    ("name", "video", "count"),
    [("imager", True, 8), ("imager", False, 77), ("precise", True, 8)],
)
def test_exact_masks_are_those_of_image(
    request: pytest.FixtureRequest, name: str, video: bool, count: int
) -> None:
    imager: Imager = request.getfixturevalue(name)
    (path,) = DEMO.glob("*.wav")
    audio = read_audio(path)[: count * SAMPLES_PER_FRAME]  # a window is 50 frames
    shown = path.with_suffix(".mp4") if video else None
    expected = imager(audio, shown, sample_rate=24_000).masks
    stream = Stream(imager, video=video, latency="exact")
    pictures = list(islice(open_video(shown), count + 3)) if shown else []
    frames = []
    rng = np.random.default_rng(0)
    at = pushed = 0
    while at < len(audio):
        size = int(rng.integers(1, 9000))
        begin, at = at, min(at + size, len(audio))
        while pushed < len(pictures) and pushed / 10 <= at / 24_000 + 0.2:
            stream.picture(pictures[pushed], pushed / 10)
            pushed += 1
        frames += stream.push(audio[begin:at], at / 24_000)
    frames += stream.close()
    assert [frame.frame for frame in frames] == list(range(len(audio) // SAMPLES_PER_FRAME))
    assert all(frame.pictured == video and frame.imaged for frame in frames)
    assert_same([mask for frame in frames for mask in frame.masks], expected)


def test_another_rate_is_resampled_as_image_does(imager: Imager) -> None:
    (path,) = DEMO.glob("*.wav")
    audio = resample_poly(read_audio(path)[: 24_000 * 6], 147, 80).astype(np.float32)
    expected = imager(audio, sample_rate=44_100).masks
    stream = Stream(imager, video=False, latency="exact", sample_rate=44_100)
    frames = push_all(stream, audio, 1713, rate=44_100)
    assert len(frames) == 60
    assert_same([mask for frame in frames for mask in frame.masks], expected)


@pytest.mark.parametrize("latency", ["exact", "low"])
@pytest.mark.parametrize("size", [333, SAMPLES_PER_FRAME, 100_000])
def test_every_frame_once_with_its_own_sound(latency, size) -> None:
    audio = sound(123)
    frames = push_all(Stream(FakeImager(), video=False, latency=latency), audio, size)
    assert [frame.frame for frame in frames] == list(range(123))
    for frame in frames:
        start = frame.frame * SAMPLES_PER_FRAME
        np.testing.assert_array_equal(frame.sound, audio[start : start + SAMPLES_PER_FRAME])
        assert [mask.frame for mask in frame.masks] == [frame.frame]


def test_a_frame_is_known_as_soon_as_its_latency_says() -> None:
    for latency in ("exact", "low"):
        stream = Stream(FakeImager(), video=False, latency=latency)
        audio, late = sound(120), []
        for number in range(120):
            block, now = audio[number * SAMPLES_PER_FRAME :][:SAMPLES_PER_FRAME], (number + 1) / 10
            frames = stream.push(block, now)
            # Threads compute it: what the delay says is due comes sooner or later, or never.
            while stream.waiting and stream.waiting[0].captured < now - stream.delay + 1e-6:
                frames += stream.push(block[:0], now)
            late += [now - frame.captured for frame in frames]
        assert max(late) == pytest.approx(stream.delay)
        stream.close()


def test_the_detector_alone_with_neighbours_on_both_sides() -> None:
    imager = FakeImager("TASK3B_3", context=2)
    push_all(Stream(imager, video=False), sound(6), 5000)
    latents = np.arange(6) / 100_000
    latents_seen = imager.networks.detector.latents
    for frame, looked in enumerate(latents_seen):
        near = [np.clip(frame + offset, 0, 5) for offset in (0, -1, 1, -2, 2)]
        np.testing.assert_allclose(looked.reshape(5, 9)[:, 0], latents[near], rtol=1e-6)
    assert len(latents_seen) == 6


def test_a_system_of_whole_recordings_is_refused() -> None:
    with raises(RecipeError, expected="frame by frame"):
        Stream(FakeImager(), video=False, system=system_named("Baseline"))


def test_silence_is_silent() -> None:
    frames = push_all(Stream(FakeImager(), video=False), np.zeros((24_000, 4)), 1000)
    assert len(frames) == 10
    for frame in frames:
        assert frame.imaged and not frame.masks and not frame.marks
        assert frame.heat.shape == HEAT_SHAPE and not frame.heat.any()
        assert (frame.levels == FLOOR_DB).all() and (frame.spectrum == FLOOR_DB).all()


def test_samples_that_are_no_numbers_are_silent_and_counted(caplog) -> None:
    audio = sound(20)
    audio[5000:5100, 2] = np.nan
    audio[7000] = np.inf
    stream = Stream(FakeImager(), video=False)
    frames = push_all(stream, audio, 1000)
    assert len(frames) == 20
    assert all(np.isfinite(frame.sound).all() for frame in frames)
    assert stream.health.not_finite == 101
    assert "channel 3: samples that are no numbers" in caplog.text


def test_channels_that_change_are_told() -> None:
    stream = Stream(FakeImager(), video=False)
    stream.push(sound(1), 0.1)
    with raises(AudioError, "live sound", place="channels", found="shape (2400, 2)"):
        stream.push(sound(1)[:, :2], 0.2)
    assert len(stream.close()) == 1


def in_blocks(audio: np.ndarray, size: int = 2400) -> list[tuple[np.ndarray, float, int]]:
    return [
        (audio[at : at + size], (at + size) / 24_000, at + 7) for at in range(0, len(audio), size)
    ]


def sounds(stream: Stream, blocks) -> np.ndarray:
    frames = [frame for block in blocks for frame in stream.push(*block)]
    return np.concatenate([frame.sound for frame in [*frames, *stream.close()]])


def test_blocks_that_come_twice_or_in_another_order_change_nothing() -> None:
    audio = sound(30)
    blocks = in_blocks(audio, 1200)
    for at in range(2, 50, 6):  # the first that comes says where the count begins
        blocks[at], blocks[at + 1] = blocks[at + 1], blocks[at]
    blocks.insert(20, blocks[15])
    stream = Stream(FakeImager(), video=False)
    np.testing.assert_array_equal(sounds(stream, blocks), audio)
    assert (stream.health.late, stream.health.missing) == (1200, 0)


def test_what_is_missing_is_silent_and_all_else_in_its_place() -> None:
    audio = sound(30)
    blocks = in_blocks(audio)
    late = blocks.pop(10)
    blocks.insert(16, late)  # far later than anyone waits
    del blocks[20:23]
    stream = Stream(FakeImager(), video=False)
    found = sounds(stream, blocks).reshape(30, -1, 4)
    lost = [frame for frame in range(30) if not found[frame].any()]
    assert len(lost) == 4 and lost[0] == 10
    for frame in set(range(30)) - set(lost):
        np.testing.assert_array_equal(found[frame], audio.reshape(30, -1, 4)[frame])
    assert (stream.health.missing, stream.health.late) == (4 * 2400, 2400)


def test_a_sender_that_begins_anew_goes_on(caplog) -> None:
    audio = sound(20)
    blocks = [(b, t, p + (10**9 if n < 10 else 0)) for n, (b, t, p) in enumerate(in_blocks(audio))]
    stream = Stream(FakeImager(), video=False)
    np.testing.assert_array_equal(sounds(stream, blocks), audio)
    assert "counts anew" in caplog.text


def test_a_camera_that_stops_leaves_the_audio_branch_alone() -> None:
    stream = Stream(FakeImager(), video=True)
    audio, frames = sound(60), []
    for number in range(60):
        if number < 20:
            stream.picture(picture(200), number / 10)
        block = audio[number * SAMPLES_PER_FRAME :][:SAMPLES_PER_FRAME]
        frames += stream.push(block, (number + 1) / 10)
    frames += stream.close()
    # The last one, of frame 19, stands for a second.
    assert [frame.pictured for frame in frames] == [True] * 29 + [False] * 31
    classes = [[mask.class_id for mask in frame.masks] for frame in frames]
    assert classes == [[7]] * 29 + [[3]] * 31
    assert stream.health.unpictured == 31


def test_a_picture_is_scaled_and_given_as_it_came() -> None:
    large = np.repeat(np.repeat(picture(51), 2, 0), 2, 1)
    for given in (large, av.VideoFrame.from_ndarray(large, "rgb24")):
        stream = Stream(FakeImager(), video=True)
        stream.picture(given, 0.0)
        (frame,) = push_all(stream, sound(1), 2400)
        np.testing.assert_array_equal(frame.picture, large)
        assert frame.masks[0].score == pytest.approx(0.2)


def test_an_array_that_is_turned_sees_the_picture_turned_and_points_into_it() -> None:
    imager, looked = FakeImager(), []
    detector = imager.networks.detector
    find = detector.find

    def noted(rgb, latent, **options):
        looked.append(np.rint(255 * rgb[0].transpose(1, 2, 0)))
        return find(rgb, latent, **options)

    detector.find = noted
    stream = Stream(imager, video=True, yaw_deg=30.0)
    given = picture(200)
    given[:, 150] = 0  # azimuth 30: where the array's front points
    stream.picture(given, 0.0)
    (frame,) = push_all(stream, sound(1), 2400)
    assert (looked[0][:, 180] == 0).all() and looked[0].sum() == given.sum()
    np.testing.assert_array_equal(frame.picture, given)
    # The array hears it at its azimuth 70.
    assert frame.masks[0].azimuth == pytest.approx(100, abs=1)


def test_pictures_stay_with_a_clock_that_runs_apart() -> None:
    """Twenty minutes at 200 millionths are two and a half frames."""
    rng = np.random.default_rng(0)
    intake, wrong = InputSynchronizer(24_000, video=True), []
    silence = np.zeros((2400, 4), np.float32)
    speed = 1 + 200e-6
    for number in range(12_000):
        # The picture of the world's frame k says k; the microphones count a little faster.
        taken_at = number / 10
        intake.picture(np.full((2, 4, 3), number % 251, np.uint8), 5000 + taken_at)
        arrived = (number + 1) / 10 / speed + rng.exponential(0.01)
        intake.push(silence, 5000 + arrived)
        for taken in intake.frames():
            if taken.frame > 700:
                shown = int(taken.picture[0, 0, 0])
                wrong.append((taken.frame / speed - shown + 125) % 251 - 125)
    assert intake.clock.drift_ppm == pytest.approx(200, abs=3)
    assert len(wrong) > 11_000
    assert np.abs(wrong).max() < 1.1


@pytest.mark.parametrize(
    "wrong", [np.zeros((180, 360), np.uint8), np.zeros((180, 360, 3)), picture(0)[:, :200]]
)
def test_what_is_no_picture_is_told(wrong) -> None:
    stream = Stream(FakeImager(), video=True)
    with raises(VideoError, "live picture"):
        stream.picture(wrong, 0.0)


def test_work_that_is_late_is_not_begun_and_memory_stays(monkeypatch) -> None:
    """Sound comes 10 times too fast for an eye that takes as long as a frame lasts."""
    now = 0.0
    imager = FakeImager("TASK3B_3")
    detector = imager.networks.detector
    find = detector.find

    def slow(*arguments, **options):
        nonlocal now
        now += 0.1
        return find(*arguments, **options)

    monkeypatch.setattr(detector, "find", slow)
    stream = Stream(imager, video=False, max_lag_s=1.0, clock=lambda: now)
    audio, frames = sound(400), []
    for number in range(400):
        arrived = (number + 1) / 100
        now = max(now, arrived)
        block = audio[number * SAMPLES_PER_FRAME :][:SAMPLES_PER_FRAME]
        frames += stream.push(block, arrived)
        assert len(stream.waiting) <= 4
    frames += stream.close()
    assert [frame.frame for frame in frames] == list(range(400))
    dropped = [frame for frame in frames if not frame.imaged]
    assert frames[-1].dropped == len(dropped)
    assert 310 < len(dropped) < 370  # one in ten can be done
    assert all(not frame.masks and not frame.heat.any() and len(frame.sound) for frame in dropped)


@pytest.mark.parametrize("frames_at_once", [1, 3, 50])
def test_late_work_skips_every_second_picture_and_drops_nothing(frames_at_once) -> None:
    """Of a skipped picture stands what was seen in the one before: here its grey, as a score."""

    def scores(**late: float) -> tuple[list[float], list[LiveFrame]]:
        stream = Stream(FakeImager("TASK3B_3"), video=True, clock=lambda: 1000.0, **late)
        for number in range(50):
            stream.picture(picture(2 * number + 1), number / 10)
        frames = push_all(stream, sound(50), frames_at_once * SAMPLES_PER_FRAME)
        return [mask.score for frame in frames for mask in frame.masks], frames

    every, _ = scores()
    stood, frames = scores(skip_lag_s=0.4, max_lag_s=2000.0)
    assert len(set(every)) == 50
    assert stood == [every[number - number % 2] for number in range(50)]
    assert frames[-1].skipped == 25 and frames[-1].dropped == 0


def test_without_a_limit_nothing_is_dropped() -> None:
    stream = Stream(FakeImager(), video=False, clock=lambda: 1e9)
    frames = push_all(stream, sound(100), 240_000)
    assert all(frame.imaged for frame in frames) and frames[-1].dropped == 0


def test_nothing_at_all() -> None:
    assert Stream(FakeImager(), video=True).close() == []
