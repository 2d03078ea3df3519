"""ModelProto -> Graph: what is turned into what, in which order, and where it says it comes from."""

from __future__ import annotations

import random

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from netlint.frontends.onnx import load_bytes, load_text
from netlint.frontends.onnx.source import locate
from netlint.graph import Graph, Value
from tests.onnx_models import chain, info, model, summary

HEADER = '<ir_version: 10, opset_import: ["" : 21, "local" : 1]>\n'


def built(proto: onnx.ModelProto) -> Graph:
    return load_bytes(proto.SerializeToString())


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def constant(value: Value | None) -> object:
    assert value is not None and value.constant is not None
    return value.constant.load().tolist()


# Constants


@pytest.mark.parametrize(
    ("attribute", "dtype", "wanted"),
    [
        ("value = float[2] {1, 2}", "float32", [1.0, 2.0]),
        ("value_float = 1.5", "float32", 1.5),
        ("value_floats = [1.5, 2.5]", "float32", [1.5, 2.5]),
        ("value_int = -3", "int64", -3),
        ("value_ints = [1, -2]", "int64", [1, -2]),
        ('value_string = "abc"', "string", b"abc"),
        ('value_strings = ["a", "bc"]', "string", [b"a", b"bc"]),
    ],
)
def test_constant_node_becomes_a_constant(attribute: str, dtype: str, wanted: object) -> None:
    graph = load_text(f"g (float[2] x) => (float[2] y) {{ c = Constant <{attribute}> ()\n y = Foo (x, c) }}")
    assert ops(graph) == ["Foo"]
    value = graph.nodes[0].input(1)
    assert value is not None and value.dtype == dtype and graph.producer(value) is None
    assert value.shape == (() if not isinstance(wanted, list) else (2,))
    assert constant(value) == wanted


def test_constant_that_cannot_be_read_stays_a_node() -> None:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, "f4"), "v"),
        helper.make_tensor("i", onnx.TensorProto.INT64, [1], [0]),
        [4],
    )
    nodes = [helper.make_node("Constant", [], ["c"], sparse_value=sparse), helper.make_node("Add", ["x", "c"], ["y"])]
    graph = built(model(nodes))
    assert ops(graph) == ["Constant", "Add"]
    assert graph.nodes[1].input(1) is graph.nodes[0].output()


def test_initializer_listed_as_input_is_a_constant_and_no_input() -> None:
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])], inputs=("x", "w"))
    proto.ir_version = 3
    proto.graph.initializer.append(helper.make_tensor("w", 1, [2, 4], [1.0] * 8))
    graph = built(proto)
    assert [value.name for value in graph.inputs] == ["x"]
    assert constant(graph.nodes[0].input(1)) == [[1.0] * 4] * 2
    assert graph.defects == ()


def test_sparse_initializer_is_a_constant_that_says_why_it_cannot_be_read() -> None:
    proto = model([helper.make_node("Add", ["x", "w"], ["y"])])
    sparse = proto.graph.sparse_initializer.add()
    sparse.values.CopyFrom(helper.make_tensor("w", 1, [1], [1.0]))
    sparse.indices.CopyFrom(helper.make_tensor("", onnx.TensorProto.INT64, [1], [3]))
    sparse.dims.extend([2, 4])
    value = built(proto).nodes[0].input(1)
    assert value is not None and value.constant is not None and value.constant.shape == (2, 4)
    with pytest.raises(Exception, match="sparse"):
        value.constant.load()


# Bodies


def test_body_captures_outer_values_by_identity() -> None:
    graph = load_text("""
        g (float[2] x, bool c) => (float[2] y) <float[1] w = {3}> {
            h = Neg (x)
            y = If (c) <
                then_branch = t () => (float[2] a) {
                    k = Constant <value_float = 7.0> ()  b = Mul (h, k)  a = Add (b, w)
                },
                else_branch = e () => (float[2] d) { d = Relu (x) }>
        }""")
    assert graph.defects == ()
    holder = next(node for node in graph.nodes if node.op == "If")
    neg, mul, add, relu = (graph.of(op)[0] for op in ("Neg", "Mul", "Add", "Relu"))
    assert mul.input(0) is neg.output() and relu.input(0) is graph.inputs[0]
    assert constant(mul.input(1)) == 7.0 and constant(add.input(1)) == [3.0]
    assert holder.bodies["then_branch"].outputs == (add.output(),)
    assert set(holder.bodies["then_branch"].nodes) == {mul, add}
    place = graph.position
    assert place[neg] < place[mul] < place[add] < place[holder] and place[relu] < place[holder]
    assert graph.uses(graph.inputs[0]) == sorted([neg, relu], key=place.__getitem__)


