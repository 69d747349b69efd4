"""Files that are uploaded: room for them on the disk, and a look at each in a child process."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saiseld.data.video import open_video
from saiseld.pipeline.open import Layout, open_for
from saiseld.runtime.errors import OutputError
from saiseld.runtime.isolation import ProcessLimits, call_isolated
from saiseld.serve.jobs import RECORDING, VIDEO, Limits, Part

STEP_BYTES = 8 << 20
"""What an upload of unknown length asks for at a time."""


class DiskSpace:
    """The room that uploads may take, so that all of them together leave some free.

    Parameters
    ----------
    folder
        On the disk in question.
    free_bytes
        What stays free.
    """

    def __init__(self, folder: Path, free_bytes: int) -> None:
        self._folder, self._free_bytes = folder, free_bytes
        self._promised = 0
        self._lock = threading.Lock()

    @contextmanager
    def reserved(self, size: int) -> Iterator[Reservation]:
        """Yield room for ``size`` bytes, 0 where the length of an upload is not known."""
        reservation = Reservation(self)
        try:
            reservation.ask(size)
            yield reservation
        finally:
            reservation.release()

    def promise(self, size: int) -> None:
        """Keep room for bytes that are not written yet.

        Raises
        ------
        OutputError
            If there is none.
        """
        with self._lock:
            free = shutil.disk_usage(self._folder).free - self._promised - size
            if free < self._free_bytes:
                raise OutputError(
                    "the upload", expected="room for it on the server's disk", found="none"
                )
            self._promised += size

    def keep(self, size: int) -> None:
        """Take back a promise of bytes that are written, or never will be."""
        with self._lock:
            self._promised -= size


class Reservation:
    """The room of one upload."""

    def __init__(self, space: DiskSpace) -> None:
        self._space, self._left = space, 0

    def ask(self, size: int) -> None:
        """Ask for more room; raises what `DiskSpace.promise` does."""
        self._space.promise(size)
        self._left += size

    def write(self, size: int) -> None:
        """Count bytes before they are written; raises what `DiskSpace.promise` does."""
        if size > self._left:
            self.ask(max(size, STEP_BYTES))
        self._left -= size
        self._space.keep(size)

    def release(self) -> None:
        """Give back what is left."""
        self._space.keep(self._left)
        self._left = 0


def check_upload(path: Path, part: Part, limits: Limits, layout: Layout = "auto") -> None:
    """Open an uploaded file in a child process with limits, as imaging it would.

    Parameters
    ----------
    path
        The file.
    part
        Which of a job's.
    limits
        Those of the server.
    layout
        What the channels of a recording are.

    Raises
    ------
    InputError
        If it cannot be used.
    LimitExceededError
        If opening it takes more than the server gives.
    """
    allowed = ProcessLimits(
        memory_bytes=limits.check_bytes, cpu_s=limits.check_s, wall_s=4 * limits.check_s
    )
    call_isolated(_CHECKS[part], str(path), layout, limits=allowed, preload=(__name__,))


def _check_recording(path: str, layout: Layout) -> None:
    open_for(path, layout)


def _check_video(path: str, _: Layout) -> None:
    """Raise ``VideoError`` where not even a first frame can be read."""
    next(iter(open_video(path)))


_CHECKS = {RECORDING: _check_recording, VIDEO: _check_video}
