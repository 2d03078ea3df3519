"""Programs with a published numerical defect, bug and fix side by side, and ways to write each of them.

A line that ends in `# NUM001` must be reported by that rule, at least as a warning (`# note NUM011`: as a note).
Constants and weights are declared where a body names them: see `CONSTANTS`. The bodies are retold from descriptions of
such bugs in papers (DEBAR, GRIST, RANUM), in framework documentation and in questions of users.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

WEIGHTS = {
    "w": "float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}",
    "b": "float[2] b = {0.1, -0.1}",
    "v": "float[3, 2] v = {0.3, 0.2, -0.1, 0.2, 0.1, -0.4}",
    "c": "float[2] c = {-0.2, 0.2}",
}
CONSTANTS = WEIGHTS | {
    "zero": "float zero = {0}",
    "one": "float one = {1}",
    "two": "float two = {2}",
    "half": "float half = {0.5}",
    "minus_half": "float minus_half = {-0.5}",
    "minus_two": "float minus_two = {-2}",
    "third": "float third = {0.3}",
    "gamma": "float gamma = {2.2}",
    "tiny": "float tiny = {1e-10}",
    "eps": "float eps = {1e-6}",
    "almost_one": "float almost_one = {0.999999}",
    "rounds_to_one": "float rounds_to_one = {0.99999999}",
    "minus_almost_one": "float minus_almost_one = {-0.999999}",
    "minus_one": "float minus_one = {-1}",
    "low": "float low = {-20}",
    "high": "float high = {20}",
    "hundred": "float hundred = {100}",
    "tenth": "float tenth = {0.1}",
    "never": "float never = {-inf}",
    "very_low": "float very_low = {-1e9}",
    "endless": "float endless = {inf}",
    "last": "int64[1] last = {-1}",
    "first": "int64[1] first = {0}",
    "centre": "float[2] centre = {0.5, -0.5}",
    "temperature": "float temperature = {0.05}",
    "none": "int64 none = {0}",
}
INPUTS = {
    "x": "float[N, 3] x",
    "z": "float[N, 3] z",
    "t": "float[N, 2] t",
    "adjacency": "float[5, 5] adjacency",
    "mask": "float[N, 2] mask",
    "ids": "int64[N, 2] ids",
    "p0": "float[N, 2] p0",
}


@dataclass(frozen=True)
class Program:
    """One defect."""

    name: str
    about: str
    bug: str
    fix: str


_LOGITS = "h = Gemm(x, w, b)"
_TWO = "h = Gemm(x, w, b)\nk = Gemm(x, v, c)"


def _p(name: str, about: str, bug: str, fix: str, head: str = _LOGITS) -> Program:
    return Program(name, about, f"{head}\n{bug}".strip(), f"{head}\n{fix}".strip())


PROGRAMS = [
    # -- logarithms
    _p(
        "log-of-softmax",
        "categorical cross-entropy on a softmax",
        "p = Softmax(h)\nl = Log(p) # LOS006\nm = Mul(t, l)\ns = ReduceSum(m, last)\nn = Neg(s)\n! = ReduceMean(n)",
        "l = LogSoftmax(h)\nm = Mul(t, l)\ns = ReduceSum(m, last)\nn = Neg(s)\n! = ReduceMean(n)",
    ),
    _p(
        "cross-entropy-by-hand",
        "-sum(t * log p) with a softmax that is written out, too",
        "e = Exp(h)\ns = ReduceSum(e, last)\np = Div(e, s) # NUM005\nl = Log(p) # LOS006|NUM001\nm = Mul(t, l)\n! = ReduceMean(m)",
        "l = LogSoftmax(h)\nm = Mul(t, l)\n! = ReduceMean(m)",
    ),
    _p(
        "bce-by-hand",
        "binary cross-entropy on a sigmoid",
        "p = Sigmoid(h)\nq = Sub(one, p)\nl = Log(q) # NUM001\nu = Sub(one, t)\nm = Mul(u, l)\n! = ReduceMean(m)",
        "p = Sigmoid(h)\nr = Clip(p, eps, almost_one)\nq = Sub(one, r)\nl = Log(q)\nu = Sub(one, t)\nm = Mul(u, l)\n"
        "! = ReduceMean(m)",
    ),
    _p(
        "bce-clipped-too-high",
        "the upper bound 1 - 1e-8 is 1 in float32",
        "p = Sigmoid(h)\nr = Clip(p, eps, rounds_to_one)\nq = Sub(one, r)\nl = Log(q) # NUM001\n! = ReduceMean(l)",
        "p = Sigmoid(h)\nr = Clip(p, eps, almost_one)\nq = Sub(one, r)\nl = Log(q)\n! = ReduceMean(l)",
    ),
    _p(
        "vanishing-epsilon",
        "log(1e-10 + 1 - sigmoid(x))",
        "p = Sigmoid(h)\no = Add(tiny, one) # NUM012\nq = Sub(o, p)\nl = Log(q) # NUM001\n! = ReduceMean(l)",
        "p = Sigmoid(h)\nq = Sub(one, p)\no = Add(q, eps)\nl = Log(o)\n! = ReduceMean(l)",
    ),
    _p(
        "entropy-by-hand",
        "-sum(p log p)",
        "p = Softmax(h)\nl = Log(p) # LOS006\nm = Mul(p, l)\ns = ReduceSum(m, last)\n! = ReduceMean(s)",
        "p = Softmax(h)\nl = LogSoftmax(h)\nm = Mul(p, l)\ns = ReduceSum(m, last)\n! = ReduceMean(s)",
    ),
    Program(
        "entropy-of-inputs",
        "the same of probabilities that the model is given",
        "l = Log(p0) # NUM001\nm = Mul(p0, l)\ns = ReduceSum(m, last)\n! = ReduceMean(s)",
        "g = Add(p0, eps)\nl = Log(g)\nm = Mul(p0, l)\ns = ReduceSum(m, last)\n! = ReduceMean(s)",
    ),
    _p(
        "kl-by-hand",
        "sum(p * log(p / q))",
        "p = Softmax(h)\nq = Softmax(k)\nr = Div(p, q) # NUM002\nl = Log(r) # NUM001\nm = Mul(p, l)\n! = ReduceMean(m)",
        "p = Softmax(h)\nl = LogSoftmax(h)\nj = LogSoftmax(k)\nr = Sub(l, j)\nm = Mul(p, r)\n! = ReduceMean(m)",
        _TWO,
    ),
    _p(
        "gan-discriminator",
        "log(1 - D(G(z)))",
        "d = Sigmoid(h)\nq = Sub(one, d)\nl = Log(q) # NUM001\n! = ReduceMean(l)",
        "s = Softplus(h)\nl = Neg(s)\n! = ReduceMean(l)",
    ),
    _p(
        "log-of-relu",
        "a rate that is rectified before its logarithm is taken",
        "r = Relu(h)\nl = Log(r) # NUM001\nd = Sub(l, t)\nq = Mul(d, d)\n! = ReduceMean(q)",
        "r = Relu(h)\ng = Add(r, eps)\nl = Log(g)\nd = Sub(l, t)\nq = Mul(d, d)\n! = ReduceMean(q)",
    ),
    _p(
        "log-of-linear",
        "the logarithm of a layer's output",
        "l = Log(h) # NUM001\nd = Sub(l, t)\nq = Mul(d, d)\n! = ReduceMean(q)",
        "s = Softplus(h)\ng = Add(s, eps)\nl = Log(g)\nd = Sub(l, t)\nq = Mul(d, d)\n! = ReduceMean(q)",
    ),
    _p(
        "poisson-rate",
        "rate - t * log(rate) with a rectified rate",
        "r = Relu(h)\nl = Log(r) # NUM001\nm = Mul(t, l)\nd = Sub(r, m)\n! = ReduceMean(d)",
        "r = Relu(h)\ng = Add(r, eps)\nl = Log(g)\nm = Mul(t, l)\nd = Sub(r, m)\n! = ReduceMean(d)",
    ),
    _p(
        "geometric-mean",
        "exp(mean(log x)) of rectified features",
        "r = Relu(h)\nl = Log(r) # NUM001\nm = ReduceMean(l, last)\n! = ReduceSum(m)",
        "r = Relu(h)\ng = Add(r, eps)\nl = Log(g)\nm = ReduceMean(l, last)\n! = ReduceSum(m)",
    ),
    _p(
        "mixture-density",
        "log(sum(pi * exp(-d)))",
        "p = Softmax(h)\nq = Mul(k, k)\nn = Neg(q)\ne = Exp(n)\nm = Mul(p, e)\ns = ReduceSum(m, last)\nl = Log(s) # NUM001\n"
        "! = ReduceMean(l)",
        "p = LogSoftmax(h)\nq = Mul(k, k)\nm = Sub(p, q)\nl = ReduceLogSumExp(m, last)\n! = ReduceMean(l)",
        _TWO,
    ),
    _p(
        "squashed-gaussian",
        "log(1 - tanh(x)^2) of an actor's action",
        "a = Tanh(h)\nq = Mul(a, a)\nr = Sub(one, q)\nl = Log(r) # NUM001\n! = ReduceMean(l)",
        "a = Tanh(h)\nq = Mul(a, a)\nr = Sub(one, q)\ng = Add(r, eps)\nl = Log(g)\n! = ReduceMean(l)",
    ),
    _p(
        "log-of-square",
        "an energy without a floor",
        "q = Mul(h, h)\nl = Log(q) # NUM001\n! = ReduceMean(l)",
        "q = Mul(h, h)\ng = Add(q, eps)\nl = Log(g)\n! = ReduceMean(l)",
    ),
    _p(
        "focal-loss",
        "(1 - p)^0.5 log p for the true class",
        "s = Sigmoid(h)\nu = Sub(one, t)\nq = Sub(one, s)\na = Mul(t, s)\nd = Mul(u, q)\np = Add(a, d)\nl = Log(p) # NUM001\n"
        "r = Sub(one, p)\nf = Pow(r, half) # NUM004\nm = Mul(f, l)\n! = ReduceMean(m)",
        "s = Sigmoid(h)\nu = Sub(one, t)\ny = Clip(s, eps, almost_one)\nq = Sub(one, y)\na = Mul(t, y)\nd = Mul(u, q)\n"
        "p = Add(a, d)\ng = Clip(p, eps, almost_one)\nl = Log(g)\nr = Sub(one, g)\nf = Pow(r, two)\nm = Mul(f, l)\n"
        "! = ReduceMean(m)",
    ),
    _p(
        "log-of-ratio",
        "log(a / b) of two rectified values",
        "r = Relu(h)\ns = Relu(k)\nd = Div(r, s) # NUM002\nl = Log(d) # NUM001\n! = ReduceMean(l)",
        "r = Relu(h)\ns = Relu(k)\nf = Add(r, eps)\ng = Add(s, eps)\nd = Div(f, g)\nl = Log(d)\n! = ReduceMean(l)",
        _TWO,
    ),
    # -- exponentials
    _p(
        "softplus-by-hand",
        "log(1 + exp(x))",
        "e = Exp(h) # NUM003\ns = Add(one, e)\n? = Log(s)",
        "? = Softplus(h)",
    ),
    _p(
        "softmax-by-hand",
        "exp(x) / sum(exp(x))",
        "e = Exp(h)\ns = ReduceSum(e, last)\n? = Div(e, s) # NUM005",
        "m = ReduceMax(h, last)\nd = Sub(h, m)\ne = Exp(d)\ns = ReduceSum(e, last)\n? = Div(e, s)",
    ),
    _p(
        "logsumexp-by-hand",
        "log(sum(exp(x)))",
        "e = Exp(h)\ns = ReduceSum(e, last)\n? = Log(s) # NUM005",
        "m = ReduceMax(h, last)\nd = Sub(h, m)\ne = Exp(d)\ns = ReduceSum(e, last)\nl = Log(s)\n? = Add(l, m)",
    ),
    _p(
        "sigmoid-by-hand",
        "1 / (1 + exp(-x)) in a loss: 0 times infinity in the gradient",
        "n = Neg(h)\ne = Exp(n) # NUM003\ns = Add(one, e)\np = Div(one, s)\nd = Sub(p, t)\nq = Mul(d, d)\n! = ReduceMean(q)",
        "p = Sigmoid(h)\nd = Sub(p, t)\nq = Mul(d, d)\n! = ReduceMean(q)",
    ),
    _p(
        "sigmoid-as-quotient",
        "exp(x) / (1 + exp(x))",
        "e = Exp(h) # NUM003\ns = Add(one, e)\n? = Div(e, s)",
        "? = Sigmoid(h)",
    ),
    _p(
        "tanh-by-hand",
        "(e^x - e^-x) / (e^x + e^-x)",
        "e = Exp(h) # NUM003\nn = Neg(h)\nf = Exp(n) # NUM003\na = Sub(e, f)\ns = Add(e, f)\n? = Div(a, s)",
        "? = Tanh(h)",
    ),
    _p(
        "log-sigmoid-by-hand",
        "-log(1 + exp(-x)) in a loss",
        "n = Neg(h)\ne = Exp(n) # NUM003\ns = Add(e, one)\nl = Log(s)\n! = ReduceMean(l)",
        "n = Neg(h)\nl = Softplus(n)\n! = ReduceMean(l)",
    ),
    _p(
        "vae-kl",
        "1 + logvar - mu^2 - exp(logvar)",
        "e = Exp(h) # NUM003\nq = Mul(k, k)\na = Add(one, h)\ns = Sub(a, q)\nd = Sub(s, e)\nm = Mul(minus_half, d)\n! = ReduceMean(m)",
        "l = Clip(h, low, high)\ne = Exp(l)\nq = Mul(k, k)\na = Add(one, l)\ns = Sub(a, q)\nd = Sub(s, e)\nm = Mul(minus_half, d)\n"
        "! = ReduceMean(m)",
        _TWO,
    ),
    _p(
        "gaussian-precision",
        "(mu - t)^2 * exp(-logvar) + logvar",
        "n = Neg(h)\ne = Exp(n) # NUM003\nd = Sub(k, t)\nq = Mul(d, d)\nm = Mul(q, e)\ns = Add(m, h)\n! = ReduceMean(s)",
        "l = Clip(h, low, high)\nn = Neg(l)\ne = Exp(n)\nd = Sub(k, t)\nq = Mul(d, d)\nm = Mul(q, e)\ns = Add(m, l)\n! = ReduceMean(s)",
        _TWO,
    ),
    _p(
        "poisson-exp",
        "exp(eta) - t * eta",
        "e = Exp(h) # NUM003\nm = Mul(t, h)\nd = Sub(e, m)\n! = ReduceMean(d)",
        "l = Min(h, high)\ne = Exp(l)\nm = Mul(t, l)\nd = Sub(e, m)\n! = ReduceMean(d)",
    ),
    _p(
        "perplexity",
        "the exponential of a mean loss",
        "d = Sub(h, t)\nq = Mul(d, d)\nm = ReduceMean(q)\n! = Exp(m) # NUM003",
        "d = Sub(h, t)\nq = Mul(d, d)\nm = ReduceMean(q)\nl = Min(m, high)\n! = Exp(l)",
    ),
    _p(
        "scaled-tanh",
        "exp(100 tanh(x))",
        "a = Tanh(h)\ns = Mul(a, hundred)\n? = Exp(s) # NUM003",
        "a = Tanh(h)\ns = Mul(a, two)\n? = Exp(s)",
    ),
    _p(
        "log-cosh",
        "log(cosh(y - t))",
        "d = Sub(h, t)\ne = Cosh(d) # NUM003\nl = Log(e)\n! = ReduceMean(l)",
        "d = Sub(h, t)\nm = Mul(minus_two, d)\ns = Softplus(m)\nl = Add(d, s)\n! = ReduceMean(l)",
    ),
    _p(
        "cosine-temperature",
        "a contrastive loss on unnormalised products",
        "r = Transpose <perm = [1, 0]> (k)\nm = MatMul(h, r)\ns = Div(m, temperature)\ne = Exp(s)\na = ReduceSum(e, last)\n"
        "l = Log(a) # NUM005\n! = ReduceMean(l)",
        "r = Transpose <perm = [1, 0]> (k)\nm = MatMul(h, r)\ns = Div(m, temperature)\nl = ReduceLogSumExp(s, last)\n! = ReduceMean(l)",
        _TWO,
    ),
    # -- divisions
    _p(
        "batch-std",
        "standardisation over the batch without epsilon",
        "m = ReduceMean(h, first)\nd = Sub(h, m)\nq = Mul(d, d)\ns = ReduceMean(q, first)\nr = Sqrt(s)\n? = Div(d, r) # NUM002",
        "m = ReduceMean(h, first)\nd = Sub(h, m)\nq = Mul(d, d)\ns = ReduceMean(q, first)\ng = Add(s, eps)\nr = Sqrt(g)\n? = Div(d, r)",
    ),
    _p(
        "layer-norm-without-eps",
        "the same over the features, with a power",
        "m = ReduceMean(h, last)\nd = Sub(h, m)\nq = Pow(d, two)\ns = ReduceMean(q, last)\nr = Sqrt(s)\n? = Div(d, r) # NUM002",
        "m = ReduceMean(h, last)\nd = Sub(h, m)\nq = Pow(d, two)\ns = ReduceMean(q, last)\nr = Sqrt(s)\ng = Add(r, eps)\n? = Div(d, g)",
    ),
    _p(
        "rms-norm-without-eps",
        "x / sqrt(mean(x^2))",
        "a = Relu(h)\nq = Mul(a, a)\ns = ReduceMean(q, last)\nr = Sqrt(s)\n? = Div(a, r) # NUM002",
        "a = Relu(h)\nq = Mul(a, a)\ns = ReduceMean(q, last)\ng = Add(s, eps)\nr = Sqrt(g)\n? = Div(a, r)",
    ),
    _p(
        "vector-by-norm",
        "x / |x|",
        "n = ReduceL2(h, last)\n? = Div(h, n) # NUM002",
        "n = ReduceL2(h, last)\ng = Max(n, eps)\n? = Div(h, g)",
    ),
    Program(
        "input-by-norm",
        "the same of an input, which may be all zeros",
        "n = ReduceL2(x, last)\nu = Div(x, n) # NUM002\n? = Gemm(u, w, b)",
        "n = ReduceL2(x, last)\ng = Clip(n, eps)\nu = Div(x, g)\n? = Gemm(u, w, b)",
    ),
    _p(
        "weights-by-their-sum",
        "attention weights that are rectified and normalised by their sum",
        "r = Relu(h)\ns = ReduceSum(r, last)\n? = Div(r, s) # NUM002",
        "r = Relu(h)\ns = ReduceSum(r, last)\ng = Add(s, eps)\n? = Div(r, g)",
    ),
    _p(
        "cosine-by-hand",
        "a . b / (|a| |b|)",
        "m = Mul(h, k)\ns = ReduceSum(m, last)\na = ReduceL2(h, last)\nd = ReduceL2(k, last)\nn = Mul(a, d)\n? = Div(s, n) # NUM002",
        "m = Mul(h, k)\ns = ReduceSum(m, last)\na = ReduceL2(h, last)\nd = ReduceL2(k, last)\nn = Mul(a, d)\ng = Max(n, eps)\n"
        "? = Div(s, g)",
        _TWO,
    ),
    _p(
        "masked-mean",
        "an average over a mask that may be empty",
        "m = Mul(h, mask)\ns = ReduceSum(m, last)\nn = ReduceSum(mask, last)\n? = Div(s, n) # NUM002",
        "m = Mul(h, mask)\ns = ReduceSum(m, last)\nn = ReduceSum(mask, last)\ng = Max(n, one)\n? = Div(s, g)",
    ),
    _p(
        "mean-over-tokens",
        "a loss averaged over the tokens that are no padding",
        "d = Sub(h, t)\nq = Mul(d, d)\ni = Greater(ids, none)\nf = Cast <to = 1> (i)\nm = Mul(q, f)\ns = ReduceSum(m)\nn = ReduceSum(f)\n"
        "! = Div(s, n) # NUM002",
        "d = Sub(h, t)\nq = Mul(d, d)\ni = Greater(ids, none)\nf = Cast <to = 1> (i)\nm = Mul(q, f)\ns = ReduceSum(m)\nn = ReduceSum(f)\n"
        "g = Clip(n, one)\n! = Div(s, g)",
    ),
    _p(
        "dice",
        "2 |a b| / (|a| + |b|) of empty regions",
        "g = Greater(h, zero)\np = Cast <to = 1> (g)\nm = Mul(p, t)\ni = ReduceSum(m)\na = ReduceSum(p)\nd = ReduceSum(t)\n"
        "n = Add(a, d)\n! = Div(i, n) # NUM002",
        "g = Greater(h, zero)\np = Cast <to = 1> (g)\nm = Mul(p, t)\ni = ReduceSum(m)\na = ReduceSum(p)\nd = ReduceSum(t)\n"
        "n = Add(a, d)\ns = Add(n, one)\n! = Div(i, s)",
    ),
    _p(
        "intersection-over-union",
        "0 / 0 where both boxes are empty",
        "a = Relu(h)\nd = Relu(k)\ni = Min(a, d)\nu = Max(a, d)\n? = Div(i, u) # NUM002",
        "a = Relu(h)\nd = Relu(k)\ni = Min(a, d)\nu = Max(a, d)\ng = Add(u, eps)\n? = Div(i, g)",
        _TWO,
    ),
    _p(
        "min-max-scaling",
        "(x - min) / (max - min)",
        "a = ReduceMin(h, last)\nc0 = ReduceMax(h, last)\nd = Sub(h, a)\nr = Sub(c0, a)\n? = Div(d, r) # NUM002",
        "a = ReduceMin(h, last)\nc0 = ReduceMax(h, last)\nd = Sub(h, a)\nr = Sub(c0, a)\ng = Add(r, eps)\n? = Div(d, g)",
    ),
    _p(
        "relative-error",
        "|y - t| / y",
        "d = Sub(h, t)\na = Abs(d)\nr = Div(a, h) # NUM002\n! = ReduceMean(r)",
        "d = Sub(h, t)\na = Abs(d)\ns = Softplus(h)\ng = Add(s, eps)\nr = Div(a, g)\n! = ReduceMean(r)",
    ),
    _p(
        "symmetric-relative-error",
        "|y - t| / (|y| + |t|)",
        "d = Sub(h, t)\na = Abs(d)\ne = Abs(h)\nf = Abs(t)\ns = Add(e, f)\nr = Div(a, s) # NUM002\n! = ReduceMean(r)",
        "d = Sub(h, t)\na = Abs(d)\ne = Abs(h)\nf = Abs(t)\ns = Add(e, f)\ng = Add(s, eps)\nr = Div(a, g)\n! = ReduceMean(r)",
    ),
    _p(
        "sigma-underflows",
        "(mu - t) / exp(log sigma)",
        "e = Exp(h) # NUM003\nd = Sub(k, t)\nr = Div(d, e) # NUM002\nq = Mul(r, r)\n! = ReduceMean(q)",
        "l = Clip(h, low, high)\ne = Exp(l)\nd = Sub(k, t)\nr = Div(d, e)\nq = Mul(r, r)\n! = ReduceMean(q)",
        _TWO,
    ),
    _p(
        "softplus-sigma",
        "a variance by softplus with nothing added",
        "s = Softplus(h)\nd = Sub(k, t)\nq = Mul(d, d)\nr = Div(q, s) # NUM002\n! = ReduceMean(r)",
        "s = Softplus(h)\ng = Add(s, eps)\nd = Sub(k, t)\nq = Mul(d, d)\nr = Div(q, g)\n! = ReduceMean(r)",
        _TWO,
    ),
    _p(
        "sinkhorn",
        "u = 1 / (K v) with K = exp(-C / eps)",
        "q = Mul(h, h)\ns = Div(q, tenth)\nn = Neg(s)\ne = Exp(n)\nm = Transpose <perm = [1, 0]> (e)\na = MatMul(e, m)\n"
        "? = Div(one, a) # NUM002",
        "q = Mul(h, h)\ns = Div(q, tenth)\nn = Neg(s)\ne = Exp(n)\nm = Transpose <perm = [1, 0]> (e)\na = MatMul(e, m)\ng = Add(a, eps)\n"
        "? = Div(one, g)",
    ),
    Program(
        "degree-normalisation",
        "a node without neighbours has degree 0",
        "d = ReduceSum(adjacency, last)\nr = Pow(d, minus_half) # NUM006\n? = Mul(r, adjacency)",
        "d = ReduceSum(adjacency, last)\nr = Pow(d, minus_half)\ni = IsInf(r)\nf = Where(i, zero, r)\n? = Mul(f, adjacency)",
    ),
    Program(
        "neighbour-mean",
        "the same with a division",
        "d = ReduceSum(adjacency, last)\n? = Div(adjacency, d) # NUM002",
        "d = ReduceSum(adjacency, last)\ni = Equal(d, zero)\ng = Where(i, one, d)\n? = Div(adjacency, g)",
    ),
    # -- roots and powers
    _p(
        "euclidean-distance",
        "the gradient of a distance between equal points",
        "d = Sub(h, k)\nq = Mul(d, d)\ns = ReduceSum(q, last)\nr = Sqrt(s) # NUM004\n! = ReduceMean(r)",
        "d = Sub(h, k)\nq = Mul(d, d)\ns = ReduceSum(q, last)\ng = Add(s, eps)\nr = Sqrt(g)\n! = ReduceMean(r)",
        "h = Gemm(x, w, b)\nk = Gemm(z, w, b)",
    ),
    _p(
        "rmse",
        "the root of a mean squared error",
        "d = Sub(h, t)\nq = Pow(d, two)\ns = ReduceMean(q)\n! = Sqrt(s) # NUM004",
        "d = Sub(h, t)\nq = Pow(d, two)\ns = ReduceMean(q)\ng = Add(s, eps)\n! = Sqrt(g)",
    ),
    _p(
        "pairwise-distances",
        "|a|^2 + |b|^2 - 2 a b, negative by rounding",
        "q = Mul(h, h)\ns = ReduceSum(q, last)\nu = Transpose <perm = [1, 0]> (s)\nr = Transpose <perm = [1, 0]> (h)\nm = MatMul(h, r)\n"
        "a = Add(s, u)\ne = Mul(two, m)\nd = Sub(a, e)\n? = Sqrt(d) # NUM004",
        "q = Mul(h, h)\ns = ReduceSum(q, last)\nu = Transpose <perm = [1, 0]> (s)\nr = Transpose <perm = [1, 0]> (h)\nm = MatMul(h, r)\n"
        "a = Add(s, u)\ne = Mul(two, m)\nd = Sub(a, e)\ng = Max(d, eps)\n? = Sqrt(g)",
    ),
    _p(
        "variance-by-cancellation",
        "E[x^2] - E[x]^2",
        "q = Mul(h, h)\na = ReduceMean(q, last)\nm = ReduceMean(h, last)\ne = Mul(m, m)\nd = Sub(a, e)\n? = Sqrt(d) # NUM004",
        "q = Mul(h, h)\na = ReduceMean(q, last)\nm = ReduceMean(h, last)\ne = Mul(m, m)\nd = Sub(a, e)\ng = Clip(d, eps)\n? = Sqrt(g)",
    ),
    _p(
        "std-of-constant",
        "the spread of a feature that does not vary",
        "m = ReduceMean(h, first)\nd = Sub(h, m)\nq = Mul(d, d)\ns = ReduceMean(q, first)\nr = Sqrt(s) # NUM004\n! = ReduceMean(r)",
        "m = ReduceMean(h, first)\nd = Sub(h, m)\nq = Mul(d, d)\ns = ReduceMean(q, first)\ng = Add(s, eps)\nr = Sqrt(g)\n! = ReduceMean(r)",
    ),
    _p("root-of-linear", "a layer's output under a root", "? = Sqrt(h) # NUM004", "r = Relu(h)\ng = Add(r, eps)\n? = Sqrt(g)"),
    _p("power-one-half", "x ** 0.5", "? = Pow(h, half) # NUM004", "r = Max(h, eps)\n? = Pow(r, half)"),
    _p(
        "sine-from-cosine",
        "sqrt(1 - c^2)",
        "a = Tanh(h)\nq = Mul(a, a)\nd = Sub(one, q)\nr = Sqrt(d) # NUM004\n! = ReduceMean(r)",
        "a = Tanh(h)\nq = Mul(a, a)\nd = Sub(one, q)\ng = Add(d, eps)\nr = Sqrt(g)\n! = ReduceMean(r)",
    ),
    _p(
        "hellinger",
        "roots of probabilities that underflow",
        "p = Softmax(h)\nr = Sqrt(p) # NUM004\nd = Sub(r, t)\nq = Mul(d, d)\n! = ReduceMean(q)",
        "p = Softmax(h)\ng = Add(p, eps)\nr = Sqrt(g)\nd = Sub(r, t)\nq = Mul(d, d)\n! = ReduceMean(q)",
    ),
    _p(
        "norm-penalty",
        "the length of a layer's output in a loss",
        "n = ReduceL2(h, last) # note NUM011\n! = ReduceMean(n)",
        "q = Mul(h, h)\ns = ReduceSum(q, last)\ng = Add(s, eps)\nn = Sqrt(g)\n! = ReduceMean(n)",
    ),
    _p("gamma-correction", "x ** 2.2", "? = Pow(h, gamma) # NUM006", "r = Relu(h)\n? = Pow(r, gamma)"),
    _p(
        "box-cox",
        "(x^lambda - 1) / lambda",
        "q = Pow(h, third) # NUM006\nd = Sub(q, one)\n? = Div(d, third)",
        "g = Clip(h, eps)\nq = Pow(g, third)\nd = Sub(q, one)\n? = Div(d, third)",
    ),
    _p(
        "inverse-root-of-relu",
        "relu(x) ** -0.5",
        "r = Relu(h)\n? = Pow(r, minus_half) # NUM006",
        "r = Relu(h)\ng = Add(r, eps)\n? = Pow(g, minus_half)",
    ),
    _p(
        "generalised-cross-entropy",
        "p^0.3 at a probability of 0",
        "p = Softmax(h)\nq = Pow(p, third) # NUM006\nd = Sub(one, q)\n! = ReduceMean(d)",
        "p = Softmax(h)\ng = Add(p, eps)\nq = Pow(g, third)\nd = Sub(one, q)\n! = ReduceMean(d)",
    ),
    # -- inverse functions
    _p(
        "angle-of-embeddings",
        "acos of the product of two unit vectors",
        "a = LpNormalization(h)\nd = LpNormalization(k)\nm = Mul(a, d)\ns = ReduceSum(m, last)\n? = Acos(s) # NUM007",
        "a = LpNormalization(h)\nd = LpNormalization(k)\nm = Mul(a, d)\ns = ReduceSum(m, last)\ng = Clip(s, minus_almost_one, almost_one)\n"
        "? = Acos(g)",
        _TWO,
    ),
    _p(
        "atanh-of-tanh",
        "tanh is 1 from 9 on",
        "a = Tanh(h)\n? = Atanh(a) # NUM007",
        "a = Tanh(h)\ng = Clip(a, minus_almost_one, almost_one)\n? = Atanh(g)",
    ),
    _p("asin-of-linear", "a layer's output", "? = Asin(h) # NUM007", "a = Tanh(h)\ns = Mul(a, half)\n? = Asin(s)"),
    _p(
        "logit",
        "log(p / (1 - p))",
        "p = Sigmoid(h)\nq = Sub(one, p)\nr = Div(p, q)\n? = Log(r) # NUM007",
        "s = Sigmoid(h)\np = Clip(s, eps, almost_one)\nq = Sub(one, p)\nr = Div(p, q)\n? = Log(r)",
    ),
    # -- masks
    _p(
        "fully-masked-attention",
        "a row of padding alone",
        "i = Equal(ids, none)\nm = Where(i, never, h)\n? = Softmax(m) # NUM010",
        "i = Equal(ids, none)\nm = Where(i, very_low, h)\n? = Softmax(m)",
    ),
    _p(
        "divide-where-not-zero",
        "a Where that has nothing to do with the divisor does not help",
        "r = Relu(h)\nd = Div(k, r) # NUM002\ni = Greater(t, zero)\n? = Where(i, d, zero)",
        "r = Relu(h)\nd = Div(k, r)\ni = Greater(r, zero)\n? = Where(i, d, zero)",
        _TWO,
    ),
    _p(
        "unrelated-clip",
        "a clip behind the logarithm that does not cut -inf off",
        "r = Relu(h)\nl = Log(r) # NUM001\nm = Min(l, high)\n! = ReduceMean(m)",
        "r = Relu(h)\ng = Max(r, eps)\nl = Log(g)\nm = Min(l, high)\n! = ReduceMean(m)",
    ),
]


# -- spellings


def text_of(body: str) -> str:
    """The body as ONNX text; `!` is a scalar loss, `?` an output of any shape."""
    code = "\n".join(line.partition("#")[0].rstrip() for line in body.splitlines())
    code = re.sub(r"^([!?]) =", r"out =", code, flags=re.MULTILINE)
    code = re.sub(r"= Reduce(\w+)\((\w+)\)$", r"= Reduce\1 <keepdims = 0> (\2)", code, flags=re.MULTILINE)
    words = set(re.findall(r"\b[a-z]\w*\b", code))
    inputs = [text for name, text in INPUTS.items() if name in words]
    stored = [text for name, text in CONSTANTS.items() if name in words]
    output = "float out" if re.search(r"^! =", body, re.MULTILINE) else "float[] out"
    declared = f"<{', '.join(stored)}>" if stored else ""
    return f"program ({', '.join(inputs)}) => ({output})\n{declared}\n{{\n{code}\n}}"


def wants(body: str) -> Iterator[tuple[str, str, bool]]:
    """The result whose node is at fault, the rule, and whether a note is enough."""
    for line in body.splitlines():
        match = re.match(r"(\S+) = .*# (note )?([\w|]+)$", line)
        if match:
            yield "out" if match[1] in "!?" else match[1], match[3], bool(match[2])


def model_of(body: str, opset: int = 18) -> Any:
    """The body as a model."""
    if opset < 13:
        return _older(model_of(body), opset)
    return parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text_of(body)}')


def _older(model: Any, opset: int) -> Any:
    """Axes as attributes."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type.startswith("Reduce") and len(node.input) == 2:
            axes = [int(axis) for axis in stored[node.input[1]]]
            del node.input[1]
            node.attribute.append(helper.make_attribute("axes", axes))
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    return model