def test_body_inputs_have_no_producer_and_are_no_graph_inputs() -> None:
    graph = load_text("""
        g (int64 n, bool c, float[2] x) => (float[2] y) {
            y = Loop (n, c, x) <body = b (int64 i, bool p, float[2] v) => (bool q, float[2] w) {
                q = Identity (p)
                w = Add (v, x)
            }>
        }""")
    body = graph.of("Loop")[0].bodies["body"]
    assert [value.name for value in body.inputs] == ["i", "p", "v"]
    assert not set(body.inputs) & set(graph.inputs)
    assert all(graph.producer(value) is None for value in body.inputs)
    assert graph.of("Add")[0].inputs == (body.inputs[2], graph.inputs[2])
    assert (body.inputs[2].dtype, body.inputs[2].shape) == ("float32", (2,))


def test_name_in_a_body_may_hide_nothing_but_itself() -> None:
    """Two branches use the same inner name: two values."""
    graph = load_text("""
        g (bool c, float[2] x) => (float[2] y) {
            y = If (c) <then_branch = t () => (float[2] a) { a = Neg (x) },
                        else_branch = e () => (float[2] a) { a = Abs (x) }>
        }""")
    assert graph.defects == ()
    assert graph.of("Neg")[0].output() is not graph.of("Abs")[0].output()


# Local functions


def test_nested_functions_are_inlined_into_the_callers_values() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x) => (float[2] y) { h = local.outer (x)  y = local.outer (h) }
        <domain: "local", opset_import: ["" : 21, "local" : 1]>
        outer (a) => (b) { t = local.inner (a)  b = Relu (t) }
        <domain: "local", opset_import: ["" : 21]>
        inner (a) => (b) { one = Constant <value_float = 1.0> ()  b = Add (a, one) }
        """
    )
    assert graph.defects == ()
    assert ops(graph) == ["Add", "Relu", "Add", "Relu"]
    first, relu, second, last = graph.nodes
    assert first.input(0) is graph.inputs[0] and constant(first.input(1)) == 1.0
    assert relu.input(0) is first.output() and second.input(0) is relu.output()
    assert graph.outputs == (last.output(),)
    assert first.output() is not second.output()
    assert "outer ▸ inner ▸ " in first.loc.path


def test_function_attributes_come_from_the_call_else_from_their_defaults() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x) => (float[2] y) {
            h = local.f <alpha = 0.5> (x)  i = local.f (h)  y = local.through <a = 0.75> (i)
        }
        <domain: "local", opset_import: ["" : 21]>
        f <alpha: float = 0.25, beta> (a) => (b) { b = LeakyRelu <alpha: float = @alpha, beta: float = @beta> (a) }
        <domain: "local", opset_import: ["" : 21, "local" : 1]>
        through <a> (v) => (b) { b = local.f <alpha: float = @a> (v) }
        """
    )
    assert [dict(node.attrs) for node in graph.nodes] == [{"alpha": 0.5}, {"alpha": 0.25}, {"alpha": 0.75}]


def test_unset_attribute_passed_on_by_a_call_falls_back_to_the_inner_default() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x) => (float[2] y) { y = local.through (x) }
        <domain: "local", opset_import: ["" : 21, "local" : 1]>
        through <a> (v) => (b) { b = local.f <alpha: float = @a> (v) }
        <domain: "local", opset_import: ["" : 21]>
        f <alpha: float = 0.25> (a) => (b) { b = LeakyRelu <alpha: float = @alpha> (a) }
        """
    )
    assert [dict(node.attrs) for node in graph.nodes] == [{"alpha": 0.25}]


def test_constant_in_a_function_takes_its_value_from_the_call() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x) => (float[2] y) { h = local.f <v = 2.0> (x)  y = local.f (h) }
        <domain: "local", opset_import: ["" : 21]>
        f <v> (a) => (b) { k = Constant <value_float: float = @v> ()  b = Mul (a, k) }
        """
    )
    given = graph.nodes[0].input(1)
    assert constant(given) == 2.0
    # The second call gives no value: nobody knows what it multiplies by.
    missing = graph.nodes[-1].input(1)
    assert missing is not None and missing.constant is None


