"""The scorer against a serial loop like the official one, on a simulated dev-test.

Run: ``python -m benchmarks.evaluation [--recordings 16] [--frames 300] [--jobs 2]``. Four systems
(two rankings x two caps, nine points a mask) are scored against dense labels (several hundred
points a mask): by the loop, which draws every mask of every system with a ``griddata`` call of its
own; by `saiseld.evaluation` with an empty cache; and again with the labels drawn. All scores must
be equal to the last digit. Before that one small file, the packaged demo with one system: by the
loop, and with an empty cache, the middle of seven runs each. With ``--label-megabytes 400`` it
measures the peak memory of scoring one large label file instead.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeVar

import msgspec
import numpy as np
from tests.reference.evaluation import evaluate as evaluate_serially
from threadpoolctl import threadpool_limits

from saiseld.conventions.taxonomy import NUM_CLASSES
from saiseld.evaluation import Scores, evaluate, evaluate_systems
from saiseld.formats.annotation import EnergyMask
from saiseld.pipeline.weights import DEMO

T = TypeVar("T")
COLUMNS, ROWS = np.meshgrid(np.arange(-24, 25), np.arange(-24, 25))
SYSTEMS = ("raw-cap1", "raw-cap3", "ranked-cap1", "ranked-cap3")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recordings", type=int, default=16)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--label-megabytes", type=int)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        if options.label_megabytes:
            measure_memory(Path(folder), options.label_megabytes)
        else:
            measure_demo(Path(folder))
            measure_time(Path(folder), options.recordings, options.frames, options.jobs)


def measure_time(folder: Path, recordings: int, frames: int, jobs: int) -> None:
    points = [
        write_recording(folder, f"fold4_room{n}_mix001", frames, np.random.default_rng(n))
        for n in range(recordings)
    ]
    masks = sum(len(p) for p in points)
    print(
        f"{recordings} recordings x {frames} frames, {masks} label masks of "
        f"{np.concatenate(points).mean():.0f} points, {len(SYSTEMS)} systems"
    )
    labels = folder / "labels"
    systems = {name: folder / name for name in SYSTEMS}

    with threadpool_limits(1):  # which the loop needs as much: see `render_masks`
        serial, expected = measured(
            "serial loop",
            lambda: {n: evaluate_serially(read(p), read(labels)) for n, p in systems.items()},
        )
    for what in ("cold", "warm"):
        seconds, scores = measured(
            f"saiseld, {jobs} jobs, {what} cache",
            lambda: evaluate_systems(systems, labels, jobs=jobs, cache=folder / "cache"),
        )
        for name in SYSTEMS:
            check(scores[name], expected[name])
        print(f"{'':27}{serial / seconds:7.1f} x, every score equal to the last digit")


def measure_demo(folder: Path) -> None:
    """Time both on the demo's labels and nine points for each, in turns."""
    rng = np.random.default_rng(0)
    labels, predictions = read(DEMO), folder / "demo"
    predictions.mkdir()
    for recording, masks in labels.items():
        guesses = []
        for mask in (m for m in masks if m.segmentation):
            at = np.concatenate(mask.segmentation)[:, :2].mean(axis=0)
            guesses.append(grid(mask.frame, mask.class_id, *at, rng.random(), rng))
        name = f"{recording.removesuffix('_std')}.json"
        (predictions / name).write_bytes(msgspec.json.encode({"annotations": guesses}))

    def by_loop() -> dict:
        true = {name.removesuffix("_std"): masks for name, masks in read(DEMO).items()}
        with threadpool_limits(1):
            return evaluate_serially(read(predictions), true)

    turns = []
    for turn in range(7):
        start = perf_counter()
        expected = by_loop()
        between = perf_counter()
        scores = evaluate(predictions, DEMO, cache=folder / f"demo-cache-{turn}")
        turns.append((between - start, perf_counter() - between))
        check(scores, expected)
    serial, ours = np.median(turns, axis=0)
    ratio = np.median([a / b for a, b in turns])
    print(
        f"demo, one system: serial loop {serial:.2f} s, saiseld with a cold cache {ours:.2f} s, "
        f"{ratio:.2f} x, every score equal to the last digit"
    )


def measured(what: str, work: Callable[[], T]) -> tuple[float, T]:
    """Return wall seconds and result; print them with the processor seconds of all processes."""
    start, before = perf_counter(), os.times()
    result = work()
    seconds, after = perf_counter() - start, os.times()
    processor = sum(after[:4]) - sum(before[:4])
    print(f"{what:27}{seconds:7.1f} s ({processor:.1f} s of processor time)", flush=True)
    return seconds, result


def check(ours: Scores, theirs: dict) -> None:
    micro = theirs["micro"]
    assert list(ours.macro_ap) == theirs["macro_ap"]
    assert ours.macro_mAP == theirs["macro_mAP"]
    assert ours.macro_pearson_r == theirs["macro_r"]
    assert (list(ours.micro.ap), ours.micro.pearson_r) == (micro["ap"], micro["r"])
    for class_id, expected in theirs["per_class"].items():
        found = ours.per_class[class_id]
        assert (found.n_gt, found.n_det) == (expected["n_gt"], expected["n_det"])
        assert list(found.ap) == expected["ap"]
        assert found.pearson_n == 0 or found.pearson_r == expected["r"]


