"""Whatever is named on the command line: a clear message, the right exit code, bounded time and memory, no crash."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from onnx import TensorProto, helper

from netlint.frontends import TargetError
from netlint.frontends.onnx import load, load_bytes, load_text
from netlint.targets import expand
from tests.conftest import FIXTURES, ROOT
from tests.onnx_models import chain, dense, model, nested_ifs, reader

Netlint = Callable[..., "subprocess.CompletedProcess[str]"]
GOOD = dense().SerializeToString()
FAULTY = FIXTURES / "infinite_weight.onnx"


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return buffer.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"
# What is no model at all: name -> content, part of the message, part of the way out.
NO_MODELS = {
    "empty": (b"", "is empty", "export"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), "an image", "model"),
    "json": (b'{"nodes": []}', "JSON", "ONNX file"),
    "zip": (zipped(), "zip archive", "export"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5", "export"),
    "pickle2": (pickle.dumps([1], 2), "pickle", "export"),
    "pickle5": (pickle.dumps([1], 5), "pickle", "export"),
    "page": (b"<!doctype html><html></html>", "markup", "fetch"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite", "export"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "gzip", "unpack"),
    "gguf": (b"GGUF\3\0\0\0" + bytes(40), "GGUF", "export"),
    "safetensors": (b"\x40" + bytes(7) + b'{"w":{"dtype":"F32"}}', "safetensors", "export"),
    "pointer": (POINTER, "Git LFS pointer", "git lfs pull"),
    "random": (bytes(range(255, 0, -1)) * 9, "is not an ONNX model", "export"),
    "truncated": (GOOD[: len(GOOD) // 2], "truncated", "export"),
    "no_graph": (b"\x08\x0a", "holds no graph", "export"),
    "too_deep": (nested_ifs(60), "nests", "flatten"),
}


def read_json(text: str) -> dict[str, Any]:
    return {entry["target"]: entry for entry in json.loads(text)["targets"]}


def test_what_is_no_model_is_named_with_a_way_out(netlint: Netlint, tmp_path: Path) -> None:
    for name, (content, *_) in NO_MODELS.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
    done = netlint(*(f"{name}.onnx" for name in NO_MODELS), "-o", "json")
    assert done.returncode == 3 and done.stderr == ""
    for target, entry in read_json(done.stdout).items():
        _, message, way_out = NO_MODELS[target.removesuffix(".onnx")]
        assert message in entry["failure"]["message"] and way_out in entry["failure"]["help"], entry


def test_targets_that_are_no_readable_files(netlint: Netlint, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.onnx").symlink_to("loop.onnx")
    (tmp_path / "gone.onnx").symlink_to("nowhere")
    (tmp_path / "net.pt").write_bytes(zipped())
    os.mkfifo(tmp_path / "pipe.onnx")
    wanted = {
        "missing.onnx": "does not exist",
        "folder": "holds no model",
        "*.nothing": "matches no file",
        "loop.onnx": "symbolic links",
        "gone.onnx": "No such file",
        "net.pt": "netlint runs no pickle",
        "pipe.onnx": "is not a regular file",
        "/dev/zero": "is not a regular file",
        "x" * 5000: "does not exist",
        "": "does not exist",
        "https://example.org/net.onnx": "is an address",
        "weights.safetensors": "holds weights alone",
        "keras.h5": "is not an ONNX model",
        "kera.h5": "does not exist",
    }
    for name in ("weights.safetensors", "keras.h5", "gz.onnx"):
        (tmp_path / name).write_bytes(b"x")
    done = netlint(*wanted, "-o", "json")
    assert done.returncode == 3 and done.stderr == ""
    found = {target: entry["failure"] for target, entry in read_json(done.stdout).items()}
    assert set(found) == set(wanted)
    assert [target for target in wanted if wanted[target] not in found[target]["message"]] == []
    assert all(failure["help"] for failure in found.values())
    assert found["kera.h5"]["help"] == "did you mean keras.h5?"
    assert found["missing.onnx"]["help"] == "check the path"


def test_a_broken_target_does_not_hide_the_findings_of_others(netlint: Netlint, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 9)
    done = netlint("bad.onnx", FAULTY, "missing.onnx")
    assert done.returncode == 3
    assert "INI008" in done.stdout and "bad.onnx" in done.stdout and "missing.onnx does not exist" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(netlint: Netlint, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(GOOD)
    (tmp_path / "m.onnx").chmod(0)
    done = netlint("m.onnx")
    assert done.returncode == 3 and "Permission denied" in done.stdout


def test_a_path_with_nul() -> None:
    ((_, error),) = expand(["a\0b.onnx"])
    assert isinstance(error, TargetError) and "path" in str(error)


def test_a_file_whose_name_is_no_text(netlint: Netlint, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.onnx")
    (tmp_path / name).write_bytes(FAULTY.read_bytes())
    for form in ("text", "json"):
        done = netlint(name, "-o", form)
        assert done.returncode == 1 and "INI008" in done.stdout, done.stderr


def test_usage(netlint: Netlint) -> None:
    for args in (["--no-such-option", "m.onnx"], ["lint"], ["m.onnx", "-o", "yaml"], ["m.onnx", "--select=NOPE1"]):
        done = netlint(*(FAULTY if arg == "m.onnx" else arg for arg in args))
        assert done.returncode == 2 and "Traceback" not in done.stderr and done.stderr.strip()


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"", 3, "is empty"),
        (b"garbage", 3, "is not an ONNX model"),
        (GOOD, 0, "1 model checked"),
        (b'<ir_version: 10, opset_import: ["" : 21]> g (float[2] x) => (float[2] y) { y = Relu (x) }', 0, "1 model"),
        (b'<ir_version: 10, opset_import: ["" : 21]> g (float[2] x) => (float[2] y) { y = Relu (z) }', 1, "GRA001"),
        (b"<ir_version: 10> not a model", 3, "is not ONNX text"),
    ],
)
def test_standard_input(data: bytes, code: int, message: str, netlint: Netlint) -> None:
    done = netlint("-", stdin=data)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stdout + done.stderr
    assert message in done.stdout


def test_closed_standard_input(tmp_path: Path) -> None:
    argv = f'"{sys.executable}" -m netlint - <&-'
    done = subprocess.run(argv, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3 and "is closed" in done.stdout, done.stdout + done.stderr


# In the process itself


def outcome(data: bytes) -> str:
    """`graph`, or the message of the one error that may come instead."""
    try:
        load_bytes(data)
    except TargetError as error:
        assert str(error) and error.help
        return str(error)
    return "graph"


def test_a_model_cut_at_any_byte_is_a_graph_or_an_error() -> None:
    small = dense(2)
    small.functions.add(name="f", domain="d").node.extend(chain("Neg"))
    small.graph.node[0].metadata_props.add(key="k", value="v")
    data = small.SerializeToString()
    outcomes = [outcome(data[:end]) for end in range(len(data) + 1)]
    assert outcomes[-1] == "graph" and outcomes[0] == "is empty"
    assert sum("truncated" in text for text in outcomes) > len(data) // 2


@pytest.mark.parametrize("name", ["self_loop", "two_cycle", "cycle_through_a_body"])
def test_a_cycle_is_cut_so_that_walks_end(name: str) -> None:
    graph = load_bytes(DEFECTIVE[name][0].SerializeToString())
    place = graph.position
    readers = [(node, value) for node in graph.nodes for value in node.inputs]
    assert all(place[before] < place[node] for node, value in readers if (before := graph.producer(value)))
    closing = {value for _, value in readers if graph.producer(value) is None and value not in graph.inputs}
    assert [value.name for value in closing if value] in (["y"], ["h"])


def test_a_large_file_cut_short_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlint.frontends.onnx.PARSE_WHOLE", 0)
    path = tmp_path / "m.onnx"
    data = FAULTY.read_bytes()
    for end in (1, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(TargetError, match="is not an ONNX model"):
            load(path)


@pytest.mark.parametrize("levels", [1, 10, 29])
def test_nested_bodies_within_the_limit_of_the_format(levels: int) -> None:
    graph = load_bytes(nested_ifs(levels))
    assert len(graph.of("If")) == levels and graph.defects == ()
    assert graph.of("Neg")[0].input(0) is graph.inputs[0]


@pytest.mark.parametrize("levels", [50, 1_000, 200_000])
@pytest.mark.parametrize(
    ("opening", "middle", "closing"),
    [
        ("y = If (c) <then_branch = b () => (float y) {", "y = Neg (c)", "}>"),
        ("", "y = Neg (c)", ""),
    ],
)
def test_text_nested_without_end_is_refused(opening: str, middle: str, closing: str, levels: int) -> None:
    kind = "bool" if opening else "seq(" * levels + "float" + ")" * levels
    text = f"g ({kind} c) => (float y) {{ {opening * levels} {middle} {closing * levels} }}"
    with pytest.raises(TargetError, match="nests"):
        load_text(text)


def test_brackets_in_strings_and_comments_do_not_count() -> None:
    braces = "{(" * 300
    graph = load_text(f'g (float[2] x) => (float[2] y) {{ y = Relu <note = "\\"{braces}"> (x)  # {braces}\n }}')
    assert [node.op for node in graph.nodes] == ["Relu"]


# Structural defects are findings


def weight(**fields: Any) -> TensorProto:
    return TensorProto(**{"name": "w", "data_type": TensorProto.FLOAT, "dims": [4], **fields})


def external(location: str, **entries: object) -> TensorProto:
    proto = weight(data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        proto.external_data.add(key=key, value=str(value))
    return proto


def reading(*weights: TensorProto) -> Any:
    return model([reader("x", "w")], initializers=weights)


def node(op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(op, inputs, outputs, **attributes)


def changed(built: Any, change: Callable[[Any], object]) -> Any:
    change(built)
    return built


def cycle_through_a_body() -> Any:
    branch = helper.make_graph([node("Neg", ["h"], ["b"])], "t", [], [helper.make_tensor_value_info("b", 1, [2, 4])])
    holder = node("If", ["c"], ["a"], then_branch=branch, else_branch=branch)
    built = model([holder, node("Abs", ["a"], ["h"]), node("Relu", ["h"], ["y"])])
    built.graph.input.add(name="c").type.tensor_type.elem_type = TensorProto.BOOL
    return built


def calls(**bodies: list[str]) -> Any:
    """Local functions f(a) -> b, each the chain of the calls named; the model calls `f`."""
    functions = []
    for name, steps in bodies.items():
        values = ["a", *(f"v{index}" for index in range(1, len(steps))), "b"]
        inner = [node(op, [values[i]], [values[i + 1]], domain="local") for i, op in enumerate(steps)]
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)]
        functions.append(helper.make_function("local", name, ["a"], ["b"], inner, opsets))
    return model([node("f", ["x"], ["y"], domain="local")], functions=functions)


SPARSE = TensorProto(name="w", data_type=1, dims=[1], float_data=[1.0])
# name -> model, the codes of its findings, part of their messages
DEFECTIVE: dict[str, tuple[Any, set[str], str]] = {
    "self_loop": (model([node("Add", ["x", "y"], ["y"])]), {"GRA001"}, "feeds itself"),
    "two_cycle": (model([node("Add", ["x", "y"], ["h"]), node("Relu", ["h"], ["y"])]), {"GRA001"}, "2 nodes feed"),
    "cycle_through_a_body": (cycle_through_a_body(), {"GRA001"}, "cycle"),
    "dangling_input": (model([node("Add", ["x", "gone"], ["y"])]), {"GRA001"}, "'gone', which nothing produces"),
    "dangling_output": (model([node("Relu", ["x"], ["h"])]), {"GRA001"}, "output 'y' is not produced"),
    "unsorted": (model(reversed(chain("Neg", "Abs"))), {"GRA001"}, "before it is produced"),
    "defined_twice": (model([*chain("Neg"), *chain("Abs")]), {"GRA001"}, "defined twice"),
    "twice_by_one_node": (model([node("Split", ["x"], ["y", "y"], num_outputs=2)]), {"GRA001"}, "defined twice"),
    "two_initializers": (reading(weight(float_data=[1] * 4), weight(float_data=[2] * 4)), {"GRA001"}, "defined twice"),
    "two_inputs": (model(chain("Neg"), inputs=("x", "x")), {"GRA001"}, "input 'x' is defined twice"),
    "unknown_operator": (model([node("Wobble", ["x"], ["y"])]), {"GRA001"}, "no operator Wobble"),
    "operator_too_young": (model([node("Gelu", ["x"], ["y"])], opset=12), {"GRA001"}, "from opset 20 on"),
    "domain_not_imported": (
        changed(model([node("Scaler", ["x"], ["y"], domain="ai.onnx.ml")]), lambda m: m.opset_import.pop()),
        {"GRA001"},
        "opset_import",
    ),
    "no_opset": (changed(model(chain("Neg")), lambda m: m.ClearField("opset_import")), {"GRA001"}, "opset_import"),
    "opset_zero": (model(chain("Neg"), opset=0), {"GRA001"}, "declares 0"),
    "opset_negative": (model(chain("Neg"), opset=-(1 << 40)), {"GRA001"}, "declares -1099511627776"),
    "opset_of_the_future": (model(chain("Neg"), opset=999), set(), ""),
    "domain_without_schema": (model([reader("x")]), set(), ""),
    "million_elements": (reading(weight(dims=[10**6], raw_data=bytes(16))), {"SEC004"}, "4000000 bytes, but 16"),
    "endless_elements": (reading(weight(dims=[10**9, 10**9], raw_data=bytes(16))), {"SEC004"}, "impossible shape"),
    "overflowing_shape": (reading(weight(dims=[1 << 32] * 3, raw_data=bytes(16))), {"SEC004"}, "impossible shape"),
    "million_axes": (reading(weight(dims=[1 << 62] * 10**6, raw_data=bytes(16))), {"SEC004"}, "impossible shape"),
    "negative_size": (reading(weight(dims=[-1], raw_data=b"")), {"SEC004"}, "impossible shape [-1]"),
    "too_few_numbers": (reading(weight(float_data=[1.0])), {"SEC004"}, "holds 1 elements, not 4"),
    "unknown_element_type": (reading(weight(data_type=99, raw_data=bytes(16))), {"GRA001"}, "element type 99"),
    "external_absolute": (reading(external("/etc/passwd")), {"SEC001"}, "absolute"),
    "external_windows": (reading(external("C:\\w.bin")), {"SEC001"}, "absolute"),
    "external_above": (reading(external("../w.bin")), {"SEC001"}, "outside"),
    "external_above_missing": (reading(external("a/../../none.bin")), {"SEC001"}, "outside"),
    "external_link_out": (reading(external("link_out")), {"SEC001"}, "outside"),
    "external_zero": (reading(external("link_zero")), {"SEC001"}, "outside"),
    "external_fifo": (reading(external("fifo")), {"SEC001"}, "not a regular file"),
    "external_folder": (reading(external("folder")), {"SEC001"}, "not a regular file"),
    "external_empty_name": (reading(external("")), {"SEC001"}, "not a path"),
    "external_missing": (reading(external("none.bin")), {"GRA001"}, "No such file"),
    "external_loop": (reading(external("loop")), {"GRA001"}, "symbolic links"),
    "external_short": (reading(external("short.bin")), {"SEC004"}, "ends at byte 16 of 'short.bin', which has 8"),
    "external_beyond": (reading(external("short.bin", offset=10**18, length=16)), {"SEC004"}, "which has 8"),
    "external_garbage": (reading(external("short.bin", offset="ten")), {"SEC004"}, "offset 'ten'"),
    "external_negative": (reading(external("short.bin", offset=-8, length=-8)), {"SEC004"}, "not a number of bytes"),
    "external_length_lie": (reading(external("short.bin", length=8)), {"SEC004"}, "takes 16 bytes, but 8"),
    "self_call": (calls(f=["f"]), {"GRA001"}, "f calls itself"),
    "mutual_calls": (calls(f=["g"], g=["f"]), {"GRA001"}, "f calls itself"),
    "no_nodes": (model([], outputs=("x",)), set(), ""),
    "no_outputs": (model(chain("Neg"), outputs=()), set(), ""),
    "nothing": (changed(model([]), lambda m: m.graph.Clear()), set(), ""),
    "long_names": (
        model([helper.make_node("Add", ["x", "n" * 10_000], ["y"], name="m" * 10_000)]),
        {"GRA001"},
        "reads 'nnn",
    ),
    "nan_attribute": (model([node("LeakyRelu", ["x"], ["y"], alpha=float("nan"))]), set(), ""),
    "string_tensor": (
        reading(TensorProto(name="w", data_type=TensorProto.STRING, dims=[2], string_data=[b"a", b"\xff"])),
        set(),
        "",
    ),
    "raw_strings": (
        reading(TensorProto(name="w", data_type=TensorProto.STRING, dims=[2], raw_data=b"ab")),
        {"SEC004"},
        "type string",
    ),
    "sparse": (
        changed(reading(), lambda m: m.graph.sparse_initializer.add(dims=[4]).values.CopyFrom(SPARSE)),
        set(),
        "",
    ),
    "training_info": (
        changed(dense(), lambda m: m.training_info.add().algorithm.node.extend(chain("Neg"))),
        set(),
        "",
    ),
    "other_types": (
        changed(
            model([reader("s", "o", "m", "x")]),
            lambda m: m.graph.input.extend(
                [
                    helper.make_tensor_sequence_value_info("s", 1, None),
                    helper.make_value_info("o", helper.make_optional_type_proto(m.graph.input[0].type)),
                    helper.make_value_info("m", helper.make_map_type_proto(7, m.graph.input[0].type)),
                ]
            ),
        ),
        set(),
        "",
    ),
    "if_without_bodies": (model([node("If", ["x"], ["y"])]), set(), ""),
}
SURE = {"GRA001", "SEC001", "SEC004"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every defective model, and what their external data names."""
    models = tmp_path / "models"
    (models / "folder").mkdir(parents=True)
    for name, (built, *_) in DEFECTIVE.items():
        (models / f"{name}.onnx").write_bytes(built.SerializeToString())
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (models / "short.bin").write_bytes(bytes(8))
    (models / "link_out").symlink_to(tmp_path / "w.bin")
    (models / "link_zero").symlink_to("/dev/zero")
    (models / "loop").symlink_to("loop")
    os.mkfifo(models / "fifo")
    return models


