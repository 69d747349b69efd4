"""How many times a second a browser draws the live page: ``python -m benchmarks.live_page``.

Headless Chromium with software rendering, pictures of 1920 x 960 and heat coming ten times a
second, drawn again as often as the browser can. The processor time of the browser's graphics
process a frame says what a machine that does nothing else would reach; the rate on a busy one does
not. Of that time the panorama's own is measured without the page around it, which the browser puts
together anew for each frame, in full resolution and without new pictures.
"""

from __future__ import annotations

import argparse
import threading
import time

import numpy as np
import psutil
from playwright.sync_api import sync_playwright
from tests.chromium import chromium
from tests.live.synthetic import frame_at, picture_at

from saiseld.live.page import serve

SIZES = ((1280, 860), (1920, 1080))
DRAW_ALWAYS = """() => {
  const again = () => { saiseld.view.dirty = true; requestAnimationFrame(again); };
  again();
}"""
DRAW_ALONE = """times => {
  const { view } = saiseld, gl = view.canvas.getContext('webgl2');
  for (let i = 0; i < times; i++) view.draw();
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
}"""
ALONE = 50


def graphics_seconds() -> float:
    """Return the processor time so far of the graphics process of a browser begun by this one."""
    for process in psutil.Process().children(recursive=True):
        if any("--type=gpu-process" in word for word in process.cmdline()):
            used = process.cpu_times()
            return used.user + used.system
    raise SystemExit("the browser has no graphics process")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.live_page")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    picture = picture_at(30, 10, width=1920)
    picture[..., 1] = np.random.default_rng(0).integers(0, 60, picture.shape[:2])
    over = threading.Event()

    def feed(page) -> None:
        number = 0
        while not over.wait(0.1):
            page.show(frame_at(number, 30 + number % 60, 10, picture=picture))
            number += 1

    print("| window | view | panorama, CPU ms a frame | with the page | frames/s | pixels |")
    print("|---|---|---:|---:|---:|---|")
    with serve(port=0) as page, sync_playwright() as started:
        browser = chromium(started)
        feeder = threading.Thread(target=feed, args=(page,))
        feeder.start()
        for width, height in SIZES:
            tab = browser.new_page(viewport={"width": width, "height": height})
            tab.set_default_timeout(120_000)
            tab.goto(page.url)
            tab.wait_for_selector("#boxes input", state="attached")
            while not tab.evaluate("saiseld.view.pictured"):
                tab.wait_for_timeout(100)
            alone = []
            for flat in (False, True):
                tab.evaluate("flat => { saiseld.view.flat = flat; }", flat)
                used = graphics_seconds()
                tab.evaluate(DRAW_ALONE, ALONE)
                alone.append(1000 * (graphics_seconds() - used) / ALONE)
            tab.evaluate(DRAW_ALWAYS)
            for flat in (False, True):
                tab.evaluate("flat => { saiseld.view.flat = flat; }", flat)
                tab.wait_for_timeout(1000)
                begun, used = time.monotonic(), graphics_seconds()
                drawn = tab.evaluate("saiseld.drawn")
                tab.wait_for_timeout(1000 * options.seconds)
                frames = tab.evaluate("saiseld.drawn") - drawn
                rate = frames / (time.monotonic() - begun)
                cost = 1000 * (graphics_seconds() - used) / max(frames, 1)
                canvas = "saiseld.view.canvas"
                size = tab.evaluate(f"{canvas}.width + ' x ' + {canvas}.height")
                view = "flat" if flat else "sphere"
                print(
                    f"| {width} x {height} | {view} | {alone[flat]:.0f} | {cost:.0f} "
                    f"| {rate:.1f} | {size} |",
                    flush=True,
                )
            tab.close()
        over.set()
        feeder.join()
        browser.close()


if __name__ == "__main__":
    main()
