"""Videos as arrays on disk: decoded once, then read through a memory map, frame by frame.

Exact 8-bit frames, 194 kB each, kept by the video's content (`saiseld.runtime.cache`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saiseld.conventions.sphere import HEIGHT, WIDTH
from saiseld.data.video import IMAGENET_MEAN, Scaling, open_video
from saiseld.runtime.cache import cached
from saiseld.runtime.errors import DataError, VideoError
from saiseld.runtime.limits import Limit

MISSING_RGB = np.round(255 * np.array(IMAGENET_MEAN)).astype(np.uint8)
"""Colour of a frame that is not there, the ImageNet mean in 8 bits; see `float_planes`."""

CACHED_FRAMES = Limit("cached_frames", 72_000)
"""Frames of a video that are kept decoded: two hours, 14 GB."""

_SHAPE = (-1, 3, HEIGHT, WIDTH)


_SUFFIX: dict[Scaling, str] = {"bicubic": ".rgb", "bilinear": ".bilinear.rgb"}


def video_array(
    video: str | Path, cache: str | Path, scaling: Scaling = "bicubic"
) -> NDArray[np.uint8]:
    """Return a video as (frames, 3, 180, 360), decoded only if the cache folder lacks it.

    Raises
    ------
    VideoError
        If it cannot be read.
    """
    video = Path(video)
    return cached(
        cache, video, _SUFFIX[scaling], lambda entry: _decode(video, entry, scaling), _read
    )


def float_planes(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (n, 3, 180, 360) 8-bit frames in [0, 1]; a missing one is the ImageNet mean itself.

    So a network is trained with what it gets of `saiseld.data.video.rgb_planes` later.
    """
    planes: NDArray[np.float32] = np.divide(rgb, 255, dtype=np.float32)
    missing = (rgb == MISSING_RGB[:, None, None]).all(axis=(1, 2, 3))
    planes[missing] = np.array(IMAGENET_MEAN, np.float32)[:, None, None]
    return planes


def missing_frame() -> NDArray[np.uint8]:
    """Return the picture (3, 180, 360) that stands for a missing one."""
    return np.broadcast_to(MISSING_RGB[:, None, None], (3, HEIGHT, WIDTH)).copy()


def _decode(video: Path, entry: Path, scaling: Scaling) -> None:
    with entry.open("wb") as file:
        for number, frame in enumerate(open_video(video, scaling=scaling), start=1):
            CACHED_FRAMES.check(number, VideoError, video)
            planes = missing_frame() if frame is None else frame.transpose(2, 0, 1)
            file.write(planes.tobytes())


def _read(entry: Path) -> NDArray[np.uint8]:
    try:
        return np.memmap(entry, np.uint8, "r").reshape(_SHAPE)
    except ValueError as error:
        raise DataError(entry, expected="whole frames", found=str(error)) from error
