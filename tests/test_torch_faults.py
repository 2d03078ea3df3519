"""A model that fails by a fault of its own is told so, and its user is not sent to look for other inputs."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

import netlint
from netlint.frontends import TargetError
from netlint.frontends.torch.target import captured_model
from tests import torch_faults


def complaint(model: nn.Module, inputs: torch.Tensor | None = None) -> str:
    """What is said of a model, with and without inputs given."""
    with pytest.raises(TargetError) as caught:
        netlint.check(model, inputs=inputs) if inputs is not None else captured_model(model)
    return f"{caught.value} | {caught.value.help}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Misspelt", "AttributeError: 'Misspelt' object has no attribute 'fc1' | did you mean fc?"),
        ("NoSuchMethod", "'Tensor' object has no attribute 'soft_max' | did you mean softmax"),
        ("WrongKeyword", "TypeError: softmax() got an unexpected keyword argument 'dims' | correct that line"),
        ("WrongArity", "takes 2 positional arguments but 3 were given | correct that line"),
        ("Unwritten", "NotImplementedError: to do | write that method, or name a step that does without it: --step"),
        ("ListOfLayers", 'NotImplementedError: Module [ModuleList] is missing the required "forward" function'),
    ],
)
def test_errors_that_no_input_mends(name: str, text: str) -> None:
    model = getattr(torch_faults, name)()
    for said in (complaint(model), complaint(model, torch.zeros(4, 8))):
        assert said.startswith("fails whatever its input is at torch_faults.py:")
        assert text in said
        assert "--input" not in said


@pytest.mark.parametrize(
    ("name", "text", "shape"),
    [
        ("Convolutions", "body (Conv2d) takes 32 channels and gets 16 from stem (Conv2d)", (2, 3, 20, 20)),
        ("Normalised", "norm (BatchNorm2d) takes 32 channels and gets 16 from stem (Conv2d)", (2, 3, 20, 20)),
        ("Pooled", "head (Linear) takes 576 features and gets 784 from stem (Conv2d)", (2, 3, 20, 20)),
        ("BothWays", "head (Linear) takes 16 features and gets 32 from rnn (GRU)", (2, 5, 8)),
        ("Summed", "4 from left (Linear) and 6 from right (Linear) cannot be added element by element", (2, 8)),
        (
            "Concatenated",
            "up (Conv2d) takes 16 channels and gets 24 from down (Conv2d) and deep (Conv2d)",
            (2, 3, 8, 8),
        ),
    ],
)
def test_layers_that_do_not_fit_are_named(name: str, text: str, shape: tuple[int, ...]) -> None:
    model = getattr(torch_faults, name)()
    for said in (complaint(model), complaint(model, torch.zeros(shape))):
        assert said.startswith("cannot run on any input at torch_faults.py:")
        assert f": {text} | make the two agree" in said


def test_layers_after_an_embedding_and_in_a_sequence_that_do_not_fit() -> None:
    assert "rnn (LSTM) takes 32 features and gets 16 from table (Embedding)" in complaint(torch_faults.Embedded())
    stack = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(10, 5))
    assert complaint(stack).startswith(
        "cannot run on any input: 2 (Linear) takes 10 features and gets 4 from 0 (Linear)"
    )


@pytest.mark.parametrize(
    ("name", "text", "shape"),
    [
        ("WholeResult", "fc (Linear) takes a tensor and gets the tuple that rnn (LSTM) returns", (2, 5, 8)),
        ("TwoPrecisions", "second (Linear) holds float16 and gets float32 from first (Linear)", (2, 8)),
    ],
)
def test_results_that_the_next_layer_cannot_take(name: str, text: str, shape: tuple[int, ...]) -> None:
    model = getattr(torch_faults, name)()
    for said in (complaint(model), complaint(model, torch.zeros(shape))):
        assert text in said
        assert "--input" not in said


def test_an_error_that_every_input_meets_is_told_with_its_line() -> None:
    said = complaint(torch_faults.NoSuchKey())
    assert said.startswith("fails with each of the ")
    assert "inputs that get there at torch_faults.py:64: KeyError: 'b'" in said
    assert "| state them: --input" in said


def test_what_may_be_for_the_inputs_is_not_blamed_on_the_layers() -> None:
    said = complaint(torch_faults.Sequence(), torch.zeros(2, 3))
    assert "raises RuntimeError" in said
    assert "--input" in said
    netlint.check(torch_faults.Sequence(), inputs=torch.zeros(2, 10, 3))


def test_an_attribute_that_an_input_lacks_is_no_fault_of_the_model() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, 4)

        def forward(self, images: Any) -> torch.Tensor:
            return self.fc(images[0].tensors)  # type: ignore[no-any-return]

    assert "whatever its input" not in complaint(Nested(), torch.zeros(2, 8))


def test_a_failure_that_the_model_handles_is_none() -> None:
    class Careful(torch_faults.Summed):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            try:
                return super().forward(x)
            except RuntimeError:
                return self.left(x).half() @ self.right.weight.half()  # type: ignore[no-any-return]

    assert "cannot run on any input" not in complaint(Careful(), torch.zeros(2, 8))


class Table(nn.Module):
    """One category and five numbers for each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds = nn.Embedding(30, 8)
        self.numbers = nn.Linear(5, 8)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.cat((self.kinds(batch["kind"]), self.numbers(batch["numbers"])), -1)


def test_categories_beside_numbers_are_one_for_each_sample() -> None:
    assert captured_model(Table()).facts["inputs"].value == "kind int64[2], numbers float32[2, 5]"
