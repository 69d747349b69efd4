"""Real time: the packaged scene, looped, as `saiseld live` runs it.

    python -m benchmarks.live --minutes 30 --page
    python -m benchmarks.live --minutes 30 --page --ear-only
    python -m benchmarks.live --minutes 1 --precise

Latency is from a frame's last sample to when the stream knows it, to when it is shown (at an even
pace), and with ``--page`` to when headless Chromium has drawn it, in a small window with software
rendering, the screen itself not counted. Processor time is of the whole process, of one core, that
of the browser apart; memory what is resident. What was measured so far is printed every minute, and
kept in the file that ``--out`` says.
"""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import ConsoleMessage, Error, sync_playwright
from tests.chromium import chromium

from saiseld.live.arrays import ChannelMap
from saiseld.live.frames import LiveFrame
from saiseld.live.opening import SourceConfig, open_live
from saiseld.live.page import serve
from saiseld.live.session import MOST_BEHIND_S, SKIPS_BEHIND_S, run
from saiseld.live.stream import Stream
from saiseld.pipeline.engine import Latency
from saiseld.pipeline.imager import Imager
from saiseld.pipeline.weights import DEMO
from saiseld.runtime.files import write_bytes

WINDOW = {"width": 480, "height": 320}
ASKED_EVERY_S = 20.0
"""The page remembers a minute."""
MINUTE = 600
"""Frames."""
PART_S = 300
"""At the beginning and at the end, that memory is compared in."""
DRAWN_SINCE = """before => {
  const { timed, latencies } = saiseld, lost = Number(document.getElementById('lost').textContent);
  return [timed, timed > before ? latencies.slice(before - timed) : [], lost];
}"""


class Timed(Stream):
    """A stream that notes how late each frame is known."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.known: list[float] = []

    def push(self, *arguments: Any) -> list[LiveFrame]:
        """Note and return what is known."""
        frames = super().push(*arguments)
        now = monotonic()
        self.known += [now - frame.captured for frame in frames]
        return frames


class Browser(threading.Thread):
    """A browser that looks at a page; Playwright wants a thread of its own."""

    def __init__(self, url: str) -> None:
        super().__init__(name="browser")
        self._url, self._ready, self._over = url, threading.Event(), threading.Event()
        self.latencies: list[float] = []
        self.wrong: list[str] = []
        self.lost, self.share = 0, 0.0

    def run(self) -> None:
        """Look until it is over."""
        with sync_playwright() as started:
            browser = chromium(started)
            tab = browser.new_page(viewport=WINDOW)
            tab.on("pageerror", self._note_error)
            tab.on("console", self._note_said)
            tab.goto(self._url)
            tab.wait_for_selector("#boxes input", state="attached")
            self._ready.set()
            began, used = monotonic(), children_seconds()
            timed, is_over = 0, False
            while not is_over:
                is_over = self._over.wait(ASKED_EVERY_S)
                timed, latencies, self.lost = tab.evaluate(DRAWN_SINCE, timed)
                self.latencies += latencies
                self.share = (children_seconds() - used) / (monotonic() - began)
            browser.close()

    def _note_error(self, error: Error) -> None:
        self.wrong.append(str(error))

    def _note_said(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.wrong.append(said.text)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look as long as the block lasts."""
        self.start()
        try:
            while not self._ready.wait(0.1):
                if not self.is_alive():
                    raise SystemExit("the browser did not start")
            yield
        finally:
            self._over.set()
            self.join(60)


class Measured:
    """What a run came to so far; it takes frames."""

    def __init__(self, asked: argparse.Namespace, stream: Timed, browser: Browser | None) -> None:
        self._asked, self._stream, self._browser = asked, stream, browser
        self._shown: list[float] = []
        self._memory: list[float] = []
        self._pictured = self._dropped = self._skipped = 0

    def look(self, frame: LiveFrame) -> None:
        """Take a frame."""
        if not self._shown:  # loading is over
            self._began = monotonic(), process_time()
        self._shown.append(monotonic() - frame.captured)
        self._pictured += frame.pictured
        self._dropped, self._skipped = frame.dropped, frame.skipped
        if frame.frame % 10 == 0:
            self._memory.append(psutil.Process().memory_info().rss / 2**20)
        if len(self._shown) % MINUTE == 0:
            self.tell()

    def tell(self) -> None:
        """Print what there is, and keep it."""
        told = "\n".join(self._lines()) + "\n"
        print(told, flush=True)
        if self._asked.out is not None:
            write_bytes(self._asked.out, told.encode())

    def _lines(self) -> Iterator[str]:
        passed = monotonic() - self._began[0]
        kind = "ear only" if self._asked.ear_only else "audiovisual"
        kind += ", full precision" * self._asked.precise
        cores = len(os.sched_getaffinity(0))
        yield f"{kind}, {self._asked.latency}, {passed / 60:.1f} minutes, {cores} cores"
        yield (
            f"frames       {len(self._shown)}, {self._pictured} with a picture, "
            f"{self._dropped} dropped, {self._skipped} pictures skipped"
        )
        yield late("known", self._stream.known)
        yield late("shown", self._shown)
        browser = self._browser
        if browser is not None:
            yield late("drawn", browser.latencies)
            yield (
                f"browser      {len(browser.latencies)} frames drawn when last asked, "
                f"{browser.lost} lost on the way, {len(browser.wrong)} errors, "
                f"{browser.share:.1%} of a core"
            )
        yield f"processor    {(process_time() - self._began[1]) / passed:.1%} of a core"
        part = min(PART_S, max(len(self._memory) // 5, 1))
        first, last = np.mean(self._memory[:part]), np.mean(self._memory[-part:])
        yield f"memory       {first:.0f} MiB in the first {part} s, {last:.0f} MiB in the last"


def late(what: str, latencies: Sequence[float]) -> str:
    """Say how late that was."""
    if not latencies:
        return f"{what} after  nothing yet"
    median, p99 = np.percentile(latencies, [50, 99])
    return f"{what} after  {median:.2f} s (median), {p99:.2f} s (99th percentile)"


def children_seconds() -> float:
    """Return the processor time so far of all processes that this one has begun."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            used = process.cpu_times()
            total += used.user + used.system
    return total


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--ear-only", action="store_true")
    parser.add_argument("--latency", choices=("low", "exact"), default="low")
    parser.add_argument("--page", action="store_true", help="look with a browser")
    parser.add_argument("--precise", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()

    (scene,) = DEMO.glob("*.wav")
    source, camera = open_live(SourceConfig(str(scene) if asked.ear_only else None, loop=True))
    latency: Latency = asked.latency
    stream = Timed(
        Imager(precise=asked.precise, threads=1),
        video=camera is not None,
        latency=latency,
        max_lag_s=MOST_BEHIND_S,
        skip_lag_s=SKIPS_BEHIND_S,
    )
    with ExitStack() as opened:
        browser, sinks = None, []
        if asked.page:
            page = opened.enter_context(serve(port=0))
            browser = Browser(page.url)
            sinks.append(page.show)
        measured = Measured(asked, stream, browser)
        opened.callback(measured.tell)
        if browser is not None:
            opened.enter_context(browser.looking())
        sinks.append(measured.look)
        run(source, camera, stream, sinks, channels=ChannelMap(), seconds=60 * asked.minutes)


if __name__ == "__main__":
    main()