def test_missing_optional_input_of_a_call_is_missing_inside() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x) => (float[2] y) { y = local.f (x, , x) }
        <domain: "local", opset_import: ["" : 21]>
        f (a, lo, hi, beyond) => (b) { t = Clip (a, lo, hi)  b = Clip (t, beyond) }
        """
    )
    assert graph.defects == ()
    assert graph.nodes[0].inputs == (graph.inputs[0], None, graph.inputs[0])
    assert graph.nodes[1].inputs == (graph.nodes[0].output(), None)


def test_input_left_out_whose_name_the_function_writes_to() -> None:
    text = (
        HEADER
        + """
        g (float[2] x) => (float[2] y) { y = local.f (x) }
        <domain: "local", opset_import: ["" : 21]>
        f (a, b, c) => (d) { b = Constant <value_float = 1.0> ()  c = Neg (a)  e = Add (b, c)  d = Clip (e) }
        """
    )
    for graph in (load_text(text), load_text(text)):
        add, clip = graph.of("Add")[0], graph.of("Clip")[0]
        assert constant(add.input(0)) == 1.0 and graph.producer(add.input(1)) is graph.of("Neg")[0]
        assert add.input(0) is not add.input(1) and clip.inputs == (add.output(),)


def test_function_that_returns_its_input_passes_it_through() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x) => (float[2] y) { a, b = local.f (x)  y = Add (a, b) }
        <domain: "local", opset_import: ["" : 21]>
        f (a) => (a, b) { b = Neg (a) }
        """
    )
    assert sorted(ops(graph)) == ["Add", "Identity", "Neg"] and graph.defects == ()
    identity = graph.of("Identity")[0]
    assert identity.input(0) is graph.inputs[0] and graph.of("Add")[0].input(0) is identity.output()


def test_function_whose_result_is_a_constant() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x) => (float[2] y) { k = local.f ()  y = Add (x, k) }
        <domain: "local", opset_import: ["" : 21]>
        f () => (b) { b = Constant <value_float = 4.0> () }
        """
    )
    assert ops(graph) == ["Add"] and constant(graph.nodes[0].input(1)) == 4.0


def test_function_with_a_body_reads_its_own_values() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x, bool c) => (float[2] y) { y = local.f <alpha = 0.5> (x, c) }
        <domain: "local", opset_import: ["" : 21]>
        f <alpha> (a, c) => (b) {
            t = Neg (a)
            b = If (c) <then_branch = m () => (float[2] d) { d = LeakyRelu <alpha: float = @alpha> (t) },
                        else_branch = n () => (float[2] e) { e = Identity (a) }>
        }"""
    )
    assert graph.defects == ()
    assert graph.of("LeakyRelu")[0].input(0) is graph.of("Neg")[0].output()
    assert graph.of("LeakyRelu")[0].attrs["alpha"] == 0.5
    assert graph.of("Identity")[0].input(0) is graph.inputs[0]


def test_function_under_another_opset_stays_opaque() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x) => (float[2] y) { y = local.f (x) }
        <domain: "local", opset_import: ["" : 12]>
        f (a) => (b) { b = Relu (a) }
        """
    )
    assert [(node.domain, node.op) for node in graph.nodes] == [("local", "f")]
    assert graph.defects == ()


def test_function_that_does_not_produce_its_result_is_a_defect() -> None:
    graph = load_text(
        HEADER
        + """
        g (float[2] x) => (float[2] y) { y = local.f (x) }
        <domain: "local", opset_import: ["" : 21]>
        f (a) => (b) { c = Relu (a) }
        """
    )
    assert [defect.kind for defect in graph.defects] == ["dangling"]


# Order


DIAMOND = """
    g (float[2] x, float[2] z) => (float[2] y, float[2] w) {
        a = Neg (x)  b = Abs (z)  c = Add (b, a)  d = Exp (c)  e = Mul (d, a)  y = Relu (e)  w = Sqrt (c)
    }"""


def shuffled(proto: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Another topological order of the nodes and other names."""
    rng = random.Random(seed)
    left, done = list(proto.graph.node), {value.name for value in proto.graph.input}
    done |= {tensor.name for tensor in proto.graph.initializer}
    del proto.graph.node[:]
    while left:
        node = rng.choice([node for node in left if done.issuperset(node.input)])
        left.remove(node)
        done.update(node.output)
        node.name = f"other{rng.random()}"
        proto.graph.node.append(node)
    text = proto.SerializeToString()
    again = onnx.ModelProto()
    again.ParseFromString(text)
    return again


