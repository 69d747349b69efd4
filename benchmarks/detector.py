"""The detector's saved work against everything on, paper size; the compact size's frame time.

Both sides see the same batches, so that sums run in the same order; weights are random. Run with
two threads: ``OMP_NUM_THREADS=2 python -m benchmarks.detector``.
"""

from __future__ import annotations

from time import perf_counter

import torch

from saiseld.decision.emission import emission_points
from saiseld.decision.selection import emittable, select
from saiseld.detector.detect import detect_frames
from saiseld.detector.model import Detector
from saiseld.formats.candidates import Candidates

FRAMES, BATCH, ROUNDS = 8, 4, 3


def main() -> None:
    torch.manual_seed(0)
    rgb = torch.randint(0, 256, (FRAMES, 3, 180, 360), dtype=torch.uint8)
    latent = torch.rand(FRAMES, 9, 484)
    paper = random_detector("paper")
    seconds: dict[str, list[float]] = {"everything": [], "saved": []}
    for _ in range(ROUNDS):  # in turns, so that a busy machine slows both
        start = perf_counter()
        for part in range(0, FRAMES, BATCH):
            rows = slice(part, part + BATCH)
            paper.detect(rgb[rows], latent[rows], full_energy=True)
        seconds["everything"].append(perf_counter() - start)
        start = perf_counter()
        saved = _table(paper, rgb, latent, save=True)
        seconds["saved"].append(perf_counter() - start)
    everything = _table(paper, rgb, latent, save=False)
    everything_ms, saved_ms = (1e3 * min(s) / FRAMES for s in seconds.values())
    print(f"paper size, everything on: {everything_ms:.0f} ms a frame")
    print(f"paper size, saved work:    {saved_ms:.0f} ms a frame, {everything_ms / saved_ms:.2f} x")
    for cap in (1, 3):
        print(f"masks at cap {cap} identical: {_masks(everything, cap) == _masks(saved, cap)}")
    compact = random_detector("compact")
    compact_seconds = []
    for _ in range(2 * ROUNDS):
        start = perf_counter()
        _table(compact, rgb, latent, save=True)
        compact_seconds.append(perf_counter() - start)
    print(f"compact size: {1e3 * min(compact_seconds) / FRAMES:.1f} ms a frame")


def random_detector(size: str) -> Detector:
    """Return a detector of random weights whose candidates are scored as a trained one's are."""
    detector = Detector(size, "official").eval()  # type: ignore[arg-type]
    heads = detector.det.roi_heads
    heard: list[torch.Tensor] = []
    hook = heads.box_head.register_forward_hook(lambda *call: heard.append(call[-1]))
    detector.detect(torch.rand(1, 3, 180, 360), torch.rand(1, 9, 484))
    hook.remove()
    # Random features are of any size: logits of unit spread and a classifier that is sure of
    # background nearly everywhere give the low scores that a trained detector's candidates have.
    predictor = heads.box_predictor.cls_score
    torch.nn.init.normal_(predictor.weight, std=1 / float(heard[0].norm(dim=1).mean()))
    predictor.bias.data[0] = 4.0
    return detector


def _table(detector: Detector, rgb: torch.Tensor, latent: torch.Tensor, save: bool) -> Candidates:
    parts = (torch.split(latent, BATCH), torch.split(rgb, BATCH))
    batches = ((one.numpy(), two.numpy()) for one, two in zip(*parts, strict=True))
    keep = emittable if save else None
    return detect_frames(detector, "benchmark", batches, keep=keep)


def _masks(table: Candidates, cap: int) -> list[object]:
    chosen = table.take(select(table.score, table.frame, table.class_id, cap))
    points = [emission_points(chosen, emission) for emission in ("grid7", "sparse", "blob")]
    columns = (chosen.frame, chosen.class_id, chosen.score, chosen.distance_cm)
    return [[column.tolist() for column in columns], [[p.tolist() for p in e] for e in points]]


if __name__ == "__main__":
    main()
