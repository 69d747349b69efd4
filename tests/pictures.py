"""Pictures whose every byte is chosen: a frame that is only allocated holds what memory held."""

from __future__ import annotations

import av
import numpy as np


def black(width: int, height: int) -> av.VideoFrame:
    """Return a black frame in YUV 4:2:0."""
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    planes[:height] = 16
    return av.VideoFrame.from_ndarray(planes, "yuv420p")
