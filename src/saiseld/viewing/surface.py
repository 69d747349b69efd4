"""What shapes are blended into: an RGB picture, or the planes of YUV 4:2:0 that videos take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

Alpha = NDArray[np.float32]


class Surface:
    """Planes of one picture, each of its full size or of half of its height and width.

    Parameters
    ----------
    planes
        (h, w) uint8 each, the first of full size; they are drawn into.
    encode
        Returns what a colour is in each plane.
    """

    def __init__(
        self, planes: Sequence[NDArray[np.uint8]], encode: Callable[[Colour], Sequence[float]]
    ) -> None:
        self.planes, self._encode = planes, encode

    @classmethod
    def rgb(cls, picture: NDArray[np.uint8]) -> Surface:
        """Return the surface of a (h, w, 3) RGB picture."""
        return cls([picture[..., channel] for channel in range(3)], lambda colour: colour)

    @classmethod
    def yuv(cls, picture: NDArray[np.uint8]) -> Surface:
        """Return the surface of a (h x 3 / 2, w) YUV 4:2:0 picture, as `yuv_of` returns it."""
        height, width = 2 * picture.shape[0] // 3, picture.shape[1]
        luminance, blue, red = np.split(
            picture.reshape(-1), [height * width, height * width * 5 // 4]
        )
        half = height // 2, width // 2
        planes = [luminance.reshape(height, width), blue.reshape(half), red.reshape(half)]
        return cls(planes, _yuv_colour)

    def blend(self, left: int, top: int, alpha: Alpha, colour: Colour) -> None:
        """Blend a colour in, as opaque as (h, w) ``alpha`` says; what lies outside is left out."""
        height, width = self.planes[0].shape
        inside = alpha[max(-top, 0) : height - top, max(-left, 0) : width - left]
        left, top = max(left, 0), max(top, 0)
        if not inside.size:
            return
        halved = None
        for plane, value in zip(self.planes, self._encode(colour), strict=True):
            share, x, y = inside, left, top
            if plane.shape[1] < width:
                halved = _halved(inside, left, top) if halved is None else halved
                share, x, y = halved, left // 2, top // 2
            part = plane[y : y + share.shape[0], x : x + share.shape[1]]
            part[...] = np.rint(part + share * (np.float32(value) - part))

    def text(
        self, place: tuple[float, float], text: str, size: int, anchor: str, colour: Colour
    ) -> None:
        """Write one line of text, ``anchor`` as of Pillow, from the nearest whole pixel on."""
        if text:
            letters, left, top = _letters(text.replace("\n", " "), size, anchor)
            self.blend(round(place[0]) + left, round(place[1]) + top, letters, colour)

    def line(
        self, start: tuple[float, float], end: tuple[float, float], opacity: float, colour: Colour
    ) -> None:
        """Draw a line of one pixel."""
        left, top = (int(min(pair)) for pair in zip(start, end, strict=True))
        size = tuple(int(max(pair)) - int(min(pair)) + 1 for pair in zip(start, end, strict=True))
        image = Image.new("L", cast("tuple[int, int]", size))
        ends = [(int(x) - left, int(y) - top) for x, y in (start, end)]
        ImageDraw.Draw(image).line(ends, 255)
        self.blend(left, top, np.asarray(image, np.float32) * np.float32(opacity / 255), colour)


def _halved(alpha: Alpha, left: int, top: int) -> Alpha:
    """Return the mean over the squares of two by two pixels that a part of a picture lies in."""
    (height, width), down, across = alpha.shape, top % 2, left % 2
    sides = (height + down + 1) // 2 * 2, (width + across + 1) // 2 * 2
    even = np.zeros(sides, np.float32)
    even[down : down + height, across : across + width] = alpha / 4
    return even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]


def _yuv_colour(colour: Colour) -> tuple[float, float, float]:
    """Return a colour in BT.601, limited range, as FFmpeg converts RGB."""
    red, green, blue = (channel / 255 for channel in colour)
    return (
        16 + 65.481 * red + 128.553 * green + 24.966 * blue,
        128 - 37.797 * red - 74.203 * green + 112.0 * blue,
        128 + 112.0 * red - 93.786 * green - 18.214 * blue,
    )


def yuv_of(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a (h, w, 3) RGB picture as (height x 3 / 2, width) YUV 4:2:0, of an even size."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    scaled = frame.reformat(*size, "yuv420p", interpolation="BICUBIC")
    return cast("NDArray[np.uint8]", scaled.to_ndarray())


@lru_cache(maxsize=2048)
def _letters(text: str, size: int, anchor: str) -> tuple[Alpha, int, int]:
    """Return a text's opacity, and where it begins from its anchor."""
    font = font_of(text, size)
    left, top, right, bottom = (round(side) for side in font.getbbox(text, anchor=anchor))
    image = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(image).text((-left, -top), text, 255, font, anchor)
    return np.asarray(image, np.float32) / np.float32(255), left, top


def font_of(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font that has a text's letters if the machine has one."""
    return font(size) if text.isascii() else _font_for(frozenset(text), size)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans."""
    return ImageFont.truetype(_dejavu(), size)


def _dejavu() -> Path:
    # Matplotlib brings it: Latin, Greek, Cyrillic and more, the same on every machine.
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@cache
def _font_for(letters: frozenset[str], size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, or the font of this machine that has most of the letters it lacks."""
    from matplotlib.font_manager import findSystemFonts, get_font

    def lacking(path: Path) -> int:
        try:
            glyphs = get_font(str(path)).get_charmap()
        except (OSError, RuntimeError):
            return len(letters)
        return sum(ord(letter) not in glyphs for letter in letters if not letter.isspace())

    if not lacking(_dejavu()):
        return font(size)
    fonts = [_dejavu(), *map(Path, sorted(findSystemFonts()))]
    return ImageFont.truetype(min(fonts, key=lacking), size)
