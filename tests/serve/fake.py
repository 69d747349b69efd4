"""Work on a job that takes as long as its name says, and writes what imaging would."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tests.waiting import wait_until

from saiseld.formats.sound_events import SoundEvent, write_sound_events
from saiseld.runtime.errors import AudioError
from saiseld.runtime.files import write_bytes
from saiseld.serve.jobs import RECORDING, JobRequest


def work(folder: Path, request: JobRequest, on_share: Callable[[float], object]) -> None:
    """Do what the name says.

    ``sleep 3`` takes 3 s, ``wait go`` until the file ``go`` is in the server's folder, ``shares 3``
    tells of three shares, each once the file ``go`` and its number is there; ``fill 9`` takes 9 MiB
    of memory, ``large 9`` writes as much, ``files 9`` opens as many files, ``spin`` never ends;
    ``fail``, ``break`` and ``die`` end as their names say.
    """
    served = folder.parent.parent
    what, _, amount = request.name.partition(" ")
    logging.getLogger("saiseld.fake").warning("%s: hums at 50 Hz", folder / "recording")
    if what == "sleep":
        time.sleep(float(amount))
    elif what == "wait":
        wait_until((served / amount).exists)
    elif what == "shares":
        for step in range(1, 1 + int(amount)):
            on_share(step / 10)
            wait_until((served / f"go{step}").exists)
    elif what == "fail":
        raise AudioError(folder / "recording", expected="sound", found="silence")
    elif what == "break":
        raise ZeroDivisionError("secret of the server's")
    elif what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "files":
        with ExitStack() as stack:
            opened = [stack.enter_context((folder / RECORDING).open()) for _ in range(int(amount))]
            assert opened
    elif what == "spin":
        while True:
            pass
    elif what == "fill":
        np.ones(int(amount) << 17)
    elif what == "large":
        write_bytes(folder / "results" / "recording.json", bytes(int(amount) << 20))
    event = SoundEvent(1, 11, "Bell", 0.3, 1.0, 12.3, -5.0, 150.0, 0.8)
    write_sound_events(folder / "results" / "recording.events.csv", [event])
    write_bytes(folder / "results" / "index.html", b"<!doctype html><p>done</p>")
