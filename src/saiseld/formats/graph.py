"""Networks as ONNX graphs without weights of their own: they run without torch.

A graph's weights are those of the checkpoint beside it (``.safetensors``). ONNX takes a tensor from
any file by offset and length, so a graph of some kilobytes names the places of its weights in
there; those of 16 bits it widens when it is loaded. Any ONNX runtime reads the pair. The graph's
metadata hold a JSON header, with the digest of the checkpoint that it was made for.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from saiseld.formats.graph_check import (
    ADVICE,
    FLOATS,
    GRAPH_DIGEST,
    OPSET,
    VARIANCES,
    WEIGHTS_DIGEST,
    check_graph,
    graph_digest,
    stored_tensors,
)
from saiseld.runtime.cache import content_digest
from saiseld.runtime.devices import has_torch
from saiseld.runtime.errors import CheckpointError, refusing
from saiseld.runtime.files import write_bytes
from saiseld.runtime.limits import Limit
from saiseld.runtime.threads import cores_here

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

Header = TypeVar("Header", bound=msgspec.Struct)

GRAPH_SUFFIX = ".onnx"

FAST = ".fast"
"""Ends the name of a graph's fast form, which multiplies bytes (`saiseld.formats.graph_bytes`)."""

_KEY = "saiseld"

MEMORY_BYTES = Limit("graph_memory_bytes", (512 << 20) + cores_here() * (256 << 20))
"""What all graphs of a process may take together while they run."""
_FATAL = 4
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
FIRST_RUN_S = 120.0
"""A graph's first run is ended after this; by then none of ours is still at it."""


def graph_path(weights: str | Path, name: str) -> Path:
    """Return where a checkpoint's graph of this name is: ``<checkpoint>.<name>.onnx`` beside it."""
    weights = Path(weights)
    return weights.with_name(f"{weights.stem}.{name}{GRAPH_SUFFIX}")


def has_graphs(weights: str | Path, names: Iterable[str]) -> bool:
    """Return whether any graph of these names lies beside a checkpoint."""
    return any(graph_path(weights, name).is_file() for name in names)


def check_torch_for(weights: str | Path) -> None:
    """Raise ``CheckpointError`` where torch, which alone could run a checkpoint, is missing."""
    if not has_torch():
        raise CheckpointError(
            weights,
            expected="its graphs beside it, or torch to run it with",
            found="neither",
            advice="Make the graphs with `saiseld export` where torch is, or install it here: "
            "pip install 'saiseld[train]'",
        )


