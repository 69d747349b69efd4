"""The main job in Python: a recording, with its video where there is one, to masks.

Everything goes block by block through the engine, so that an hour needs little more memory than
five minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saiseld.arrays.description import MicrophoneArray
from saiseld.checks.failures import FailureWatch
from saiseld.conventions.arrays import TETRAHEDRON
from saiseld.data.recordings import Recording
from saiseld.data.video import Frame, open_video
from saiseld.decision.selection import emittable
from saiseld.decision.systems import System, decide, system_named
from saiseld.detector.detections import Keep
from saiseld.formats.annotation import EnergyMask
from saiseld.formats.candidates import Branch, Candidates, joined
from saiseld.formats.features import FRAMES_PER_BLOCK, AcousticImages
from saiseld.pipeline.defaults import branches_for, default_system, viewing_threshold
from saiseld.pipeline.engine import Block, Engine
from saiseld.pipeline.networks import NetworkOptions, Networks, is_precise, load_networks
from saiseld.pipeline.open import layout_named, open_array, open_checked
from saiseld.pipeline.prediction import Prediction
from saiseld.pipeline.weights import Weights
from saiseld.runtime.devices import DeviceName
from saiseld.runtime.errors import AudioError
from saiseld.runtime.threads import one_blas_thread

_log = logging.getLogger(__name__)

Source = str | Path | Recording | NDArray[np.floating]
"""A recording: its file, an opened one, or samples (n, 4 or 32) with a sample rate."""

OnBlock = Callable[[Block, list[EnergyMask]], object]
"""Told each block as soon as it is imaged, with its masks."""


class Imager:
    """A trained system, loaded once and used on many recordings: ``Imager()(recording, video)``.

    Parameters
    ----------
    weights
        A weights folder (`saiseld.pipeline.weights`), or None for the packaged ones.
    device, half, precise
        As in `saiseld.pipeline.networks.NetworkOptions`.
    fast
        The default on a CPU, as version 0.2 called it.
    threads
        Batches of frames at a time; as many as there are cores if None. No number depends on it.
    networks
        Networks that are loaded already, instead of all of these.

    Raises
    ------
    CheckpointError
        If the weights are not there or do not fit.
    DeviceError
        If the device is not there.

    Examples
    --------
    >>> imager = Imager()
    >>> predictions = [imager(take) for take in ("first.wav", "second.wav")]
    >>> [prediction.recording.name for prediction in predictions]
    ['first', 'second']
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        device: DeviceName = "auto",
        half: bool = False,
        precise: bool = False,
        fast: bool | None = None,
        threads: int | None = None,
        networks: Networks | None = None,
    ) -> None:
        if networks is None:
            folder = None if weights is None else Path(weights)
            options = NetworkOptions(folder, device, half, is_precise(precise, fast))
            networks = Networks(options, threads=threads)
            networks.load(networks.branches)
        self.networks = networks

    @property
    def weights(self) -> Weights:
        """The files of its networks."""
        return self.networks.weights

    @property
    def default_system(self) -> System:
        """The default system; where the weights hold no audio branch, the detector's, and said."""
        return default_system(self.weights.decided)

    def pictures(self, video: str | Path | None) -> Iterator[Frame | None] | None:
        """Yield a video's pictures as the detector is shown them; None if there is no video."""
        if video is None:
            return None
        return open_video(video, scaling=self.networks.detector.frame_scaling)

    def blocks(
        self,
        recording: Recording,
        pictures: Iterable[Frame | None] | None = None,
        branches: Sequence[Branch] | None = None,
        *,
        images: Iterable[AcousticImages] | None = None,
        keep: Keep | None = emittable,
        provenance: Mapping[str, Any] | None = None,
    ) -> Iterator[Block]:
        """Yield the candidates of a recording, some frames at a time.

        Parameters
        ----------
        recording
            The recording.
        pictures
            One a frame from frame 0 on; where it ends or gives None, or one that shows nothing (a
            covered lens), the ImageNet mean stands in. None if there is no video.
        branches
            Which branches are run; all that there are if None.
        images
            The recording's acoustic images if they are at hand (a features file), in blocks of
            `FRAMES_PER_BLOCK` frames where the audio branch is run too.
        keep, provenance
            As in `saiseld.pipeline.engine.Engine`.
        """
        requested = self.networks.branches if branches is None else tuple(branches)
        engine = Engine(
            self.networks,
            requested,
            recording.name,
            frames=recording.frames,
            video=pictures is not None,
            keep=keep,
            provenance=provenance,
        )
        each = iter(pictures or ())
        try:
            for audio, image in _chunks(recording, images, audio="audio" in requested):
                count = FRAMES_PER_BLOCK if image is None else len(image.latent)
                yield from engine.push(audio, list(islice(each, count)), images=image)
            yield from engine.close()
        finally:
            engine.stop()

    def detect(self, recording: Source, video: str | Path | None = None, **how: Any) -> Candidates:
        """Return the candidates of all branches, for any later decision.

        Parameters
        ----------
        recording, video
            As in `image`; ``sample_rate``, ``array`` and ``format`` too.

        Raises
        ------
        AudioError, VideoError
            If the recording or its video cannot be read.
        """
        opened = opened_recording(recording, video, **how)
        with one_blas_thread():
            blocks = self.blocks(opened, self.pictures(video))
            table = joined([block.candidates for block in blocks])
        model = self.networks.decision_models.matchability
        return table if model is None else model.calibrate(table)

    def image(
        self,
        recording: Source,
        video: str | Path | None = None,
        *,
        sample_rate: int | None = None,
        array: str | Path | MicrophoneArray | None = None,
        format: str = "auto",
        system: System | str | None = None,
        on_block: OnBlock = lambda block, masks: None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """Return who sounds where in a recording.

        Parameters
        ----------
        recording
            Its file, an opened one, or an array (samples, channels) of 4 or 32 channels.
        video
            Its video or folder of frames, if there is one.
        sample_rate
            Of an array of samples, in Hz.
        array
            The microphone array that recorded: a built-in one's name, a TOML file, or a
            description.
        format
            What the channels are, as ``--format`` has it, if no array is given: ``mic``, ``em32``,
            ``foa``, ``n3d``, ``fuma`` or ``a-format``; ``auto`` finds out.
        system
            What is kept and emitted, or its name; `default_system` if None.
        on_block
            Called with the candidates of the frames just done, and their masks where the system
            decides frame by frame.
        provenance
            Added to what the candidates say of their making.

        Raises
        ------
        AudioError, VideoError
            If the recording or its video cannot be read, or an array comes without sample rate.
        CheckpointError
            If the system needs a branch that the weights do not hold.
        """
        opened = opened_recording(
            recording, video, sample_rate=sample_rate, array=array, format=format
        )
        if system is None:
            system = self.default_system
        elif isinstance(system, str):
            system = system_named(system)
        models = self.networks.decision_models
        branches = branches_for(system, video=video is not None)
        unseen = video is not None and "detector" not in branches
        frames = () if unseen else self.pictures(video)
        made_by = {"system": system.as_json(), **(provenance or {})}
        masks: list[EnergyMask] = []
        tables: list[Candidates] = []
        missing = 0
        with one_blas_thread():
            for block in self.blocks(opened, frames, branches, provenance=made_by):
                if unseen:
                    block = _not_looked_at(block)
                found: list[EnergyMask] = []
                if models.frame_by_frame(system):
                    found = decide(block.candidates, system, models)
                    masks += found
                else:
                    tables.append(block.candidates)
                missing += block.missing_pictures
                on_block(block, found)
            if tables:
                masks = decide(joined(tables), system, models)
        path = None if video is None else Path(video)
        return Prediction(opened, masks, missing, path, viewing_threshold(self.weights.folder))

    __call__ = image


def opened_recording(
    recording: Source,
    video: str | Path | None = None,
    *,
    sample_rate: int | None = None,
    array: str | Path | MicrophoneArray | None = None,
    format: str = "auto",
) -> Recording:
    """Return a recording that is ready to be read; see `Imager.image`.

    Raises
    ------
    AudioError
        If it cannot be read, or is an array without sample rate.
    DataError
        If there is no such array or format.
    """
    frames = None if video is None else Path(video)
    kind = layout_named(format, array)
    if isinstance(recording, Recording):
        return recording
    if isinstance(recording, str | Path):
        return open_checked(recording, kind, frames)
    if sample_rate is None:
        raise AudioError(
            "audio array",
            place="sample_rate",
            expected="the samples a second of the array",
            found="none",
            advice="Give it: image(array, sample_rate=48000)",
        )
    return open_array(recording, sample_rate, kind, frames)


def _chunks(
    recording: Recording, images: Iterable[AcousticImages] | None, *, audio: bool
) -> Iterator[tuple[NDArray[np.float32] | None, AcousticImages | None]]:
    """Yield what is pushed at once: audio, acoustic images that are at hand, or both."""
    if images is None:
        yield from zip(_watched(recording), repeat(None), strict=False)
    elif audio:
        yield from zip(_watched(recording), images, strict=True)
    else:
        yield from zip(repeat(None), images, strict=False)


def _watched(recording: Recording) -> Iterator[NDArray[np.float32]]:
    """Yield a recording's blocks; at its end, warn of capsules that failed on the way."""
    blocks = recording.blocks(FRAMES_PER_BLOCK)
    if recording.converter is not None:  # what comes out of it are no microphones' channels
        yield from blocks
        return
    stored = TETRAHEDRON if recording.channels > len(TETRAHEDRON) else range(recording.channels)
    watch = FailureWatch([str(channel + 1) for channel in stored])
    yield from watch.watched(blocks)
    for message in watch.messages(recording.path):
        _log.warning("%s", message)


def _not_looked_at(block: Block) -> Block:
    """Return a block of a recording whose video was not opened: none is known to be blind.

    So nothing takes its rows for all that a system of both branches would decide on.
    """
    pictured = np.ones(block.frames, bool)
    rows = replace(block.candidates, pictured=np.ones(len(block.candidates), bool))
    return replace(block, candidates=rows, pictured=pictured)


def load_imager(options: NetworkOptions, *, threads: int | None = None) -> Imager:
    """Return an imager whose networks are loaded once a process."""
    return Imager(networks=load_networks(options, threads=threads))


def image(
    recording: str | Path | NDArray[np.floating] | None = None,
    video: str | Path | None = None,
    *,
    audio: NDArray[np.floating] | None = None,
    sample_rate: int | None = None,
    array: str | Path | MicrophoneArray | None = None,
    format: str = "auto",
    system: System | str | None = None,
    weights: str | Path | None = None,
    device: DeviceName = "auto",
    precise: bool = False,
    fast: bool | None = None,
) -> Prediction:
    """Image one recording; networks are kept loaded for the next call.

    Parameters
    ----------
    recording
        A recording's file, or an array (samples, channels) of 4 or 32 channels.
    video
        Its video or folder of frames, if there is one.
    audio
        The array too, as version 0.2 had it.
    sample_rate
        Of an array of samples, in Hz.
    array
        The microphone array that recorded: a built-in one's name, a TOML file, or a description.
    format
        What the channels are, as ``--format`` has it: ``mic``, ``em32``, ``foa``, ``n3d``,
        ``fuma`` or ``a-format``; ``auto`` finds out.
    system
        What is kept and emitted, or its name; see `saiseld.decision.systems.SYSTEMS`.
    weights
        A weights folder, or None for the packaged ones.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    precise
        Full precision on a CPU too: twice the time, to reproduce figures exactly.
    fast
        The default on a CPU, as version 0.2 called it.

    Raises
    ------
    SaiseldError
        If the recording, video or weights cannot be read, or an array comes without sample rate.

    Examples
    --------
    >>> prediction = image("meeting.wav", "meeting.mp4")
    >>> for event in prediction.events():
    ...     print(event.class_name, event.start_s, event.azimuth)  # doctest: +ELLIPSIS
    Domestic sounds ...
    """
    if (recording is None) == (audio is None):
        raise TypeError("give a recording: its file, or an array with its sample rate")
    source = recording if recording is not None else audio
    assert source is not None
    folder = None if weights is None else Path(weights)
    options = NetworkOptions(folder, device, precise=is_precise(precise, fast))
    return load_imager(options).image(
        source, video, sample_rate=sample_rate, array=array, format=format, system=system
    )