def test_structural_defects_are_findings(netlint: Netlint, folder: Path) -> None:
    start = perf_counter()
    done = netlint(*(f"{name}.onnx" for name in DEFECTIVE), "-o", "json", cwd=folder)
    assert perf_counter() - start < 60
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr, done.stderr
    problems = []
    for target, entry in read_json(done.stdout).items():
        _, codes, message = DEFECTIVE[target.removesuffix(".onnx")]
        found = [finding for finding in entry["findings"] if finding["code"] in SURE]
        wrong = {finding["code"] for finding in found} != codes or (
            codes and not any(message in finding["message"] for finding in found)
        )
        if wrong or entry["failure"] or entry["crashed"] or any(not finding["help"] for finding in found):
            problems.append((target, found, entry["failure"], entry["crashed"]))
    assert problems == []
    assert done.returncode == 1


def test_text_report_of_defective_models(netlint: Netlint, folder: Path) -> None:
    done = netlint(".", cwd=folder)
    assert done.returncode == 1 and done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) < 2_000


def test_each_defect_alone_fails_the_run(netlint: Netlint, folder: Path) -> None:
    for name in ("dangling_input", "external_above", "external_short"):
        assert netlint(f"{name}.onnx", cwd=folder).returncode == 1
    assert netlint("self_call.onnx", cwd=folder).returncode == 0


EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m[bold red]x[/]\nfake: line\r\u202eabc\u2028"


# Characters that terminals act upon, or that turn the direction of text; a report holds none but its own newlines.
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def test_names_cannot_write_to_the_terminal(netlint: Netlint, tmp_path: Path) -> None:
    metadata = [("pkg.torch.onnx.name_scopes", repr(["", EVIL, "op"])), ("pkg.torch.onnx.stack_trace", f'File "{EVIL}')]
    built = model(
        [
            helper.make_node("Add", ["x", EVIL], ["h"], name=EVIL),
            helper.make_node(EVIL, ["h", "w"], ["i"], domain=EVIL),
            helper.make_node(EVIL, ["i"], ["y"]),
        ],
        initializers=[external(EVIL)],
    )
    built.graph.name = EVIL
    for key, value in metadata:
        built.graph.node[0].metadata_props.add(key=key, value=value.replace("\n", "\\n"))
    built.metadata_props.add(key=EVIL, value=EVIL)
    (tmp_path / "m.onnx").write_bytes(built.SerializeToString())
    for args in ([], ["-v"]):
        done = netlint("m.onnx", *args)
        assert done.returncode == 1 and "GRA001" in done.stdout
        assert OBEYED.findall(done.stdout + done.stderr) == []
        assert not re.search(r"^fake", done.stdout, re.MULTILINE)
        assert "[bold red]" in done.stdout
    assert OBEYED.findall(netlint("show", "m.onnx").stdout) == []


