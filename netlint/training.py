"""The training contract: what the graph alone cannot say, each field with its origin.

A field is a `Known(value, origin)` or `UNKNOWN`. Sources, the first that speaks wins: the command line, the
project's configuration, objects handed to the Python API, loss operators in the graph, the model's own metadata. The
first three make the declared `Training`; the `contract` analysis adds what the graph and its metadata say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields, replace
from typing import Any, Generic, TypeVar

from .errors import ContractError, get_close_matches
from .records import record

T = TypeVar("T")

TASKS = ("classification", "multilabel", "regression", "segmentation", "autoencoder", "language-model", "gan")
STAGES = ("init", "trained")
PRECISIONS = ("float32", "float16", "bfloat16", "mixed-float16", "mixed-bfloat16", "float64")
OPTIMIZERS = (
    *("sgd", "adam", "adamw", "adamax", "nadam", "radam", "rmsprop", "adagrad", "adadelta", "asgd", "rprop"),
    *("lbfgs", "adafactor", "lion", "lamb", "sparseadam", "muon"),
)


@record
class Known(Generic[T]):
    """The value of a field and who said so (`--loss`, `pyproject.toml`, `operator at /loss/NegativeLog…`)."""

    value: T
    origin: str

    known = True


@record
class Unknown:
    """Nobody has said. Reading `.value` is a mistake."""

    known = False


UNKNOWN = Unknown()


@record
class Interval:
    """A closed range of real numbers; an end may be infinite."""

    lo: float
    hi: float

    def __str__(self) -> str:
        return f"[{self.lo:g}, {self.hi:g}]"


@record
class Loss:
    """A loss function: what it does to predictions, and what it expects of them.

    `wants` is `logits` (it applies softmax or sigmoid itself), `log-probabilities`, `probabilities` or `values`;
    `over` says over what: `classes` (softmax), `units` (sigmoid, each unit on its own) or ``.
    """

    name: str
    wants: str
    over: str = ""
    kind: str = ""
    """`cross-entropy`, `squared`, `absolute`, `divergence`, or `other`."""


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("cross_entropy", "logits", "classes", "cross-entropy"),
        Loss("nll_loss", "log-probabilities", "classes", "cross-entropy"),
        Loss("categorical_cross_entropy", "probabilities", "classes", "cross-entropy"),
        Loss("binary_cross_entropy", "probabilities", "units", "cross-entropy"),
        Loss("binary_cross_entropy_with_logits", "logits", "units", "cross-entropy"),
        Loss("multilabel_soft_margin_loss", "logits", "units", "cross-entropy"),
        Loss("soft_margin_loss", "logits", "units", "cross-entropy"),
        Loss("multi_margin_loss", "values", "", "other"),
        Loss("kl_div", "log-probabilities", "classes", "divergence"),
        Loss("kl_divergence", "probabilities", "classes", "divergence"),
        Loss("mse_loss", "values", "", "squared"),
        Loss("l1_loss", "values", "", "absolute"),
        Loss("smooth_l1_loss", "values", "", "absolute"),
        Loss("huber_loss", "values", "", "absolute"),
        Loss("log_cosh_loss", "values", "", "absolute"),
        Loss("poisson_nll_loss", "values", "", "other"),
        Loss("gaussian_nll_loss", "values", "", "other"),
        Loss("cosine_embedding_loss", "values", "", "other"),
        Loss("hinge_loss", "values", "", "other"),
        Loss("multilabel_margin_loss", "values", "", "other"),
        Loss("dice_loss", "probabilities", "units", "other"),
        Loss("sigmoid_focal_loss", "logits", "units", "cross-entropy"),
        Loss("hinge_embedding_loss", "values", "", "other"),
        Loss("margin_ranking_loss", "values", "", "other"),
        Loss("triplet_margin_loss", "values", "", "other"),
        Loss("ctc_loss", "log-probabilities", "classes", "other"),
    )
}

# Other spellings, written as _key() leaves them: torch's module names, Keras's, TensorFlow's, everyday ones.
_ALIASES = {
    "crossentropy": "cross_entropy",
    "ce": "cross_entropy",
    "softmaxcrossentropy": "cross_entropy",
    "softmaxcrossentropywithlogits": "cross_entropy",
    "sparsesoftmaxcrossentropywithlogits": "cross_entropy",
    "nll": "nll_loss",
    "negativeloglikelihood": "nll_loss",
    "categoricalcrossentropy": "categorical_cross_entropy",
    "sparsecategoricalcrossentropy": "categorical_cross_entropy",
    "bce": "binary_cross_entropy",
    "binarycrossentropy": "binary_cross_entropy",
    "bcewithlogits": "binary_cross_entropy_with_logits",
    "binarycrossentropywithlogits": "binary_cross_entropy_with_logits",
    "sigmoidcrossentropywithlogits": "binary_cross_entropy_with_logits",
    "binarycrossentropyfromlogitstrue": "binary_cross_entropy_with_logits",
    "categoricalcrossentropyfromlogitstrue": "cross_entropy",
    "sparsecategoricalcrossentropyfromlogitstrue": "cross_entropy",
    "softmaxcrossentropywithintegerlabels": "cross_entropy",
    "sigmoidbinarycrossentropy": "binary_cross_entropy_with_logits",
    "kldiv": "kl_div",
    "kldivergence": "kl_divergence",
    "kullbackleiblerdivergence": "kl_divergence",
    "kl": "kl_div",
    "mse": "mse_loss",
    "meansquarederror": "mse_loss",
    "l2": "mse_loss",
    "mae": "l1_loss",
    "meanabsoluteerror": "l1_loss",
    "l1": "l1_loss",
    "smoothl1": "smooth_l1_loss",
    "huber": "huber_loss",
    "poissonnll": "poisson_nll_loss",
    "gaussiannll": "gaussian_nll_loss",
    "ctc": "ctc_loss",
    "tripletmargin": "triplet_margin_loss",
}


def _key(name: str) -> str:
    """Case, separators and a trailing `loss` do not distinguish losses."""
    key = re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower())
    return key.removesuffix("loss") or key


_BY_KEY = {_key(name): name for name in LOSSES} | _ALIASES


def find_loss(name: str) -> Loss | None:
    """The loss of that name as torch, Keras or common usage spells it; None if there is none."""
    found = _BY_KEY.get(_key(name))
    return LOSSES[found] if found else None


def parse_loss(text: str) -> Loss:
    """Like `find_loss`; raises `ContractError` with a suggestion."""
    loss = find_loss(text)
    if loss is None:
        near = [_BY_KEY[key] for key in get_close_matches(_key(text), _BY_KEY, n=3, cutoff=0.6)]
        raise ContractError(f"unknown loss '{text}'{did_you_mean(near, LOSSES)}")
    return loss


def did_you_mean(near: Iterable[str], known: Iterable[str]) -> str:
    """`; did you mean 'a'?`, or the list of all names where nothing is near."""
    names = list(dict.fromkeys(near))
    if names:
        return "; did you mean " + " or ".join(f"'{name}'" for name in names) + "?"
    return "; known: " + ", ".join(known)


def _choice(what: str, choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        wanted = re.sub(r"[\s_]+", "-", text.strip().lower())
        plain = {choice.replace("-", ""): choice for choice in choices}
        found = plain.get(wanted.replace("-", ""))
        if found is None:
            near = get_close_matches(wanted, choices, n=2, cutoff=0.5)
            raise ContractError(f"unknown {what} '{text}'{did_you_mean(near, choices)}")
        return found

    return parse


_NUMBER = r"[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf)"
_RANGE = rf"\s*({_NUMBER})\s*(?:\.\.|:|,)\s*({_NUMBER})\s*"


def parse_interval(text: str) -> Interval:
    """`-1..1`, `0..255`, `0..inf`; `:` and `,` separate as well. Raises `ContractError`."""
    match = re.fullmatch(_RANGE, text, re.IGNORECASE)
    if not match:
        raise ContractError(f"'{text}' is not a range: write LOW..HIGH, e.g. -1..1 or 0..inf")
    lo, hi = float(match[1]), float(match[2])
    if lo > hi:
        raise ContractError(f"the range '{text}' is empty: its low end is above its high end")
    return Interval(lo, hi)


def _number(low: float, *, whole: bool = False) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            raise ContractError(f"'{text}' is not a{' whole' if whole else ''} number") from None
        if math.isnan(value) or value < low:
            raise ContractError(f"{text} is out of range: {low:g} or more is wanted")
        return value

    return parse


def _number_or_none(text: str) -> float:
    """A number, or `none` for "declared absent", which is infinity: no bound."""
    return math.inf if text.strip().lower() in ("none", "no", "off") else _number(0)(text)


def _counts(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them; `..` too, which is what a TOML list of two becomes."""
    parts = [part for part in re.split(r"[,\s]+|\.\.", text.strip("[]() ")) if part]
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        raise ContractError(f"'{text}' is not a list of counts: write one whole number a class, e.g. 900,100")
    return tuple(int(part) for part in parts)


