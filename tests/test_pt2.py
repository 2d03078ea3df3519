"""`.pt2` files are read without torch, and whatever is wrong with one is said in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netlint.frontends import TargetError, pt2
from netlint.frontends.aten.expressions import readable
from netlint.graph import TensorUnreadable

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from netlint.frontends.aten import lower  # noqa: E402
from netlint.frontends.torch import fx  # noqa: E402

from .onnx_graphs import opaque, run  # noqa: E402


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.head = nn.Linear(5, 2)
        self.last = nn.Linear(5, 2)
        self.last.weight = self.head.weight
        self.register_buffer("turned", torch.arange(10.0).view(2, 5).t())

    def forward(self, x: Any) -> Any:
        hidden = self.norm(self.conv(x)).relu_().flatten(2).transpose(1, 2)
        hidden, _ = self.lstm(hidden)
        with torch.no_grad():
            best = hidden.max(1)
        hidden[:, 0] = 0
        first, second = hidden.mean(1).chunk(2)
        logits = self.head(first) + self.last(second) + (first @ self.turned) * (x.size(0) // 2)
        return logits, best.values, best.indices, torch.split(x, [1, 2], 1)[1]


IMAGES = (4, 3, 6, 6)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    torch.manual_seed(0)
    module = Net().eval()
    exported = torch.export.export(module, (torch.randn(IMAGES),))
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    torch.export.save(exported, path)
    return path, module


def test_the_graph_computes_what_the_module_does(saved: tuple[Path, Any]) -> None:
    path, module = saved
    graph = pt2.load(path)
    assert opaque(graph) == []
    images = torch.randn(IMAGES)
    with torch.no_grad():
        expected = module(images)
    for found, wanted in zip(run(graph, [images.numpy()]), expected, strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_the_file_says_what_the_program_in_memory_says(saved: tuple[Path, Any]) -> None:
    path, module = saved
    from_file = pt2.load(path)
    live = lower(fx.program(torch.export.export(module, (torch.randn(IMAGES),))))
    assert [node.full_op for node in from_file.nodes] == [node.full_op for node in live.nodes]
    assert [dict(node.attrs) for node in from_file.nodes] == [dict(node.attrs) for node in live.nodes]
    assert [node.loc for node in from_file.nodes] == [node.loc for node in live.nodes]
    shapes = [
        [(v.dtype, v.shape, v.trainable) for g in graph.nodes for v in g.outputs if v] for graph in (from_file, live)
    ]
    assert shapes[0] == shapes[1]


def test_lengths_keep_their_names(tmp_path: Path) -> None:
    class Sizes(nn.Module):
        def forward(self, x: Any) -> Any:
            half = x.shape[0] // 2
            return x[:half] + 1, x.reshape(x.shape[0] * 3, -1), torch.arange(x.shape[0]) * half, x.repeat(2, 1)

    exported = torch.export.export(Sizes(), (torch.randn(4, 6),), dynamic_shapes={"x": {0: torch.export.Dim.DYNAMIC}})
    torch.export.save(exported, tmp_path / "m.pt2")
    graph = pt2.load(tmp_path / "m.pt2")
    (name,) = [dim for dim in graph.inputs[0].shape or () if isinstance(dim, str)]
    assert [out.shape for out in graph.outputs] == [(f"{name}//2", 6), (f"3*{name}", 2), (name,), (f"2*{name}", 6)]
    live = lower(fx.program(exported))
    assert [out.shape for out in graph.outputs] == [out.shape for out in live.outputs]
    x = torch.randn(8, 6)
    for found, wanted in zip(run(graph, [x.numpy()]), Sizes()(x), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-6)


def test_torch_is_not_imported(saved: tuple[Path, Any]) -> None:
    script = f"""
import sys
from pathlib import Path
from netlint.frontends import pt2
graph = pt2.load(Path({str(saved[0])!r}))
assert graph.of("Conv")[0].input(1).constant.load().shape == (4, 3, 3, 3)
assert "torch" not in sys.modules and "onnx" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_weights_are_read_in_place(saved: tuple[Path, Any]) -> None:
    path, module = saved
    graph = pt2.load(path)
    stored = {
        v.name: v.constant for node in graph.nodes for v in node.inputs if v is not None and v.constant is not None
    }
    head, turned = stored.get("head.weight") or stored["last.weight"], stored["turned"]
    assert head is not None and turned is not None
    np.testing.assert_array_equal(head.load(), module.head.weight.detach().numpy())
    np.testing.assert_array_equal(turned.load(), module.turned.numpy())
    np.testing.assert_array_equal(np.concatenate(list(turned.chunks(8))), module.turned.numpy().reshape(-1))
    tied = [value for node in graph.of("Gemm") for value in node.inputs[1:2]]
    assert len({value.constant.storage for value in tied if value and value.constant}) == 1
    np.testing.assert_array_equal(
        np.concatenate([part.copy() for part in head.chunks(8)]), module.head.weight.detach().numpy().reshape(-1)
    )


