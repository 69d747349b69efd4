"""How much faster the front end is than the same thing done frame by frame in float64.

Run: ``python -m benchmarks.front_end``. Both see the same noise and the same random weights; the
ratio of the best of three runs is printed with the largest difference between their images.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from tests.reference.front_end import latent_map

from saiseld.acoustics.covariance import visibility
from saiseld.acoustics.uplam import UpLAM
from saiseld.conventions.timebase import SAMPLES_PER_FRAME

FRAMES, REFERENCE_FRAMES, RUNS = 200, 50, 3


def main() -> None:
    torch.manual_seed(0)
    model = UpLAM(torch.float64).eval().requires_grad_(False)
    fast = UpLAM()
    fast.load_state_dict(model.state_dict())
    audio = np.random.default_rng(0).standard_normal((FRAMES * SAMPLES_PER_FRAME, 4))
    audio = audio.astype(np.float32)

    def batched() -> np.ndarray:
        with torch.inference_mode():
            return fast(torch.from_numpy(visibility(audio, dtype=np.complex64))).numpy()

    def frame_by_frame() -> np.ndarray:
        part = audio[: REFERENCE_FRAMES * SAMPLES_PER_FRAME].astype(float)
        return latent_map(part, model.state_dict())

    batched()
    slow_ms, expected = best_ms(frame_by_frame, REFERENCE_FRAMES)
    fast_ms, found = best_ms(batched, FRAMES)
    difference = found[:REFERENCE_FRAMES] - expected
    error = np.linalg.norm(difference) / np.linalg.norm(expected)
    print(f"frame by frame, float64: {slow_ms:.2f} ms a frame")
    print(f"batched, float32:        {fast_ms:.2f} ms a frame, relative difference {error:.1e}")
    print(f"ratio: {slow_ms / fast_ms:.1f}")


def best_ms(function: Callable[[], np.ndarray], frames: int) -> tuple[float, np.ndarray]:
    """Return the best of `RUNS` times in milliseconds a frame, and the result."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return 1000 * min(times) / frames, result


if __name__ == "__main__":
    main()
