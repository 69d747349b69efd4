"""The decision's cost and its guarantees, on made-up candidates.

Run: ``python -m benchmarks.decision [--recordings 24] [--frames 300] [--jobs 2]``.

1. 10^5 candidates (1000 frames of 100) to the four systems' JSON: seconds, peak memory; and the
   matchability features against their slow form, in the same run.
2. ``saiseld table1`` over as many recordings as asked, labels drawn before.
3. The guarantee of a threshold: how often the risk on the remaining recordings exceeds alpha, over
   1000 random splits of 400 recordings.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from tests.reference.perturbed_labels import perturbed
from tests.reference.slow_features import slow_features

from saiseld.decision.detection_features import detection_features
from saiseld.decision.matchability import Matchability, example_rows, examples, fit
from saiseld.decision.risk import Goal, losses, safe_thresholds
from saiseld.decision.selection import emittable
from saiseld.decision.systems import PUBLISHED, DecisionModels
from saiseld.evaluation.corpus import labels_of
from saiseld.evaluation.matched import MatchedRecording
from saiseld.formats.annotation import write_annotations
from saiseld.formats.candidates import MAP_SIZE, Candidates, candidate_files, write_candidates
from saiseld.pipeline.emit import emit_recording
from saiseld.table1.table import MEASURED_SYSTEMS, table1
from saiseld.training.matchability.development import measure_all


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recordings", type=int, default=24)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        hundred_thousand(Path(folder))
        recordings = table_one(Path(folder), arguments)
    coverage(recordings)


def crowded(seed: int, recording: str, frames: int, crowd: int) -> Candidates:
    """Return made-up candidates with ``crowd`` a frame, mapped as the detector maps them."""
    table, _ = perturbed(seed, recording, frames=frames)
    rng = np.random.default_rng(seed)
    count = frames * crowd - len(table)
    frame = np.concatenate([table.frame, np.resize(np.arange(frames, dtype=np.int32), count)])
    order = np.argsort(frame, kind="stable")
    corner = rng.uniform([0, 10], [330, 140], (count, 2))
    box = np.concatenate([table.box, np.hstack([corner, corner + 38]).astype(np.float32)])[order]
    score = np.concatenate([table.score, rng.uniform(0.01, 0.3, count).astype(np.float32)])[order]
    class_id = np.concatenate([table.class_id, rng.integers(0, 13, count, dtype=np.int8)])[order]
    has_map = np.concatenate(
        [
            emittable(score[k : k + crowd], class_id[k : k + crowd])
            for k in range(0, len(order), crowd)
        ]
    )
    maps = rng.random((len(order), MAP_SIZE, MAP_SIZE), np.float32).astype(np.float16)
    first = np.flatnonzero(order < len(table))
    maps[first] = table.energy_map
    zeros = np.zeros(len(order), np.float32)
    return Candidates(
        recording=recording,
        frames=frames,
        frame=frame[order],
        class_id=class_id,
        score=score,
        box=box,
        azimuth=zeros,
        elevation=zeros,
        distance_cm=zeros + 150,
        has_map=has_map,
        energy_map=maps * has_map[:, None, None],
        closure=zeros,
        diffuseness=zeros,
        matchability=zeros + np.nan,
    )


def hundred_thousand(folder: Path) -> None:
    table = crowded(0, "fold4_room0_mix001", frames=1000, crowd=100)
    write_candidates(folder / "fold4_room0_mix001.candidates.parquet", table)
    rng = np.random.default_rng(0)
    known = examples(table, rng.random(len(table)), example_rows(table, "emittable"))
    fit(known, recordings=[]).save(folder / "m.skops")
    few = table.take(table.frame < 5)
    started = perf_counter()
    slow = slow_features(few)
    slow_seconds = (perf_counter() - started) / len(few)
    started = perf_counter()
    fast = detection_features(table)
    fast_seconds = (perf_counter() - started) / len(table)
    np.testing.assert_allclose(fast[: len(few)], slow, rtol=1e-3, atol=1e-4)
    print(
        f"features: {1e6 * fast_seconds:.1f} us a candidate, {slow_seconds / fast_seconds:.0f} "
        f"times as fast as one at a time ({1e6 * slow_seconds:.0f} us)"
    )
    # A process of its own, so that its peak memory is its own.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        seconds, before, peak, sizes = pool.submit(emit_four, folder).result()
    print(
        f"{len(table)} candidates to four systems' JSON: {seconds}, {peak:.0f} MB peak "
        f"({before:.0f} MB before), largest file {max(sizes) / 1e6:.1f} MB"
    )


def emit_four(folder: Path) -> tuple[str, float, float, list[int]]:
    before, clock = peak_megabytes(), Clock()
    systems = {one: folder / one.name for one in PUBLISHED if one.name.startswith("TASK3B")}
    model = Matchability.load(folder / "m.skops")
    models = DecisionModels(None, model)
    sizes = emit_recording(folder / "fold4_room0_mix001.candidates.parquet", systems, models)
    return str(clock), before, peak_megabytes(), list(sizes.values())


def peak_megabytes() -> float:
    """Return the largest resident size of this process so far (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1]) / 1024