def _words(text: str) -> str:
    return text.strip()


@record
class Training:
    """The contract. Every field is `Known` or `UNKNOWN`."""

    task: Known[str] | Unknown = field(default=UNKNOWN, metadata={"parse": _choice("task", TASKS)})
    loss: Known[Loss] | Unknown = field(default=UNKNOWN, metadata={"parse": parse_loss})
    targets: Known[Interval] | Unknown = field(default=UNKNOWN, metadata={"parse": parse_interval})
    classes: Known[int] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(1, whole=True)})
    class_counts: Known[tuple[int, ...]] | Unknown = field(default=UNKNOWN, metadata={"parse": _counts})
    """Samples of each class in the training set."""
    target_mean: Known[float] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(-math.inf)})
    input_range: Known[Interval] | Unknown = field(default=UNKNOWN, metadata={"parse": parse_interval})
    input_mean: Known[float] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(-math.inf)})
    input_std: Known[float] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(0)})
    optimizer: Known[str] | Unknown = field(default=UNKNOWN, metadata={"parse": _choice("optimizer", OPTIMIZERS)})
    lr: Known[float] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(0)})
    momentum: Known[float] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(0)})
    weight_decay: Known[float] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(0)})
    schedule: Known[str] | Unknown = field(default=UNKNOWN, metadata={"parse": _words})
    batch_size: Known[int] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(1, whole=True)})
    dataset_size: Known[int] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(1, whole=True)})
    epochs: Known[int] | Unknown = field(default=UNKNOWN, metadata={"parse": _number(0, whole=True)})
    grad_clip: Known[float] | Unknown = field(default=UNKNOWN, metadata={"parse": _number_or_none})
    precision: Known[str] | Unknown = field(default=UNKNOWN, metadata={"parse": _choice("precision", PRECISIONS)})
    stage: Known[str] | Unknown = field(default=UNKNOWN, metadata={"parse": _choice("stage", STAGES)})

    def otherwise(self, other: Training) -> Training:
        """This contract, with the fields it leaves open taken from `other`."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(other, **{name: value for name, value in mine.items() if value.known})

    def known(self) -> dict[str, Known[Any]]:
        """The fields that somebody has stated."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name).known}


