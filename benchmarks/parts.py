"""Where the time of a frame goes: ``python -m benchmarks.parts``.

Processor time of `saiseld image` on the packaged scene, eye, ear and overlay, one thread, by part.
Parts are timed where they are called; what none of them holds is in the last line.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from time import process_time
from typing import Any

from saiseld.acoustics import front_end
from saiseld.acoustics import graphs as uplam
from saiseld.data.recordings import open_recording
from saiseld.detector import graphs as detector
from saiseld.detector.graphs import GraphDetector
from saiseld.pipeline import draw, hearing, imager
from saiseld.pipeline.image import image_recording, provenance_of
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO, digests
from saiseld.seld import ear
from saiseld.seld.graphs import GraphSeld

spent: Counter[str] = Counter()


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


def watch(system: Imager) -> None:
    """Let the parts of a system of graphs be timed."""
    eye, heard = system.detector, system.hearing.ear.network
    assert isinstance(eye, GraphDetector) and isinstance(heard, GraphSeld)
    latents: Any = system.front_end._latents
    for owner, names in (
        (front_end, {"visibility": "covariances", "closure": "gates", "diffuseness": "gates"}),
        (latents, {"_lift": "UpLAM: to 32 channels", "_map": "UpLAM: to maps"}),
        (uplam, {"positive_part": "UpLAM: eigenvectors"}),
        (imager, {"rgb_planes": "pictures: to floats", "candidate_table": "eye: table"}),
        (eye, {"_propose": "eye: features, proposals", "_canvas": "eye: latents to canvas"}),
        (eye, {"_classify": "eye: classes and boxes", "_measure": "eye: energy, distance"}),
        (detector, dict.fromkeys(("proposals", "best_labelled", "on_cylinder"), "eye: overlaps")),
        (ear, {"inputs": "ear: spectra, covariances", "expit": "ear: averages"}),
        (heard, {"_know": "ear: prior", "_tell": "ear: network", "_locate": "ear: maps"}),
        (hearing, {"fuse": "fusion"}),
        (imager, {"decide": "masks"}),
        (draw, {"write_overlay": "overlay video"}),
    ):
        for name, part in names.items():
            setattr(owner, name, timed(part, getattr(owner, name)))
    for module, name, part in (
        (imager, "open_video", "pictures: decoding"),
        (hearing, "candidates", "ear: peaks to table"),
    ):
        setattr(module, name, timed_steps(part, getattr(module, name)))


def main() -> None:
    """Print the table."""
    (sound,) = DEMO.glob("*.wav")
    recording, video = open_recording(sound), sound.with_suffix(".mp4")
    system = Imager(threads=1, device="cpu")
    for _ in system.sensed(recording, video, "both"):  # what is made once only is not counted
        pass
    watch(system)
    provenance = provenance_of(recording, video, digests(system.weights), system.default_system)
    with tempfile.TemporaryDirectory() as folder:
        start = process_time()
        image_recording(system, recording, video, Path(folder), provenance)
        whole = process_time() - start
    print(f"{'part':28s} ms a frame")
    for part, seconds in spent.items():
        print(f"{part:28s} {1e3 * seconds / recording.frames:8.2f}")
    rest = whole - sum(spent.values())
    print(f"{'all else':28s} {1e3 * rest / recording.frames:8.2f}")
    print(f"{'together':28s} {1e3 * whole / recording.frames:8.2f}")


if __name__ == "__main__":
    main()