@pytest.mark.parametrize("seed", range(8))
def test_order_depends_neither_on_the_file_nor_on_names(seed: int) -> None:
    proto = onnx.parser.parse_model(HEADER + DIAMOND)
    wanted = ["Abs", "Neg", "Add", "Exp", "Mul", "Relu", "Sqrt"]
    assert ops(built(proto)) == wanted
    assert summary(built(shuffled(proto, seed))) == summary(built(onnx.parser.parse_model(HEADER + DIAMOND)))


def test_order_of_bodies_does_not_depend_on_the_order_of_attributes() -> None:
    text = HEADER + (
        "g (bool c, float[2] x) => (float[2] y) { y = If (c) <then_branch = t () => (float[2] a) { a = Neg (x) },"
        " else_branch = e () => (float[2] b) { b = Abs (x) }> }"
    )
    proto = onnx.parser.parse_model(text)
    wanted = ops(built(proto))
    attributes = list(proto.graph.node[0].attribute)
    del proto.graph.node[0].attribute[:]
    proto.graph.node[0].attribute.extend(reversed(attributes))
    assert ops(built(proto)) == wanted


def test_unsorted_nodes_come_out_sorted_with_a_defect() -> None:
    nodes = chain("Neg", "Abs", "Relu")
    graph = built(model(reversed(nodes)))
    assert ops(graph) == ["Neg", "Abs", "Relu"]
    assert [defect.kind for defect in graph.defects] == ["unsorted", "unsorted"]


def test_a_long_chain_needs_no_recursion() -> None:
    graph = built(model(chain(*["Neg"] * 20_000)))
    assert len(graph.nodes) == 20_000 and graph.defects == ()


# What the file declares


def test_declared_types_and_shapes() -> None:
    proto = model(chain("Neg", "Abs"))
    proto.graph.value_info.append(info("h1", ("N", 0, None, 3), onnx.TensorProto.BFLOAT16))
    proto.graph.input.append(helper.make_tensor_value_info("unranked", onnx.TensorProto.INT8, None))
    proto.graph.input.append(helper.make_tensor_sequence_value_info("s", 1, None))
    graph = built(proto)
    hidden = graph.nodes[0].output()
    assert hidden is not None and (hidden.dtype, hidden.shape) == ("bfloat16", ("N", None, None, 3))
    assert [(value.dtype, value.shape) for value in graph.inputs[1:]] == [("int8", None), ("sequence", None)]


def test_domain_ai_onnx_is_the_default_domain() -> None:
    proto = model(chain("Neg"))
    proto.graph.node[0].domain = "ai.onnx"
    proto.opset_import[0].domain = "ai.onnx"
    graph = built(proto)
    assert graph.nodes[0].domain == "" and graph.opset == {"": 21} and graph.defects == ()


def test_attributes_are_plain_python() -> None:
    node = helper.make_node("Foo", ["x"], ["y"], f=1.5, i=-2, s="text", fs=[1.0, 2.0], n=[3, 4], t=["a", "b"])
    node.attribute.append(helper.make_attribute("w", numpy_helper.from_array(np.ones(2, "f4"))))
    attrs = built(model([node])).nodes[0].attrs
    tensor = attrs["w"]
    assert tensor.load().tolist() == [1.0, 1.0]
    plain = {key: value for key, value in attrs.items() if key != "w"}
    assert plain == {"f": 1.5, "i": -2, "s": "text", "fs": (1.0, 2.0), "n": (3, 4), "t": ("a", "b")}