def test_text_that_is_not_utf8(netlint: Netlint, tmp_path: Path) -> None:
    data = model(
        [helper.make_node("NNNN", ["x", "IIII"], ["OOOO"], name="AAAA"), helper.make_node("Add", ["OOOO", "w"], ["y"])],
        initializers=[external("LLLL")],
    )
    data.graph.node[1].domain = "DDDD"
    data.graph.node[0].attribute.add(name="KKKK", type=1, f=1.0)
    data.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "PPPP"
    data.metadata_props.add(key="MMMM", value="VVVV")
    data.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="TTTT")
    data.functions.add(name="FFFF", domain="EEEE")
    raw = re.sub(rb"([NIOALDKPMVTFE])\1{3}", lambda match: match[1] * 3 + b"\xff", data.SerializeToString())
    assert raw.count(b"\xff") >= 14
    (tmp_path / "m.onnx").write_bytes(raw)
    for form in ("text", "json"):
        done = netlint("m.onnx", "-o", form, "-v")
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stdout + done.stderr
        assert "NNN\ufffd" in done.stdout
    assert "NNN\ufffd" in netlint("show", "m.onnx").stdout


# Time and memory

MEASURED = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "netlint", *sys.argv[1:]])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode)
"""


def measured(*args: object) -> tuple[str, int, int, float]:
    """Output, exit code, peak memory in megabytes and seconds of a run."""
    start = perf_counter()
    argv = [sys.executable, "-c", MEASURED, *map(str, args)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert "Traceback" not in done.stdout + done.stderr
    peak, code = done.stdout.rsplit("peak ", 1)[1].split()
    return done.stdout, int(code), int(peak) // 1024, perf_counter() - start


@pytest.mark.skipif(sys.platform != "linux", reason="sparse files, and ru_maxrss in kilobytes")
def test_two_gigabytes_of_zeros(tmp_path: Path) -> None:
    for name, head in (
        ("zeros", b""),
        ("zeros_after_a_head", b"\x08\x0a\x3a\x80\x80\x80\x80\x08\x2a\xf0\xff\xff\xff\x07"),
    ):
        with (tmp_path / f"{name}.onnx").open("wb") as file:
            file.write(head)
            file.truncate((1 << 31) + 64)
    text, code, peak, seconds = measured(tmp_path)
    assert code == 3 and text.count("is not an ONNX model") == 2
    assert peak < 200 and seconds < 20


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux alone")
def test_a_string_of_a_hundred_megabytes(tmp_path: Path) -> None:
    built = model([helper.make_node("Relu", ["x"], ["y"], note="s" * (100 << 20))])
    built.graph.node[0].input.append("gone")
    (tmp_path / "m.onnx").write_bytes(built.SerializeToString())
    text, code, peak, seconds = measured(tmp_path / "m.onnx")
    assert code == 1 and "GRA001" in text and len(text) < 10_000
    assert peak < 700 and seconds < 20


@pytest.mark.parametrize("last", ["Read", "f41", None])
def test_calls_that_double_forty_times_stop_early(last: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Local functions that call each other 2^40 times, into a node, an unknown operator or nothing."""
    monkeypatch.setattr("netlint.frontends.onnx.build.MAX_EXPANDED", 10_000)
    fan_out = {f"f{level}" if level else "f": [f"f{level + 1}"] * 2 for level in range(41)}
    built = calls(**fan_out, **({"f41": []} if last is None else {"f41": [last]} if last == "Read" else {}))
    start = perf_counter()
    graph = load_bytes(built.SerializeToString())
    assert perf_counter() - start < 20 and len(graph.nodes) < 10_000
    assert "expansion" in {defect.kind for defect in graph.defects}


def test_many_cycles_and_many_defects_stay_cheap() -> None:
    count = 10_000
    names = ["x", *(f"h{index}" for index in range(1, count)), "y"]
    nodes = [node("Add", [names[i], "y"], [names[i + 1]]) for i in range(count)]
    start = perf_counter()
    graph = load_bytes(model(nodes).SerializeToString())
    assert perf_counter() - start < 20
    assert {defect.kind for defect in graph.defects} <= {"unsorted", "cycle"} and len(graph.defects) <= 1_000
