"""Tensors: every element type decodes, wherever its bytes lie, and large files stay on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from netlint.frontends import onnx as frontend
from netlint.frontends.onnx import load, load_bytes
from netlint.frontends.onnx.storage import ELEMENT_TYPES
from netlint.frontends.onnx.wire import PAYLOAD, NotProtobuf, strip
from netlint.graph import Graph, Tensor, TensorUnreadable
from tests.conftest import FIXTURES, ROOT
from tests.onnx_models import bits, dense, model, reader, summary

NUMPY_LACKS = {"float6e2m3", "float6e3m2"}
NAMED = {number: name for number, (name, *_) in ELEMENT_TYPES.items()}
DECODED = [number for number, name in NAMED.items() if name != "string" and name not in NUMPY_LACKS]
TYPED = [number for number in DECODED if NAMED[number] != "float8e8m0" or hasattr(ml_dtypes, "float8_e8m0fnu")]


def of(proto: TensorProto, folder: Path | None = None) -> Tensor:
    """The tensor as the front end reads it: from bytes, or from a file in a folder."""
    proto.name = "w"
    built = model([reader("x", "w")], initializers=[proto])
    if folder is None:
        graph = load_bytes(built.SerializeToString())
    else:
        (folder / "m.onnx").write_bytes(built.SerializeToString())
        graph = load(folder / "m.onnx")
    assert graph.defects == ()
    value = graph.nodes[0].input(1)
    assert value is not None and value.constant is not None
    assert (value.dtype, value.shape) == (value.constant.dtype, value.constant.shape)
    return value.constant


def every_code(number: int) -> TensorProto:
    """A raw tensor of odd shape that holds every bit pattern of a small type, random ones of a large type."""
    width = {"uint4": 4, "int4": 4, "float4e2m1": 4, "uint2": 2, "int2": 2}.get(NAMED[number])
    if width:
        count = 3 * 7
        raw = np.random.default_rng(number).integers(0, 256, (count * width + 7) // 8, np.uint8).tobytes()
        return TensorProto(data_type=number, dims=[3, 7], raw_data=raw)
    size = np.dtype(ELEMENT_TYPES[number][2]).itemsize
    if NAMED[number] == "bool":
        return TensorProto(data_type=number, dims=[2, 2], raw_data=b"\0\1\1\0")
    codes = np.arange(1 << min(8 * size, 16)) * (1 if size < 3 else 65_537)
    raw = codes.astype(f"<u{min(size, 8)}").tobytes()
    count = len(raw) // size
    return TensorProto(data_type=number, dims=[2, count // 2], raw_data=raw)


def same(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> bool:
    """Equal values, NaN where there is NaN; what numpy lacks is compared after widening."""
    assert found.shape == wanted.shape
    if wanted.dtype.name in ("int4", "uint4", "int2", "uint2"):
        assert found.dtype == (np.uint8 if wanted.dtype.name.startswith("u") else np.int8)
        wanted = wanted.astype(found.dtype)
    elif wanted.dtype.name.startswith(("bfloat", "float8", "float4")):
        wanted = wanted.astype(np.float32)
    assert found.dtype == wanted.dtype
    return np.array_equal(found, wanted, equal_nan=found.dtype.kind in "fc")


@pytest.mark.parametrize("number", DECODED, ids=NAMED.get)
def test_raw_bytes_decode_like_onnx(number: int) -> None:
    proto = every_code(number)
    tensor = of(proto)
    with np.errstate(invalid="ignore"):
        assert same(tensor.load(), numpy_helper.to_array(proto))
    stored = b"".join(part.tobytes() for part in tensor.chunks(64))
    assert stored == proto.raw_data and tensor.nbytes == len(stored)


@pytest.mark.parametrize("number", TYPED, ids=NAMED.get)
def test_typed_fields_decode_like_onnx(number: int) -> None:
    with np.errstate(all="ignore"):
        array = numpy_helper.to_array(every_code(number))
        proto = helper.make_tensor("w", number, array.shape, array.reshape(-1))
    assert not proto.HasField("raw_data")
    tensor = of(proto)
    with np.errstate(all="ignore"):
        wanted = numpy_helper.to_array(proto)
        assert same(tensor.load(), wanted)
    stored = b"".join(part.tobytes() for part in tensor.chunks(64))
    assert len(stored) == tensor.nbytes
    again = TensorProto(data_type=number, dims=array.shape, raw_data=stored)
    assert same(of(again).load(), wanted)


def test_every_element_type_of_onnx_is_known() -> None:
    assert set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED} == set(ELEMENT_TYPES)


@pytest.mark.parametrize("name", sorted(NUMPY_LACKS))
def test_six_bit_floats_say_that_they_are_not_decoded(name: str) -> None:
    number = next(number for number, known in NAMED.items() if known == name)
    tensor = of(TensorProto(data_type=number, dims=[4], raw_data=b"abc"))
    assert b"".join(part.tobytes() for part in tensor.chunks(64)) == b"abc"
    with pytest.raises(TensorUnreadable, match=name):
        tensor.load()


def test_strings() -> None:
    tensor = of(helper.make_tensor("w", TensorProto.STRING, [2, 1], [b"abc", b"\xff"]))
    assert tensor.load().tolist() == [[b"abc"], [b"\xff"]]
    with pytest.raises(TensorUnreadable):
        list(tensor.chunks(64))


@pytest.mark.parametrize("shape", [(1,) * 65, (0, 1 << 40), (1 << 40, 0, 1 << 40)])
def test_shapes_beyond_numpy_are_unreadable_not_a_crash(shape: tuple[int, ...]) -> None:
    proto = TensorProto(data_type=TensorProto.FLOAT, dims=shape, raw_data=b"\0" * (0 if 0 in shape else 4))
    with suppress(TensorUnreadable):
        assert of(proto).load().shape == shape


def test_equal_storage_is_told_only_of_the_same_bytes(tmp_path: Path) -> None:
    both = [external("a", "data.bin", 0, 16), external("b", "data.bin", 0, 16), external("c", "data.bin", 16, 16)]
    (tmp_path / "data.bin").write_bytes(bytes(32))
    nodes = [reader("x", "a", "b", "c")]
    (tmp_path / "m.onnx").write_bytes(model(nodes, initializers=both).SerializeToString())
    a, b, c = (value.constant.storage for value in load(tmp_path / "m.onnx").nodes[0].inputs[1:] if value.constant)
    assert a == b != c and hash(a) == hash(b)


# Large files: cut on the wire


def as_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.setattr(frontend, "PARSE_WHOLE", 0)
    return load(path)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.onnx")), ids=lambda path: path.stem)
def test_a_fixture_read_as_a_large_file_is_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load(path)
    large = as_large(path, monkeypatch)
    assert summary(large) == summary(whole)
    assert [defect.message for defect in large.defects] == [defect.message for defect in whole.defects]


def test_light_models_read_as_large_files_are_the_same(
    light_models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert light_models
    for path in light_models:
        monkeypatch.undo()
        whole = summary(load(path))
        assert summary(as_large(path, monkeypatch)) == whole


@pytest.mark.parametrize("field", ["raw_data", "float_data", "double_data"])
def test_large_payloads_stay_in_the_file(field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(PAYLOAD, dtype=np.float64 if field == "double_data" else np.float32)
    proto = TensorProto(name="w", data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)
    if field == "raw_data":
        proto.raw_data = array.tobytes()
    else:
        getattr(proto, field).extend(array.tolist())
    nodes = [helper.make_node("Constant", [], ["c"], value=proto), reader("x", "w", "c")]
    data = model(nodes, initializers=[proto]).SerializeToString()
    stripped, cuts = strip(data)
    assert len(stripped) < 1000 and len(cuts) == 2
    (tmp_path / "m.onnx").write_bytes(data)
    constants = [value.constant for value in as_large(tmp_path / "m.onnx", monkeypatch).nodes[0].inputs[1:] if value]
    assert all(np.array_equal(tensor.load(), array) for tensor in constants if tensor)
    assert None not in constants and len(constants) == 2


@pytest.mark.parametrize(("number", "field"), [(TensorProto.INT32, "float_data"), (TensorProto.FLOAT, "double_data")])
def test_a_payload_in_the_wrong_field_is_wrong_in_a_large_file_too(
    number: int, field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto = TensorProto(name="w", data_type=number, dims=[PAYLOAD])
    getattr(proto, field).extend([1.0] * (PAYLOAD // (1 if field == "float_data" else 2)))
    data = model([reader("x", "w")], initializers=[proto]).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data)
    assert [defect.kind for defect in load(tmp_path / "m.onnx").defects] == ["size"]
    assert [defect.kind for defect in as_large(tmp_path / "m.onnx", monkeypatch).defects] == ["size"]


def payload(draw: st.DrawFn) -> TensorProto:
    """A tensor with a payload around the size at which it is cut, in one of the fields that are, or in none."""
    size = draw(st.sampled_from([0, 1, PAYLOAD // 8, PAYLOAD // 4, PAYLOAD]))
    field = draw(st.sampled_from(["raw_data", "float_data", "double_data", "int64_data", "string_data"]))
    proto = TensorProto(name=draw(st.text(max_size=3)), dims=draw(st.lists(st.integers(-1, 5), max_size=3)))
    proto.data_type = draw(st.integers(0, 30))
    if field == "raw_data":
        proto.raw_data = draw(st.binary(min_size=1, max_size=8)) * size
    elif field == "string_data":
        proto.string_data.extend([b"text"] * (size // 8))
    else:
        getattr(proto, field).extend([draw(st.integers(-3, 3))] * size)
    return proto


@st.composite
def graphs(draw: st.DrawFn, depth: int = 2) -> onnx.GraphProto:
    graph = onnx.GraphProto(name=draw(st.text(max_size=3)), doc_string="d" * draw(st.sampled_from([0, 5, 2 * PAYLOAD])))
    for _ in range(draw(st.integers(0, 2))):
        graph.initializer.append(payload(draw))
    for _ in range(draw(st.integers(0, 1))):
        graph.sparse_initializer.add().values.CopyFrom(payload(draw))
    for _ in range(draw(st.integers(0, 2))):
        node = graph.node.add(op_type=draw(st.sampled_from(["Constant", "If", "Foo"])), output=["a"])
        attribute = node.attribute.add(name="value", type=draw(st.sampled_from([1, 3, 4, 5, 9, 10])))
        attribute.s = b"s" * draw(st.sampled_from([0, PAYLOAD]))
        if draw(st.booleans()):
            attribute.t.CopyFrom(payload(draw))
            attribute.tensors.append(payload(draw))
        if depth and draw(st.booleans()):
            attribute.g.CopyFrom(draw(graphs(depth - 1)))
            attribute.graphs.append(attribute.g)
    return graph


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    built = onnx.ModelProto(ir_version=draw(st.integers(0, 99)), graph=draw(graphs()))
    if draw(st.booleans()):
        built.functions.add(name="f").node.extend(draw(graphs()).node)
    if draw(st.booleans()):
        built.training_info.add().algorithm.CopyFrom(draw(graphs()))
    return built


def without_payloads(message: Any) -> None:
    """Clear in place what `strip` cuts, and the marks it leaves."""
    if isinstance(message, TensorProto):
        for field, width in (("raw_data", 1), ("float_data", 4), ("double_data", 8)):
            if len(getattr(message, field)) * width >= PAYLOAD:
                message.ClearField(field)
        del message.external_data[:]
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for inner in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
                without_payloads(inner)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(models())
def test_stripping_changes_nothing_but_the_large_payloads(built: onnx.ModelProto) -> None:
    data = built.SerializeToString()
    stripped, cuts = strip(data)
    again = onnx.ModelProto.FromString(stripped)
    without_payloads(built)
    without_payloads(again)
    assert again == built
    assert all(PAYLOAD <= cut.length <= len(data) - cut.offset for cut in cuts)
    assert len({cut.offset for cut in cuts}) == len(cuts)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(models(), st.data())
def test_stripping_any_bytes_ends_in_bytes_or_not_protobuf(built: onnx.ModelProto, data: st.DataObject) -> None:
    raw = bytearray(built.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        strip(bytes(raw))
    except NotProtobuf as error:
        assert str(error)


# External data


def external(name: str, location: str, offset: object = None, length: object = None, size: int = 4) -> TensorProto:
    proto = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[size], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            proto.external_data.add(key=key, value=str(value))
    return proto


@pytest.mark.parametrize(("offset", "length"), [(None, None), (0, 16), (8, 16), (8, None), (16, 16)])
@pytest.mark.parametrize("location", ["data.bin", "sub/data.bin", "./sub/../sub/data.bin"])
def test_external_data_at_an_offset(location: str, offset: int | None, length: int | None, tmp_path: Path) -> None:
    stored = np.arange(8, dtype=np.float32)
    (tmp_path / "sub").mkdir()
    (tmp_path / location).write_bytes(stored.tobytes())
    tensor = of(external("w", location, offset, length), tmp_path)
    start = (offset or 0) // 4
    assert tensor.load().tolist() == stored[start : start + 4].tolist()


def test_the_model_and_its_data_may_be_links_into_a_folder_of_blobs(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "abc" / "onnx", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "m").write_bytes(
        model([reader("x", "w")], initializers=[external("w", "m.onnx_data")]).SerializeToString()
    )
    (blobs / "d").write_bytes(np.ones(4, np.float32).tobytes())
    (snapshot / "m.onnx").symlink_to("../../../blobs/m")
    (snapshot / "m.onnx_data").symlink_to("../../../blobs/d")
    graph = load(snapshot / "m.onnx")
    value = graph.nodes[0].input(1)
    assert graph.defects == () and value is not None and value.constant is not None
    assert value.constant.load().tolist() == [1.0] * 4


def test_external_data_may_be_a_hard_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d").write_bytes(np.ones(4, np.float32).tobytes())
    (tmp_path / "models").mkdir()
    os.link(tmp_path / "elsewhere" / "d", tmp_path / "models" / "data.bin")
    assert of(external("w", "data.bin"), tmp_path / "models").load().tolist() == [1.0] * 4


def test_data_that_vanishes_after_loading_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(bytes(16))
    tensor = of(external("w", "data.bin"), tmp_path)
    (tmp_path / "data.bin").write_bytes(bytes(8))
    with pytest.raises(TensorUnreadable, match="ends"):
        tensor.load()
    (tmp_path / "data.bin").unlink()
    with pytest.raises(TensorUnreadable, match="No such file"):
        list(tensor.chunks(64))


def test_a_file_for_each_of_many_tensors_does_not_exhaust_descriptors(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    count = 300
    names = [f"w{index}" for index in range(count)]
    for name in names:
        (tmp_path / name).write_bytes(bytes(16))
    node = reader("x", *names)
    path = tmp_path / "m.onnx"
    path.write_bytes(model([node], initializers=[external(name, name) for name in names]).SerializeToString())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 200), hard))
    try:
        tensors = [value.constant for value in load(path).nodes[0].inputs[1:] if value and value.constant]
        assert [bits(tensor) for tensor in tensors] == [("float32", (4,), bytes(16))] * count
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Memory

MEASURE = """
import resource, sys
from pathlib import Path
from netlint import onnxlib
from netlint.frontends.onnx import load
onnxlib.protobuf(); onnxlib.core(); load(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
graph = load(Path(sys.argv[2]))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tensor = graph.nodes[0].input(1).constant
assert tensor.nbytes == 64 << 20, tensor
print(after - before, sum(int(part.sum()) for part in tensor.chunks(1 << 20)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux alone")
def test_weights_of_a_large_file_are_not_read_into_memory(tmp_path: Path) -> None:
    (tmp_path / "small.onnx").write_bytes(dense().SerializeToString())
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[64 << 20], raw_data=bytes(64 << 20))
    nodes = [reader("x", "w")]
    (tmp_path / "large.onnx").write_bytes(model(nodes, initializers=[tensor]).SerializeToString())
    argv = [sys.executable, "-c", MEASURE, tmp_path / "small.onnx", tmp_path / "large.onnx"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    loading, total, scanned = map(int, done.stdout.split())
    assert total == 0
    assert loading < 20_000 and scanned < 60_000, f"{loading} KB to load, {scanned} KB after scanning"
