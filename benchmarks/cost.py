"""CPU seconds and bytes of each step for an hour of recording: ``python -m benchmarks.cost``.

Process CPU time of one thread, of the second of two runs on the packaged scene (10 s, four channels
and video) or, for simulating and labelling, on one simulated recording of that length; then carried
to larger amounts. What is loaded once a process stands apart. A machine with other work takes
longer for the same: read the figures as what steps cost against one another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from threadpoolctl import threadpool_limits

from saiseld.conventions.timebase import FPS
from saiseld.data.recordings import open_recording
from saiseld.data.stairs26 import EVENTS_FOLDER
from saiseld.data.video import open_video
from saiseld.decision.systems import system_named
from saiseld.evaluation.systems import evaluate_systems
from saiseld.formats.candidates import CANDIDATES_SUFFIX
from saiseld.labels.make import LabelTask, make_labels
from saiseld.live.stream import Stream
from saiseld.pipeline.detect import detect_recording
from saiseld.pipeline.draw import draw_results
from saiseld.pipeline.emit import emit_recording, masks_of_table
from saiseld.pipeline.features import features_of_recording
from saiseld.pipeline.image import ImageOptions, Job, image_recording, provenance_of
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.open import open_checked
from saiseld.pipeline.results import Results
from saiseld.pipeline.weights import DEMO
from saiseld.simulation.dataset import AUDIO_FOLDER, Task, write_recording
from saiseld.simulation.recipes import read_recipe
from saiseld.simulation.sounds.bank import ProceduralBank

SECONDS = 10
LOOKED_AT_S = 30
"""How much of a recording is checked."""
SYSTEM = "TASK3B_4"
AMOUNTS = {"STAIRS26": 7.5 * (168 + 79) / 168, "10,000 h": 10_000.0}
"""Hours: 168 development recordings of 7.5 h in all, 79 of evaluation if they are as long."""


@dataclass(frozen=True)
class Cost:
    """Of a step: CPU seconds and bytes written for an hour of recording, CPU seconds of loading."""

    step: str
    cpu_s: float
    written: float
    loading_s: float


class Steps:
    """What is measured; each step writes into a folder of its own and may read those before it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = next(DEMO.glob("*.wav"))
        self._recording, self._video = open_recording(path), path.with_suffix(".mp4")
        self._scene = Task(folder / "simulate", "fold4_room1_mix001", "test", 1, 0)

    @cached_property
    def _imager(self) -> Imager:
        return Imager(threads=1)

    def check(self, out: Path) -> None:
        """Look through the recording and name its content, as is done before any work begins."""
        recording = open_checked(self._recording.path, "auto", self._video)
        imager = self._imager
        provenance_of(recording, self._video, imager.networks, imager.default_system)

    def features(self, out: Path) -> None:
        """Acoustic images."""
        features_of_recording(self._imager.networks.front_end, self._recording, out)

    def detect(self, out: Path) -> None:
        """Every candidate of both branches."""
        detect_recording(self._imager, self._recording, self._video, out)

    def image_by_audio(self, out: Path) -> None:
        """`saiseld image --no-overlay` without a video."""
        self._image(out, None)

    def image(self, out: Path) -> None:
        """`saiseld image --no-overlay` with one."""
        self._image(out, self._video)

    def _image(self, out: Path, video: Path | None) -> None:
        job = Job(self._recording.path, video)
        image_recording(job, self._imager, out, ImageOptions(overlay=False))

    def overlay(self, out: Path) -> None:
        """Decide from the table, draw the overlay video."""
        masks = masks_of_table(self._made("image", CANDIDATES_SUFFIX))
        draw_results(Results(out, self._recording.name), self._recording, masks, self._video)

    def emit(self, out: Path) -> None:
        """One system's masks from the table."""
        emit_recording(self._made("detect", CANDIDATES_SUFFIX), {system_named(SYSTEM): out})

    def evaluate(self, out: Path) -> None:
        """Draw labels and those masks, match, score."""
        evaluate_systems({"one": self._made("emit", ".json").parent}, DEMO)

    def simulate(self, out: Path) -> None:
        """A scene of 32 channels, its video, events and labels."""
        recipe = read_recipe("sim26").model_copy(update={"seconds": float(SECONDS)})
        write_recording(replace(self._scene, dataset=out), recipe, 0, ProceduralBank(), None)

    def label(self, out: Path) -> None:
        """Labels of 32 channels and events."""
        scene = replace(self._scene, dataset=self._folder / "simulate" / "2")
        audio, events = scene.path(AUDIO_FOLDER, ".wav"), scene.path(EVENTS_FOLDER, ".csv")
        make_labels(LabelTask(audio, events, out))

    def live(self, out: Path) -> None:
        """A stream of sound and pictures, imaged by both as it comes."""
        stream = Stream(self._imager, video=True)
        sound = self._recording.blocks(frames_per_block=1)
        for frame, (block, rgb) in enumerate(zip(sound, open_video(self._video), strict=False)):
            stream.picture(rgb, frame / FPS)
            stream.push(block, (frame + 1) / FPS)
        stream.close()

    def _made(self, step: str, suffix: str) -> Path:
        return self._folder / step / "2" / f"{self._recording.name}{suffix}"


def measure(step: Callable[[Path], object], folder: Path) -> Cost:
    """Run a step twice and return what the second run took."""
    took = []
    for number in ("1", "2"):
        out = folder / step.__name__ / number
        out.mkdir(parents=True)
        start = time.process_time()
        step(out)
        took.append(time.process_time() - start)
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    an_hour = 3600 / SECONDS
    return Cost(step.__name__, took[1] * an_hour, written * an_hour, max(took[0] - took[1], 0.0))


def main() -> None:
    """Print the table."""
    amounts = ", ".join(f"{name}: core hours, GB" for name in AMOUNTS)
    print(f"step: CPU s an hour; MB an hour; loading, CPU s; {amounts}")
    with TemporaryDirectory() as folder, threadpool_limits(1):
        steps = Steps(Path(folder))
        check = measure(steps.check, Path(folder)).cpu_s * LOOKED_AT_S / 3600
        for step in (
            steps.features,
            steps.detect,
            steps.image_by_audio,
            steps.image,
            steps.overlay,
            steps.emit,
            steps.evaluate,
            steps.simulate,
            steps.label,
            steps.live,
        ):
            cost = measure(step, Path(folder))
            carried = ", ".join(
                f"{cost.cpu_s * hours / 3600:,.1f}, {cost.written * hours / 1e9:,.1f}"
                for hours in AMOUNTS.values()
            )
            parts = f"{cost.cpu_s:,.0f}", f"{cost.written / 1e6:,.1f}", f"{cost.loading_s:.1f}"
            print(f"{cost.step}: {'; '.join((*parts, carried))}", flush=True)
    print(f"before the first is begun, {check:.2f} CPU s a recording of half a minute or more")


if __name__ == "__main__":
    main()
