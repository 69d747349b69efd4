"""The engine: blocks of audio and pictures in, candidate rows of both branches out, in order.

The only place where the networks are put together. A recording that is imaged, one that is detected
for later decisions, a live stream and a job of the server all push into an `Engine`; how late it
may be and what happens where it is overloaded are its policies. What is decided on its rows is
`saiseld.decision.systems.decide`.

    audio blocks ─┐               ┌─ rows of branch "detector": box, energy map, distance
                  ├─▶ Engine.push ┤
    pictures ─────┘               └─ rows of branch "audio": direction, class, distance

Rows depend on samples and pictures alone, not on how they are cut into blocks, nor on threads.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.conventions.timebase import FPS, SAMPLES_PER_FRAME
from saiseld.data.context import with_neighbours
from saiseld.data.video import Frame, rgb_planes, shows_something
from saiseld.decision.selection import emittable
from saiseld.detector.detect import candidate_table
from saiseld.detector.detections import Found, Keep
from saiseld.formats.candidates import Branch, Candidates, joined, no_candidates
from saiseld.formats.features import AcousticImages
from saiseld.pipeline.networks import Networks
from saiseld.runtime.threads import leave_own_threads_off
from saiseld.seld.audio_branch import AudioBranch
from saiseld.seld.decode import candidates
from saiseld.seld.inference import LowLatencyInference, SlidingWindowInference
from saiseld.seld.output import WINDOW_FRAMES, SeldOutput

BATCH = 8
"""Frames that go through the detector together."""

Latency = Literal["exact", "low"]
"""``exact``: every frame is in the middle of a window of 5 s or near it. ``low``: windows end with
the latest sound."""

LOW_HOP, LOW_AHEAD = 5, 5
"""With low latency: frames from one window to the next, and that follow one that is given."""

T = TypeVar("T")
_CHANNELS = 4
_NAME = "rows"  # until they are given
_JOBS_PER_THREAD = 8


@dataclass(frozen=True, slots=True)
class Backpressure:
    """What happens where work takes longer than what is pushed.

    Parameters
    ----------
    blocks
        Whether `Engine.push` waits for work where much of it is left. Where it does not, the audio
        branch runs in a thread of its own and `push` gives what is done.
    max_lag_s
        Seconds after a frame's audio came after which no work on it is begun; the frame is given
        in its place, without rows and marked as not processed. None leaves out nothing.
    skip_lag_s
        Seconds after which the detector passes over every second frame, and what it found in the
        one before stands for it. None passes over nothing.
    clock
        What the times of `Engine.push` are of.
    """

    blocks: bool = True
    max_lag_s: float | None = None
    skip_lag_s: float | None = None
    clock: Callable[[], float] = time.monotonic

    def is_late(self, captured: float) -> bool:
        """Return whether work on what came then should not be begun any more."""
        return self._is_older(captured, self.max_lag_s)

    def skips(self, captured: float) -> bool:
        """Return whether of what came then every second frame is passed over."""
        return self._is_older(captured, self.skip_lag_s)

    def _is_older(self, captured: float, lag_s: float | None) -> bool:
        return lag_s is not None and self.clock() - captured > lag_s


WAIT = Backpressure()
"""Nothing is left out: that of recordings."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The candidates of some frames in a row.

    Parameters
    ----------
    candidates
        Rows of the branches that were run, frames counted from the start of the recording.
    start
        Number of the first frame.
    pictured
        (n,) whether a frame had a picture that shows something.
    processed
        (n,) whether all was done for a frame; False where `Backpressure` left something out.
    """

    candidates: Candidates
    start: int
    pictured: NDArray[np.bool_]
    processed: NDArray[np.bool_]

    @property
    def frames(self) -> int:
        """How many frames."""
        return len(self.pictured)

    @property
    def missing_pictures(self) -> int:
        """How many of them without a picture."""
        return int(np.sum(~self.pictured))


class Engine:
    """Networks that run on audio and pictures as they come; for one recording, from one thread.

    Parameters
    ----------
    networks
        What runs.
    branches
        Which of them: ``"detector"``, ``"audio"``.
    recording
        Its name.
    video
        Whether it has a video, whose pictures are pushed or not.
    frames
        How many frames it has; None where that is not known yet: then every block's table says how
        many there were until its end.
    latency
        How long the audio branch waits for what follows a frame.
    backpressure
        What happens where work takes too long.
    only_pictured
        Whether the detector leaves out frames without a picture.
    keep
        Detections that get an energy map and a distance: those that some rule can emit. None for
        all; no emitted number depends on it.
    provenance
        Added to what the rows say of their making.

    Raises
    ------
    CheckpointError
        If a branch is wanted that the weights do not hold.
    """

    def __init__(
        self,
        networks: Networks,
        branches: Sequence[Branch],
        recording: str = "live",
        *,
        video: bool = True,
        frames: int | None = None,
        latency: Latency = "exact",
        backpressure: Backpressure = WAIT,
        only_pictured: bool = False,
        keep: Keep | None = emittable,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        networks.load(branches)
        self._networks, self._latency, self._backpressure = networks, latency, backpressure
        self._branch_names: tuple[Branch, ...] = tuple(branches)
        self._recording, self._frames = recording, frames
        self._only_pictured = only_pictured
        self._provenance = {
            **networks.provenance(branches, video=video),
            **(provenance or {}),
        }
        self._pictured: deque[bool] = deque()  # of the frames that were not given yet
        self._pushed = self._given = 0
        self._branches: list[_Branch] = []
        if "detector" in branches:
            detector = _DetectorBranch(networks, backpressure, only_pictured, keep)
            self._branches.append(detector)
        if "audio" in branches:
            audio = networks.audio_with(video=video)
            threaded = networks.threads > 1
            self._branches.append(_AudioBranch(audio, latency, backpressure, threaded=threaded))

    @property
    def skipped(self) -> int:
        """Frames so far that the detector passed over (`Backpressure.skip_lag_s`)."""
        return sum(branch.skipped for branch in self._branches)

    @property
    def delay(self) -> float:
        """Seconds from a frame's last sample to when all of its rows can be known, at most."""
        return max(branch.delay_frames for branch in self._branches) / FPS

    def warm_up(self) -> None:
        """Do once what takes longer the first time, before there is any audio."""
        other = Engine(self._networks, self._branch_names, latency=self._latency)
        silence = np.zeros((SAMPLES_PER_FRAME, _CHANNELS), np.float32)
        across = np.linspace(0, 255, WIDTH).astype(np.uint8)
        other.push(silence, [np.broadcast_to(across[:, None], (HEIGHT, WIDTH, 3))])
        other.close()

    def push(
        self,
        audio: NDArray[np.float32] | None,
        pictures: Sequence[Frame | None] = (),
        *,
        images: AcousticImages | None = None,
        captured: float = 0.0,
    ) -> list[Block]:
        """Take the frames that follow and return the blocks that are complete, in order.

        Parameters
        ----------
        audio
            (n x 2400, 4) samples at 24 kHz, full scale 1; None where there are images and the audio
            branch is not run.
        pictures
            (180, 360, 3) RGB bytes a frame, or None; there may be fewer than frames. One that shows
            nothing (a covered lens) is as good as none.
        images
            The frames' acoustic images if they are at hand (a features file).
        captured
            When the last sample came, for `Backpressure`.
        """
        if images is not None:
            count = len(images.latent)
        else:
            count = 0 if audio is None else len(audio) // SAMPLES_PER_FRAME
        if not count:
            return list(self._complete(wait=False))
        visible = [p if p is not None and shows_something(p) else None for p in pictures[:count]]
        visible += [None] * (count - len(visible))
        self._pictured += [picture is not None for picture in visible]
        chunk = _Chunk(self._pushed, count, audio, images, visible, captured)
        self._pushed += count
        for branch in self._branches:
            branch.push(chunk)
        return list(self._complete(wait=False))

    def close(self) -> list[Block]:
        """Return the blocks that are left."""
        for branch in self._branches:
            branch.close()
        return list(self._complete(wait=True))

    def stop(self) -> None:
        """Begin no more work, where what is left is not wanted."""
        for branch in self._branches:
            branch.stop()

    def _complete(self, *, wait: bool) -> Iterator[Block]:
        for branch in self._branches:
            branch.collect(wait=wait)
        end = self._pushed if wait else min(branch.decided_to for branch in self._branches)
        if end > self._given:
            yield self._block(end)

    def _block(self, end: int) -> Block:
        count = end - self._given
        processed = np.ones(count, bool)
        tables = []
        for branch in self._branches:
            table, done = branch.take(self._given, end)
            processed &= done
            if table is not None:
                tables.append(table)
        pictured = np.array([self._pictured.popleft() for _ in range(count)], bool)
        table = joined(tables) if tables else no_candidates(self._recording)
        start, self._given = self._given, end
        return Block(
            self._finished(table, start, end, pictured, processed), start, pictured, processed
        )

    def _finished(
        self,
        table: Candidates,
        start: int,
        end: int,
        pictured: NDArray[np.bool_],
        processed: NDArray[np.bool_],
    ) -> Candidates:
        """Return rows as those of one table of the recording, without those of dropped frames."""
        if not processed.all():
            table = table.take(processed[table.frame - start])
        return replace(
            table,
            recording=self._recording,
            frames=end if self._frames is None else self._frames,
            pictured=pictured[table.frame - start],
            provenance=self._provenance,
            branches=self._branch_names,
        )