class Graph:
    """A network, loaded and ready to run on one thread; several threads may run it at once.

    Its file is checked before ONNX Runtime sees it (`saiseld.formats.graph_check`), all graphs of
    a process share bounded memory, and what comes out has the shapes that were agreed, and is
    finite.

    Parameters
    ----------
    weights
        The checkpoint that it lies beside.
    name
        Which one of that checkpoint's graphs it is.
    outputs
        Shape of each output, as text: ``"n 9 484"``. A number is a length, a letter any length, the
        same wherever it stands. A last shape after ``*`` may come any number of times.

    Raises
    ------
    CheckpointError
        If it is not there, is none that `saiseld export` makes, or was made for another checkpoint.
    """

    def __init__(self, weights: str | Path, name: str, outputs: Sequence[str]) -> None:
        # Some releases of it report to their maker, and keep a device's name in the user's cache.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        weights = Path(weights)
        self._path = path = graph_path(weights, name)
        self._shapes = [shape.split() for shape in outputs]
        if not path.is_file():
            raise CheckpointError(path, expected="a graph", found="no such file", advice=ADVICE)
        self.header, content = check_graph(path, weights)
        _check_numbers(weights, self.header[WEIGHTS_DIGEST])
        options = onnxruntime.SessionOptions()
        # Threads that wait for one another stand still as soon as the machine has other work;
        # several cores are for several frames (`saiseld.runtime.threads`).
        options.intra_op_num_threads = 1
        options.log_severity_level = _FATAL  # its errors are told once, as ours
        options.add_session_config_entry(_WEIGHTS_FOLDER, str(path.parent.resolve()))
        if _bound_memory():
            options.add_session_config_entry("session.use_env_allocators", "1")
        with refusing(CheckpointError, path, "a graph of `saiseld export`", advice=ADVICE):
            # What was checked is what is run: the file is not read again.
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._has_run = False
        self.noted: list[tuple[NDArray[Any], ...]] | None = None
        """Inputs of every call since this was made a list."""

    def header_as(self, kind: type[Header]) -> Header:
        """Return the header as a struct of msgspec.

        Raises
        ------
        CheckpointError
            If a value is missing, of another type, or out of range.
        """
        with refusing(CheckpointError, self._path, "a header of `saiseld export`", advice=ADVICE):
            return msgspec.convert(self.header, kind)

    def __call__(self, *inputs: NDArray[Any], **lengths: int) -> list[NDArray[Any]]:
        """Return the network's outputs for its inputs, both in the order of its making.

        Parameters
        ----------
        inputs
            The network's inputs.
        lengths
            Of axes that are letters in the agreed shapes.

        Raises
        ------
        CheckpointError
            If it cannot be run, needs more than `MEMORY_BYTES`, or gives what was not agreed.
        """
        if self.noted is not None:
            self.noted.append(inputs)
        expected = "a network that runs"
        with refusing(CheckpointError, self._path, expected, advice=ADVICE), self._first() as run:
            outputs: list[NDArray[Any]] = self._session.run(
                None, dict(zip(self._inputs, inputs, strict=True)), run
            )
        self._check_outputs(outputs, dict(lengths))
        return outputs

    @contextmanager
    def _first(self) -> Iterator[Any]:
        """Yield options of a run; the first one is ended where it does not end by itself."""
        if self._has_run:
            yield None
            return
        import onnxruntime

        run = onnxruntime.RunOptions()
        timer = threading.Timer(FIRST_RUN_S, setattr, (run, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            yield run
        finally:
            timer.cancel()
        self._has_run = True

    def _check_outputs(self, outputs: list[NDArray[Any]], lengths: dict[str, int]) -> None:
        shapes = list(self._shapes)
        if shapes and shapes[-1][0] == "*":
            shapes[-1:] = [shapes[-1][1:]] * max(len(outputs) - len(shapes) + 1, 1)
        if len(shapes) != len(outputs):
            raise self._other("outputs", str(len(shapes)), str(len(outputs)))
        for number, (shape, output) in enumerate(zip(shapes, outputs, strict=True)):
            found = getattr(output, "shape", ())
            sizes = lengths if number < len(self._shapes) - 1 else dict(lengths)
            fits = len(found) == len(shape) and all(
                sizes.setdefault(axis, length) == length if axis.isalpha() else int(axis) == length
                for axis, length in zip(shape, found, strict=True)
            )
            if not fits or output.dtype != np.float32:
                kind = getattr(output, "dtype", type(output).__name__)
                raise self._other(
                    f"output {number + 1}", f"float32 ({', '.join(shape)})", f"{kind} {found}"
                )
            if not np.isfinite(output).all():
                raise self._other(f"output {number + 1}", "finite numbers", "NaN or infinity")

    def _other(self, place: str, expected: str, found: str) -> CheckpointError:
        return CheckpointError(
            self._path, place=place, expected=expected, found=found, advice=ADVICE
        )


@cache
def _bound_memory() -> bool:
    """Let all graphs of this process share one bounded arena; return whether it could be had."""
    import onnxruntime as ort

    arena = ort.OrtArenaCfg({"max_mem": MEMORY_BYTES.most, "arena_extend_strategy": 1})
    info = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    try:
        ort.create_and_register_allocator(info, arena)
    except Exception:  # another package of this process has registered one
        return False
    return True


@cache
def _check_numbers(weights: Path, digest: str) -> None:
    """Raise ``CheckpointError`` where weights, of this digest, are no numbers to run with."""
    del digest  # what was checked once need not be checked for every graph
    content = memoryview(weights.read_bytes())
    for key, tensor in stored_tensors(weights).items():
        part = content[tensor.offset : tensor.offset + tensor.length]
        values = np.frombuffer(part, FLOATS[tensor.data_type])
        if not np.isfinite(values).all():
            raise CheckpointError(
                weights, place=f"key {key}", expected="finite weights", found="NaN or infinity"
            )
        if key.endswith(VARIANCES) and values.size and values.min() < 0:
            raise CheckpointError(
                weights, place=f"key {key}", expected="0 or more", found=f"{values.min()}"
            )


def write_graph(
    weights: str | Path,
    name: str,
    network: nn.Module,
    inputs: Sequence[Tensor],
    header: Mapping[str, Any],
    *,
    renamed: Mapping[str, str] | None = None,
    fixed: int = 0,
) -> Path:
    """Write a network as the graph ``name`` of a checkpoint, beside it; return its path.

    Parameters
    ----------
    weights
        The checkpoint, ``.safetensors``.
    network, inputs, renamed, fixed
        As in `model_of`.
    header
        What it is: JSON values.
    """
    model = model_of(network, inputs, weights, renamed=renamed, fixed=fixed)
    return write_model_beside(weights, name, model, header)


def write_model_beside(
    weights: str | Path, name: str, model: onnx.ModelProto, header: Mapping[str, Any]
) -> Path:
    """Write a model as the graph ``name`` of a checkpoint, beside it; return its path."""
    path = graph_path(weights, name)
    write_model(path, model, {**header, WEIGHTS_DIGEST: content_digest(weights)})
    return path


def model_of(
    network: nn.Module,
    inputs: Sequence[Tensor],
    weights: str | Path,
    *,
    renamed: Mapping[str, str] | None = None,
    fixed: int = 0,
) -> onnx.ModelProto:
    """Return a network as an ONNX model whose weights are those of a checkpoint.

    Parameters
    ----------
    network
        In evaluation mode; its ``forward(*inputs)`` returns a tuple of tensors. What it has of the
        checkpoint's model is its attribute ``model``.
    inputs
        Examples of its inputs: two or more along the first axis, which is left open.
    weights
        The checkpoint, ``.safetensors``.
    renamed
        The checkpoint's names of weights that the network has under names of its own.
    fixed
        How many of the last inputs have no open axis.
    """
    import torch

    logging.getLogger("onnx_ir").setLevel(logging.WARNING)  # it tells every node that it drops
    rows = tuple(
        {0: torch.export.Dim.DYNAMIC} if number < len(inputs) - fixed else {}
        for number in range(len(inputs))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions of operators, which the tests check
        program = torch.onnx.export(
            network,
            tuple(inputs),
            dynamic_shapes=(rows,),
            dynamo=True,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
        )
    assert program is not None  # it is None only where it is asked to write a file
    model = program.model_proto
    _refer_to_weights(model.graph, Path(weights), renamed or {})
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    del model.graph.value_info[:]
    for output in model.graph.output:  # of the examples, whatever axis is open
        output.type.tensor_type.ClearField("shape")
    return model


def write_model(path: Path, model: onnx.ModelProto, header: Mapping[str, Any]) -> None:
    """Write a model with its header and the digest of its graph, whole or not at all."""
    import onnx

    about = {**header, GRAPH_DIGEST: graph_digest(model.SerializeToString())}
    onnx.helper.set_model_props(model, {_KEY: json.dumps(about)})
    write_bytes(path, model.SerializeToString())


def model_header(model: onnx.ModelProto) -> dict[str, Any]:
    """Return the header of a model of `write_model`."""
    (entry,) = (entry for entry in model.metadata_props if entry.key == _KEY)
    header: dict[str, Any] = json.loads(entry.value)
    return header


def _refer_to_weights(graph: onnx.GraphProto, weights: Path, renamed: Mapping[str, str]) -> None:
    """Let a graph read its weights from a checkpoint instead of holding them."""
    import onnx

    places = stored_tensors(weights)
    widened = []
    for tensor in graph.initializer:
        key = renamed.get(tensor.name, tensor.name.removeprefix("model."))
        if key not in places:
            continue  # a table of its own
        place = places[key]
        sizes = tensor.name
        tensor.ClearField("raw_data")
        tensor.name, tensor.data_type = key, place.data_type
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for entry, value in place.external(weights).items():
            tensor.external_data.add(key=entry, value=value)
        widened.append(onnx.helper.make_node("Cast", [key], [sizes], to=onnx.TensorProto.FLOAT))
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
