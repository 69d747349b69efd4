"""What an ONNX graph may hold before ONNX Runtime sees it: what our own exports are made of.

A graph is a program. ONNX Runtime runs loops without end, allocates what a number asks for, reads
files that a graph names and ends the process on some that are malformed. So the file is read here
first, by the fields of ``onnx.proto3`` (https://onnx.ai/onnx/repo-docs/IR.html) that
`saiseld export` writes: layers and arithmetic, no control flow, no functions, no subgraphs, weights
from the checkpoint beside it alone and of its types and shapes, small tables, finite numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import CheckpointError, refusing
from saiseld.runtime.limits import Limit

OPSET = 20

ADVICE = "Make it again with `saiseld export`"
WEIGHTS_DIGEST = "weights"
"""Key of the header that holds the digest of the checkpoint (`content_digest`)."""
GRAPH_DIGEST = "graph"
"""Key of the header that holds the digest of the graph itself."""

GRAPH_BYTES = Limit("graph_bytes", 8 << 20)
"""Of a graph's file; ours hold 20 to 170 kB."""
NODES = Limit("graph_nodes", 5_000)
"""Of a graph; ours have up to 1,000."""
TABLE_BYTES = Limit("graph_table_bytes", 1 << 20)
"""Of all numbers that a graph holds itself; ours hold up to 60 kB."""

OPERATORS = frozenset(
    [
        "Abs",
        "Add",
        "BatchNormalization",
        "Cast",
        "CastLike",
        "Clip",
        "Concat",
        "Constant",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "DequantizeLinear",
        "Div",
        "Einsum",
        "Equal",
        "Erf",
        "Exp",
        "Expand",
        "Flatten",
        "Floor",
        "GRU",
        "Gather",
        "GatherElements",
        "GatherND",
        "Gelu",
        "Gemm",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "InstanceNormalization",
        "LayerNormalization",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "LogSoftmax",
        "MatMul",
        "Max",
        "MaxPool",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "PRelu",
        "Pad",
        "Pow",
        "QuantizeLinear",
        "Range",
        "Reciprocal",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Resize",
        "RoiAlign",
        "Round",
        "SequenceAt",
        "Shape",
        "Sigmoid",
        "Slice",
        "Softmax",
        "Softplus",
        "Split",
        "SplitToSequence",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tanh",
        "Tile",
        "TopK",
        "Transpose",
        "Unsqueeze",
        "Where",
    ]
)
"""Operators of our exports and their near kin; none of them runs another graph."""

_SIZES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2}
"""Bytes of a number, by ONNX's data types: float, uint8, int8, int32, int64, bool, float16."""
_STORED = {"F16": 10, "F32": 1}
FLOATS = {1: "<f4", 10: "<f2"}
"""NumPy's name of ONNX's floating types."""

VARIANCES = ("running_var",)
"""Ends the names of weights that are variances: below 0 they make NaN of everything."""

_EXTERNAL = 1
_HEADER_BYTES = 1 << 16
_LONGEST_SAFETENSORS_HEADER = 16 << 20

