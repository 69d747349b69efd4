"""Graphs beside weights: nothing but what `saiseld export` makes reaches ONNX Runtime."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from saiseld.acoustics.graphs import GraphUpLAM
from saiseld.formats.graph import Graph, model_header, write_model
from saiseld.formats.graph_check import stored_tensors
from saiseld.pipeline.weights import PACKAGED
from saiseld.runtime.cache import content_digest
from saiseld.runtime.errors import CheckpointError

INPUT = np.zeros((3, 9, 4, 4), np.complex64)


@pytest.fixture
def weights(tmp_path):
    for file in PACKAGED.glob("uplam.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "uplam.safetensors"


def changed(weights, change, *, header=None, rename=("upsample",)):
    """Write a graph that was changed on purpose, its digest made anew, as an attacker would."""
    for name in rename:
        path = weights.with_name(f"uplam.{name}.onnx")
        model = onnx.load(path, load_external_data=False)
        own = model_header(model) | (header or {})
        change(model)
        write_model(path, model, own)
    return path


def append(model, *nodes):
    """Put nodes between the graph and its first output."""
    last = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["inner" if name == last else name for name in node.output]
        node.input[:] = ["inner" if name == last else name for name in node.input]
    model.graph.node.extend(nodes)
    return last


def loop(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))


def if_without_body(model):
    model.graph.node.append(helper.make_node("If", ["inputs_0"], ["x"]))


def own_operators(model):
    model.graph.node.append(helper.make_node("Anything", [], ["x"], domain="com.evil"))
    model.opset_import.append(helper.make_opsetid("com.evil", 1))


def function(model):
    model.functions.append(
        helper.make_function("f", "F", [], ["x"], [], [helper.make_opsetid("", 20)])
    )


def other_opset(model):
    model.opset_import[0].version = 19


def file_elsewhere(model):
    model.graph.initializer[0].external_data[0].value = "../../../etc/passwd"


def other_place(model):
    alike = [t for t in model.graph.initializer if list(t.dims) == [32, 32, 12, 12]]
    one, two = alike[:2]
    one.external_data[1].value = two.external_data[1].value


def other_shape(model):
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
    tensor.dims[0], tensor.dims[2] = tensor.dims[2], tensor.dims[0]


def large_table(model):
    values = np.zeros(1 << 19, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, "t"))


def table_of_nan(model):
    values = np.array([np.nan], np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, "t"))


def attribute_of_infinity(model):
    model.graph.node.append(helper.make_node("Constant", [], ["x"], value_float=np.inf))


def many_nodes(model):
    for number in range(5_001):
        model.graph.node.append(helper.make_node("Relu", ["inputs_0"], [f"x{number}"]))


def sparse(model):
    model.graph.sparse_initializer.add()


def no_weights(model):
    del model.graph.node[:], model.graph.initializer[:]
    for name, output in zip(("inputs_0", "inputs_1"), model.graph.output, strict=True):
        model.graph.node.append(helper.make_node("Identity", [name], [output.name]))


@pytest.mark.parametrize(
    "change",
    [
        loop, if_without_body, own_operators, function, other_opset, file_elsewhere, other_place,
        other_shape, large_table, table_of_nan, attribute_of_infinity, many_nodes, sparse,
        no_weights,
    ],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_what_no_export_makes_is_refused_before_it_is_loaded(weights, change, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    path = changed(weights, change)
    with pytest.raises(CheckpointError) as caught:
        GraphUpLAM(weights)
    assert caught.value.source == str(path) and caught.value.advice


def constant_of_size(model, name, value):
    model.graph.node.append(helper.make_node("Constant", [], [name], value_ints=value))


def nan_output(model):
    last = append(model)
    model.graph.node.append(helper.make_node("Sub", ["inner", "inner"], ["zero"]))
    model.graph.node.append(helper.make_node("Div", ["zero", "zero"], [last]))


def output_of_another_shape(model):
    last = append(model)
    model.graph.node.append(helper.make_node("ReduceMax", ["inner"], [last], keepdims=0))


def output_of_another_type(model):
    last = append(model)
    model.graph.node.append(helper.make_node("Cast", ["inner"], [last], to=TensorProto.INT64))


def one_output_less(model):
    del model.graph.output[1]


def expanded(model):
    last = append(model)
    constant_of_size(model, "size", [1 << 22, 9, 32, 32])
    model.graph.node.append(helper.make_node("ReduceMax", ["inner"], ["one"], keepdims=0))
    model.graph.node.append(helper.make_node("Expand", ["one", "size"], [last]))


def tiled_by_what_is_computed(model):
    last = append(model)
    constant_of_size(model, "factor", [20_000])
    model.graph.node.append(helper.make_node("Shape", ["inputs_0"], ["shape"]))
    model.graph.node.append(helper.make_node("Mul", ["shape", "factor"], ["repeats"]))
    model.graph.node.append(helper.make_node("Tile", ["inner", "repeats"], [last]))


def contradictory(model):
    last = append(model)
    model.graph.node.append(helper.make_node("MatMul", ["inner", "inputs_0"], [last]))


@pytest.mark.parametrize(
    "change",
    [
        nan_output, output_of_another_shape, output_of_another_type, one_output_less, expanded,
        tiled_by_what_is_computed, contradictory,
    ],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_what_gives_anything_else_is_one_error_in_bounded_memory(weights, change):
    path = changed(weights, change)
    with pytest.raises(CheckpointError) as caught:
        GraphUpLAM(weights)(INPUT)
    assert caught.value.source == str(path)


@pytest.mark.parametrize(
    "header", [{"projection": 1}, {"projection": "mercator"}, {"graph": "0" * 24}, {"weights": 0}]
)
def test_a_header_of_other_values_is_refused(weights, header):
    path = weights.with_name("uplam.upsample.onnx")
    model = onnx.load(path, load_external_data=False)
    write_model(path, model, model_header(model) | header)
    if "graph" in header:
        path.write_bytes(path.read_bytes().replace(b"node_conv", b"node_vnoc", 1))
    with pytest.raises(CheckpointError) as caught:
        GraphUpLAM(weights)
    assert caught.value.source == str(path)


def rewritten(weights, names, change):
    """Change the numbers of weights, and make the digests of their graphs anew."""
    state = load_file(weights)
    change(state)
    save_file(state, weights)
    places = stored_tensors(weights)
    for name in names:
        path = weights.with_name(f"{weights.stem}.{name}.onnx")
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                for entry in tensor.external_data:
                    entry.value = places[tensor.name].external(weights)[entry.key]
        write_model(path, model, model_header(model) | {"weights": content_digest(weights)})


def test_weights_that_are_no_numbers_are_refused(weights):
    state = load_file(weights)
    key = next(key for key, value in state.items() if value.dtype == np.float16)
    rewritten(weights, ("upsample", "map"), lambda state: state[key].fill(np.nan))
    with pytest.raises(CheckpointError) as caught:
        GraphUpLAM(weights)
    assert caught.value.place == f"key {key}"


def test_variances_below_zero_are_refused(tmp_path):
    for file in ("seld.safetensors", "seld.encoder.onnx"):
        shutil.copy(PACKAGED / file, tmp_path)
    weights, key = tmp_path / "seld.safetensors", "network.norm_in.running_var"
    rewritten(weights, ["encoder"], lambda state: state[key].fill(-1e-3))
    with pytest.raises(CheckpointError) as caught:
        Graph(weights, "encoder", ("n 14",))
    assert (caught.value.place, caught.value.expected) == (f"key {key}", "0 or more")


def test_a_first_run_that_does_not_end_is_ended(weights, monkeypatch):
    from saiseld.formats import graph

    monkeypatch.setattr(graph, "FIRST_RUN_S", 0.0)
    own = Graph(weights, "upsample", ("n 9 32 32", "n 9 32 32"))
    parts = [np.zeros((200, 9, 4, 4), np.float32)] * 2
    with pytest.raises(CheckpointError):
        own(*parts)