@dataclass(slots=True, eq=False)
class _Chunk:
    """Frames that were pushed together."""

    start: int
    count: int
    audio: NDArray[np.float32] | None
    images: AcousticImages | None
    pictures: list[Frame | None]
    captured: float

    @property
    def end(self) -> int:
        return self.start + self.count


class _Task(Generic[T]):
    """A call in a pool, or without one when its result is first asked for."""

    def __init__(self, pool: ThreadPoolExecutor | None, function: Callable[[], T]) -> None:
        self._function = function
        self._future: Future[T] | None = None if pool is None else pool.submit(function)
        self._result: list[T] = []

    @property
    def is_done(self) -> bool:
        return bool(self._result) if self._future is None else self._future.done()

    def result(self) -> T:
        if self._future is not None:
            return self._future.result()
        if not self._result:
            self._result.append(self._function())
        return self._result[0]


class _Branch(Protocol):
    """One branch: chunks in, rows out."""

    decided_to: int
    """Frames before this one have their rows, or never will have any."""
    skipped: int
    """Frames so far that what was found in the one before stands for."""

    @property
    def delay_frames(self) -> int:
        """Frames after one that its rows may wait for."""

    def push(self, chunk: _Chunk) -> None:
        """Take the frames that follow."""

    def collect(self, *, wait: bool) -> None:
        """Gather what is done; with ``wait``, all."""

    def close(self) -> None:
        """Say that nothing follows."""

    def take(self, start: int, end: int) -> tuple[Candidates | None, NDArray[np.bool_]]:
        """Return the rows of some frames, and (n,) which of these were processed."""

    def stop(self) -> None:
        """Begin no more work."""


