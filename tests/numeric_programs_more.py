"""More programs with a numerical defect, bug and fix side by side, in the language of `numeric_programs`.

They were written after the rules, from the same descriptions, to see what the rules miss.
"""

from __future__ import annotations

from tests.numeric_programs import Program


def _p(name: str, bug: str, fix: str) -> Program:
    """A program whose name tells what it is about."""
    return Program(name, name, bug, fix)


MORE_PROGRAMS = [
    _p(
        "tf-log-of-softmax-mean",
        "h = Gemm(x, w, b); p = Softmax(h); l = Log(p) # LOS006; m = Mul(y1, l); s = ReduceSum(m, last); "
        "n = Neg(s); ! = ReduceMean(n)",
        "h = Gemm(x, w, b); p = Softmax(h); q = Clip(p, e10, one); l = Log(q); m = Mul(y1, l); "
        "s = ReduceSum(m, last); n = Neg(s); ! = ReduceMean(n)",
    ),
    _p(
        "tf-log-one-minus-plus-tiny",
        "h = Gemm(x, w, b); p = Sigmoid(h); q = Sub(one, p); r = Add(q, e45); l = Log(r) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); p = Sigmoid(h); q = Sub(one, p); r = Add(q, e10); l = Log(r); ! = ReduceMean(l)",
    ),
    _p(
        "tf-log-of-tanh-output",
        "h = Gemm(x, w, b); p = Tanh(h); l = Log(p) # NUM001; m = Mul(y1, l); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); p = Tanh(h); a = Add(p, one); q = Mul(a, half); r = Add(q, eps); l = Log(r); "
        "m = Mul(y1, l); ! = ReduceMean(m)",
    ),
    _p(
        "tf-log-clip-to-zero",
        "h = Gemm(x, w, b); p = Softmax(h); q = Clip(p, zero, one); l = Log(q) # NUM001|LOS006; "
        "m = Mul(y1, l); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); p = Softmax(h); q = Clip(p, e8, one); l = Log(q); m = Mul(y1, l); ! = ReduceMean(m)",
    ),
    _p(
        "log1p-style-minus-one",
        "h = Gemm(x, w, b); a = Sigmoid(h); n = Neg(a); s = Add(n, one); l = Log(s) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); s = Softplus(h); ! = ReduceMean(s)",
    ),
    _p(
        "softplus-unstable-base",
        "h = Gemm(x, w, b); e = Exp(h) # NUM003; s = Add(e, one); l = Log(s); m = Mul(l, t); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); l = Softplus(h); m = Mul(l, t); ! = ReduceMean(m)",
    ),
    _p(
        "exp-of-logits-sum-mask",
        "h = Gemm(x, w, b); e = Exp(h) # NUM003; m = Mul(e, mask); s = ReduceSum(m, last); "
        "l = Log(s) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); r = ReduceMax <keepdims = 1> (h, second); g = Sub(h, r); e = Exp(g); "
        "m = Mul(e, mask); s = ReduceSum(m, last); a = Add(s, eps); l = Log(a); ! = ReduceMean(l)",
    ),
    _p(
        "gaussian-nll-sigma",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(t, h); s = Softplus(k); q = Div(d, s) # NUM002; "
        "r = Mul(q, q); l = Log(s) # NUM001; a = Add(r, l); ! = ReduceMean(a)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(t, h); s0 = Softplus(k); s = Add(s0, eps); "
        "q = Div(d, s); r = Mul(q, q); l = Log(s); a = Add(r, l); ! = ReduceMean(a)",
    ),
    _p(
        "gaussian-nll-variance-relu",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); s = Relu(k); d = Sub(t, h); q = Mul(d, d); "
        "f = Div(q, s) # NUM002; l = Log(s) # NUM001; a = Add(f, l); ! = ReduceMean(a)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); s0 = Relu(k); s = Add(s0, eps); d = Sub(t, h); "
        "q = Mul(d, d); f = Div(q, s); l = Log(s); a = Add(f, l); ! = ReduceMean(a)",
    ),
    _p(
        "student-t",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(t, h); s = Exp(k) # NUM003; "
        "zz = Div(d, s) # NUM002; q = Mul(zz, zz); f = Div(q, nu); g = Add(f, one); l = Log(g); "
        "! = ReduceMean(l)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(t, h); j = Clip(k, low, high); s = Exp(j); "
        "zz = Div(d, s); q = Mul(zz, zz); f = Div(q, nu); g = Add(f, one); l = Log(g); ! = ReduceMean(l)",
    ),
    _p(
        "kl-two-softmaxes",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); p = Softmax(h); q = Softmax(k); f = Div(p, q) # NUM002; "
        "l = Log(f) # NUM001; m = Mul(p, l); ! = ReduceSum(m)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); p = Softmax(h); l = LogSoftmax(h); n = LogSoftmax(k); "
        "d = Sub(l, n); m = Mul(p, d); ! = ReduceSum(m)",
    ),
    _p(
        "js-divergence",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); p = Softmax(h); q = Softmax(k); s = Add(p, q); "
        "m = Mul(s, half); f = Div(p, m) # NUM002; l = Log(f) # NUM001; g = Mul(p, l); ! = ReduceSum(g)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); p = Softmax(h); q = Softmax(k); s = Add(p, q); "
        "m = Mul(s, half); a = Add(m, eps); f = Div(p, a); g0 = Add(f, eps); l = Log(g0); g = Mul(p, l); "
        "! = ReduceSum(g)",
    ),
    _p(
        "batch-std-bessel",
        "h = Gemm(x, w, b); m = ReduceMean <keepdims = 1> (h, first); d = Sub(h, m); q = Mul(d, d); "
        "s = ReduceMean <keepdims = 1> (q, first); r = Sqrt(s); f = Div(d, r) # NUM002; "
        "g = Mul(f, gain); ? = Add(g, shift)",
        "h = Gemm(x, w, b); m = ReduceMean <keepdims = 1> (h, first); d = Sub(h, m); q = Mul(d, d); "
        "s = ReduceMean <keepdims = 1> (q, first); a = Add(s, eps); r = Sqrt(a); f = Div(d, r); "
        "g = Mul(f, gain); ? = Add(g, shift)",
    ),
    _p(
        "rsqrt-of-variance",
        "h = Gemm(x, w, b); m = ReduceMean <keepdims = 1> (h, last1); d = Sub(h, m); q = Mul(d, d); "
        "s = ReduceMean <keepdims = 1> (q, last1); r = Sqrt(s); i = Reciprocal(r) # NUM002; ? = Mul(d, i)",
        "h = Gemm(x, w, b); m = ReduceMean <keepdims = 1> (h, last1); d = Sub(h, m); q = Mul(d, d); "
        "s0 = ReduceMean <keepdims = 1> (q, last1); s = Add(s0, eps); r = Sqrt(s); i = Reciprocal(r); "
        "? = Mul(d, i)",
    ),
    _p(
        "whitening-by-range",
        "h = Gemm(x, w, b); a = ReduceMax <keepdims = 1> (h, first); "
        "m = ReduceMin <keepdims = 1> (h, first); s = Sub(a, m); d = Sub(h, m); ? = Div(d, s) # NUM002",
        "h = Gemm(x, w, b); a = ReduceMax <keepdims = 1> (h, first); "
        "m = ReduceMin <keepdims = 1> (h, first); s0 = Sub(a, m); s = Add(s0, eps); d = Sub(h, m); "
        "? = Div(d, s)",
    ),
    _p(
        "triplet-sqrt",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(h, k); q = Mul(d, d); s = ReduceSum(q, last); "
        "r = Sqrt(s) # NUM004; a = Add(r, one); e = Relu(a); ! = ReduceMean(e)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(h, k); q = Mul(d, d); s = ReduceSum(q, last); "
        "g = Add(s, eps); r = Sqrt(g); a = Add(r, one); e = Relu(a); ! = ReduceMean(e)",
    ),
    _p(
        "wgan-gp-norm",
        "h = Gemm(x, w, b); q = Pow(h, two); s = ReduceSum(q, last); r = Sqrt(s) # note NUM011; "
        "d = Sub(r, one); g = Mul(d, d); ! = ReduceMean(g)",
        "h = Gemm(x, w, b); q = Pow(h, two); s = ReduceSum(q, last); a = Add(s, e8); r = Sqrt(a); "
        "d = Sub(r, one); g = Mul(d, d); ! = ReduceMean(g)",
    ),
    _p(
        "cosine-embedding",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); m = Mul(h, k); a = ReduceSum(m, last); q = Mul(h, h); "
        "s = ReduceSum(q, last); u = Sqrt(s); q2 = Mul(k, k); s2 = ReduceSum(q2, last); u2 = Sqrt(s2); "
        "g = Mul(u, u2); f = Div(a, g) # NUM002; ! = ReduceMean(f)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); m = Mul(h, k); a = ReduceSum(m, last); q = Mul(h, h); "
        "s = ReduceSum(q, last); s0 = Add(s, eps); u = Sqrt(s0); q2 = Mul(k, k); "
        "s2 = ReduceSum(q2, last); s3 = Add(s2, eps); u2 = Sqrt(s3); g = Mul(u, u2); f = Div(a, g); "
        "! = ReduceMean(f)",
    ),
    _p(
        "angular-softmax",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); n = ReduceL2 <keepdims = 1> (h, second); "
        "u = Div(h, n) # NUM002; norms = ReduceL2 <keepdims = 1> (k, second); "
        "u2 = Div(k, norms) # NUM002; m = Mul(u, u2); s = ReduceSum(m, last); a = Acos(s) # NUM007; "
        "! = ReduceMean(a)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); n0 = ReduceL2 <keepdims = 1> (h, second); "
        "n = Max(n0, eps); u = Div(h, n); n3 = ReduceL2 <keepdims = 1> (k, second); "
        "norms = Max(n3, eps); u2 = Div(k, norms); m = Mul(u, u2); s = ReduceSum(m, last); "
        "g = Clip(s, minus_almost_one, almost_one); a = Acos(g); ! = ReduceMean(a)",
    ),
    _p(
        "dec-target-distribution",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(h, k); q = Mul(d, d); "
        "s = ReduceSum <keepdims = 1> (q, second); r = Reciprocal(s) # NUM002; "
        "z0 = ReduceSum <keepdims = 1> (r, first); ? = Div(r, z0)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(h, k); q = Mul(d, d); "
        "s0 = ReduceSum <keepdims = 1> (q, second); s = Add(s0, one); r = Reciprocal(s); "
        "z0 = ReduceSum <keepdims = 1> (r, first); ? = Div(r, z0)",
    ),
    _p(
        "pow-of-relu-negative",
        "h = Gemm(x, w, b); r = Relu(h); p = Pow(r, minus_half) # NUM006; m = Mul(p, t); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); r0 = Relu(h); r = Add(r0, eps); p = Pow(r, minus_half); m = Mul(p, t); ! = ReduceMean(m)",
    ),
    _p(
        "pow-of-linear-fraction",
        "h = Gemm(x, w, b); p = Pow(h, third) # NUM006; m = Sub(p, t); q = Mul(m, m); ! = ReduceMean(q)",
        "h = Gemm(x, w, b); a = Abs(h); s = Add(a, eps); p = Pow(s, third); m = Sub(p, t); "
        "q = Mul(m, m); ! = ReduceMean(q)",
    ),
    _p(
        "exp-of-square",
        "h = Gemm(x, w, b); q = Mul(h, h); e = Exp(q) # NUM003; m = Mul(e, t); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); q = Mul(h, h); n = Neg(q); e = Exp(n); m = Mul(e, t); ! = ReduceMean(m)",
    ),
    _p(
        "sinh-loss",
        "h = Gemm(x, w, b); s = Sinh(h) # NUM003; d = Sub(s, t); q = Mul(d, d); ! = ReduceMean(q)",
        "h = Gemm(x, w, b); g = Clip(h, minus_ten, ten); s = Sinh(g); d = Sub(s, t); q = Mul(d, d); ! = ReduceMean(q)",
    ),
    _p(
        "log-of-mean-exp",
        "h = Gemm(x, w, b); e = Exp(h) # NUM003|NUM005; m = ReduceMean(e, last); "
        "l = Log(m) # NUM001|NUM005; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); l0 = ReduceLogSumExp(h, last); l = Sub(l0, log2); ! = ReduceMean(l)",
    ),
    _p(
        "crf-partition",
        "h = Gemm(x, w, b); e = Exp(h) # NUM005|NUM003; s = ReduceSum(e, last); l = Log(s); "
        "g = ReduceSum(l); ! = Neg(g)",
        "h = Gemm(x, w, b); l = ReduceLogSumExp(h, last); g = ReduceSum(l); ! = Neg(g)",
    ),
    _p(
        "attention-by-hand",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); r = Transpose <perm = [1, 0]> (k); m = MatMul(h, r); "
        "e = Exp(m) # NUM005|NUM003; s = ReduceSum <keepdims = 1> (e, second); a = Div(e, s); "
        "? = MatMul(a, k)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); r = Transpose <perm = [1, 0]> (k); m = MatMul(h, r); "
        "g = ReduceMax <keepdims = 1> (m, second); d = Sub(m, g); e = Exp(d); "
        "s = ReduceSum <keepdims = 1> (e, second); a = Div(e, s); ? = MatMul(a, k)",
    ),
    _p(
        "elu-by-hand-mul",
        "h = Gemm(x, w, b); e = Exp(h) # NUM003; a = Sub(e, one); p = Greater(h, zero); "
        "m = Cast <to = 1> (p); n = Sub(one, m); u = Mul(m, h); q = Mul(n, a); s = Add(u, q); "
        "! = ReduceMean(s)",
        "h = Gemm(x, w, b); s = Elu(h); ! = ReduceMean(s)",
    ),
    _p(
        "tanh-exp2x",
        "h = Gemm(x, w, b); g = Mul(h, two); e = Exp(g) # NUM003; a = Sub(e, one); s = Add(e, one); "
        "f = Div(a, s); d = Sub(f, t); q = Mul(d, d); ! = ReduceMean(q)",
        "h = Gemm(x, w, b); f = Tanh(h); d = Sub(f, t); q = Mul(d, d); ! = ReduceMean(q)",
    ),
    _p(
        "log-of-abs",
        "h = Gemm(x, w, b); a = Abs(h); l = Log(a) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); a = Abs(h); s = Add(a, one); l = Log(s); ! = ReduceMean(l)",
    ),
    _p(
        "log-of-sum-of-relu",
        "h = Gemm(x, w, b); a = Relu(h); s = ReduceSum(a, last); l = Log(s) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); a = Relu(h); s = ReduceSum(a, last); g = Add(s, one); l = Log(g); ! = ReduceMean(l)",
    ),
    _p(
        "log-of-product",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); p = Sigmoid(h); q = Sigmoid(k); m = Mul(p, q); "
        "l = Log(m) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); n = Neg(h); s = Softplus(n); norms = Neg(k); "
        "s2 = Softplus(norms); a = Add(s, s2); ! = ReduceMean(a)",
    ),
    _p(
        "log-of-picked-product",
        "h = Gemm(x, w, b); p = Softmax(h); m = Mul(p, t); s = ReduceSum(m, last); "
        "l = Log(s) # NUM001|LOS006; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); p = Softmax(h); m = Mul(p, t); s = ReduceSum(m, last); a = Add(s, eps); "
        "l = Log(a); ! = ReduceMean(l)",
    ),
    _p(
        "reciprocal-of-softplus-rate",
        "h = Gemm(x, w, b); s = Softplus(h); i = Reciprocal(s) # NUM002; m = Mul(i, t); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); s0 = Softplus(h); s = Add(s0, eps); i = Reciprocal(s); m = Mul(i, t); ! = ReduceMean(m)",
    ),
    _p(
        "importance-ratio",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); p = Softmax(h); q = Softmax(k); "
        "root = Div(p, q) # NUM002; m = Mul(root, t); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); l = LogSoftmax(h); n = LogSoftmax(k); d = Sub(l, n); "
        "g = Clip(d, low, high); e = Exp(g); m = Mul(e, t); ! = ReduceMean(m)",
    ),
    _p(
        "ppo-ratio",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); l = LogSoftmax(h); n = LogSoftmax(k); d = Sub(l, n); "
        "e = Exp(d) # NUM003; m = Mul(e, t); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); l = LogSoftmax(h); n = LogSoftmax(k); d = Sub(l, n); "
        "g = Clip(d, low, high); e = Exp(g); m = Mul(e, t); ! = ReduceMean(m)",
    ),
    _p(
        "soft-dice-zero",
        "h = Gemm(x, w, b); p = Relu(h); i = Mul(p, t); a = ReduceSum(i, last); s = ReduceSum(p, last); "
        "u = ReduceSum(t, last); g = Add(s, u); f = Div(a, g) # NUM002; ! = ReduceMean(f)",
        "h = Gemm(x, w, b); p = Relu(h); i = Mul(p, t); a = ReduceSum(i, last); s = ReduceSum(p, last); "
        "u = ReduceSum(t, last); g0 = Add(s, u); g = Add(g0, one); f = Div(a, g); ! = ReduceMean(f)",
    ),
    _p(
        "f1-loss",
        "h = Gemm(x, w, b); p = Relu(h); tp0 = Mul(p, t); tp = ReduceSum(tp0); s = ReduceSum(p); "
        "q = Div(tp, s) # NUM002; ! = Neg(q)",
        "h = Gemm(x, w, b); p = Relu(h); tp0 = Mul(p, t); tp = ReduceSum(tp0); s0 = ReduceSum(p); "
        "s = Add(s0, eps); q = Div(tp, s); ! = Neg(q)",
    ),
    _p(
        "r-squared",
        "h = Gemm(x, w, b); m = ReduceMean <keepdims = 1> (t, first); d = Sub(t, m); q = Mul(d, d); "
        "s = ReduceSum(q); e = Sub(t, h); g = Mul(e, e); u = ReduceSum(g); ! = Div(u, s) # NUM002",
        "h = Gemm(x, w, b); m = ReduceMean <keepdims = 1> (t, first); d = Sub(t, m); q = Mul(d, d); "
        "s0 = ReduceSum(q); s = Add(s0, eps); e = Sub(t, h); g = Mul(e, e); u = ReduceSum(g); "
        "! = Div(u, s)",
    ),
    _p(
        "pearson",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); m = ReduceMean <keepdims = 1> (h, first); d = Sub(h, m); "
        "n = ReduceMean <keepdims = 1> (k, first); f = Sub(k, n); a0 = Mul(d, f); a = ReduceSum(a0); "
        "q = Mul(d, d); s = ReduceSum(q); q2 = Mul(f, f); s2 = ReduceSum(q2); g = Mul(s, s2); "
        "root = Sqrt(g); ! = Div(a, root) # NUM002",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); m = ReduceMean <keepdims = 1> (h, first); d = Sub(h, m); "
        "n = ReduceMean <keepdims = 1> (k, first); f = Sub(k, n); a0 = Mul(d, f); a = ReduceSum(a0); "
        "q = Mul(d, d); s = ReduceSum(q); q2 = Mul(f, f); s2 = ReduceSum(q2); g0 = Mul(s, s2); "
        "g = Add(g0, eps); root = Sqrt(g); ! = Div(a, root)",
    ),
    _p(
        "arc-sine-of-tanh",
        "h = Gemm(x, w, b); p = Tanh(h); a = Asin(p) # note NUM007; ! = ReduceMean(a)",
        "h = Gemm(x, w, b); p0 = Tanh(h); p = Clip(p0, minus_almost_one, almost_one); a = Asin(p); ! = ReduceMean(a)",
    ),
    _p(
        "atanh-of-clip-at-one",
        "h = Gemm(x, w, b); p = Clip(h, minus_one, one); a = Atanh(p) # NUM007; ! = ReduceMean(a)",
        "h = Gemm(x, w, b); p = Clip(h, minus_almost_one, almost_one); a = Atanh(p); ! = ReduceMean(a)",
    ),
    _p(
        "acosh-hyperbolic",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(h, k); q = Mul(d, d); s = ReduceSum(q, last); "
        "a = Add(s, one); u = Acosh(a) # note NUM007; ! = ReduceMean(u)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(h, k); q = Mul(d, d); s = ReduceSum(q, last); "
        "a0 = Add(s, one); a = Add(a0, eps); u0 = Max(a, one_and); u = Acosh(u0); ! = ReduceMean(u)",
    ),
    _p(
        "hyperbolic-ball",
        "h = Gemm(x, w, b); q = Mul(h, h); s = ReduceSum <keepdims = 1> (q, second); d = Sub(one, s); "
        "? = Div(h, d) # NUM002",
        "h = Gemm(x, w, b); q = Mul(h, h); s = ReduceSum <keepdims = 1> (q, second); d0 = Sub(one, s); "
        "d = Max(d0, eps); ? = Div(h, d)",
    ),
    _p(
        "sqrt-one-minus-square",
        "h = Gemm(x, w, b); p = Tanh(h); q = Mul(p, p); d = Sub(one, q); s = Sqrt(d) # NUM004; "
        "m = Mul(s, t); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); p = Tanh(h); q = Mul(p, p); d0 = Sub(one, q); d = Add(d0, eps); s = Sqrt(d); "
        "m = Mul(s, t); ! = ReduceMean(m)",
    ),
    _p(
        "softmax-temperature-learned",
        "h = Gemm(x, w, b); z0 = ReduceMean <keepdims = 1> (h, second); root = Relu(z0); "
        "f = Div(h, root) # NUM002; p = Softmax(f); m = Mul(p, t); ! = ReduceMean(m)",
        "h = Gemm(x, w, b); z0 = ReduceMean <keepdims = 1> (h, second); r0 = Softplus(z0); "
        "root = Add(r0, tenth); f = Div(h, root); p = Softmax(f); m = Mul(p, t); ! = ReduceMean(m)",
    ),
    _p(
        "harmonic-mean",
        "h = Gemm(x, w, b); p = Sigmoid(h); i = Reciprocal(p) # NUM002; s = ReduceMean(i, last); "
        "f = Reciprocal(s); ! = ReduceMean(f)",
        "h = Gemm(x, w, b); p0 = Sigmoid(h); p = Add(p0, eps); i = Reciprocal(p); "
        "s = ReduceMean(i, last); f = Reciprocal(s); ! = ReduceMean(f)",
    ),
    _p(
        "noisy-or",
        "h = Gemm(x, w, b); p = Sigmoid(h); q = Sub(one, p); g = ReduceProd(q, last); s = Sub(one, g); "
        "l = Log(s) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); p = Sigmoid(h); q = Sub(one, p); g = ReduceProd(q, last); s0 = Sub(one, g); "
        "s = Add(s0, eps); l = Log(s); ! = ReduceMean(l)",
    ),
    _p(
        "log-of-max",
        "h = Gemm(x, w, b); root = ReduceMax(h, last); l = Log(root) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); p = Softplus(h); root = ReduceMax(p, last); a = Add(root, eps); l = Log(a); "
        "! = ReduceMean(l)",
    ),
    _p(
        "conv-log-of-relu",
        "f = Conv <pads = [1, 1, 1, 1]> (img, kk); a = Relu(f); l = Log(a) # NUM001; ! = ReduceMean(l)",
        "f = Conv <pads = [1, 1, 1, 1]> (img, kk); a = Relu(f); s = Add(a, one); l = Log(s); ! = ReduceMean(l)",
    ),
    _p(
        "conv-std-pool",
        "f = Conv <pads = [1, 1, 1, 1]> (img, kk); m = GlobalAveragePool(f); d = Sub(f, m); q = Mul(d, d); "
        "s = GlobalAveragePool(q); root = Sqrt(s); ? = Div(d, root) # NUM002",
        "f = Conv <pads = [1, 1, 1, 1]> (img, kk); m = GlobalAveragePool(f); d = Sub(f, m); q = Mul(d, d); "
        "s0 = GlobalAveragePool(q); s = Add(s0, eps); root = Sqrt(s); ? = Div(d, root)",
    ),
    _p(
        "rmsle",
        "h = Gemm(x, w, b); root = Relu(h); a = Add(root, one); l = Log(a); g = Add(t, one); j = Log(g); "
        "d = Sub(l, j); q = Mul(d, d); s = ReduceMean(q); ! = Sqrt(s) # NUM004|NUM011",
        "h = Gemm(x, w, b); root = Relu(h); a = Add(root, one); l = Log(a); g = Add(t, one); j = Log(g); "
        "d = Sub(l, j); q = Mul(d, d); ! = ReduceMean(q)",
    ),
    _p(
        "smooth-clip-by-norm",
        "h = Gemm(x, w, b); q = Mul(h, h); s = ReduceSum <keepdims = 1> (q, second); root = Sqrt(s); "
        "f = Div(ten, root) # NUM002; g = Min(f, one); ? = Mul(h, g)",
        "h = Gemm(x, w, b); q = Mul(h, h); s0 = ReduceSum <keepdims = 1> (q, second); s = Add(s0, eps); "
        "root = Sqrt(s); f = Div(ten, root); g = Min(f, one); ? = Mul(h, g)",
    ),
    _p(
        "capsule-squash",
        "h = Gemm(x, w, b); q = Mul(h, h); s = ReduceSum <keepdims = 1> (q, second); a = Add(s, one); "
        "f = Div(s, a); root = Sqrt(s); u = Div(h, root) # NUM002; ? = Mul(u, f)",
        "h = Gemm(x, w, b); q = Mul(h, h); s = ReduceSum <keepdims = 1> (q, second); a = Add(s, one); "
        "f = Div(s, a); s1 = Add(s, eps); root = Sqrt(s1); u = Div(h, root); ? = Mul(u, f)",
    ),
    _p(
        "focal-hand",
        "h = Gemm(x, w, b); p = Sigmoid(h); q = Sub(one, p); f = Pow(q, gamma); l = Log(p) # LOS006; "
        "m = Mul(f, l); a = Mul(m, t); ! = ReduceMean(a)",
        "h = Gemm(x, w, b); p = Sigmoid(h); q = Sub(one, p); f = Pow(q, gamma); n = Neg(h); "
        "l0 = Softplus(n); l = Neg(l0); m = Mul(f, l); a = Mul(m, t); ! = ReduceMean(a)",
    ),
    _p(
        "pt-mixture",
        "h = Gemm(x, w, b); p = Sigmoid(h); q = Sub(one, p); u = Sub(one, t); a = Mul(p, t); "
        "cond = Mul(q, u); s = Add(a, cond); l = Log(s) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); p = Sigmoid(h); q = Sub(one, p); u = Sub(one, t); a = Mul(p, t); "
        "cond = Mul(q, u); s0 = Add(a, cond); s = Max(s0, e7); l = Log(s); ! = ReduceMean(l)",
    ),
    _p(
        "gan-minimax",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); p = Sigmoid(h); l = Log(p) # LOS006; q0 = Sigmoid(k); "
        "q = Sub(one, q0); j = Log(q) # NUM001; s = Add(l, j); m = ReduceMean(s); ! = Neg(m)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); n = Neg(h); l = Softplus(n); j = Softplus(k); "
        "s = Add(l, j); ! = ReduceMean(s)",
    ),
    _p(
        "reduce-log-sum",
        "h = Gemm(x, w, b); a = Relu(h); l = ReduceLogSum(a, last) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); a0 = Relu(h); a = Add(a0, one); l = ReduceLogSum(a, last); ! = ReduceMean(l)",
    ),
    _p(
        "bn-eps-lost",
        "h = Gemm(x, w, b); m = ReduceMean <keepdims = 1> (h, first); d = Sub(h, m); q = Mul(d, d); "
        "s = ReduceMean <keepdims = 1> (q, first); a = Add(s, e45); root = Sqrt(a); "
        "? = Div(d, root) # NUM002",
        "h = Gemm(x, w, b); m = ReduceMean <keepdims = 1> (h, first); d = Sub(h, m); q = Mul(d, d); "
        "s = ReduceMean <keepdims = 1> (q, first); a = Add(s, eps); root = Sqrt(a); ? = Div(d, root)",
    ),
    _p(
        "layernorm-eps-zero",
        "h = Gemm(x, w, b); ? = LayerNormalization <axis = -1, epsilon = 0.0> (h, gain, shift) # NUM002",
        "h = Gemm(x, w, b); ? = LayerNormalization <axis = -1, epsilon = 1e-5> (h, gain, shift)",
    ),
    _p(
        "running-variance-decay",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); q = Mul(h, h); s = ReduceMean <keepdims = 1> (q, first); "
        "root = Sqrt(s); f = Div(k, root) # NUM002; ! = ReduceMean(f)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); q = Mul(h, h); s = ReduceMean <keepdims = 1> (q, first); "
        "a = Add(s, e8); root = Sqrt(a); f = Div(k, root); ! = ReduceMean(f)",
    ),
    _p(
        "log-x-over-one-minus-x",
        "h = Gemm(x, w, b); p = Sigmoid(h); q = Sub(one, p); f = Div(p, q); l = Log(f) # NUM007|NUM001; "
        "! = ReduceMean(l)",
        "h = Gemm(x, w, b); ! = ReduceMean(h)",
    ),
    _p(
        "entropy-softmax-plus-max",
        "h = Gemm(x, w, b); p = Softmax(h); l = Log(p) # LOS006; m = Mul(p, l); s = ReduceSum(m, last); "
        "n = Neg(s); ! = ReduceMean(n)",
        "h = Gemm(x, w, b); p = Softmax(h); l = LogSoftmax(h); m = Mul(p, l); s = ReduceSum(m, last); "
        "n = Neg(s); ! = ReduceMean(n)",
    ),
    _p(
        "exp-log-ratio-sharp",
        "h = Gemm(x, w, b); g = Sigmoid(h); m = Mul(g, sharp); e = Exp(m) # NUM003; d = Sub(e, t); ! = ReduceMean(d)",
        "h = Gemm(x, w, b); g = Sigmoid(h); m = Mul(g, ten); e = Exp(m); d = Sub(e, t); ! = ReduceMean(d)",
    ),
    _p(
        "double-exp",
        "h = Gemm(x, w, b); e0 = Clip(h, minus_ten, ten); e1 = Exp(e0); e = Exp(e1) # NUM003; "
        "d = Sub(e, t); ! = ReduceMean(d)",
        "h = Gemm(x, w, b); e0 = Clip(h, minus_ten, one); e1 = Exp(e0); e = Exp(e1); d = Sub(e, t); ! = ReduceMean(d)",
    ),
    _p(
        "gompertz-log",
        "h = Gemm(x, w, b); s = Softplus(h); l = Log(s) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); s0 = Softplus(h); s = Add(s0, eps); l = Log(s); ! = ReduceMean(l)",
    ),
    _p(
        "log-of-clip-zero-up",
        "h = Gemm(x, w, b); a = Clip(h, zero, ten); l = Log(a) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); a = Clip(h, e7, ten); l = Log(a); ! = ReduceMean(l)",
    ),
    _p(
        "log-of-max-zero",
        "h = Gemm(x, w, b); a = Max(h, zero); l = Log(a) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); a = Max(h, e7); l = Log(a); ! = ReduceMean(l)",
    ),
    _p(
        "log-square",
        "h = Gemm(x, w, b); q = Pow(h, two); l = Log(q) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); q0 = Pow(h, two); q = Add(q0, one); l = Log(q); ! = ReduceMean(l)",
    ),
    _p(
        "sqrt-of-relu",
        "h = Gemm(x, w, b); a = Relu(h); root = Sqrt(a) # NUM004; d = Sub(root, t); ! = ReduceMean(d)",
        "h = Gemm(x, w, b); a0 = Relu(h); a = Add(a0, eps); root = Sqrt(a); d = Sub(root, t); ! = ReduceMean(d)",
    ),
    _p(
        "sqrt-of-difference",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(h, k); root = Sqrt(d) # NUM004; ! = ReduceMean(root)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d0 = Sub(h, k); d1 = Abs(d0); d = Add(d1, eps); "
        "root = Sqrt(d); ! = ReduceMean(root)",
    ),
    _p(
        "sqrt-signed",
        "h = Gemm(x, w, b); a = Abs(h); root = Sqrt(a) # NUM004; sg = Sign(h); m = Mul(root, sg); "
        "d = Sub(m, t); ! = ReduceMean(d)",
        "h = Gemm(x, w, b); a0 = Abs(h); a = Add(a0, eps); root = Sqrt(a); sg = Sign(h); "
        "m = Mul(root, sg); d = Sub(m, t); ! = ReduceMean(d)",
    ),
    _p(
        "divide-by-relu",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); a = Relu(k); f = Div(h, a) # NUM002; ! = ReduceMean(f)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); a0 = Relu(k); a = Add(a0, tenth); f = Div(h, a); ! = ReduceMean(f)",
    ),
    _p(
        "divide-by-difference",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d = Sub(h, k); f = Div(t, d) # NUM002; ! = ReduceMean(f)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); d0 = Sub(h, k); d1 = Abs(d0); d = Add(d1, tenth); "
        "f = Div(t, d); ! = ReduceMean(f)",
    ),
    _p(
        "divide-by-sigmoid-product",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); p = Sigmoid(h); q = Sigmoid(k); m = Mul(p, q); "
        "f = Div(t, m) # NUM002; ! = ReduceMean(f)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); p = Sigmoid(h); q = Sigmoid(k); m0 = Mul(p, q); "
        "m = Add(m0, eps); f = Div(t, m); ! = ReduceMean(f)",
    ),
    _p(
        "divide-by-sum-of-tanh",
        "h = Gemm(x, w, b); a = Tanh(h); s = ReduceSum <keepdims = 1> (a, second); "
        "f = Div(a, s) # NUM002; ! = ReduceMean(f)",
        "h = Gemm(x, w, b); a = Tanh(h); s0 = ReduceL1 <keepdims = 1> (a, second); s = Add(s0, eps); "
        "f = Div(a, s); ! = ReduceMean(f)",
    ),
    _p(
        "max-abs-scale",
        "h = Gemm(x, w, b); a = Abs(h); s = ReduceMax <keepdims = 1> (a, second); ? = Div(h, s) # NUM002",
        "h = Gemm(x, w, b); a = Abs(h); s0 = ReduceMax <keepdims = 1> (a, second); s = Max(s0, eps); ? = Div(h, s)",
    ),
    _p(
        "mean-scale",
        "h = Gemm(x, w, b); a = Abs(h); s = ReduceMean <keepdims = 1> (a, second); ? = Div(h, s) # NUM002",
        "h = Gemm(x, w, b); a = Abs(h); s0 = ReduceMean <keepdims = 1> (a, second); s = Add(s0, eps); ? = Div(h, s)",
    ),
    _p(
        "where-log-dead-branch",
        "h = Gemm(x, w, b); p = Relu(h); cond = Greater(p, zero); l = Log(p) # NUM001; "
        "s = Where(cond, l, zero); ! = ReduceMean(s)",
        "h = Gemm(x, w, b); p = Relu(h); cond = Greater(p, zero); g = Where(cond, p, one); l = Log(g); "
        "! = ReduceMean(l)",
    ),
    _p(
        "pow-negative-two",
        "h = Gemm(x, w, b); p = Pow(h, minus_two) # NUM006; ! = ReduceMean(p)",
        "h = Gemm(x, w, b); q = Mul(h, h); a = Add(q, one); p = Pow(a, minus_one); ! = ReduceMean(p)",
    ),
    _p(
        "pow-learned-exponent",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); a = Relu(h); s = Tanh(k); p = Pow(a, s) # NUM006; ! = ReduceMean(p)",
        "h = Gemm(x, w, b); k = Gemm(x, v, c); a0 = Relu(h); a = Add(a0, tenth); s = Tanh(k); "
        "p = Pow(a, s); ! = ReduceMean(p)",
    ),
    _p(
        "tan-of-linear",
        "h = Gemm(x, w, b); p = Softmax(h); i = Mul(p, t); s = ReduceSum <keepdims = 1> (i, second); "
        "m = Div(i, s) # NUM002; ! = ReduceMean(m)",
        "h = Gemm(x, w, b); p = Softmax(h); i = Mul(p, t); s0 = ReduceSum <keepdims = 1> (i, second); "
        "s = Add(s0, eps); m = Div(i, s); ! = ReduceMean(m)",
    ),
    _p(
        "log-likelihood-of-bernoulli-tanh",
        "h = Gemm(x, w, b); a = Tanh(h); u = Sub(one, a); l = Log(u) # NUM001; more = Add(one, a); "
        "j = Log(more) # NUM001; s = Sub(l, j); ! = ReduceMean(s)",
        "h = Gemm(x, w, b); m = Mul(minus_two, h); ! = ReduceMean(m)",
    ),
    _p(
        "change-of-variables",
        "h = Gemm(x, w, b); a = Tanh(h); q = Mul(a, a); u = Sub(one, q); l = Log(u) # NUM001; ! = ReduceMean(l)",
        "h = Gemm(x, w, b); a = Tanh(h); q = Mul(a, a); u0 = Sub(one, q); u = Add(u0, eps); l = Log(u); "
        "! = ReduceMean(l)",
    ),
]
