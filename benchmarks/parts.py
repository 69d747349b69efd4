"""Where the time of a frame goes: ``python -m benchmarks.parts``.

Processor time of `saiseld image` on the packaged scene, both branches and overlay, one thread, by
part: with ``--precise`` and as INT8, the default, by turns; of each the quickest of ``--rounds``.
Parts are timed where they are called; what none of them holds is the rest.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from time import process_time
from typing import Any

from saiseld.acoustics import front_end
from saiseld.acoustics import graphs as uplam
from saiseld.data.recordings import open_recording
from saiseld.decision import fusion
from saiseld.detector import graphs as detector_graphs
from saiseld.detector.graphs import GraphDetector
from saiseld.pipeline import draw, engine, imager
from saiseld.pipeline.image import Job, image_recording
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO
from saiseld.runtime.threads import one_blas_thread
from saiseld.seld import audio_branch
from saiseld.seld.graphs import GraphSeld

OVERLAY, TOGETHER = "overlay video", "both branches together"

spent: defaultdict[str, float] = defaultdict(float)


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose processor time is counted."""

    @wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        start = process_time()
        result = function(*arguments, **options)
        spent[name] += process_time() - start
        return result

    return run


def timed_steps(name: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return a generator function whose steps are counted."""

    def run(*arguments: Any, **options: Any) -> Iterator[Any]:
        steps, end = function(*arguments, **options), object()
        step = timed(name, lambda: next(steps, end))
        while (item := step()) is not end:
            yield item

    return run


def watch_modules() -> None:
    """Let the functions that work for any system be timed."""
    for module, names in (
        (front_end, {"visibility": "covariances", "closure": "gates", "diffuseness": "gates"}),
        (uplam, {"positive_part": "UpLAM: eigenvectors"}),
        (engine, {"rgb_planes": "pictures: to floats", "candidate_table": "detector: table"}),
        (
            detector_graphs,
            dict.fromkeys(("proposals", "best_labelled", "on_cylinder"), "detector: overlaps"),
        ),
        (audio_branch, {"inputs": "audio: spectra, covariances", "expit": "audio: averages"}),
        (fusion, {"fuse": "fusion"}),
        (imager, {"decide": "masks"}),
        (draw, {"write_overlay": OVERLAY}),
    ):
        watch(module, names)
    for module, name, part in (
        (imager, "open_video", "pictures: decoding"),
        (engine, "candidates", "audio: peaks to table"),
    ):
        setattr(module, name, timed_steps(part, getattr(module, name)))


def watch_system(system: Imager) -> None:
    """Let the parts of a system of graphs be timed."""
    detector, heard = system.networks.detector, system.networks.audio.network
    assert isinstance(detector, GraphDetector) and isinstance(heard, GraphSeld)
    latents: Any = system.networks.front_end._latents
    watch(latents, {"_upsample": "UpLAM: to 32 channels", "_map": "UpLAM: to maps"})
    watch(
        detector, {"rpn": "detector: features, proposals", "_canvas": "detector: latents to canvas"}
    )
    watch(
        detector,
        {"box_head": "detector: classes and boxes", "energy_head": "detector: energy, distance"},
    )
    watch(
        heard,
        {
            "_encoder": "audio: encoder",
            "_temporal": "audio: network",
            "_localization": "audio: maps",
        },
    )


def watch(owner: Any, names: dict[str, str]) -> None:
    """Let functions of an owner be timed, by name of the part that each belongs to."""
    for name, part in names.items():
        function = getattr(owner, name)
        if not hasattr(function, "__wrapped__"):  # both systems share the modules
            setattr(owner, name, timed(part, function))


def measured(system: Imager) -> dict[str, float]:
    """Return the milliseconds a frame of each part, of the whole and of what is in no part."""
    (sound,) = DEMO.glob("*.wav")
    recording, video = open_recording(sound), sound.with_suffix(".mp4")
    for _ in system.blocks(recording, system.pictures(video)):  # what is made once
        pass
    spent.clear()
    with tempfile.TemporaryDirectory() as folder:
        start = process_time()
        image_recording(Job(sound, video), system, Path(folder))
        whole = process_time() - start
    overlay = spent.pop(OVERLAY)
    spent["the rest"] = whole - overlay - sum(spent.values())
    spent[TOGETHER] = whole - overlay
    spent[OVERLAY] = overlay
    return {part: 1e3 * seconds / recording.frames for part, seconds in spent.items()}


def main() -> None:
    """Print the table."""
    watch_modules()
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds_wanted: int = parser.parse_args().rounds
    systems = [Imager(threads=1, device="cpu", precise=precise) for precise in (True, False)]
    for system in systems:
        watch_system(system)
    with one_blas_thread():  # as in the command
        rounds = list(
            zip(*([measured(s) for s in systems] for _ in range(rounds_wanted)), strict=True)
        )
    full, int8 = (min(own, key=lambda parts: parts[TOGETHER]) for own in rounds)
    print(f"{'ms a frame':30s} {'precise':>8s} {'INT8':>8s}")
    for part in full:
        print(f"{part:30s} {full[part]:8.2f} {int8[part]:8.2f}")


if __name__ == "__main__":
    main()
