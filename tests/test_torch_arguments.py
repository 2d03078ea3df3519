"""Models that take tensors inside other things, or answer in odd ways, are run on inputs that fit all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from netlint.frontends import TargetError  # noqa: E402
from netlint.frontends.torch.live import captured  # noqa: E402
from netlint.frontends.torch.resolve import users_code  # noqa: E402
from netlint.frontends.torch.target import Captured  # noqa: E402


def found(model: nn.Module, inputs: Any = None) -> Captured:
    return captured(model, None, None, None, inputs, None, None, "")


def shapes(got: Captured) -> dict[str, Any]:
    return {value.name: (value.dtype, *(value.shape or ())) for value in got.graph.inputs}


@dataclass(frozen=True)
class Pictures:
    image: torch.Tensor
    weight: torch.Tensor | None = None


class Pair(NamedTuple):
    image: torch.Tensor
    other: torch.Tensor


class Entries(TypedDict):
    image: torch.Tensor


class Holder(nn.Module):
    """What `take` picks out of the arguments is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 2)

    def classified(self, image: Any) -> Any:
        return self.fc(torch.relu(self.conv(image)).mean((2, 3)))


class OfDataclass(Holder):
    def forward(self, batch: Pictures) -> Any:
        return self.classified(batch.image)


class OfNamedTuple(Holder):
    def forward(self, pair: Pair) -> Any:
        return self.classified(pair.image) - self.classified(pair.other)


class OfTypedDict(Holder):
    def forward(self, entries: Entries) -> Any:
        return self.classified(entries["image"])


class OfKeywords(Holder):
    def forward(self, **batch: Any) -> Any:
        return self.classified(batch["image"])


class OfGraph(nn.Module):
    """As graph networks take a batch of graphs: one object that holds nodes and edges."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, data: Any) -> Any:
        nodes = torch.relu(self.fc(data.x))
        nodes = nodes + torch.zeros_like(nodes).index_add_(0, data.edge_index[1], nodes[data.edge_index[0]])
        return self.head(nodes)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (OfDataclass, {"batch_image": ("float32", "batch", 3, 224, 224)}),
        (
            OfNamedTuple,
            {"pair_image": ("float32", "batch", 3, 224, 224), "pair_other": ("float32", "batch", 3, 224, 224)},
        ),
        (OfTypedDict, {"entries_image": ("float32", "batch", 3, 224, 224)}),
        (OfKeywords, {"image": ("float32", "batch", 3, 224, 224)}),
    ],
)
def test_what_arguments_hold_is_made(model: Callable[[], nn.Module], expected: dict[str, Any]) -> None:
    assert shapes(found(model())) == expected


def test_the_graph_of_a_graph_network_is_made() -> None:
    got = found(OfGraph())
    assert {name: each[0] for name, each in shapes(got).items()} == {"data_x": "float32", "data_edge_index": "int64"}
    assert "x float32[8, 5], edge_index int64[2, 16]" in str(got.facts["inputs"].value)


def test_a_dataclass_at_hand_is_taken() -> None:
    got = found(OfDataclass(), Pictures(torch.zeros(2, 3, 9, 9)))
    assert shapes(got) == {"batch_image": ("float32", "batch", 3, 9, 9)}


class OfList(nn.Module):
    """As a feature pyramid takes the outputs of a backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(3, 4, 1)
        self.far = nn.Conv2d(5, 4, 1)

    def forward(self, features: Any) -> Any:
        return torch.relu(self.near(features[0])) + self.far(features[1])


class Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sides = nn.ModuleList(nn.Conv2d(channels, 4, 1) for channels in (3, 5, 7))

    def forward(self, features: Any) -> Any:
        return sum(torch.relu(side(feature)) for side, feature in zip(self.sides, features, strict=True))


class OfPair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(5, 4)

    def forward(self, inputs: Any) -> Any:
        features, image = inputs
        return self.fc(features) + self.conv(image).mean((2, 3))