@pytest.mark.parametrize(("names", "wanted"), [(["x"], 2), ([], 2), (["x"] * 3, 2), (["x", "x", ""], 2)])
def test_a_node_has_as_many_inputs_as_its_operator(names: list[str], wanted: int) -> None:
    graph = built(model([helper.make_node("Add", names, ["y"])]))
    assert len(graph.nodes[0].inputs) == wanted
    kinds = [] if names[-1:] == [""] else ["arity"]
    assert [defect.kind for defect in graph.defects] == kinds
    assert all(f"takes 2 inputs, but has {len(names)}" in defect.message for defect in graph.defects)


def test_an_initializer_without_a_name_is_no_input_left_out() -> None:
    nodes = [helper.make_node("Clip", ["x", "", "x"], ["y"])]
    graph = built(model(nodes, initializers=[helper.make_tensor("", 1, [], [1.0])]))
    assert graph.nodes[0].inputs == (graph.inputs[0], None, graph.inputs[0])


def test_attribute_of_the_wrong_type_is_left_out() -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], axis="last", note="kept")
    assert dict(built(model([node])).nodes[0].attrs) == {"note": "kept"}
    node.domain = "com.example"
    assert dict(built(model([node])).nodes[0].attrs) == {"axis": "last", "note": "kept"}


def test_operator_of_an_opset_yet_to_come_is_not_judged() -> None:
    graph = built(model(chain("Neg", "Wobble"), opset=999))
    assert graph.defects == ()
    graph = built(model(chain("Neg", "Wobble"), opset=21))
    assert [defect.kind for defect in graph.defects] == ["unknown-op"]


@pytest.mark.parametrize("opset", [11, 17, 23])
def test_norms_that_onnxruntime_writes_into_any_opset(opset: int) -> None:
    nodes = [
        helper.make_node("SimplifiedLayerNormalization", ["x", "w"], ["h"], epsilon=1e-6),
        helper.make_node("LayerNormalization", ["h", "w"], ["y"]),
    ]
    graph = built(model(nodes, inputs=("x", "w"), opset=opset))
    assert graph.defects == ()
    assert [node.op for node in graph.nodes] == ["RMSNormalization", "LayerNormalization"]
    assert graph.nodes[0].attrs["epsilon"] == pytest.approx(1e-6)
    assert "SimplifiedLayerNormalization" in graph.nodes[0].loc.path


# Where a node comes from

TRACE = """File "/usr/lib/python3/site-packages/torch/export/_trace.py", line 10, in run
    return f()
  File "/home/me/project/net.py", line 88, in forward
    return self.softmax(self.fc(x))
  File "/usr/lib/python3/site-packages/torch/nn/modules/module.py", line 1773, in _call_impl
    return forward_call(*args)
  File "<eval_with_key>.1", line 3, in forward
"""


def test_location_from_dynamo_metadata() -> None:
    metadata = {
        "pkg.torch.onnx.name_scopes": "['', 'encoder', 'encoder.fc', 'linear']",
        "pkg.torch.onnx.class_hierarchy": "['net.Net', 'net.Encoder', 'torch.nn.modules.linear.Linear', 'aten.linear']",
        "pkg.torch.onnx.fx_node": "%linear : [num_users=1] = call_function[target=torch.ops.aten.linear](args = ())",
        "pkg.torch.onnx.stack_trace": TRACE,
    }
    loc = locate("Gemm", "node_linear", "linear", metadata, "")
    assert loc.module == "encoder.fc" and loc.module_class == "torch.nn.modules.linear.Linear"
    assert loc.source == ("/home/me/project/net.py", 88)
    assert loc.path.startswith("encoder.fc ▸ ") and loc.path.endswith("Gemm")


@pytest.mark.parametrize(
    ("trace", "source"),
    [
        (r'File "C:\Users\me\net.py", line 5, in forward', (r"C:\Users\me\net.py", 5)),
        (r'File "C:\py\Lib\site-packages\torch\nn\functional.py", line 5, in f', None),
        ('  File "a.py", line 1, in f\n  File "b.py", line 2, in g', ("b.py", 2)),
        ('File "a.py", line ' + "9" * 5000, None),
        ("", None),
        ("no frames at all", None),
    ],
)
def test_source_is_the_last_frame_outside_libraries(trace: str, source: tuple[str, int] | None) -> None:
    assert locate("Gemm", "", "", {"pkg.torch.onnx.stack_trace": trace}, "").source == source


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/blocks.0/fc1/Gemm_1", "blocks.0.fc1"),
        ("/fc/Gemm", "fc"),
        ("/Relu", None),
        ("/", None),
        ("Conv_17", None),
        ("/a/not_an_operator", None),
        ("", None),
    ],
)
def test_module_from_torchscript_names(name: str, module: str | None) -> None:
    assert locate("Conv", name, "out", {}, "").module == module