Rewrite = Callable[[onnx.NodeProto], list[onnx.NodeProto] | None]


def _rewritten(model: Any, rewrite: Rewrite) -> Any:
    """Each node replaced by what `rewrite` makes of it; None: as it is. New results are named `OLD__part`."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes += rewrite(node) or [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def hidden(model: Any) -> Any:
    """An Identity behind every node, as some converters leave them."""

    def rewrite(node: onnx.NodeProto) -> list[onnx.NodeProto]:
        name = node.output[0]
        node.output[0] = f"{name}__bare"
        return [node, helper.make_node("Identity", [f"{name}__bare"], [name])]

    return _rewritten(model, rewrite)


def converted(model: Any) -> Any:
    """As converters from other frameworks write it: MatMul and Add, Max and Min, squares as products, x + (-y)."""

    def rewrite(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        name, inputs = node.output[0], list(node.input)
        if node.op_type == "Gemm":
            product = helper.make_node("MatMul", inputs[:2], [f"{name}__product"])
            return [product, helper.make_node("Add", [f"{name}__product", inputs[2]], [name])]
        if node.op_type == "Clip":
            upper = [helper.make_node("Min", [f"{name}__low", inputs[2]], [name])] if len(inputs) > 2 else []
            return [helper.make_node("Max", inputs[:2], [f"{name}__low" if upper else name]), *upper]
        if node.op_type == "Pow" and inputs[1] == "two":
            return [helper.make_node("Mul", [inputs[0], inputs[0]], [name])]
        if node.op_type == "ReduceL2":
            square = helper.make_node("Mul", [inputs[0], inputs[0]], [f"{name}__square"])
            total = helper.make_node("ReduceSum", [f"{name}__square", *inputs[1:]], [f"{name}__sum"])
            return [square, total, helper.make_node("Sqrt", [f"{name}__sum"], [name])]
        return None

    return _rewritten(model, rewrite)


def untrained(model: Any) -> Any:
    """All weights zero, as programs that were never run store them."""
    for tensor in model.graph.initializer:
        if tensor.name in WEIGHTS:
            zeros = np.zeros_like(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(zeros, tensor.name))
    return model


def reshaped(model: Any) -> Any:
    """An axis added and taken away again behind every elementwise node."""

    def rewrite(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type not in ("Sigmoid", "Relu", "Softmax", "Exp", "Softplus", "Tanh", "Gemm"):
            return None
        name = node.output[0]
        node.output[0] = f"{name}__bare"
        added = helper.make_node("Unsqueeze", [f"{name}__bare", "new_axis"], [f"{name}__wide"])
        return [node, added, helper.make_node("Squeeze", [f"{name}__wide", "new_axis"], [name])]

    model = _rewritten(model, rewrite)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "new_axis"))
    return model


def _as_is(model: Any) -> Any:
    return model


SPELLINGS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "opset 18": (18, _as_is),
    "opset 11": (11, _as_is),
    "identities": (18, hidden),
    "converted": (18, converted),
    "converted, opset 11": (11, converted),
    "layout": (18, reshaped),
    "untrained": (18, untrained),
}