def test_a_sequence_of_tensors_is_made_where_a_tensor_does_not_fit() -> None:
    assert shapes(found(OfPair())) == {
        "inputs_0": ("float32", "batch", 5),
        "inputs_1": ("float32", "batch", 3, 224, 224),
    }
    assert {name: each[2] for name, each in shapes(found(OfList())).items()} == {"features_0": 3, "features_1": 5}
    assert [each[2] for each in shapes(found(Pyramid())).values()] == [3, 5, 7]


def test_the_tensors_of_a_sequence_are_stated_by_their_places() -> None:
    got = found(OfList(), ("features.1:2,5,4,4", "features.0:2,3,4,4"))
    assert {name: each[2:] for name, each in shapes(got).items()} == {"features_0": (3, 4, 4), "features_1": (5, 4, 4)}
    with pytest.raises(TargetError, match=r"takes other inputs than are stated: features\.0, features\.1"):
        found(OfList(), ("features.1:2,5,4,4",))


class OfFeaturesAndImage(nn.Module):
    """Taken for one tensor, its argument would get longer until it fits in no memory."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, inputs: Any) -> Any:
        features, image = inputs
        return self.fc(features) + self.conv(image).mean((2, 3))


def test_inputs_that_grow_without_end_are_given_up() -> None:
    assert shapes(found(OfFeaturesAndImage()))["inputs_0"] == ("float32", "batch", 4)


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 12)
        self.gru = nn.GRU(12, 10, batch_first=True)

    def forward(self, tokens: Any, lengths: Any) -> Any:
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True)
        return self.gru(packed)[1]


class OfKind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.kind = nn.Embedding(7, 4)

    def forward(self, image: Any, kind: Any) -> Any:
        return torch.relu(self.conv(image)).mean((2, 3)) * self.kind(kind)


def test_an_argument_that_is_called_as_a_table_holds_its_numbers() -> None:
    assert shapes(found(OfKind()))["kind"] == ("int64", "batch")


class Plain(nn.Module):
    """Arguments that are no tensors, annotated or told by their use."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.heads = nn.ModuleDict({"depth": nn.Linear(4, 1), "normal": nn.Linear(4, 3)})
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))


class OfAnnotated(Plain):
    def forward(self, x: Any, count: int, scale: float, double: bool) -> Any:
        for _ in range(count):
            x = self.fc(x) * scale if scale > 0.5 else x
        return x + x if double else x


class OfMode(Plain):
    def forward(self, mode: str, x: Any, y: Any) -> Any:
        if mode not in ("sum", "difference"):
            raise ValueError(mode)
        return self.fc(x) + self.fc(y) if mode == "sum" else self.fc(x) - self.fc(y)


class OfTask(Plain):
    def forward(self, x: Any, task, place, steps, device, flag) -> Any:  # type: ignore[no-untyped-def]
        x = self.layers[place](x.to(device))
        for _ in range(steps):
            x = self.fc(x)
        return self.heads[task](x if flag else -x)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (OfAnnotated, "float32[2, 4], count=1, scale=1.0, double=False"),
        (OfMode, "x float32[2, 4], y float32[2, 4], mode='sum'"),
        (OfTask, "float32[2, 4], task='depth', place=0, steps=1, device=device(type='cpu'), flag=False"),
    ],
)
def test_arguments_that_are_no_tensors_are_made(model: Callable[[], nn.Module], expected: str) -> None:
    assert found(model()).facts["inputs"].value == expected


def test_arguments_that_are_no_tensors_are_stated_and_the_others_guessed() -> None:
    steps = found(OfAnnotated(), ("count=3", "double=True"))
    assert str(steps.facts["inputs"].value) == "float32[2, 4], count=3, scale=1.0, double=True"
    assert [node.op for node in steps.graph.nodes].count("Gemm") == 3
    assert found(OfTask(), ("task=normal", "5,4")).graph.outputs[0].shape == ("batch", 3)
    by_half = found(OfMode(), ("mode='difference'", "x:6,4"))
    assert by_half.facts["inputs"].value == "x float32[6, 4], y float32[6, 4], mode='difference'"
    assert "but for those that are stated" in by_half.facts["inputs"].origin