def traced(nodes: dict[str, str], *parameters: str) -> list[str | None]:
    """The modules of traced nodes, given with the parameters that they read."""
    row = []
    for place, (name, parameter) in enumerate(nodes.items()):
        row.append(helper.make_node("Add", [f"y{place}", parameter or "x"], [f"y{place + 1}"], name))
    stored = [numpy_helper.from_array(np.ones(1, np.float32), name) for name in parameters]
    graph = helper.make_graph(row, "g", [info("y0", [1]), info("x", [1])], [info(f"y{len(row)}", [1])], stored)
    return [node.loc.module for node in load_bytes(helper.make_model(graph).SerializeToString()).nodes]


def test_parameters_tell_the_modules_that_tracing_leaves_out() -> None:
    bias = "model.dec.layers.0.fc.bias"
    found = traced({"/dec/layers.0/fc/Add": bias, "/dec/layers.0/act/Add": "", "/dec/Add": "", "/head/Add": ""}, bias)
    assert found == ["model.dec.layers.0.fc", "model.dec.layers.0.act", "model.dec", "head"]


def test_of_equal_scopes_the_last_parameter_before_a_node_tells_the_module() -> None:
    biases = "enc.0.att.fc.bias", "enc.1.att.fc.bias"
    found = traced(
        {"/enc/att/fc/Add": biases[0], "/enc/att/Add": "", "/enc/att/fc_1/Add": biases[1], "/enc/att_1/Add": ""},
        *biases,
    )
    assert found == ["enc.0.att.fc", "enc.0.att", "enc.1.att.fc", "enc.1.att"]


def test_a_module_whose_name_ends_in_a_number_keeps_it() -> None:
    assert traced({"/fc/Add": "fc.bias", "/fc_1/Add": "fc_1.bias"}, "fc.bias", "fc_1.bias") == ["fc", "fc_1"]


@pytest.mark.parametrize("unsorted", [False, True])
def test_identity_of_a_constant_is_a_constant_of_its_own(unsorted: bool) -> None:
    copied = helper.make_node("Identity", ["b"], ["fc.bias"])
    reads = [helper.make_node("Add", ["x", "b"], ["h"]), helper.make_node("Add", ["h", "fc.bias"], ["y"], "/fc_1/Add")]
    bias = numpy_helper.from_array(np.ones(1, np.float32), "b")
    row = [*reads, copied] if unsorted else [copied, *reads]
    graph = load_bytes(
        helper.make_model(helper.make_graph(row, "g", [info("x", [1])], [info("y", [1])], [bias])).SerializeToString()
    )
    own, other = graph.nodes[1].inputs[1], graph.nodes[0].inputs[1]
    assert own is not None and other is not None
    assert (own.name, own is other) == ("fc.bias", False)
    assert own.constant is other.constant is not None
    assert graph.nodes[1].loc.module == "fc"


def test_an_operator_without_a_module_is_not_in_the_exporters_placeholder() -> None:
    scopes = "['', 'encoder', '_empty_nn_module_stack_from_metadata_hook', 'add']"
    assert locate("Add", "node_add", "add", {"pkg.torch.onnx.name_scopes": scopes}, "").module == "encoder"


@pytest.mark.parametrize(
    "scopes",
    [
        "",
        "[",
        "not a list",
        "['only']",
        "[1, [2]]",
        "-" * 15_000 + "1",
        "[0x" + "f" * 15_000 + ", 'a', 'b']",
        "[" * 9000,
    ],
)
def test_malformed_metadata_says_nothing(scopes: str) -> None:
    metadata = {"pkg.torch.onnx.name_scopes": scopes, "pkg.torch.onnx.class_hierarchy": scopes}
    assert locate("Gemm", "", "out", metadata, "").path.endswith("Gemm")


def test_location_of_a_node_without_a_name_is_its_output() -> None:
    assert locate("Relu", "", "h", {}, "").path == "h ▸ Relu"
    assert locate("Relu", "Relu_3", "h", {}, "block").path == "block ▸ Relu"
