"""From a stored panorama (JPEG, PNG or OpenEXR) to an RGB picture of one size."""

from __future__ import annotations

import base64
import binascii

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saiseld.data.pictures import read_picture
from saiseld.runtime.errors import DataError

SIZE = (1024, 512)
"""Width and height of every picture."""

LUMINANCE = (0.2126, 0.7152, 0.0722)
MIDDLE_GREY = 0.18


def decode_panorama(name: str, content: bytes) -> Image.Image:
    """Return an equirectangular picture, 8-bit sRGB, of `SIZE`.

    ``.exr.js`` is a JavaScript module whose only text is an OpenEXR file in base64.

    Raises
    ------
    DataError
        If the file cannot be decoded or is not twice as wide as high.
    """
    try:
        if name.endswith(".exr.js"):
            encoded = content.partition(b"base64,")[2].partition(b"'")[0]
            picture = Image.fromarray(tone_map(_decode_exr(base64.b64decode(encoded))))
        elif name.endswith(".exr"):
            picture = Image.fromarray(tone_map(_decode_exr(content)))
        else:
            picture = read_picture(content, DataError, name)
    except (
        av.FFmpegError,
        binascii.Error,
        OSError,
        ValueError,
    ) as error:
        raise DataError(name, expected="a readable picture", found=str(error)) from error
    if picture.width != 2 * picture.height:
        found = f"{picture.width} x {picture.height}"
        raise DataError(name, expected="a picture twice as wide as high", found=found)
    return picture.resize(SIZE, Image.Resampling.LANCZOS)


def _decode_exr(content: bytes) -> NDArray[np.float32]:
    """Return linear RGB, shape (height, width, 3)."""
    frames = av.CodecContext.create("exr", "r").decode(av.Packet(content))
    frame = frames[0] if frames else None
    sample = {"gbrpf16le": "<f2", "gbrpf32le": "<f4"}.get(frame.format.name if frame else "")
    if not isinstance(frame, av.VideoFrame) or sample is None:
        raise ValueError(f"no OpenEXR frame of three floating-point planes ({frame})")
    green, blue, red = (
        np.frombuffer(memoryview(plane), sample).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    )
    return np.nan_to_num(np.stack([red, green, blue], axis=-1).astype(np.float32), posinf=6e4)


def tone_map(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return 8-bit sRGB of linear light: log-mean luminance to middle grey, highlights compressed.

    Reinhard2002, equations 1 to 3.
    """
    # Small panoramas ring to below zero about their lamps; black rings are seen, grey ones are not.
    light = np.abs(linear)
    log_mean = np.exp(np.mean(np.log(light @ np.array(LUMINANCE) + 1e-4)))
    scaled = light * (MIDDLE_GREY / log_mean)
    display: NDArray[np.float32] = 255 * (scaled / (1 + scaled)) ** (1 / 2.2)
    return display.round().astype(np.uint8)