@pytest.mark.parametrize("inputs", [("int64:3,9", "int64:3"), ("tokens:int64:3,9", "lengths:int64:3")])
def test_stated_lengths_are_those_of_whole_sequences(inputs: tuple[str, ...]) -> None:
    assert [node.op for node in found(Packed(), inputs).graph.nodes if node.op == "GRU"] == ["GRU"]


def test_an_exported_module_is_run_on_the_inputs_that_it_was_exported_with() -> None:
    module = torch.export.export(nn.Linear(5, 2), (torch.zeros(7, 4, 5),)).module()
    got = found(module)
    assert [value.shape for value in got.graph.inputs] == [(7, 4, 5)]
    assert got.facts["inputs"].origin == "the inputs of its graph"


class Secretive(nn.Module):
    """Raises another error than it should at the look at what it has not."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def __getattr__(self, name: str) -> Any:
        if name == "fc" or name.startswith("_"):
            return super().__getattr__(name)
        raise RuntimeError(f"there is no {name}")

    def forward(self, x: Any) -> Any:
        return self.fc(x)


def test_a_model_may_refuse_to_be_looked_at() -> None:
    assert shapes(found(Secretive())) == {"x": ("float32", "batch", 4)}


class Leaving(nn.Module):
    def forward(self, x: Any) -> Any:
        raise SystemExit(7)


class Nested(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.nested.nested_tensor([x[0], x[1, :2]])


@pytest.mark.parametrize(
    ("model", "told"),
    [(Leaving, "SystemExit: 7"), (Nested, "works on nested tensors, whose rows differ in length")],
)
def test_what_cannot_be_run_is_told(model: Callable[[], nn.Module], told: str) -> None:
    with pytest.raises(TargetError, match=told) as caught:
        found(model())
    assert "TargetError" not in str(caught.value)


@pytest.mark.parametrize("error", [GeneratorExit(), BaseException("of no kind")])
def test_what_no_handler_catches_is_told(error: BaseException) -> None:
    def raising() -> None:
        raise error

    with (
        pytest.raises(TargetError, match=f"cannot be built: {type(error).__name__}"),
        users_code("cannot be built", ""),
    ):
        raising()


class Detector(Holder):
    """Wants targets in training mode, as detectors do, and returns losses then."""

    def forward(self, images: Any, targets: Any = None) -> Any:
        if self.training:
            if targets is None:
                raise ValueError("in training mode, targets should be passed")
            return {
                "loss": torch.stack([each["boxes"].mean() for each in targets]).sum() * self.classified(images).sum()
            }
        return self.classified(images)


def test_a_detector_without_targets_is_run_in_inference_mode() -> None:
    model = Detector()
    got = found(model)
    assert shapes(got) == {"images": ("float32", "batch", 3, 224, 224)}
    assert "in inference mode, as in training mode it fails with each of" in got.facts["inputs"].origin
    assert model.training and model.conv.training
    with pytest.raises(TargetError, match="fails with each of"):
        captured(model, None, None, None, None, None, None, "train")


@pytest.mark.parametrize(
    ("model", "inputs", "message", "way_out"),
    [
        (OfDataclass, "images:1,3,9,9", "stated: batch.image", "--input image:DTYPE:SHAPE"),
        (
            Packed,
            "words:int64:3,9",
            "missing a required argument: 'tokens'",
            "--input tokens:DTYPE:SHAPE --input len",
        ),
    ],
)
def test_inputs_that_are_no_arguments_are_told(
    model: Callable[[], nn.Module], inputs: str, message: str, way_out: str
) -> None:
    with pytest.raises(TargetError, match="takes other inputs than are stated: ") as caught:
        found(model(), inputs)
    assert message in str(caught.value)
    assert way_out in caught.value.help
