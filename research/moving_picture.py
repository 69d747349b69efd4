"""Make README's moving picture from the overlay video of the packaged scene.

saiseld demo -o demo
python -m research.moving_picture demo/*.overlay.mp4 -o docs/images/demo.webp
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

import av
from PIL import Image

from saiseld.runtime.files import write_bytes

EVERY = 2
"""Frames of the video from one to the next: 5 a second."""


def moving_picture(video: Path, width: int, quality: int) -> bytes:
    """Return an animated WebP of a video, that begins again when it ends."""
    with av.open(str(video)) as container:
        frames = [
            frame.to_image() for n, frame in enumerate(container.decode(video=0)) if n % EVERY == 0
        ]
        rate = float(container.streams.video[0].average_rate or 10)
    height = round(frames[0].height * width / frames[0].width)
    small = [frame.resize((width, height), Image.Resampling.LANCZOS) for frame in frames]
    content = BytesIO()
    small[0].save(
        content,
        "WEBP",
        save_all=True,
        append_images=small[1:],
        duration=round(1000 * EVERY / rate),
        loop=0,
        quality=quality,
        method=4,
    )
    return content.getvalue()


def main() -> None:
    """Write the picture and print its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--width", type=int, default=1100)
    parser.add_argument("--quality", type=int, default=60)
    chosen = parser.parse_args()
    content = moving_picture(chosen.video, chosen.width, chosen.quality)
    write_bytes(chosen.output, content)
    print(f"{chosen.output}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