class _Rows:
    """Rows that were not taken yet, and which frames were processed."""

    def __init__(self) -> None:
        self._tables: list[Candidates] = []
        self._spans: deque[tuple[int, int]] = deque()

    def add(self, table: Candidates) -> None:
        """Add rows, later ones than those before."""
        self._tables.append(table)

    def mark(self, start: int, end: int) -> None:
        """Say that frames were processed, later ones than those before."""
        self._spans.append((start, end))

    def take(self, start: int, end: int) -> tuple[Candidates | None, NDArray[np.bool_]]:
        """Return the rows of some frames, and which of these were processed."""
        done = np.zeros(end - start, bool)
        while self._spans and self._spans[0][0] < end:
            first, last = self._spans.popleft()
            done[max(first - start, 0) : last - start] = True
            if last > end:
                self._spans.appendleft((end, last))
                break
        taken, left = [], []
        for table in self._tables:
            now = table.frame < end
            if now.all():
                taken.append(table)
            else:
                left.append(table.take(~now))
                if now.any():
                    taken.append(table.take(now))
        self._tables = left
        return (joined(taken) if taken else None), done


_Looked = list[Found | None] | None
"""What was found in each frame of a batch, None where one was passed over; None if it was late."""


@dataclass(slots=True, eq=False)
class _Run:
    """A chunk in the detector: its images, and for each batch which frames and what was found."""

    chunk: _Chunk
    images: _Task[AcousticImages]
    batches: list[tuple[NDArray[np.int64], _Task[_Looked]]]