def read(folder: Path) -> dict[str, list[EnergyMask]]:
    return {
        path.stem: [
            EnergyMask(
                a["metadata_frame_index"],
                a["instance_id"],
                a["category_id"],
                tuple(np.array(blob) for blob in a["segmentation"]),
                score=a.get("score"),
            )
            for a in json.loads(path.read_text())["annotations"]
        ]
        for path in sorted(folder.glob("*.json"))
    }


def measure_memory(folder: Path, megabytes: int) -> None:
    rng = np.random.default_rng(0)
    label, prediction = folder / "labels" / "take.json", folder / "predictions" / "take.json"
    for path in (label, prediction):
        path.parent.mkdir()
    frame = 0
    with label.open("wb") as file:
        file.write(b'{"annotations":[')
        while file.tell() < megabytes * 10**6:
            annotation = dense(frame, 0, frame % NUM_CLASSES, rng.uniform(30, 330), 90.0, rng)
            file.write((b"," if frame else b"") + msgspec.json.encode(annotation))
            frame += 1
        file.write(b"]}")
    guesses = [grid(f, f % 13, 90.0, 90.0, 0.5, rng) for f in range(5000)]
    prediction.write_bytes(msgspec.json.encode({"annotations": guesses}))
    # In a process of its own: the peak of this one holds what made the file.
    program = "import sys; from saiseld.evaluation import evaluate; evaluate(*sys.argv[1:3])"
    start = perf_counter()
    subprocess.run([sys.executable, "-c", program, prediction.parent, label.parent], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(
        f"label file of {label.stat().st_size / 1e6:.0f} MB, {frame} masks: peak "
        f"{peak / 1024:.0f} MiB, {perf_counter() - start:.0f} s"
    )


def write_recording(folder: Path, name: str, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Write a recording's labels and four systems' predictions; return its points a label mask."""
    annotations: dict[str, list[dict]] = {"labels": [], **{system: [] for system in SYSTEMS}}
    for instance, (first, last, class_id, x, y) in enumerate(events(frames, rng)):
        for frame in range(first, last):
            x, y = (x + rng.normal(0, 0.5)) % 360, float(np.clip(y + rng.normal(0, 0.3), 50, 130))
            annotations["labels"].append(dense(frame, instance, class_id, x, y, rng))
            guesses = []
            for rank in range(3):
                spread = 4 if rank == 0 else 30
                at = (x + rng.normal(0, spread)) % 360, np.clip(y + rng.normal(0, spread), 30, 150)
                guesses.append(grid(frame, class_id, *at, rng.random() / (rank + 1), rng))
            guesses.sort(key=lambda guess: -guess["score"])
            ranked = [{**guess, "score": rng.random() * guess["score"]} for guess in guesses]
            for system, masks in zip(
                SYSTEMS, (guesses[:1], guesses, ranked[:1], ranked), strict=True
            ):
                annotations[system].extend(masks)
    for kind, masks in annotations.items():
        (folder / kind).mkdir(exist_ok=True)
        (folder / kind / f"{name}.json").write_bytes(msgspec.json.encode({"annotations": masks}))
    return np.array([sum(map(len, m["segmentation"])) for m in annotations["labels"]])


def events(frames: int, rng: np.random.Generator) -> Iterator[tuple[int, int, int, float, float]]:
    """Yield (first frame, end, class, x, y) of about one and a half events at a time."""
    for first, last in ((0, frames), (frames // 4, 3 * frames // 4)):
        start = first
        while start < last:
            end = min(start + int(rng.integers(20, 80)), last)
            yield (
                start,
                end,
                int(rng.integers(NUM_CLASSES)),
                rng.uniform(0, 360),
                rng.uniform(50, 130),
            )
            start = end


def dense(
    frame: int, instance: int, class_id: int, x: float, y: float, rng: np.random.Generator
) -> dict:
    """A blob of pixels whose outline changes every frame, in two parts where the seam cuts it."""
    waves = np.cos(COLUMNS / 9), np.sin(ROWS / 7), np.cos((COLUMNS + ROWS) / 11), np.sin(ROWS / 5)
    wave = np.tensordot(rng.normal(0, 0.1, 4), waves, 1)
    energy = np.exp(-(COLUMNS**2 + ROWS**2) / 200) * (1 + wave)
    row, column = np.nonzero(energy > 0.3)
    pixels = np.stack(
        [int(x) + COLUMNS[row, column], int(y) + ROWS[row, column], energy[row, column]], axis=1
    ).round(6)
    outside = (pixels[:, 0] < 0) | (pixels[:, 0] >= 360)
    pixels[:, 0] %= 360
    parts = (pixels[~outside], pixels[outside])
    return {
        "metadata_frame_index": frame,
        "instance_id": instance,
        "category_id": class_id,
        "distance": 150.0,
        "segmentation": [part.tolist() for part in parts if len(part)],
    }


def grid(
    frame: int, class_id: int, x: float, y: float, score: float, rng: np.random.Generator
) -> dict:
    """Nine points of a box around (x, y)."""
    half = rng.uniform(10, 22, 2)
    points = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 2)
    points = np.column_stack([[x, y] + half * points, np.exp(-(points**2).sum(axis=1))])
    points[:, 0] %= 360
    return {
        "metadata_frame_index": frame,
        "instance_id": 0,
        "category_id": class_id,
        "distance": 150.0,
        "score": float(score),
        "segmentation": [points.round(4).tolist()],
    }


if __name__ == "__main__":
    main()
