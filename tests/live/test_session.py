"""A live run from source to sinks: order, pace, bounded memory, whole segments, clear ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.errors import raises
from tests.live.fakes import FakeImager, picture, sound
from tests.waiting import PATIENCE_S, wait_until

from saiseld.data.recordings import read_audio
from saiseld.data.video import open_video
from saiseld.formats.annotation import read_annotations
from saiseld.live import session
from saiseld.live.arrays import ChannelMap
from saiseld.live.recorder import Recorder
from saiseld.live.session import FramePacer, Inbox, run
from saiseld.live.sources import Block
from saiseld.live.stream import Stream
from saiseld.runtime.errors import AudioError, OutputError

PLAIN = ChannelMap()


class RunRecord:
    """A source of blocks that are there, and then perhaps an error."""

    name, sample_rate, channels = "made", 24_000, 4

    def __init__(self, audio: np.ndarray, error: Exception | None = None) -> None:
        self._audio, self._error, self._stopped = audio, error, False

    def blocks(self):
        for at in range(0, len(self._audio), 1200):
            if self._stopped:
                return
            yield Block(self._audio[at : at + 1200], time.monotonic())
        if self._error:
            raise self._error

    def stop(self) -> None:
        self._stopped = True


def go(source, sinks, **more) -> None:
    more = {"channels": PLAIN, **more}
    run(source, more.pop("camera", None), Stream(FakeImager(), video=False), sinks, **more)


def test_every_frame_is_shown_once_in_order() -> None:
    frames = []
    go(RunRecord(sound(55)), [frames.append])
    assert [frame.frame for frame in frames] == list(range(55))


def test_an_error_of_the_source_comes_after_all_that_it_gave() -> None:
    frames = []
    with raises(AudioError, found="unplugged"):
        error = AudioError("microphones", expected="sound", found="unplugged")
        go(RunRecord(sound(33), error), [frames.append])
    assert len(frames) == 33


def test_channels_that_change_end_the_run() -> None:
    class Changing(RunRecord):
        def blocks(self):
            yield from super().blocks()
            yield Block(np.zeros((1200, 2), np.float32), time.monotonic())

    frames = []
    with raises(AudioError, place="channels", expected="4, as at"):
        go(Changing(sound(12)), [frames.append])
    assert len(frames) == 12


def test_a_channel_map_is_used_and_checked() -> None:
    frames, audio = [], sound(12)
    go(RunRecord(audio), [frames.append], channels=ChannelMap((4, 3, 2, 1), (1, 1, 1, -1)))
    mixed = audio[:, ::-1] * [1, 1, 1, -1]
    np.testing.assert_array_equal(np.concatenate([f.sound for f in frames]), mixed)
    with raises(AudioError, expected="5 or more"):
        go(RunRecord(audio), [], channels=ChannelMap((1, 2, 3, 5)))


def test_it_ends_after_so_many_seconds() -> None:
    frames = []
    go(RunRecord(sound(100)), [frames.append], seconds=2.05)
    assert len(frames) == 20


def test_what_a_sink_says_ends_the_run() -> None:
    def full(frame) -> None:
        raise OutputError("disk", expected="room", found="none")

    with raises(OutputError, "disk"):
        go(RunRecord(sound(60)), [full])


def test_pictures_go_with_the_sound() -> None:
    looks, looked = threading.Semaphore(0), threading.Semaphore(0)
    clock = iter(time.monotonic() + 0.05 * np.arange(1000))
    now = [next(clock)]

    class Camera:
        def pictures(self):
            while True:
                looks.acquire()
                yield picture(255), now[0]
                looked.release()

        def stop(self) -> None:
            pass

    class Slow(RunRecord):
        def blocks(self):
            for block in super().blocks():
                looks.release()
                looked.acquire()  # the picture is there before the sound
                now[0] = next(clock)
                yield Block(block.samples, now[0])

    frames = []
    run(
        Slow(sound(12)),
        Camera(),
        Stream(FakeImager(), video=True),
        [frames.append],
        channels=PLAIN,
    )
    assert any(frame.pictured for frame in frames)
    for frame in frames:
        assert [mask.class_id for mask in frame.masks] == [7 if frame.pictured else 3]


def test_an_inbox_is_bounded_and_lets_a_fast_source_wait(monkeypatch) -> None:
    monkeypatch.setattr(session, "MOST_WAITING_S", 1.0)
    inbox, given = Inbox(24_000), []

    def give() -> None:
        for number in range(100):
            inbox.put(Block(np.zeros((2400, 4), np.float32), number))
            given.append(number)
        inbox.end()

    thread = threading.Thread(target=give)
    thread.start()
    wait_until(lambda: len(given) == 10)
    time.sleep(0.05)
    assert len(given) == 10  # far too fast, and it waits
    for number in range(50):
        inbox.put_picture(None, number)
    taken = 0
    while (came := inbox.take()) is not None:
        pictures, blocks = came
        assert len(pictures) <= 16 and len(blocks) <= 10
        taken += len(blocks)
    assert taken == 100
    thread.join()


def test_sound_ten_times_too_fast_is_all_there_and_little_of_it_waits(monkeypatch) -> None:
    monkeypatch.setattr(session, "MOST_WAITING_S", 0.5)

    class Fast(RunRecord):
        def blocks(self):
            for block in super().blocks():  # 50 ms
                time.sleep(0.005)
                yield Block(block.samples, time.monotonic())

    waited, frames = [], []
    take = Inbox.take

    def noted(inbox):
        waited.append(inbox.samples)
        return take(inbox)

    monkeypatch.setattr(Inbox, "take", noted)
    stream = Stream(FakeImager(), video=False, max_lag_s=1.5)
    run(Fast(sound(120)), None, stream, [frames.append], channels=PLAIN)
    assert [frame.frame for frame in frames] == list(range(120))
    assert max(waited) <= 0.5 * 24_000 + 1200
    dropped = sum(not frame.imaged for frame in frames)
    assert frames[-1].dropped == dropped  # by rule, counted, if there was no time for them


def test_no_frame_is_shown_before_its_time() -> None:
    shown = []
    stream = Stream(FakeImager(), video=False)
    began = time.monotonic()
    frames = []
    for number in range(10):
        frames += stream.push(sound(10)[number * 2400 :][:2400], began + number * 0.02)
    frames += stream.close()
    show = FramePacer([lambda frame: shown.append(time.monotonic() - frame.captured)], 0.3)
    show.put(frames)
    wait_until(lambda: len(shown) == 10)
    show.close()
    assert min(shown) >= 0.3


def test_slow_sinks_are_waited_for_and_nothing_grows() -> None:
    stream, free, shown = Stream(FakeImager(), video=False), threading.Event(), []

    def slow(frame) -> None:
        free.wait(PATIENCE_S)
        shown.append(frame.frame)

    show = FramePacer([slow], 0.0)
    frames = stream.push(sound(100), 0.0) + stream.close()
    giving = threading.Thread(target=show.put, args=(frames,))
    giving.start()
    wait_until(lambda: show.waiting == 60)
    time.sleep(0.05)
    assert giving.is_alive() and show.waiting == 60
    free.set()
    giving.join()
    show.close()
    assert shown == list(range(100))


def frames_of(count: int, pictured: bool = True):
    stream = Stream(FakeImager(), video=pictured)
    frames = []
    for number in range(count):
        if pictured:
            stream.picture(picture(number), number / 10)
        frames += stream.push(sound(count)[number * 2400 :][:2400], (number + 1) / 10)
    return frames + stream.close()


def test_segments_hold_what_was_heard_seen_and_found(tmp_path: Path) -> None:
    frames = frames_of(25)
    with Recorder(tmp_path, 1.0) as recorder:
        for frame in frames:
            recorder.add(frame)
        done = list(tmp_path.glob("2*.json"))
        assert len(done) == 2
    names = sorted(path.stem for path in tmp_path.glob("*.json"))
    assert len(names) == 3 == len(set(names))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    audio = [read_audio(tmp_path / f"{name}.wav") for name in names]
    np.testing.assert_array_equal(np.concatenate(audio), sound(25))
    for segment, name in enumerate(names):
        own = frames[10 * segment : 10 * segment + 10]
        masks = read_annotations(tmp_path / f"{name}.json", predictions=True)
        assert [m.frame for m in masks] == [m.frame % 10 for f in own for m in f.masks]
        shown = list(open_video(tmp_path / f"{name}.mp4"))
        assert len(shown) == len(own)
        for seen, frame in zip(shown, own, strict=True):
            assert abs(float(seen.mean()) - float(frame.picture.mean())) < 3


def test_without_pictures_there_is_no_video(tmp_path: Path) -> None:
    with Recorder(tmp_path, 10.0) as recorder:
        for frame in frames_of(3, pictured=False):
            recorder.add(frame)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".wav"]


def test_a_full_disk_is_told_and_leaves_nothing_half(tmp_path: Path, monkeypatch) -> None:
    import soundfile

    frames = frames_of(15)

    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    with raises(OutputError, found="No space left"), Recorder(tmp_path, 1.0) as recorder:
        for frame in frames[:12]:
            recorder.add(frame)
        monkeypatch.setattr(soundfile.SoundFile, "write", full)
        recorder.add(frames[12])
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".mp4", ".wav"]


@pytest.mark.slow
def test_a_killed_run_leaves_whole_segments_and_nothing_else(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from tests.live.test_session import frames_of
from saiseld.live.recorder import Recorder
with Recorder(Path({str(tmp_path)!r}), 1.0) as recorder:
    for frame in frames_of(35):
        recorder.add(frame)
    print("ready", flush=True)
    time.sleep(3600)
"""
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    running = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, cwd=root
    )
    assert running.stdout is not None and running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    visible = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert sorted(path.suffix for path in visible) == [".json"] * 3 + [".mp4"] * 3 + [".wav"] * 3
    for path in tmp_path.glob("2*.wav"):
        assert len(read_audio(path)) == 10 * 2400
        read_annotations(path.with_suffix(".json"), predictions=True)
    with Recorder(tmp_path, 1.0):
        pass
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
