"""What a notebook shows of a result: a picture, and HTML with a table."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saiseld.formats.sound_events import SoundEvents

_WIDTH = 720
_QUALITY = 80


class Picture(np.ndarray[Any, np.dtype[np.uint8]]):
    """An RGB picture (h, w, 3), uint8, that a notebook shows as one."""

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Picture:
        """Return an array (h, w, 3) as a picture."""
        return pixels.view(cls)

    def __repr__(self) -> str:
        if self.ndim != 3:
            return super().__repr__()
        return f"Picture({self.shape[1]} x {self.shape[0]})"

    def _repr_png_(self) -> bytes | None:
        if self.ndim != 3 or self.shape[2] != 3:
            return None
        return _encoded(np.asarray(self), "PNG")


def prediction_html(summary: str, picture: NDArray[np.uint8], events: SoundEvents) -> str:
    """Return a line of text, a small picture and the table of the events as HTML.

    Parameters
    ----------
    summary
        Plain text.
    picture
        (h, w, 3) RGB.
    events
        Of the recording.
    """
    data = b64encode(_encoded(picture, "JPEG")).decode()
    image = (
        f'<img alt="{escape(summary)}" style="max-width:100%" width="{_WIDTH}" '
        f'src="data:image/jpeg;base64,{data}">'
    )
    return f"<div><p>{escape(summary)}</p>{image}{events.to_html()}</div>"


def _encoded(picture: NDArray[np.uint8], kind: str) -> bytes:
    file = BytesIO()
    image = Image.fromarray(picture)
    if kind == "JPEG" and image.width > _WIDTH:
        image = image.resize((_WIDTH, round(image.height * _WIDTH / image.width)))
    image.save(file, kind, quality=_QUALITY)
    return file.getvalue()
