"""Programs with a published numerical defect, bug and fix side by side.

Statements are separated by `; `. One that ends in `# NUM001` must be reported by that rule, at least as a warning
(`# note NUM011`: as a note; `# LOS006|NUM001`: by either). `!` is the program's result where it is a scalar loss, `?`
where it is anything else. What a body names is declared by `numeric_spellings`: x, t … are inputs, w, b … weights. The
programs are retold from descriptions of such bugs in papers (DEBAR, GRIST, RANUM), in framework documentation and in
questions of users.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """One defect."""

    name: str
    about: str
    bug: str
    fix: str


def wants(body: str) -> Iterator[tuple[str, list[str], bool]]:
    """The result whose node is at fault, the rules that may say so, and whether a note is enough."""
    for statement in body.split("; "):
        match = re.match(r"(\S+) = .*# (note )?([\w|]+)$", statement)
        if match:
            yield "out" if match[1] in "!?" else match[1], match[3].split("|"), bool(match[2])


_LOGITS = "h = Gemm(x, w, b)"
_TWO = "h = Gemm(x, w, b); k = Gemm(x, v, c)"
_TWINS = "h = Gemm(x, w, b); k = Gemm(z, w, b)"


def _p(name: str, about: str, bug: str, fix: str, head: str = _LOGITS) -> Program:
    """A program that begins with one layer, or two."""
    return Program(name, about, f"{head}; {bug}", f"{head}; {fix}")


PROGRAMS = [
    # -- logarithms
    _p(
        "log-of-softmax",
        "categorical cross-entropy on a softmax",
        "p = Softmax(h); l = Log(p) # LOS006; m = Mul(t, l); s = ReduceSum(m, last); n = Neg(s); ! = ReduceMean(n)",
        "l = LogSoftmax(h); m = Mul(t, l); s = ReduceSum(m, last); n = Neg(s); ! = ReduceMean(n)",
    ),
    _p(
        "cross-entropy-by-hand",
        "-sum(t * log p) with a softmax that is written out, too",
        "e = Exp(h) # NUM005; s = ReduceSum(e, last); p = Div(e, s); l = Log(p) # LOS006|NUM001; m = Mul(t, l); "
        "! = ReduceMean(m)",
        "l = LogSoftmax(h); m = Mul(t, l); ! = ReduceMean(m)",
    ),
    _p(
        "bce-by-hand",
        "binary cross-entropy on a sigmoid",
        "p = Sigmoid(h); q = Sub(one, p); l = Log(q) # NUM001; u = Sub(one, t); m = Mul(u, l); ! = ReduceMean(m)",
        "p = Sigmoid(h); r = Clip(p, eps, almost_one); q = Sub(one, r); l = Log(q); u = Sub(one, t); m = Mul(u, l); "
        "! = ReduceMean(m)",
    ),
    _p(
        "bce-clipped-too-high",
        "the upper bound 1 - 1e-8 is 1 in float32",
        "p = Sigmoid(h); r = Clip(p, eps, rounds_to_one); q = Sub(one, r); l = Log(q) # NUM001; ! = ReduceMean(l)",
        "p = Sigmoid(h); r = Clip(p, eps, almost_one); q = Sub(one, r); l = Log(q); ! = ReduceMean(l)",
    ),
    _p(
        "vanishing-epsilon",
        "log(1e-10 + 1 - sigmoid(x))",
        "p = Sigmoid(h); o = Add(tiny, one) # NUM012; q = Sub(o, p); l = Log(q) # NUM001; ! = ReduceMean(l)",
        "p = Sigmoid(h); q = Sub(one, p); o = Add(q, eps); l = Log(o); ! = ReduceMean(l)",
    ),
    _p(
        "entropy-by-hand",
        "-sum(p log p)",
        "p = Softmax(h); l = Log(p) # LOS006; m = Mul(p, l); s = ReduceSum(m, last); ! = ReduceMean(s)",
        "p = Softmax(h); l = LogSoftmax(h); m = Mul(p, l); s = ReduceSum(m, last); ! = ReduceMean(s)",
    ),
    Program(
        "entropy-of-inputs",
        "the same of probabilities that the model is given",
        "l = Log(p0) # NUM001; m = Mul(p0, l); s = ReduceSum(m, last); ! = ReduceMean(s)",
        "g = Add(p0, eps); l = Log(g); m = Mul(p0, l); s = ReduceSum(m, last); ! = ReduceMean(s)",
    ),
    _p(
        "kl-by-hand",
        "sum(p * log(p / q))",
        "p = Softmax(h); q = Softmax(k); r = Div(p, q) # NUM002; l = Log(r) # NUM001; m = Mul(p, l); ! = ReduceMean(m)",
        "p = Softmax(h); l = LogSoftmax(h); j = LogSoftmax(k); r = Sub(l, j); m = Mul(p, r); ! = ReduceMean(m)",
        _TWO,
    ),
    _p(
        "gan-discriminator",
        "log(1 - D(G(z)))",
        "d = Sigmoid(h); q = Sub(one, d); l = Log(q) # NUM001; ! = ReduceMean(l)",
        "s = Softplus(h); l = Neg(s); ! = ReduceMean(l)",
    ),
    _p(
        "log-of-relu",
        "a rate that is rectified before its logarithm is taken",
        "r = Relu(h); l = Log(r) # NUM001; d = Sub(l, t); q = Mul(d, d); ! = ReduceMean(q)",
        "r = Relu(h); g = Add(r, eps); l = Log(g); d = Sub(l, t); q = Mul(d, d); ! = ReduceMean(q)",
    ),
    _p(
        "log-of-linear",
        "the logarithm of a layer's output",
        "l = Log(h) # NUM001; d = Sub(l, t); q = Mul(d, d); ! = ReduceMean(q)",
        "s = Softplus(h); g = Add(s, eps); l = Log(g); d = Sub(l, t); q = Mul(d, d); ! = ReduceMean(q)",
    ),
    _p(
        "poisson-rate",
        "rate - t * log(rate) with a rectified rate",
        "r = Relu(h); l = Log(r) # NUM001; m = Mul(t, l); d = Sub(r, m); ! = ReduceMean(d)",
        "r = Relu(h); g = Add(r, eps); l = Log(g); m = Mul(t, l); d = Sub(r, m); ! = ReduceMean(d)",
    ),
    _p(
        "geometric-mean",
        "exp(mean(log x)) of rectified features",
        "r = Relu(h); l = Log(r) # NUM001; m = ReduceMean(l, last); ! = ReduceSum(m)",
        "r = Relu(h); g = Add(r, eps); l = Log(g); m = ReduceMean(l, last); ! = ReduceSum(m)",
    ),
    _p(
        "mixture-density",
        "log(sum(pi * exp(-d)))",
        "p = Softmax(h); q = Mul(k, k); n = Neg(q); e = Exp(n); m = Mul(p, e); s = ReduceSum(m, last); "
        "l = Log(s) # NUM001; ! = ReduceMean(l)",
        "p = LogSoftmax(h); q = Mul(k, k); m = Sub(p, q); l = ReduceLogSumExp(m, last); ! = ReduceMean(l)",
        _TWO,
    ),
    _p(
        "squashed-gaussian",
        "log(1 - tanh(x)^2) of an actor's action",
        "a = Tanh(h); q = Mul(a, a); r = Sub(one, q); l = Log(r) # NUM001; ! = ReduceMean(l)",
        "a = Tanh(h); q = Mul(a, a); r = Sub(one, q); g = Add(r, eps); l = Log(g); ! = ReduceMean(l)",
    ),
    _p(
        "log-of-square",
        "an energy without a floor",
        "q = Mul(h, h); l = Log(q) # NUM001; ! = ReduceMean(l)",
        "q = Mul(h, h); g = Add(q, eps); l = Log(g); ! = ReduceMean(l)",
    ),
    _p(
        "focal-loss",
        "(1 - p)^0.5 log p for the true class",
        "s = Sigmoid(h); u = Sub(one, t); q = Sub(one, s); a = Mul(t, s); d = Mul(u, q); p = Add(a, d); "
        "l = Log(p) # NUM001; r = Sub(one, p); f = Pow(r, half) # NUM004; m = Mul(f, l); ! = ReduceMean(m)",
        "s = Sigmoid(h); u = Sub(one, t); y = Clip(s, eps, almost_one); q = Sub(one, y); a = Mul(t, y); "
        "d = Mul(u, q); p = Add(a, d); g = Clip(p, eps, almost_one); l = Log(g); r = Sub(one, g); f = Pow(r, two); "
        "m = Mul(f, l); ! = ReduceMean(m)",
    ),
    _p(
        "log-of-ratio",
        "log(a / b) of two rectified values",
        "r = Relu(h); s = Relu(k); d = Div(r, s) # NUM002; l = Log(d) # NUM001; ! = ReduceMean(l)",
        "r = Relu(h); s = Relu(k); f = Add(r, eps); g = Add(s, eps); d = Div(f, g); l = Log(d); ! = ReduceMean(l)",
        _TWO,
    ),
    # -- exponentials
    _p(
        "softplus-by-hand",
        "log(1 + exp(x))",
        "e = Exp(h) # NUM003; s = Add(one, e); ? = Log(s)",
        "? = Softplus(h)",
    ),
    _p(
        "softmax-by-hand",
        "exp(x) / sum(exp(x))",
        "e = Exp(h) # NUM005; s = ReduceSum(e, last); ? = Div(e, s)",
        "m = ReduceMax(h, last); d = Sub(h, m); e = Exp(d); s = ReduceSum(e, last); ? = Div(e, s)",
    ),
    _p(
        "logsumexp-by-hand",
        "log(sum(exp(x)))",
        "e = Exp(h) # NUM005; s = ReduceSum(e, last); ? = Log(s)",
        "m = ReduceMax(h, last); d = Sub(h, m); e = Exp(d); s = ReduceSum(e, last); l = Log(s); ? = Add(l, m)",
    ),
    _p(
        "sigmoid-by-hand",
        "1 / (1 + exp(-x)) in a loss: 0 times infinity in the gradient",
        "n = Neg(h); e = Exp(n) # NUM003; s = Add(one, e); p = Div(one, s); d = Sub(p, t); q = Mul(d, d); "
        "! = ReduceMean(q)",
        "p = Sigmoid(h); d = Sub(p, t); q = Mul(d, d); ! = ReduceMean(q)",
    ),
    _p(
        "sigmoid-as-quotient",
        "exp(x) / (1 + exp(x))",
        "e = Exp(h) # NUM003; s = Add(one, e); ? = Div(e, s)",
        "? = Sigmoid(h)",
    ),
    _p(
        "tanh-by-hand",
        "(e^x - e^-x) / (e^x + e^-x)",
        "e = Exp(h) # NUM003; n = Neg(h); f = Exp(n) # NUM003; a = Sub(e, f); s = Add(e, f); ? = Div(a, s)",
        "? = Tanh(h)",
    ),
    _p(
        "log-sigmoid-by-hand",
        "-log(1 + exp(-x)) in a loss",
        "n = Neg(h); e = Exp(n) # NUM003; s = Add(e, one); l = Log(s); ! = ReduceMean(l)",
        "n = Neg(h); l = Softplus(n); ! = ReduceMean(l)",
    ),
    _p(
        "vae-kl",
        "1 + logvar - mu^2 - exp(logvar)",
        "e = Exp(h) # note NUM003; q = Mul(k, k); a = Add(one, h); s = Sub(a, q); d = Sub(s, e); "
        "m = Mul(minus_half, d); ! = ReduceMean(m)",
        "l = Clip(h, low, high); e = Exp(l); q = Mul(k, k); a = Add(one, l); s = Sub(a, q); d = Sub(s, e); "
        "m = Mul(minus_half, d); ! = ReduceMean(m)",
        _TWO,
    ),
    _p(
        "gaussian-precision",
        "(mu - t)^2 * exp(-logvar) + logvar",
        "n = Neg(h); e = Exp(n) # NUM003; d = Sub(k, t); q = Mul(d, d); m = Mul(q, e); s = Add(m, h); "
        "! = ReduceMean(s)",
        "l = Clip(h, low, high); n = Neg(l); e = Exp(n); d = Sub(k, t); q = Mul(d, d); m = Mul(q, e); s = Add(m, l); "
        "! = ReduceMean(s)",
        _TWO,
    ),
    _p(
        "poisson-exp",
        "exp(eta) - t * eta",
        "e = Exp(h) # NUM003; m = Mul(t, h); d = Sub(e, m); ! = ReduceMean(d)",
        "l = Min(h, high); e = Exp(l); m = Mul(t, l); d = Sub(e, m); ! = ReduceMean(d)",
    ),
    _p(
        "perplexity",
        "the exponential of a mean loss",
        "d = Sub(h, t); q = Mul(d, d); m = ReduceMean(q); ! = Exp(m) # NUM003",
        "d = Sub(h, t); q = Mul(d, d); m = ReduceMean(q); l = Min(m, high); ! = Exp(l)",
    ),
    _p(
        "scaled-tanh",
        "exp(100 tanh(x))",
        "a = Tanh(h); s = Mul(a, hundred); ? = Exp(s) # NUM003",
        "a = Tanh(h); s = Mul(a, two); ? = Exp(s)",
    ),
    _p(
        "log-cosh",
        "log(cosh(y - t))",
        "d = Sub(h, t); e = Cosh(d) # NUM003; l = Log(e); ! = ReduceMean(l)",
        "d = Sub(h, t); m = Mul(minus_two, d); s = Softplus(m); l = Add(d, s); ! = ReduceMean(l)",
    ),
    _p(
        "cosine-temperature",
        "a contrastive loss on unnormalised products",
        "r = Transpose <perm = [1, 0]> (k); m = MatMul(h, r); s = Div(m, temperature); e = Exp(s) # NUM005; "
        "a = ReduceSum(e, last); l = Log(a); ! = ReduceMean(l)",
        "r = Transpose <perm = [1, 0]> (k); m = MatMul(h, r); s = Div(m, temperature); l = ReduceLogSumExp(s, last); "
        "! = ReduceMean(l)",
        _TWO,
    ),
    # -- divisions
    _p(
        "batch-std",
        "standardisation over the batch without epsilon",
        "m = ReduceMean(h, first); d = Sub(h, m); q = Mul(d, d); s = ReduceMean(q, first); r = Sqrt(s); "
        "? = Div(d, r) # NUM002",
        "m = ReduceMean(h, first); d = Sub(h, m); q = Mul(d, d); s = ReduceMean(q, first); g = Add(s, eps); "
        "r = Sqrt(g); ? = Div(d, r)",
    ),
    _p(
        "layer-norm-without-eps",
        "the same over the features, with a power",
        "m = ReduceMean(h, last); d = Sub(h, m); q = Pow(d, two); s = ReduceMean(q, last); r = Sqrt(s); "
        "? = Div(d, r) # NUM002",
        "m = ReduceMean(h, last); d = Sub(h, m); q = Pow(d, two); s = ReduceMean(q, last); r = Sqrt(s); "
        "g = Add(r, eps); ? = Div(d, g)",
    ),
    _p(
        "rms-norm-without-eps",
        "x / sqrt(mean(x^2))",
        "a = Relu(h); q = Mul(a, a); s = ReduceMean(q, last); r = Sqrt(s); ? = Div(a, r) # NUM002",
        "a = Relu(h); q = Mul(a, a); s = ReduceMean(q, last); g = Add(s, eps); r = Sqrt(g); ? = Div(a, r)",
    ),
    _p(
        "vector-by-norm",
        "x / |x|",
        "n = ReduceL2(h, last); ? = Div(h, n) # NUM002",
        "n = ReduceL2(h, last); g = Max(n, eps); ? = Div(h, g)",
    ),
    Program(
        "input-by-norm",
        "the same of an input, which may be all zeros",
        "n = ReduceL2(x, last); u = Div(x, n) # NUM002; ? = Gemm(u, w, b)",
        "n = ReduceL2(x, last); g = Clip(n, eps); u = Div(x, g); ? = Gemm(u, w, b)",
    ),
    _p(
        "weights-by-their-sum",
        "attention weights that are rectified and normalised by their sum",
        "r = Relu(h); s = ReduceSum(r, last); ? = Div(r, s) # NUM002",
        "r = Relu(h); s = ReduceSum(r, last); g = Add(s, eps); ? = Div(r, g)",
    ),
    _p(
        "cosine-by-hand",
        "a . b / (|a| |b|)",
        "m = Mul(h, k); s = ReduceSum(m, last); a = ReduceL2(h, last); d = ReduceL2(k, last); n = Mul(a, d); "
        "? = Div(s, n) # NUM002",
        "m = Mul(h, k); s = ReduceSum(m, last); a = ReduceL2(h, last); d = ReduceL2(k, last); n = Mul(a, d); "
        "g = Max(n, eps); ? = Div(s, g)",
        _TWO,
    ),
    _p(
        "masked-mean",
        "an average over a mask that may be empty",
        "m = Mul(h, mask); s = ReduceSum(m, last); n = ReduceSum(mask, last); ? = Div(s, n) # NUM002",
        "m = Mul(h, mask); s = ReduceSum(m, last); n = ReduceSum(mask, last); g = Max(n, one); ? = Div(s, g)",
    ),
    _p(
        "mean-over-tokens",
        "a loss averaged over the tokens that are no padding",
        "d = Sub(h, t); q = Mul(d, d); i = Greater(ids, none); f = Cast <to = 1> (i); m = Mul(q, f); "
        "s = ReduceSum(m); n = ReduceSum(f); ! = Div(s, n) # NUM002",
        "d = Sub(h, t); q = Mul(d, d); i = Greater(ids, none); f = Cast <to = 1> (i); m = Mul(q, f); "
        "s = ReduceSum(m); n = ReduceSum(f); g = Clip(n, one); ! = Div(s, g)",
    ),
    _p(
        "dice",
        "2 |a b| / (|a| + |b|) of empty regions",
        "g = Greater(h, zero); p = Cast <to = 1> (g); m = Mul(p, t); i = ReduceSum(m); a = ReduceSum(p); "
        "d = ReduceSum(t); n = Add(a, d); ! = Div(i, n) # NUM002",
        "g = Greater(h, zero); p = Cast <to = 1> (g); m = Mul(p, t); i = ReduceSum(m); a = ReduceSum(p); "
        "d = ReduceSum(t); n = Add(a, d); s = Add(n, one); ! = Div(i, s)",
    ),
    _p(
        "intersection-over-union",
        "0 / 0 where both boxes are empty",
        "a = Relu(h); d = Relu(k); i = Min(a, d); u = Max(a, d); ? = Div(i, u) # NUM002",
        "a = Relu(h); d = Relu(k); i = Min(a, d); u = Max(a, d); g = Add(u, eps); ? = Div(i, g)",
        _TWO,
    ),
    _p(
        "min-max-scaling",
        "(x - min) / (max - min)",
        "a = ReduceMin(h, last); c0 = ReduceMax(h, last); d = Sub(h, a); r = Sub(c0, a); ? = Div(d, r) # NUM002",
        "a = ReduceMin(h, last); c0 = ReduceMax(h, last); d = Sub(h, a); r = Sub(c0, a); g = Add(r, eps); "
        "? = Div(d, g)",
    ),
    _p(
        "relative-error",
        "|y - t| / y",
        "d = Sub(h, t); a = Abs(d); r = Div(a, h) # NUM002; ! = ReduceMean(r)",
        "d = Sub(h, t); a = Abs(d); s = Softplus(h); g = Add(s, eps); r = Div(a, g); ! = ReduceMean(r)",
    ),
    _p(
        "symmetric-relative-error",
        "|y - t| / (|y| + |t|)",
        "d = Sub(h, t); a = Abs(d); e = Abs(h); f = Abs(t); s = Add(e, f); r = Div(a, s) # NUM002; ! = ReduceMean(r)",
        "d = Sub(h, t); a = Abs(d); e = Abs(h); f = Abs(t); s = Add(e, f); g = Add(s, eps); r = Div(a, g); "
        "! = ReduceMean(r)",
    ),
    _p(
        "sigma-underflows",
        "(mu - t) / exp(log sigma)",
        "e = Exp(h) # NUM003; d = Sub(k, t); r = Div(d, e) # NUM002; q = Mul(r, r); ! = ReduceMean(q)",
        "l = Clip(h, low, high); e = Exp(l); d = Sub(k, t); r = Div(d, e); q = Mul(r, r); ! = ReduceMean(q)",
        _TWO,
    ),
    _p(
        "softplus-sigma",
        "a variance by softplus with nothing added",
        "s = Softplus(h); d = Sub(k, t); q = Mul(d, d); r = Div(q, s) # NUM002; ! = ReduceMean(r)",
        "s = Softplus(h); g = Add(s, eps); d = Sub(k, t); q = Mul(d, d); r = Div(q, g); ! = ReduceMean(r)",
        _TWO,
    ),
    _p(
        "sinkhorn",
        "u = 1 / (K v) with K = exp(-C / eps)",
        "q = Mul(h, h); s = Div(q, tenth); n = Neg(s); e = Exp(n); m = Transpose <perm = [1, 0]> (e); "
        "a = MatMul(e, m); ? = Div(one, a) # NUM002",
        "q = Mul(h, h); s = Div(q, tenth); n = Neg(s); e = Exp(n); m = Transpose <perm = [1, 0]> (e); "
        "a = MatMul(e, m); g = Add(a, eps); ? = Div(one, g)",
    ),
    Program(
        "degree-normalisation",
        "a node without neighbours has degree 0",
        "d = ReduceSum(adjacency, last); r = Pow(d, minus_half) # NUM006; ? = Mul(r, adjacency)",
        "d = ReduceSum(adjacency, last); r = Pow(d, minus_half); i = IsInf(r); f = Where(i, zero, r); "
        "? = Mul(f, adjacency)",
    ),
    Program(
        "neighbour-mean",
        "the same with a division",
        "d = ReduceSum(adjacency, last); ? = Div(adjacency, d) # NUM002",
        "d = ReduceSum(adjacency, last); i = Equal(d, zero); g = Where(i, one, d); ? = Div(adjacency, g)",
    ),
    # -- roots and powers
    _p(
        "euclidean-distance",
        "the gradient of a distance between equal points",
        "d = Sub(h, k); q = Mul(d, d); s = ReduceSum(q, last); r = Sqrt(s) # NUM004; ! = ReduceMean(r)",
        "d = Sub(h, k); q = Mul(d, d); s = ReduceSum(q, last); g = Add(s, eps); r = Sqrt(g); ! = ReduceMean(r)",
        _TWINS,
    ),
    _p(
        "rmse",
        "the root of a mean squared error",
        "d = Sub(h, t); q = Pow(d, two); s = ReduceMean(q); ! = Sqrt(s) # NUM004",
        "d = Sub(h, t); q = Pow(d, two); s = ReduceMean(q); g = Add(s, eps); ! = Sqrt(g)",
    ),
    _p(
        "pairwise-distances",
        "|a|^2 + |b|^2 - 2 a b, negative by rounding",
        "q = Mul(h, h); s = ReduceSum(q, last); u = Transpose <perm = [1, 0]> (s); "
        "r = Transpose <perm = [1, 0]> (h); m = MatMul(h, r); a = Add(s, u); e = Mul(two, m); d = Sub(a, e); "
        "? = Sqrt(d) # NUM004",
        "q = Mul(h, h); s = ReduceSum(q, last); u = Transpose <perm = [1, 0]> (s); "
        "r = Transpose <perm = [1, 0]> (h); m = MatMul(h, r); a = Add(s, u); e = Mul(two, m); d = Sub(a, e); "
        "g = Max(d, eps); ? = Sqrt(g)",
    ),
    _p(
        "variance-by-cancellation",
        "E[x^2] - E[x]^2",
        "q = Mul(h, h); a = ReduceMean(q, last); m = ReduceMean(h, last); e = Mul(m, m); d = Sub(a, e); "
        "? = Sqrt(d) # NUM004",
        "q = Mul(h, h); a = ReduceMean(q, last); m = ReduceMean(h, last); e = Mul(m, m); d = Sub(a, e); "
        "g = Clip(d, eps); ? = Sqrt(g)",
    ),
    _p(
        "std-of-constant",
        "the spread of a feature that does not vary",
        "m = ReduceMean(h, first); d = Sub(h, m); q = Mul(d, d); s = ReduceMean(q, first); r = Sqrt(s) # NUM004; "
        "! = ReduceMean(r)",
        "m = ReduceMean(h, first); d = Sub(h, m); q = Mul(d, d); s = ReduceMean(q, first); g = Add(s, eps); "
        "r = Sqrt(g); ! = ReduceMean(r)",
    ),
    _p(
        "root-of-linear",
        "a layer's output under a root",
        "? = Sqrt(h) # NUM004",
        "r = Relu(h); g = Add(r, eps); ? = Sqrt(g)",
    ),
    _p(
        "power-one-half",
        "x ** 0.5",
        "? = Pow(h, half) # NUM004",
        "r = Max(h, eps); ? = Pow(r, half)",
    ),
    _p(
        "sine-from-cosine",
        "sqrt(1 - c^2)",
        "a = Tanh(h); q = Mul(a, a); d = Sub(one, q); r = Sqrt(d) # NUM004; ! = ReduceMean(r)",
        "a = Tanh(h); q = Mul(a, a); d = Sub(one, q); g = Add(d, eps); r = Sqrt(g); ! = ReduceMean(r)",
    ),
    _p(
        "hellinger",
        "roots of probabilities that underflow",
        "p = Softmax(h); r = Sqrt(p) # NUM004; d = Sub(r, t); q = Mul(d, d); ! = ReduceMean(q)",
        "p = Softmax(h); g = Add(p, eps); r = Sqrt(g); d = Sub(r, t); q = Mul(d, d); ! = ReduceMean(q)",
    ),
    _p(
        "norm-penalty",
        "the length of a layer's output in a loss",
        "q = Mul(h, h); s = ReduceSum(q, last); n = Sqrt(s) # note NUM011; ! = ReduceMean(n)",
        "q = Mul(h, h); s = ReduceSum(q, last); g = Add(s, eps); n = Sqrt(g); ! = ReduceMean(n)",
    ),
    _p(
        "gamma-correction",
        "x ** 2.2",
        "? = Pow(h, gamma) # NUM006",
        "r = Relu(h); ? = Pow(r, gamma)",
    ),
    _p(
        "box-cox",
        "(x^lambda - 1) / lambda",
        "q = Pow(h, third) # NUM006; d = Sub(q, one); ? = Div(d, third)",
        "g = Clip(h, eps); q = Pow(g, third); d = Sub(q, one); ? = Div(d, third)",
    ),
    _p(
        "inverse-root-of-relu",
        "relu(x) ** -0.5",
        "r = Relu(h); ? = Pow(r, minus_half) # NUM006",
        "r = Relu(h); g = Add(r, eps); ? = Pow(g, minus_half)",
    ),
    _p(
        "generalised-cross-entropy",
        "p^0.3 at a probability of 0",
        "p = Softmax(h); q = Pow(p, third) # NUM006; d = Sub(one, q); ! = ReduceMean(d)",
        "p = Softmax(h); g = Add(p, eps); q = Pow(g, third); d = Sub(one, q); ! = ReduceMean(d)",
    ),
    # -- inverse functions
    _p(
        "angle-of-embeddings",
        "acos of the product of two unit vectors",
        "a = LpNormalization(h); d = LpNormalization(k); m = Mul(a, d); s = ReduceSum(m, last); ? = Acos(s) # NUM007",
        "a = LpNormalization(h); d = LpNormalization(k); m = Mul(a, d); s = ReduceSum(m, last); "
        "g = Clip(s, minus_almost_one, almost_one); ? = Acos(g)",
        _TWO,
    ),
    _p(
        "atanh-of-tanh",
        "tanh is 1 from 9 on",
        "a = Tanh(h); ? = Atanh(a) # NUM007",
        "a = Tanh(h); g = Clip(a, minus_almost_one, almost_one); ? = Atanh(g)",
    ),
    _p(
        "asin-of-linear",
        "a layer's output",
        "? = Asin(h) # NUM007",
        "a = Tanh(h); s = Mul(a, half); ? = Asin(s)",
    ),
    _p(
        "logit",
        "log(p / (1 - p))",
        "p = Sigmoid(h); q = Sub(one, p); r = Div(p, q); ? = Log(r) # NUM007",
        "s = Sigmoid(h); p = Clip(s, eps, almost_one); q = Sub(one, p); r = Div(p, q); ? = Log(r)",
    ),
    # -- masks, and guards that do not guard
    _p(
        "fully-masked-attention",
        "a row of padding alone",
        "i = Equal(ids, none); m = Where(i, never, h); ? = Softmax(m) # note NUM010",
        "i = Equal(ids, none); m = Where(i, very_low, h); ? = Softmax(m)",
    ),
    _p(
        "divide-where-not-zero",
        "a Where that has nothing to do with the divisor does not help",
        "r = Relu(h); d = Div(k, r) # NUM002; i = Greater(t, zero); ? = Where(i, d, zero)",
        "r = Relu(h); d = Div(k, r); i = Greater(r, zero); ? = Where(i, d, zero)",
        _TWO,
    ),
    _p(
        "unrelated-clip",
        "a clip behind the logarithm that does not cut -inf off",
        "r = Relu(h); l = Log(r) # NUM001; m = Min(l, high); ! = ReduceMean(m)",
        "r = Relu(h); g = Max(r, eps); l = Log(g); m = Min(l, high); ! = ReduceMean(m)",
    ),
    # -- as the programs of the published collections write them
    _p(
        "cross-entropy-of-picked-class",
        "the probability of the true class is picked before the logarithm",
        "p = Softmax(h); g = GatherElements <axis = 1> (p, picked); l = Log(g) # LOS006|NUM001; m = ReduceMean(l); "
        "! = Neg(m)",
        "p = LogSoftmax(h); g = GatherElements <axis = 1> (p, picked); m = ReduceMean(g); ! = Neg(m)",
    ),
    _p(
        "policy-gradient",
        "the probability of the action taken, as a masked sum",
        "p = Softmax(h); m = Mul(p, t); s = ReduceSum(m, last); l = Log(s) # NUM001; g = Mul(l, advantage); "
        "r = ReduceMean(g); ! = Neg(r)",
        "p = LogSoftmax(h); m = Mul(p, t); s = ReduceSum(m, last); g = Mul(s, advantage); r = ReduceMean(g); "
        "! = Neg(r)",
    ),
    _p(
        "cross-entropy-negated-last",
        "both logarithms of a binary cross-entropy; the average is negated",
        "p = Sigmoid(h); l = Log(p) # LOS006; a = Mul(t, l); q = Sub(one, p); k = Log(q) # NUM001; u = Sub(one, t); "
        "d = Mul(u, k); s = Add(a, d); m = ReduceMean(s); ! = Neg(m)",
        "s = Softplus(h); m = Mul(t, h); d = Sub(s, m); ! = ReduceMean(d)",
    ),
    _p(
        "guard-swallowed-by-one",
        "an autoencoder's likelihood: the guard of the second logarithm is added to 1",
        "p = Sigmoid(h); g = Add(p, tiny); l = Log(g); a = Mul(t, l); k = Add(tiny, one); q = Sub(k, p); "
        "r = Log(q) # NUM001; u = Sub(one, t); d = Mul(u, r); s = Add(a, d); e = ReduceSum(s, last); n = Neg(e); "
        "! = ReduceMean(n)",
        "p = Sigmoid(h); g = Add(p, eps); l = Log(g); a = Mul(t, l); k = Sub(one, p); q = Add(eps, k); "
        "r = Log(q); u = Sub(one, t); d = Mul(u, r); s = Add(a, d); e = ReduceSum(s, last); n = Neg(e); "
        "! = ReduceMean(n)",
    ),
    _p(
        "softmax-clipped-in-numerator",
        "only one of the two exponentials is bounded",
        "k = Clip(h, bottom, top); e = Exp(k); f = Exp(h) # NUM005; s = ReduceSum <keepdims = 1> (f, second); "
        "p = Div(e, s); g = Clip(p, eps, one); l = Log(g); m = Mul(t, l); r = ReduceMean(m); ! = Neg(r)",
        "p = Softmax(h); g = Clip(p, eps, one); l = Log(g); m = Mul(t, l); r = ReduceMean(m); ! = Neg(r)",
    ),
    _p(
        "softmax-clipped-above",
        "the exponentials cannot overflow, but all may underflow",
        "k = Min(h, top); e = Exp(k); s = ReduceSum <keepdims = 1> (e, second); p = Div(e, s) # NUM005; "
        "g = Add(p, eps); l = Log(g); m = Mul(t, l); r = ReduceMean(m); ! = Neg(r)",
        "k = ReduceMax <keepdims = 1> (h, second); d = Sub(h, k); e = Exp(d); "
        "s = ReduceSum <keepdims = 1> (e, second); p = Div(e, s); g = Add(p, eps); l = Log(g); m = Mul(t, l); "
        "r = ReduceMean(m); ! = Neg(r)",
    ),
    _p(
        "softmax-tiled",
        "a softmax over the pixels' classes whose sum is repeated by hand",
        "e = Exp(h) # NUM005; s = ReduceSum <keepdims = 1> (e, second); r = Tile(s, repeats); ? = Div(e, r)",
        "m = ReduceMax <keepdims = 1> (h, second); k = Tile(m, repeats); d = Sub(h, k); e = Exp(d); "
        "s = ReduceSum <keepdims = 1> (e, second); r = Tile(s, repeats); ? = Div(e, r)",
    ),
    Program(
        "softmax-of-edges",
        "attention over the edges of a graph, summed for each node",
        'e = Exp(scores) # NUM005; s = ScatterElements <axis = 0, reduction = "add"> (no_edges, targets, e); '
        "g = GatherElements <axis = 0> (s, targets); k = Add(g, tiny); ? = Div(e, k)",
        'm = ScatterElements <axis = 0, reduction = "max"> (lowest, targets, scores); '
        "n = GatherElements <axis = 0> (m, targets); d = Sub(scores, n); e = Exp(d); "
        's = ScatterElements <axis = 0, reduction = "add"> (no_edges, targets, e); '
        "g = GatherElements <axis = 0> (s, targets); k = Add(g, tiny); ? = Div(e, k)",
    ),
    _p(
        "free-energy",
        "a restricted Boltzmann machine's hidden units, sampled by sign",
        "p = Sigmoid(h); d = Sub(p, noise); s = Sign(d); r = Relu(s); f = Add(r, k); e = Exp(f) # NUM003; "
        "g = Add(e, one); l = Log(g); q = ReduceSum(l, last); ! = ReduceMean(q)",
        "p = Sigmoid(h); d = Sub(p, noise); s = Sign(d); r = Relu(s); f = Add(r, k); l = Softplus(f); "
        "q = ReduceSum(l, last); ! = ReduceMean(q)",
        _TWO,
    ),
    _p(
        "root-of-underflowed-variance",
        "the standard deviation of a latent as the root of exp(log variance)",
        "g = Clip(k, bottom, top); e = Exp(g); s = Sqrt(e) # NUM004; d = Mul(s, noise); q = Add(h, d); "
        "r = Sub(q, t); u = Mul(r, r); ! = ReduceMean(u)",
        "g = Clip(k, low, high); e = Exp(g); s = Sqrt(e); d = Mul(s, noise); q = Add(h, d); r = Sub(q, t); "
        "u = Mul(r, r); ! = ReduceMean(u)",
        _TWO,
    ),
    _p(
        "gumbel-noise",
        "a uniform number may be drawn as 0",
        "u = RandomUniformLike(h); l = Log(u) # NUM001; n = Neg(l); k = Log(n); d = Sub(h, k); ? = Softmax(d)",
        "u = RandomUniformLike(h); g = Clip(u, eps, almost_one); l = Log(g); n = Neg(l); k = Log(n); d = Sub(h, k); "
        "? = Softmax(d)",
    ),
    _p(
        "average-of-absent-class",
        "no sample of the batch may have a class",
        "o = OneHot <axis = 1> (labels, classes, off_on); n = ReduceSum(o, first); m = Mul(h, o); "
        "s = ReduceSum(m, first); ? = Div(s, n) # NUM002",
        "o = OneHot <axis = 1> (labels, classes, off_on); n = ReduceSum(o, first); m = Mul(h, o); "
        "s = ReduceSum(m, first); g = Max(n, one); ? = Div(s, g)",
    ),
    _p(
        "sum-of-several",
        "added up by one operator",
        "a = Relu(h); d = Relu(k); s = Sum(a, d, t); e = Sum(a, d); l = Log(e) # NUM001; q = Sigmoid(s); "
        "m = Mul(l, q); ! = ReduceMean(m)",
        "a = Relu(h); d = Relu(k); s = Sum(a, d, t); e = Sum(a, d, one); l = Log(e); q = Sigmoid(s); m = Mul(l, q); "
        "! = ReduceMean(m)",
        _TWO,
    ),
    _p(
        "divided-by-a-drawn-mask",
        "dropout by hand that divides by the mask instead of its mean",
        "p = Sigmoid(h); s = Bernoulli(p); d = Div(k, s) # NUM002; q = Mul(d, d); ! = ReduceMean(q)",
        "p = Sigmoid(h); s = Bernoulli(p); g = Mul(k, s); d = Div(g, half); q = Mul(d, d); ! = ReduceMean(q)",
        _TWO,
    ),
]
