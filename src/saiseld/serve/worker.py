"""The process that works the queue off, and who watches it.

A file that no decoder was made for can end a process, take all memory or all day: what works is
not what answers. The worker dies with the server; a job whose process was killed is begun once
more, then failed.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from saiseld.arrays.description import MicrophoneArray
from saiseld.pipeline.defaults import viewing_threshold
from saiseld.pipeline.draw import write_folder_page
from saiseld.pipeline.image import ImageOptions, Job, image_recording
from saiseld.pipeline.imager import load_imager
from saiseld.pipeline.networks import NetworkOptions
from saiseld.runtime.errors import InputError, SaiseldError
from saiseld.runtime.isolation import ProcessLimits, confine, limit_cpu_s
from saiseld.runtime.notices import collected_warnings
from saiseld.runtime.parallel import die_with_parent
from saiseld.serve.jobs import RECORDING, VIDEO, ErrorDetail, JobRequest, Jobs, Limits

Do = Callable[[Path, JobRequest, Callable[[float], object]], object]
"""Works on the files in a job's folder, telling the share that is done."""

_WATCH_S = 0.5
_REPORT_S = 0.5
_POLL_S = 0.2
_NO_MEMORY = ("can't allocate", "bad_alloc", "Failed to allocate")
"""What networks say where memory ends, in errors of any kind."""
_OPEN_FILES = 256
_OUT_OF_TIME = getattr(signal, "SIGXCPU", 0)
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd")
"""Of drivers that reserve more address space than there is memory."""
_log = logging.getLogger(__name__)


def image_job(
    folder: Path,
    request: JobRequest,
    on_share: Callable[[float], object],
    *,
    networks: NetworkOptions | None = None,
    array: MicrophoneArray | None = None,
) -> None:
    """Image the recording in a job's folder into ``results``, as `saiseld image` does.

    ``array`` is what recorded where a job says nothing.
    """
    video = folder / VIDEO if (folder / VIDEO).exists() else None
    job = Job(folder / RECORDING, video, request.layout(array))
    imager = load_imager(networks or NetworkOptions())
    threshold = request.threshold
    if threshold is None:
        threshold = viewing_threshold(imager.weights.folder)
    options = ImageOptions(threshold=threshold, overlay=request.overlay, title=request.name)
    results = folder / "results"
    image_recording(job, imager, results, options, on_share=on_share)
    write_folder_page(results)


def error_detail(error: BaseException, folder: Path) -> ErrorDetail:
    """Return an error as a user of the server gets it, without the server's folders."""

    def relative(text: str) -> str:
        return text.replace(f"{folder}/", "")

    if isinstance(error, InputError):
        parts = ("place", "expected", "found", "advice")
        fields = {part: relative(text) for part in parts if (text := getattr(error, part))}
        return ErrorDetail(message=relative(str(error)), **fields)
    if isinstance(error, SaiseldError):
        return ErrorDetail(message=relative(str(error)))
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return ErrorDetail(message="it needs more memory than this server gives a job")
    return ErrorDetail(
        message=f"this is a mistake of the server's, not yours ({type(error).__name__})"
    )


@contextmanager
def working(jobs: Jobs, limits: Limits, do: Do = image_job) -> Iterator[None]:
    """Work the queue off in a process of its own as long as the block lasts."""
    # What was running when the last server ended was either stopped with it, or killed.
    jobs.stopped("the server was stopped twice while at it")
    jobs.sweep(limits.open_s, deleted=True)
    watch = Watchdog(jobs, limits, do)
    thread = threading.Thread(target=watch.run, daemon=True, name="worker's watch")
    thread.start()
    try:
        yield
    finally:
        watch.over.set()
        thread.join()


class Watchdog:
    """Starts the worker, stops it where a job takes too long or is deleted, starts it again."""

    def __init__(self, jobs: Jobs, limits: Limits, do: Do) -> None:
        self._context = get_context("spawn")
        self._jobs, self._limits, self._do = jobs, limits, do
        self._attempt, self._begun, self._last_error = "", 0.0, ""
        self.over = threading.Event()

    def run(self) -> None:
        """Watch until `over` is set."""
        # A worker dies with the thread that started it: this one ends when the server does.
        process = self._start()
        while not self.over.wait(_WATCH_S):
            try:
                process = self.check(process)
            except SaiseldError as error:  # of the table: it may be readable again
                if str(error) != self._last_error:
                    _log.error("%s", error)
                self._last_error = str(error)
        _kill(process)
        with suppress(SaiseldError):
            self._jobs.stopped("the server was stopped", counts=False)

    def check(self, process: BaseProcess) -> BaseProcess:
        """Return the worker's process: the one given, or the one started in its place."""
        if not process.is_alive():
            if process.exitcode == -_OUT_OF_TIME:
                self._jobs.stopped("it took more processor time than a job may", again=False)
            else:
                self._jobs.stopped(f"its process ended before it was done ({_how(process)})")
            process = self._start()
        elif running := self._jobs.running():
            attempt, deleted = running
            if attempt != self._attempt:  # by this process's own clock, which nobody sets
                self._attempt, self._begun = attempt, time.monotonic()
            if deleted:
                process = self._restart(process, "deleted", counts=False)
            elif time.monotonic() - self._begun > self._limits.job_s:
                why = f"it took longer than {self._limits.job_s:.0f} s"
                process = self._restart(process, why, again=False)
        self._jobs.sweep(self._limits.open_s, deleted=False)
        return process

    def _start(self) -> BaseProcess:
        process = self._context.Process(
            target=_work, args=(self._jobs.folder, self._do, self._limits), daemon=True
        )
        process.start()
        return process

    def _restart(self, process: BaseProcess, why: str, **how: bool) -> BaseProcess:
        _kill(process)
        self._jobs.stopped(why, **how)
        self._jobs.sweep(self._limits.open_s, deleted=True)
        return self._start()


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join()


def _how(process: BaseProcess) -> str:
    code = process.exitcode or 0
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _work(folder: Path, do: Do, limits: Limits) -> None:
    """Work on one job after the other until the server ends."""
    confine(
        ProcessLimits(
            memory_bytes=limits.memory_bytes,
            cpu_s=math.inf,  # for each job anew
            open_files=_OPEN_FILES,
            file_bytes=limits.result_bytes,
            has_address_limit=not any(map(os.path.exists, _GPU_DRIVERS)),
        )
    )
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs = Jobs(folder)
    while True:
        try:
            claimed = jobs.claim()
        except SaiseldError:  # the server says what is wrong with the table
            claimed = None
        if claimed is None:
            # Looking costs nothing, and holds nothing that a killed process would keep.
            time.sleep(_POLL_S)
        else:
            limit_cpu_s(limits.cpu_s)
            _do_one(jobs, *claimed, do)


def _do_one(jobs: Jobs, job: str, request: JobRequest, do: Do) -> None:
    folder = jobs.folder_of(job)
    with collected_warnings() as warnings:
        try:
            do(folder, request, partial(_report, jobs, job, [0.0]))
        except Exception as error:
            if not isinstance(error, SaiseldError):
                _log.exception("job %s", job)
            failure: ErrorDetail | None = error_detail(error, folder)
        else:
            failure = None
    jobs.end(job, [text.replace(f"{folder}/", "") for text in warnings], failure)


def _report(jobs: Jobs, job: str, last: list[float], share: float) -> None:
    if time.monotonic() - last[0] > _REPORT_S:
        last[0] = time.monotonic()
        jobs.progress(job, share)
