"""The trained networks of a system, loaded once and used on many recordings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from saiseld.acoustics.front_end import FrontEnd
from saiseld.decision.fusion import Fusion
from saiseld.decision.matchability import Matchability
from saiseld.decision.systems import DecisionModels
from saiseld.detector.detect import has_quantised, load_detector
from saiseld.detector.detections import FrameDetector
from saiseld.formats.candidates import Branch, Candidates
from saiseld.pipeline.weights import Weights, digests, find_weights, model_record
from saiseld.runtime.cluster import Cluster
from saiseld.runtime.devices import DeviceName, device_of
from saiseld.runtime.errors import CheckpointError, DeviceError
from saiseld.runtime.parallel import Workers
from saiseld.runtime.threads import threads_here
from saiseld.seld.audio_branch import AudioBranch

Precision = Literal["int8", "float32", "float16"]
"""Of the detector: INT8 quantised, full, or 16 bits."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """Which networks run, and how.

    Parameters
    ----------
    weights
        A weights folder (`saiseld.pipeline.weights`), or None for the packaged ones.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``; auto takes a GPU where torch finds one.
    half
        Whether a GPU computes in 16 bits; a CPU never does.
    precise
        Whether a CPU computes in full precision too. Otherwise the detector is the INT8 quantised
        one if it lies beside the weights, and the audio branch runs without test-time augmentation
        where there is a video: half of the time, scores as good (docs/performance.md#int8).

    Raises
    ------
    DeviceError
        If both ``half`` and ``precise`` are wanted.
    """

    weights: Path | None = None
    device: DeviceName = "auto"
    half: bool = False
    precise: bool = False

    def __post_init__(self) -> None:
        if self.half and self.precise:
            raise DeviceError("precision", expected="half or precise", found="both")

    def find_weights(self) -> Weights:
        """Return the weights; raises ``CheckpointError`` if there is no such folder."""
        return find_weights(self.weights)


class Networks:
    """The networks of one weights folder, each loaded when it is first used, or by `load`.

    Parameters
    ----------
    options
        Which, and how they run.
    threads
        Batches of frames at a time; as many as there are cores if None
        (`saiseld.runtime.threads.threads_here`). No number depends on it.

    Raises
    ------
    CheckpointError
        If the weights are not there or do not fit.
    DeviceError
        If the device is not there.
    """

    def __init__(self, options: NetworkOptions, *, threads: int | None = None) -> None:
        self.options = options
        self.weights = paths = options.find_weights()
        self.threads = threads_here() if threads is None else threads
        self._device = device_of(options.device)
        model = paths.matchability
        self._matchability = None if model is None else Matchability.load(model)

    def load(self, branches: Sequence[Branch]) -> None:
        """Load those of some branches, so that a mistake in them is told before any work begins.

        Raises
        ------
        CheckpointError
            If they are not there or do not fit.
        """
        if "detector" in branches:
            _check_projection(self)
        if "audio" in branches:
            _ = self.audio

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The branches that the weights hold."""
        return self.weights.branches

    @cached_property
    def front_end(self) -> FrontEnd:
        """The acoustic front end; raises ``CheckpointError`` if the weights hold none."""
        return FrontEnd(self.weights.front_end, device=self._device, threads=self.threads)

    @cached_property
    def detector(self) -> FrameDetector:
        """The detector; raises ``CheckpointError`` if the weights hold none."""
        return load_detector(
            self.weights.detector,
            self._device,
            half=self.options.half,
            fast=self.precision == "int8",
        )

    @cached_property
    def precision(self) -> Precision:
        """What the detector computes in."""
        if self._device != "cpu":
            return "float16" if self.options.half else "float32"
        detects = "detector" in self.branches and not self.options.precise
        return "int8" if detects and has_quantised(self.weights.detector) else "float32"

    @cached_property
    def audio(self) -> AudioBranch:
        """The SELD network.

        Raises
        ------
        CheckpointError
            If the weights hold none.
        """
        return AudioBranch.load(self.weights.seld, device=self._device)

    def audio_with(self, *, video: bool) -> AudioBranch:
        """Return the SELD network for recordings with or without a video.

        Beside an INT8 detector it needs no test-time augmentation; alone it gains by it.

        Raises
        ------
        CheckpointError
            If the weights hold none.
        """
        return self.audio.with_tta(1) if video and self.precision == "int8" else self.audio

    @cached_property
    def decision_models(self) -> DecisionModels:
        """The fitted models that deciding on their rows takes.

        Where matchability is known frame by frame, it is in the rows already.
        """
        fusion = Fusion.load(self.weights.fusion) if "audio" in self.weights.decided else None
        model = self._matchability
        return DecisionModels(fusion, None if model is None or model.frame_by_frame else model)

    def calibrated(self, table: Candidates) -> Candidates:
        """Return detections with their matchability, where that is known frame by frame."""
        model = self._matchability
        return table if model is None or not model.frame_by_frame else model.calibrate(table)

    @cached_property
    def digests(self) -> dict[str, str]:
        """What each of their files holds (`saiseld.pipeline.weights.digests`)."""
        return digests(self.weights, quantised=self.precision == "int8")

    @cached_property
    def _record(self) -> dict[str, dict[str, Any]]:
        return model_record(self.weights)

    def provenance(self, branches: Sequence[Branch], *, video: bool) -> dict[str, Any]:
        """Return what rows of a recording say of the networks that made them, as JSON.

        Parameters
        ----------
        branches
            Whose rows.
        video
            Whether the recording has a video.
        """
        made_by: dict[str, Any] = {"imager": "engine", "precision": self.precision}
        if "detector" in branches:
            made_by["front_end"] = self.front_end.identity
            made_by["projection"] = self.detector.projection
            made_by["size"] = self.detector.size
        made_by["models"] = {
            name: record for name, record in self._record.items() if record["branch"] in branches
        }
        if "audio" in branches:
            made_by["tta"] = self.audio_with(video=video).tta
            fusion = self.decision_models.fusion
            made_by["fusion"] = None if fusion is None else fusion.as_json()
        return made_by


def _check_projection(networks: Networks) -> None:
    if networks.front_end.projection != networks.detector.projection:
        raise CheckpointError(
            networks.weights.detector,
            place="projection",
            expected=f"that of {networks.weights.front_end}, {networks.front_end.projection}",
            found=networks.detector.projection,
            advice="Use a front end and a detector that were trained together",
        )


def task_device(options: NetworkOptions, jobs: Workers) -> DeviceName:
    """Return what a task's networks run on; ``auto`` is found out by the task itself.

    Raises
    ------
    DeviceError
        If a cluster does not have it.
    """
    return jobs.device_of(options.device) if isinstance(jobs, Cluster) else options.device


def is_precise(precise: bool, fast: bool | None) -> bool:
    """Return whether full precision is wanted; ``fast``, of version 0.2, is taken with a notice.

    Raises
    ------
    DeviceError
        If both are wanted.
    """
    if fast is None:
        return precise
    if fast and precise:
        raise DeviceError("precision", expected="fast or precise", found="both")
    _log.warning(
        "fast is the default on a CPU now, and 0.4 will not know the option; "
        "full precision is called precise"
    )
    return not fast


def load_networks(options: NetworkOptions, *, threads: int | None = None) -> Networks:
    """Return the networks of a weights folder, loaded once a process while its files do not change.

    Raises what `Networks` does.
    """
    folder = options.find_weights().folder
    files = sorted(path for path in folder.iterdir() if path.is_file())
    state = tuple((p.name, (s := p.stat()).st_size, s.st_mtime_ns) for p in files)
    return _loaded(options, threads, state)


@lru_cache(maxsize=4)
def _loaded(
    options: NetworkOptions, threads: int | None, state: tuple[tuple[str, int, int], ...]
) -> Networks:
    return Networks(options, threads=threads)