FIELDS = tuple(f.name for f in fields(Training))


def parse_training(values: Mapping[str, object], origin: Callable[[str], str]) -> Training:
    """A contract from text as users write it; field names may have `-` or `_`.

    `origin(field)` says where a field comes from. Raises `ContractError`, with that origin in the message.
    """
    stated: dict[str, Known[Any]] = {}
    parsers = {f.name: f.metadata["parse"] for f in fields(Training)}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in parsers:
            near = get_close_matches(name, parsers, n=2, cutoff=0.5)
            raise ContractError(f"{origin(name)}: unknown training field '{key}'{did_you_mean(near, parsers)}")
        try:
            stated[name] = Known(parsers[name](_text(value)), origin(name))
        except ContractError as error:
            raise ContractError(f"{origin(name)}: {error}") from None
    return Training(**stated)


def _text(value: object) -> str:
    """TOML gives `[-1, 1]`, `10` or `"mse"`; the parsers read text. Raises `ContractError`."""
    ends = value if isinstance(value, list) and len(value) == 2 else [value]
    if len(ends) == 2 and all(type(end) in (int, float) for end in ends):
        return f"{ends[0]}..{ends[1]}"
    if isinstance(value, list) and len(value) > 2 and all(type(item) is int for item in value):
        return ",".join(map(str, value))
    if isinstance(value, str) or type(value) in (int, float):
        return str(value)
    raise ContractError(f"{value} is neither text, nor a number, nor a range [LOW, HIGH]")
