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
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from saiseld.runtime.cache import content_digest
from saiseld.runtime.devices import has_torch
from saiseld.runtime.errors import CheckpointError, what_was_said
from saiseld.runtime.files import write_bytes

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

GRAPH_SUFFIX = ".onnx"
OPSET = 20

FAST = ".fast"
"""Ends the name of a graph's fast form, which multiplies bytes (`saiseld.formats.graph_bytes`)."""

_KEY = "saiseld"
_DIGEST = "weights"
_ADVICE = "Make it again with `saiseld export`"


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

    Parameters
    ----------
    weights
        The checkpoint that it lies beside.
    name
        Which one of that checkpoint's graphs it is.

    Raises
    ------
    CheckpointError
        If it is not there, cannot be read, or was made for another checkpoint.
    """

    def __init__(self, weights: str | Path, name: str) -> None:
        # Some releases of it report to their maker, and keep a device's name in the user's cache.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        path = graph_path(weights, name)
        if not path.is_file():
            raise CheckpointError(path, expected="a graph", found="no such file", advice=_ADVICE)
        options = onnxruntime.SessionOptions()
        # Threads that wait for one another stand still as soon as the machine has other work;
        # several cores are for several frames (`saiseld.runtime.threads`).
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
            about = self._session.get_modelmeta().custom_metadata_map
            self.header: dict[str, Any] = json.loads(about[_KEY])
        except Exception as error:  # onnxruntime raises kinds of its own that share no base
            raise CheckpointError(
                path,
                expected="a graph of `saiseld export`",
                found=what_was_said(error),
                advice=_ADVICE,
            ) from error
        digest = content_digest(weights)
        if self.header[_DIGEST] != digest:
            raise CheckpointError(
                path,
                place="weights",
                expected=f"the graph of {weights}, {digest}",
                found=str(self.header[_DIGEST]),
                advice=_ADVICE,
            )
        self._inputs = [given.name for given in self._session.get_inputs()]
        self.noted: list[tuple[NDArray[Any], ...]] | None = None
        """Inputs of every call since this was made a list."""

    def __call__(self, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the network's outputs for its inputs, both in the order of its making."""
        if self.noted is not None:
            self.noted.append(inputs)
        outputs: list[NDArray[Any]] = self._session.run(
            None, dict(zip(self._inputs, inputs, strict=True))
        )
        return outputs


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
    network
        In evaluation mode; its ``forward(*inputs)`` returns a tuple of tensors. What it has of the
        checkpoint's model is its attribute ``model``.
    inputs
        Examples of its inputs: two or more along the first axis, which is left open.
    fixed
        How many of the last inputs have no open axis.
    header
        What it is: JSON values.
    renamed
        The checkpoint's names of weights that the network has under names of its own.
    """
    import onnx
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
    about = json.dumps({**header, _DIGEST: content_digest(weights)})
    onnx.helper.set_model_props(model, {_KEY: about})
    path = graph_path(weights, name)
    write_bytes(path, model.SerializeToString())
    return path


def _refer_to_weights(graph: onnx.GraphProto, weights: Path, renamed: Mapping[str, str]) -> None:
    """Let a graph read its weights from a checkpoint instead of holding them."""
    import onnx

    places = _places(weights)
    widened = []
    for tensor in graph.initializer:
        key = renamed.get(tensor.name, tensor.name.removeprefix("model."))
        if key not in places:
            continue  # a table of its own
        kind, offset, length = places[key]
        own = tensor.name
        tensor.ClearField("raw_data")
        tensor.name, tensor.data_type = key, getattr(onnx.TensorProto, kind)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for entry, value in (("location", weights.name), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=entry, value=str(value))
        widened.append(onnx.helper.make_node("Cast", [key], [own], to=onnx.TensorProto.FLOAT))
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _places(weights: Path) -> dict[str, tuple[str, int, int]]:
    """Return the ONNX type, offset and length of every floating tensor in a safetensors file."""
    content = weights.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    types = {"F16": "FLOAT16", "F32": "FLOAT"}
    return {
        key: (types[about["dtype"]], start + about["data_offsets"][0], _length(about))
        for key, about in json.loads(content[8:start]).items()
        if about.get("dtype") in types
    }


def _length(about: Mapping[str, Any]) -> int:
    begin, end = about["data_offsets"]
    return int(end - begin)