def rewritten(path: Path, out: Path, change: Callable[[str, bytes], bytes | None], **options: Any) -> Path:
    """A copy of an archive with its entries changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", **options) as new:
        for info in old.infolist():
            data = change(info.filename, old.read(info))
            if data is not None:
                new.writestr(info.filename, data)
    return out


def edited(path: Path, out: Path, edit: Callable[[Any], Any]) -> Path:
    """A copy of an archive with its program edited."""

    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return data
        program = json.loads(data)
        changed = edit(program)
        return json.dumps(program if changed is None else changed).encode()

    return rewritten(path, out, change)


def test_weights_that_are_compressed_or_missing_say_so(saved: tuple[Path, Any], tmp_path: Path) -> None:
    packed = rewritten(saved[0], tmp_path / "a.pt2", lambda _, data: data, compression=zipfile.ZIP_DEFLATED)
    missing = rewritten(saved[0], tmp_path / "b.pt2", lambda name, data: None if "/weights/weight" in name else data)
    short = rewritten(saved[0], tmp_path / "c.pt2", lambda name, data: data[:4] if "/weights/weight" in name else data)
    for path, why in ((packed, "compressed"), (missing, "missing"), (short, "4 bytes are stored")):
        weight = pt2.load(path).of("Conv")[0].input(1)
        assert weight is not None and weight.constant is not None and weight.shape == (4, 3, 3, 3)
        with pytest.raises(TensorUnreadable, match=why):
            weight.constant.load()


def test_pickles_are_not_opened(saved: tuple[Path, Any], tmp_path: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            return data.replace(b'"use_pickle": false', b'"use_pickle": true')
        return data

    weight = pt2.load(rewritten(saved[0], tmp_path / "m.pt2", change)).of("Conv")[0].input(1)
    assert weight is not None and weight.constant is not None
    with pytest.raises(TensorUnreadable, match="pickle"):
        weight.constant.load()


def _deep(depth: int) -> str:
    return "[" * depth + "]" * depth


def _use_before(program: Any) -> None:
    program["graph_module"]["graph"]["nodes"].reverse()


def _twice(program: Any) -> None:
    nodes = program["graph_module"]["graph"]["nodes"]
    nodes.append(nodes[0])


BROKEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "version": (lambda p: p["schema_version"].update(major=99), "version 99"),
    "no version": (lambda p: p.pop("schema_version"), "version None"),
    "a list": (lambda _: [], "cannot be read"),
    "a number": (lambda _: 3, "cannot be read"),
    "no graph": (lambda p: p.pop("graph_module"), "lacks 'graph_module'"),
    "no signature": (lambda p: p["graph_module"].pop("signature"), "lacks 'signature'"),
    "nodes in reverse": (_use_before, "nothing before it computes"),
    "a name twice": (_twice, "computed twice"),
    "nodes that are numbers": (lambda p: p["graph_module"]["graph"].update(nodes=[1, 2]), "cannot be read"),
    "types that are unknown": (
        lambda p: [v.update(dtype=77) for v in p["graph_module"]["graph"]["tensor_values"].values()] and None,
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_programs(name: str, saved: tuple[Path, Any], tmp_path: Path) -> None:
    edit, message = BROKEN[name]

    def quiet(program: Any) -> Any:
        changed = edit(program)
        return changed if name in ("a list", "a number") else None

    with pytest.raises(TargetError, match=message) as caught:
        pt2.load(edited(saved[0], tmp_path / "m.pt2", quiet))
    assert caught.value.help


def test_huge_lengths_cost_nothing(saved: tuple[Path, Any], tmp_path: Path) -> None:
    def edit(program: Any) -> None:
        graph = program["graph_module"]["graph"]
        for name, meta in graph["tensor_values"].items():
            if not name.startswith(("p_", "b_", "c_")):
                meta["sizes"] = [{"as_int": 1 << 60} for _ in meta["sizes"]]

    graph = pt2.load(edited(saved[0], tmp_path / "m.pt2", edit))
    assert graph.nodes


def test_broken_archives(saved: tuple[Path, Any], tmp_path: Path) -> None:
    data = saved[0].read_bytes()
    half, empty, text = (tmp_path / name for name in ("half.pt2", "empty.pt2", "text.pt2"))
    half.write_bytes(data[: len(data) // 2])
    empty.write_bytes(b"")
    text.write_text("hello")
    for path in (half, empty, text):
        with pytest.raises(TargetError, match="not a readable"):
            pt2.load(path)
    with pytest.raises(TargetError, match="does not exist"):
        pt2.load(tmp_path / "nothing.pt2")
    with pytest.raises(TargetError, match="is a folder"):
        pt2.load(tmp_path)


def test_archives_of_something_else(saved: tuple[Path, Any], tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "weights.pt2")
    with pytest.raises(TargetError, match="pickled weights"):
        pt2.load(tmp_path / "weights.pt2")
    with zipfile.ZipFile(tmp_path / "none.pt2", "w") as archive:
        archive.writestr("a/readme", "hello")
    with pytest.raises(TargetError, match="no exported program"):
        pt2.load(tmp_path / "none.pt2")
    for content, message in (
        (b"{", "broken JSON"),
        (_deep(100_000).encode(), "broken JSON|cannot be read"),
        (b"\xff", "broken"),
    ):
        path = rewritten(saved[0], tmp_path / "m.pt2", lambda n, d, c=content: c if n.endswith("model.json") else d)
        with pytest.raises(TargetError, match=message):
            pt2.load(path)


def test_zip_bombs(saved: tuple[Path, Any], tmp_path: Path) -> None:
    bomb = b" " * (64 << 20)
    path = rewritten(
        saved[0],
        tmp_path / "m.pt2",
        lambda name, data: bomb if name.endswith("models/model.json") else data,
        compression=zipfile.ZIP_BZIP2,
    )
    with pytest.raises(TargetError, match="claims"):
        pt2.load(path)


def test_expressions_as_people_read_them() -> None:
    symbol = "Symbol('s0', positive=True, integer=True)"
    assert readable(symbol) == "s0"
    assert readable(f"Mul(Integer(2), {symbol})") == "2*s0"
    assert readable(f"FloorDiv(Add({symbol}, Integer(1)), Integer(2))") == "(s0 + 1)//2"
    assert readable("__import__('os').system('true')") is None
    assert readable("Symbol(" * 500) is None
    assert readable("Mul(" + "x" * 5000 + ")") is None
