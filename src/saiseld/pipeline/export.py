"""A system's weights as ONNX graphs, which image without torch."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from saiseld.acoustics.front_end import FrontEnd
from saiseld.data.context import in_context
from saiseld.data.recordings import open_recording
from saiseld.data.video import open_video, rgb_planes
from saiseld.detector.graphs import GRAPHS, PRECISE, GraphDetector
from saiseld.formats import graph_bytes
from saiseld.formats.checkpoint import read_checkpoint, write_checkpoint
from saiseld.formats.graph import FAST
from saiseld.pipeline.defaults import VIEWING
from saiseld.pipeline.weights import DEMO, Weights, find_weights
from saiseld.runtime.errors import CheckpointError
from saiseld.runtime.files import atomic_path, output_folder

if TYPE_CHECKING:
    from torch import Tensor

_ROWS, _EVERY = 4, 8
"""Frames at a time, and from one such to the next, that feature maps are measured on."""


def export_system(
    weights: Path | None, folder: Path, *, examples: Path | None = None
) -> list[Path]:
    """Write a system's checkpoints with their graphs beside them, and its reranker, to a folder.

    The folder is then one of weights like any other, which the imager runs without torch. It may
    be the one that the weights are in: the graphs are added.

    Parameters
    ----------
    weights
        A weights folder, or None for the packaged ones; public ``.pth`` become ``.safetensors``.
    folder
        Made if absent.
    examples
        A recording with its video beside it: the INT8 graphs round feature maps between the values
        that it gives them. The packaged scene without it.

    Returns
    -------
    The graphs.

    Raises
    ------
    CheckpointError
        If a part is not there or does not fit.
    """
    from saiseld.acoustics.export import write_uplam_graphs
    from saiseld.acoustics.uplam import UpLAM
    from saiseld.detector.export import write_detector_graphs
    from saiseld.detector.model import Detector
    from saiseld.seld.export import write_seld_graphs
    from saiseld.seld.model import Seld
    from saiseld.seld.recogniser_model import write_recogniser_graph

    found = find_weights(weights)
    output_folder(folder)
    graphs: list[Path] = []
    if "detector" in found.branches:
        uplam, detector = UpLAM.load(found.front_end), Detector.load(found.detector)
        _, header = read_checkpoint(found.front_end)
        front_end_file = _safetensors(found.front_end, folder)
        detector_file = _safetensors(found.detector, folder)
        if found.matchability is not None:
            _copy(found.matchability, folder / found.matchability.name)
        projection = header.get("projection", "official")
        graphs += write_uplam_graphs(uplam, front_end_file, projection)
        graphs += write_detector_graphs(detector, detector_file)
        _round_fast(find_weights(folder), examples or next(DEMO.glob("*.wav")))
    if (threshold := found.folder / VIEWING).is_file():
        _copy(threshold, folder / VIEWING)
    if found.has_audio_branch:
        seld = Seld.load(found.seld)
        seld_file = _safetensors(found.seld, folder)
        if found.fusion.is_file():
            _copy(found.fusion, folder / found.fusion.name)
        graphs += write_seld_graphs(seld, seld_file)
        if found.recogniser is not None:
            _copy(found.recogniser, folder / found.recogniser.name)
            graphs.append(write_recogniser_graph(folder / found.recogniser.name))
    return graphs


def _round_fast(weights: Weights, sound: Path) -> None:
    """Quantise the fast graphs of a detector to INT8; see `saiseld.formats.graph_bytes`.

    Feature maps are rounded between the values that a recording and its video give them.
    """
    detector = GraphDetector(weights.detector, fast=True)
    images = FrontEnd(weights.front_end).images(open_recording(sound))
    latent = np.concatenate([block.latent for block in in_context(images, detector.context)])
    video = open_video(sound.with_suffix(".mp4"), scaling=detector.frame_scaling)
    rgb = rgb_planes(list(islice(video, len(latent))))
    inputs = detector.rpn.noted = []
    regions = detector.box_head.noted = []
    for first in range(0, len(latent), _EVERY):
        detector.find(rgb[first : first + _ROWS], latent[first : first + _ROWS])
    for name, examples in zip(GRAPHS, (inputs, regions, regions), strict=True):
        graph_bytes.multiply_bytes(weights.detector, name + FAST, examples, in_floats=PRECISE)


def _safetensors(checkpoint: Path, folder: Path) -> Path:
    """Write a checkpoint to a folder, in 32 bits at most: its graphs name the places in it."""
    target = folder / f"{checkpoint.stem}.safetensors"
    state, header = read_checkpoint(checkpoint)
    narrow = {key: _in_32_bits(value) for key, value in state.items()}
    wide = [key for key, value in state.items() if narrow[key] is not value]
    if checkpoint.suffix == target.suffix and not wide:
        _copy(checkpoint, target)
        return target
    if target.exists() and checkpoint.samefile(target):
        raise CheckpointError(
            checkpoint,
            place=f"key {wide[0]}",
            expected="at most 32 bits a number, as graphs compute",
            found=str(state[wide[0]].dtype),
            advice="Export to another folder; there it is written in 32 bits",
        )
    write_checkpoint(target, narrow, header)
    return target


def _in_32_bits(value: Tensor) -> Tensor:
    import torch

    narrower = {torch.float64: torch.float32, torch.complex128: torch.complex64}
    return value.to(narrower.get(value.dtype, value.dtype))


def _copy(source: Path, target: Path) -> None:
    if not target.exists() or not source.samefile(target):
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
