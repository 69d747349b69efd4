"""Pictures that others made: PNG and JPEG only, and no larger than asked for.

Pillow opens some forty formats, and hands one of them to another program that runs it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from saiseld.runtime.errors import InputError, refusing
from saiseld.runtime.limits import Limit

PIXELS = Limit("pixels", 1 << 26)
"""Pixels of a picture: 11,585 x 5,792."""

VIDEO_PIXELS = Limit("video_pixels", 1 << 25)
"""Pixels of a frame of a video: 8,192 x 4,096. A decoder holds up to 17 of them.

Those of 8 bits in 4:2:0; a pixel that takes more counts for more.
"""

MOST_SCANS = 100
"""Of a JPEG; writers of progressive ones make about ten."""

_SCAN = b"\xff\xda"


def read_picture(
    source: Path | bytes, kind: type[InputError], name: str | Path = ""
) -> Image.Image:
    """Return a PNG or JPEG in 8-bit RGB, upright as its EXIF orientation says.

    Parameters
    ----------
    source
        The file, or its content.
    kind
        Of the error where it is anything else, damaged, or larger than `PIXELS`.
    name
        What the error calls it; the file by default.
    """
    name = name or (source if isinstance(source, Path) else "picture")
    with (
        refusing(kind, name, "a PNG or JPEG picture"),
        io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
        Image.open(file, formats=("PNG", "JPEG")) as picture,
    ):
        PIXELS.check(picture.width * picture.height, kind, name)
        if picture.format == "JPEG":
            _check_scans(file, kind, name)
        return _in_eight_bits(ImageOps.exif_transpose(picture)).convert("RGB")


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    """Return a picture of 16-bit grey in 8 bits, which Pillow would clip; others as they are."""
    if not picture.mode.startswith("I"):
        return picture
    grey = np.asarray(picture)
    if grey.dtype != np.uint16:
        grey = np.clip(grey, 0, 65535).astype(np.uint16)
    return Image.fromarray((grey >> 8).astype(np.uint8))


def _check_scans(file: BinaryIO, kind: type[InputError], name: str | Path) -> None:
    """Refuse a JPEG that goes over its pixels again and again: an empty scan is some bytes."""
    place, scans, last = file.tell(), 0, b""
    file.seek(0)
    while part := file.read(1 << 20):
        scans += (last + part).count(_SCAN)
        last = part[-1:]
    file.seek(place)
    if scans > MOST_SCANS:
        raise kind(name, place="scans", expected=f"at most {MOST_SCANS}", found=str(scans))
