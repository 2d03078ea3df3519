"""The training contract: names forgiven, mistakes explained, origins kept."""

from __future__ import annotations

import pytest

from netlint.training import ContractError, Interval, Known, Training, find_loss, parse_interval, parse_training


def parse(**values: object) -> Training:
    return parse_training(values, lambda name: f"--{name}")


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("cross_entropy", "cross_entropy"),
        ("CrossEntropyLoss", "cross_entropy"),
        ("nn.CrossEntropyLoss", "cross_entropy"),
        ("torch.nn.functional.mse_loss", "mse_loss"),
        ("MSE", "mse_loss"),
        ("mean_squared_error", "mse_loss"),
        ("BCEWithLogitsLoss", "binary_cross_entropy_with_logits"),
        ("bce", "binary_cross_entropy"),
        ("sparse_categorical_crossentropy", "categorical_cross_entropy"),
        ("NLLLoss", "nll_loss"),
        ("kl-div", "kl_div"),
        ("Smooth L1", "smooth_l1_loss"),
        ("KLDivLoss", "kl_div"),
        ("tf.keras.losses.KLDivergence", "kl_divergence"),
        ("keras.losses.BinaryCrossentropy(from_logits=True)", "binary_cross_entropy_with_logits"),
        ("optax.sigmoid_binary_cross_entropy", "binary_cross_entropy_with_logits"),
        ("optax.softmax_cross_entropy_with_integer_labels", "cross_entropy"),
        ("dice", "dice_loss"),
        ("hinge", "hinge_loss"),
    ],
)
def test_losses_are_known_by_every_usual_spelling(spelling: str, name: str) -> None:
    loss = find_loss(spelling)
    assert loss is not None
    assert loss.name == name


def test_unknown_loss_suggests_a_near_one() -> None:
    with pytest.raises(ContractError, match=r"--loss: unknown loss 'crosentropy'; did you mean 'cross_entropy'"):
        parse(loss="crosentropy")


@pytest.mark.parametrize(
    ("text", "interval"),
    [("-1..1", (-1, 1)), ("0..inf", (0, float("inf"))), ("0:255", (0, 255)), ("-1e-3,.5", (-0.001, 0.5))],
)
def test_ranges(text: str, interval: tuple[float, float]) -> None:
    assert parse_interval(text) == Interval(*interval)


@pytest.mark.parametrize("text", ["", "1", "1..", "a..b", "2..1", "nan..1"])
def test_bad_ranges_are_refused(text: str) -> None:
    with pytest.raises(ContractError):
        parse_interval(text)


def test_fields_keep_their_origin_and_the_first_source_wins() -> None:
    line = parse(loss="mse")
    file = parse_training({"loss": "l1", "task": "regression", "targets": [-1, 1]}, lambda name: "pyproject.toml")
    both = line.otherwise(file)
    assert isinstance(both.loss, Known)
    assert (both.loss.value.name, both.loss.origin) == ("mse_loss", "--loss")
    assert both.task == Known("regression", "pyproject.toml")
    assert both.targets == Known(Interval(-1, 1), "pyproject.toml")
    assert not both.lr.known


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("task", "clasification", "did you mean 'classification'"),
        ("optimizer", "adamm", "did you mean 'adam"),
        ("classes", "ten", "not a whole number"),
        ("classes", "0", "1 or more"),
        ("lr", "-1", "0 or more"),
        ("lossy", "x", "unknown training field 'lossy'; did you mean 'loss'"),
    ],
)
def test_mistakes_are_explained(field: str, value: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        parse(**{field: value})