class Clock:
    """Seconds since it was made, on the wall and of processors (children that ended included)."""

    def __init__(self) -> None:
        self.wall, self.cpu = perf_counter(), sum(os.times()[:4])

    def __str__(self) -> str:
        wall, cpu = perf_counter() - self.wall, sum(os.times()[:4]) - self.cpu
        return f"{wall:.1f} s ({cpu:.1f} s of CPU)"


def table_one(folder: Path, arguments: argparse.Namespace) -> list[MatchedRecording]:
    for index in range(arguments.recordings):
        name = f"fold4_room{index % 6}_mix{index:03d}"
        table, labels = perturbed(index, name, frames=arguments.frames)
        write_candidates(folder / "candidates" / f"{name}.candidates.parquet", table)
        write_annotations(folder / "labels" / f"{name}_std.json", labels)
    tables = candidate_files(folder / "candidates")
    labels = labels_of(tables, folder / "labels")
    seconds = []
    for state in ("empty", "warm"):
        started, clock = perf_counter(), Clock()
        recordings = measure_all(
            tables, labels, MEASURED_SYSTEMS, folder / "cache", jobs=arguments.jobs
        )
        measured = perf_counter() - started
        found = table1(recordings, data="made up", jobs=arguments.jobs)
        seconds.append(perf_counter() - started)
        print(
            f"table1, {len(recordings)} recordings of {arguments.frames} frames, {state} cache: "
            f"{clock}, {measured:.0f} s of it to draw and match"
        )
    print(f"a warm cache takes {seconds[1] / seconds[0]:.2f} of the time of an empty one")
    raw, ranked = found.rows[2], found.rows[4]
    print(f"macro mAP, cap 1: {raw.mAP.value:.4f} raw, {ranked.mAP.value:.4f} matchability")
    return [recording.matched["TASK3B_4"] for recording in recordings]


def coverage(recordings: list[MatchedRecording]) -> None:
    """Print how often a guarantee fails, on resampled halves of the recordings."""
    rng = np.random.default_rng(0)
    many = [drawn(recordings, rng) for _ in range(400)]
    print("risk control, 1000 splits into 40 to calibrate on and 360 to look at, delta 0.1:")
    for risk, alphas in (("fdr", (0.7, 0.8)), ("miss", (0.5, 0.7))):
        loss = losses(many, risk)
        for alpha in alphas:
            goal = Goal(risk, alpha)
            met, failed, seen = 0, 0, []
            for _ in range(1000):
                order = rng.permutation(len(loss))
                safe = safe_thresholds(loss[order[:40]], goal)
                if len(safe):
                    met += 1
                    seen.append(loss[order[40:], safe[-1]].mean())
                    failed += seen[-1] > alpha
            print(
                f"  {risk}={alpha}: met in {met} splits, exceeded in {failed} "
                f"({failed / 1000:.1%}), mean risk {np.mean(seen) if seen else np.nan:.3f}"
            )


def drawn(recordings: list[MatchedRecording], rng: np.random.Generator) -> MatchedRecording:
    """Return a recording with a random 60 of another's masks and scores of its own quality."""
    source = recordings[rng.integers(len(recordings))]
    rows = rng.choice(len(source.score), min(60, len(source.score)), replace=False)
    score = np.clip(source.score[rows] * rng.uniform(0.6, 1.4), 0, 1)
    truths = np.unique(source.same_class_truth[rows])
    return replace(
        source,
        truths=replace(
            source.truths,
            **{
                k: getattr(source.truths, k)[: len(truths)]
                for k in ("frame", "class_id", "azimuth", "elevation")
            },
        ),
        score=score,
        same_class_iou=source.same_class_iou[rows],
        same_class_truth=source.same_class_truth[rows],
    )


if __name__ == "__main__":
    main()