# Fields by number: of `_Message`s that are read, and those that may be there unread.
_MODEL = {1: "ir_version", 2: "", 3: "", 7: "graph", 8: "opset", 14: "metadata"}
_GRAPH = {1: "node", 2: "", 5: "initializer", 11: "input", 12: "output", 16: ""}
_NODE = {1: "", 2: "", 3: "", 4: "op_type", 5: "attribute", 7: "domain"}
_ATTRIBUTE = {1: "", 2: "f", 3: "", 4: "", 5: "t", 7: "floats", 8: "", 20: ""}
_TENSOR = {
    **{1: "dims", 2: "data_type", 8: "name", 9: "raw_data", 13: "external"},
    14: "location",
}
_OPSET = {1: "domain", 2: "version"}
_ENTRY = {1: "key", 2: "value"}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a floating tensor lies in a safetensors file."""

    data_type: int
    shape: tuple[int, ...]
    offset: int
    length: int

    def external(self, weights: Path) -> dict[str, str]:
        """Return the entries by which ONNX finds it."""
        return {
            "location": weights.name,
            "offset": str(self.offset),
            "length": str(self.length),
        }


def stored_tensors(weights: Path) -> dict[str, StoredTensor]:
    """Return the place of every floating tensor in a safetensors file, by its name.

    Raises
    ------
    CheckpointError
        If it is not one.
    """
    with refusing(CheckpointError, weights, "a safetensors file"):
        size = weights.stat().st_size
        with weights.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size - 8, _LONGEST_SAFETENSORS_HEADER):
                raise ValueError(f"a header of {length} bytes")
            header: Mapping[str, Any] = json.loads(file.read(length))
        start, found = 8 + length, {}
        for key, about in header.items():
            if key == "__metadata__" or about["dtype"] not in _STORED:
                continue
            begin, end = map(int, about["data_offsets"])
            if not 0 <= begin <= end <= size - start:
                raise ValueError(f"{key}: beyond the end of the file")
            shape = tuple(map(int, about["shape"]))
            kind = _STORED[about["dtype"]]
            if end - begin != math.prod(shape) * _SIZES[kind]:
                raise ValueError(f"{key}: {end - begin} bytes of shape {shape}")
            found[key] = StoredTensor(kind, shape, start + begin, end - begin)
    return found


def graph_digest(content: bytes) -> str:
    """Return a digest of the graph in a model's file: all but its metadata.

    Raises
    ------
    ValueError
        If the file is malformed.
    """
    digest = hashlib.blake2b(digest_size=12)
    for number, value in _fields(content):
        if _MODEL.get(number) == "graph" and isinstance(value, bytes):
            digest.update(value)
    return digest.hexdigest()


def check_graph(path: Path, weights: Path) -> tuple[dict[str, Any], bytes]:
    """Check a graph's file; return the header in it, and its content.

    Parameters
    ----------
    path
        The graph.
    weights
        The checkpoint that its weights must come from.

    Raises
    ------
    CheckpointError
        If it is not what `saiseld export` writes for these weights.
    """
    GRAPH_BYTES.check(path.stat().st_size, CheckpointError, path, place="bytes")
    stored = stored_tensors(weights)
    with refusing(CheckpointError, path, "a graph of `saiseld export`", advice=ADVICE):
        content = path.read_bytes()
        return _Checker(path, weights, stored).check(content), content


class _Checker:
    def __init__(self, path: Path, weights: Path, stored: Mapping[str, StoredTensor]) -> None:
        self._path, self._weights, self._stored = path, weights, stored
        self._used = self._table_bytes = 0

    def check(self, content: bytes) -> dict[str, Any]:
        model = _read(content, _MODEL, "model")
        opsets = [_read(part, _OPSET, "opset") for part in model["opset"]]
        versions = [(_text(one, "domain"), one["version"]) for one in opsets]
        if versions != [("", [OPSET])]:
            raise self._error("operators", f"version {OPSET} and no other set", str(versions))
        if len(model["graph"]) != 1:
            raise self._error("graph", "one", str(len(model["graph"])))
        graph = _read(model["graph"][0], _GRAPH, "graph")
        entries = [_read(part, _ENTRY, "metadata") for part in model["metadata"]]
        headers = [_text(one, "value") for one in entries if _text(one, "key") == "saiseld"]
        if len(headers) != 1 or len(headers[0]) > _HEADER_BYTES:
            raise self._error("metadata", "one header of ours", str(len(headers)))
        header = json.loads(headers[0])
        if not isinstance(header, dict):
            raise self._error("metadata", "a JSON object", type(header).__name__)
        digest = content_digest(self._weights)
        if header.get(WEIGHTS_DIGEST) != digest:
            found = str(header.get(WEIGHTS_DIGEST))
            raise self._error("weights", f"the graph of {self._weights}, {digest}", found)
        for tensor in graph["initializer"]:
            self._check_tensor(tensor, "initializer")
        NODES.check(len(graph["node"]), CheckpointError, self._path, place="nodes")
        for number, node in enumerate(graph["node"]):
            self._check_node(node, f"node {number}")
        if not self._used:
            raise self._error("weights", f"tensors of {self._weights.name}", "none")
        digest = graph_digest(content)
        if header.get(GRAPH_DIGEST) != digest:
            raise self._error(GRAPH_DIGEST, digest, str(header.get(GRAPH_DIGEST)))
        return header

    def _check_node(self, content: bytes, place: str) -> None:
        node = _read(content, _NODE, place)
        operator, domain = _text(node, "op_type"), _text(node, "domain")
        if domain or operator not in OPERATORS:
            raise self._error(place, "a layer or arithmetic", f"{domain} {operator}".strip())
        for part in node["attribute"]:
            attribute = _read(part, _ATTRIBUTE, f"{place}, {operator}")
            numbers = [*attribute["f"], *attribute["floats"]]
            if not all(math.isfinite(value) for one in numbers for value in _floats(one)):
                raise self._error(f"{place}, {operator}", "finite numbers", "NaN or infinity")
            for tensor in attribute["t"]:
                self._check_tensor(tensor, place, constant=True)

    def _check_tensor(self, content: bytes, place: str, *, constant: bool = False) -> None:
        tensor = _read(content, _TENSOR, place)
        name = _text(tensor, "name")
        place = f"{place} {name}".strip()
        shape = tuple(value for one in tensor["dims"] for value in _integers(one))
        (kind,) = tensor["data_type"] or [0]
        if kind not in _SIZES or len(shape) > 8:
            raise self._error(place, "a tensor of numbers", f"type {kind} of shape {shape}")
        if tensor["location"] == [_EXTERNAL] and not constant:
            self._check_external(tensor, name, kind, shape, place)
            return
        raw = b"".join(tensor["raw_data"])
        size = math.prod(shape) * _SIZES[kind]
        if size != len(raw) or tensor["external"] or tensor["location"] not in ([], [0]):
            raise self._error(place, f"{size} bytes of its own", str(len(raw)))
        self._table_bytes += size
        TABLE_BYTES.check(self._table_bytes, CheckpointError, self._path, place="tables")
        if kind in FLOATS and not np.isfinite(np.frombuffer(raw, FLOATS[kind])).all():
            raise self._error(place, "finite numbers", "NaN or infinity")

    def _check_external(
        self,
        tensor: Mapping[str, list[Any]],
        name: str,
        kind: int,
        shape: tuple[int, ...],
        place: str,
    ) -> None:
        entries = [_read(part, _ENTRY, place) for part in tensor["external"]]
        pairs = [(_text(one, "key"), _text(one, "value")) for one in entries]
        stored = self._stored.get(name)
        if stored is None or (kind, shape) != (stored.data_type, stored.shape):
            raise self._error(place, f"a tensor of {self._weights.name}", f"shape {shape}")
        expected = stored.external(self._weights)
        self._used += 1
        if dict(pairs) != expected or len(pairs) != len(expected) or tensor["raw_data"]:
            raise self._error(place, f"its place in {self._weights.name}", str(pairs))

    def _error(self, place: str, expected: str, found: str) -> CheckpointError:
        return CheckpointError(
            self._path,
            place=place,
            expected=expected,
            found=found,
            advice=ADVICE,
        )


def _read(content: bytes, fields: Mapping[int, str], what: str) -> dict[str, list[Any]]:
    """Return the values of a message by the names of its fields; "" are passed over.

    Raises
    ------
    ValueError
        If it is malformed, or has a field that is not among them.
    """
    found: dict[str, list[Any]] = {name: [] for name in fields.values()}
    for number, value in _fields(content):
        if number not in fields:
            raise ValueError(f"{what}: field {number}, which no graph of ours has")
        if fields[number]:
            found[fields[number]].append(value)
    return found


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field: an integer, or bytes."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, wire = key >> 3, key & 7
        value: int | bytes
        if wire == 0:
            value, place = _varint(content, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
            value, place = content[place : place + length], place + length
        elif wire == 2:
            length, place = _varint(content, place)
            value, place = content[place : place + length], place + length
        else:
            raise ValueError(f"wire type {wire}")
        if place > len(content):
            raise ValueError("it is cut off")
        yield number, value


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(content) or shift > 63:
            raise ValueError("it is cut off")
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _text(message: Mapping[str, list[Any]], field: str) -> str:
    values = message[field]
    if len(values) > 1 or not all(isinstance(value, bytes) for value in values):
        raise ValueError(f"{field}: more than one, or no text")
    return values[0].decode() if values else ""


def _floats(value: Any) -> tuple[float, ...]:
    """Return the floats of a field: one, or many that are packed."""
    if not isinstance(value, bytes) or len(value) % 4:
        raise ValueError("a number of another kind")
    return struct.unpack(f"<{len(value) // 4}f", value)


def _integers(value: Any) -> list[int]:
    """Return the integers of a field: one, or many that are packed."""
    if isinstance(value, int):
        return [value]
    numbers, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        numbers.append(number)
    return numbers