class _DetectorBranch:
    """Acoustic images and pictures through the detector, in batches and threads."""

    def __init__(
        self,
        networks: Networks,
        backpressure: Backpressure,
        only_pictured: bool,
        keep: Keep | None,
    ) -> None:
        self._networks, self._backpressure = networks, backpressure
        self._only_pictured, self._keep = only_pictured, keep
        threads = networks.threads
        self._pool: ThreadPoolExecutor | None = None
        if threads > 1:
            self._pool = ThreadPoolExecutor(threads, initializer=leave_own_threads_off)
        self._most_jobs = threads * _JOBS_PER_THREAD
        self._context = networks.detector.context
        # Batches begin one chunk late where threads can image the next chunk meanwhile.
        self._behind = 0 if self._pool is None else 1
        self._images: dict[int, tuple[_Chunk, _Task[AcousticImages]]] = {}  # by start
        self._pending: deque[_Chunk] = deque()  # whose context is not there yet
        self._running: deque[_Run] = deque()
        self._pushed = 0
        self._rows = _Rows()
        self._last: tuple[int, Found] | None = None
        self.decided_to = self.skipped = 0

    @property
    def delay_frames(self) -> int:
        return self._context

    def push(self, chunk: _Chunk) -> None:
        self._images[chunk.start] = chunk, _Task(self._pool, lambda: self._image(chunk))
        self._pending.append(chunk)
        self._pushed = chunk.end
        while len(self._pending) > self._behind and self._has_context(self._pending[0]):
            self._begin(self._pending.popleft())

    def close(self) -> None:
        while self._pending:
            self._begin(self._pending.popleft())

    def _has_context(self, chunk: _Chunk) -> bool:
        return chunk.end + self._context <= self._pushed

    def _image(self, chunk: _Chunk) -> AcousticImages:
        if chunk.images is not None:
            return chunk.images
        assert chunk.audio is not None
        return self._networks.front_end.images_of_block(chunk.audio)

    def _begin(self, chunk: _Chunk) -> None:
        near = [
            (other, task)
            for other, task in self._images.values()
            if other.end + self._context > chunk.start and other.start < chunk.end + self._context
        ]
        run = _Run(chunk, self._images[chunk.start][1], [])
        for first in range(0, chunk.count, BATCH):
            numbers = self._frames_due(chunk, first)
            task = _Task(self._pool, partial(self._find, chunk, numbers, near))
            run.batches.append((numbers, task))
            if self._pool is None:
                task.result()
        self._running.append(run)
        for other, _ in near:
            if other.end <= chunk.end - self._context:  # of no later frame a neighbour
                del self._images[other.start]

    def _frames_due(self, chunk: _Chunk, first: int) -> NDArray[np.int64]:
        """Return which frames of a batch are worked on, counted within the chunk."""
        numbers = np.arange(first, min(first + BATCH, chunk.count))
        if not self._only_pictured:
            return numbers
        return np.array([n for n in numbers if chunk.pictures[n] is not None], np.int64)

    def _find(
        self,
        chunk: _Chunk,
        numbers: NDArray[np.int64],
        near: Sequence[tuple[_Chunk, _Task[AcousticImages]]],
    ) -> _Looked:
        """Return what the detector finds in frames of a chunk."""
        if self._backpressure.is_late(chunk.captured) and len(numbers):
            return None
        frames = chunk.start + numbers
        skips = self._backpressure.skips(chunk.captured)
        looked = frames % 2 == 0 if skips else np.ones(len(frames), bool)
        if not looked.any():
            return [None] * len(frames)
        latent = self._latent(near, frames[looked])
        visible = [chunk.pictures[number] for number in numbers[looked]]
        found = iter(self._networks.detector.find(rgb_planes(visible), latent, keep=self._keep))
        return [next(found) if look else None for look in looked]

    def _latent(
        self, near: Sequence[tuple[_Chunk, _Task[AcousticImages]]], frames: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the latents of frames, with their context, from the chunks about them."""
        first, last = frames[0] - self._context, frames[-1] + self._context
        near = [(c, task) for c, task in near if c.end > first and c.start <= last]
        start = near[0][0].start
        parts = [task.result().latent for _, task in near]
        low, high = max(first - start, 0), last + 1 - start
        latent = parts[0] if len(parts) == 1 else np.concatenate(parts)
        wide = with_neighbours(latent[low:high], self._context)
        return np.asarray(wide[frames - start - low])

    def collect(self, *, wait: bool) -> None:
        jobs = sum(len(run.batches) for run in self._running)
        while self._running:
            run = self._running[0]
            overfull = self._backpressure.blocks and jobs > self._most_jobs
            if not (wait or overfull or all(task.is_done for _, task in run.batches)):
                return
            self._running.popleft()
            jobs -= len(run.batches)
            self._gather(run)
        if wait:
            self.stop()

    def _gather(self, run: _Run) -> None:
        """Make one table of what was found in a chunk."""
        self.decided_to = run.chunk.end
        start, frames, numbers = run.chunk.start, list[Found](), list[int]()
        for first, (due, task) in zip(range(start, run.chunk.end, BATCH), run.batches, strict=True):
            looked = task.result()
            if looked is None:
                continue
            found = dict(zip((start + due).tolist(), looked, strict=True))
            for frame in range(first, min(first + BATCH, run.chunk.end)):
                stands = self._standing(frame, found[frame]) if frame in found else None
                if stands is not None:
                    frames.append(stands)
                    numbers.append(frame - start)
                if stands is not None or frame not in found:
                    self._rows.mark(frame, frame + 1)
        if not frames:
            return
        table = candidate_table(self._networks.detector, _NAME, frames)
        frame_numbers, images = np.array(numbers)[table.frame], run.images.result()
        table = replace(
            table,
            frames=run.chunk.end,
            frame=(frame_numbers + run.chunk.start).astype(np.int32),
            closure=images.closure[frame_numbers],
            diffuseness=images.diffuseness[frame_numbers],
        )
        self._rows.add(self._networks.calibrated(table))

    def _standing(self, frame: int, found: Found | None) -> Found | None:
        """Return what stands for a frame: what was found in it, or else in the one before."""
        if found is not None:
            self._last = frame, found
            return found
        if self._last is None or self._last[0] != frame - 1:
            return None
        self.skipped += 1
        return self._last[1]

    def take(self, start: int, end: int) -> tuple[Candidates | None, NDArray[np.bool_]]:
        return self._rows.take(start, end)

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class _Given(NamedTuple):
    """Rows of some frames that the audio branch gives at once."""

    start: int
    end: int
    table: Candidates


class _AudioBranch:
    """Audio through the SELD network, window after window, as they follow one another.

    What refines the network's output by the same audio, such as the recogniser on beams, is the
    audio branch's own (`saiseld.seld.inference.Refinement`).
    """

    def __init__(
        self,
        branch: AudioBranch,
        latency: Latency,
        backpressure: Backpressure,
        *,
        threaded: bool,
    ) -> None:
        self._backpressure, self._latency = backpressure, latency
        self._inference: SlidingWindowInference | LowLatencyInference
        if latency == "exact":
            self._inference = SlidingWindowInference(branch.window, branch.recognition)
        else:
            # One view: what is lost by the missing future is more than the others would bring.
            window = branch.with_tta(1).window
            self._inference = LowLatencyInference(window, LOW_HOP, LOW_AHEAD, branch.recognition)
        self._pool: ThreadPoolExecutor | None = None
        if threaded or not backpressure.blocks:
            self._pool = ThreadPoolExecutor(1, "audio", initializer=leave_own_threads_off)
        self._running: deque[_Task[list[_Given]]] = deque()
        self._rows = _Rows()
        self._pushed = 0
        self.decided_to = self.skipped = 0

    @property
    def delay_frames(self) -> int:
        if self._latency == "low":
            return LOW_HOP + LOW_AHEAD - 1
        return WINDOW_FRAMES - 1

    def push(self, chunk: _Chunk) -> None:
        audio = chunk.audio
        assert audio is not None
        self._pushed = chunk.end
        self._run(lambda: self._infer(audio, chunk.captured))

    def close(self) -> None:
        if self._pushed:
            self._run(lambda: [self._rows_of(output) for output in self._inference.close()])

    def _run(self, work: Callable[[], list[_Given]]) -> None:
        task = _Task(self._pool, work)
        self._running.append(task)
        if self._pool is None:
            task.result()

    def _infer(self, audio: NDArray[np.float32], captured: float) -> list[_Given]:
        late = self._backpressure.is_late(captured)
        return [self._rows_of(output) for output in self._inference.push(audio, late=late)]

    def _rows_of(self, output: SeldOutput) -> _Given:
        end = output.start + len(output)
        (table,) = candidates(_NAME, end, [output], {})
        return _Given(output.start, end, table)

    def collect(self, *, wait: bool) -> None:
        while self._running:
            overfull = self._backpressure.blocks and len(self._running) > _JOBS_PER_THREAD
            if not (wait or overfull or self._running[0].is_done):
                return
            for given in self._running.popleft().result():
                self.decided_to = given.end
                self._rows.mark(given.start, given.end)
                self._rows.add(given.table)
        if wait:
            self.stop()

    def take(self, start: int, end: int) -> tuple[Candidates | None, NDArray[np.bool_]]:
        return self._rows.take(start, end)

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
