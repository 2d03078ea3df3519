"""Products of matrices."""

from __future__ import annotations

from netlint.graph import Value

from .builder import Builder, NotLowered
from .pointwise import add, mul
from .table import operator


@operator("linear")
def linear(b: Builder, input: Value, weight: Value, bias: Value | None = None) -> Value:
    """Gemm for matrices; else a MatMul with the transposed weight."""
    if input.shape is not None and len(input.shape) == 2 and b.rank(weight) == 2:
        return b("Gemm", input, weight, bias, transB=1)
    product = b("MatMul", input, b.transpose(weight, (1, 0)) if b.rank(weight) == 2 else weight)
    return product if bias is None else b("Add", product, bias)


@operator("matmul", "mm", "bmm", "mv", "dot", "linalg_matmul", "vdot")
def matmul(b: Builder, input: Value, other: Value) -> Value:
    return b("MatMul", *b.promoted(input, other))


@operator("addmm")
def addmm(b: Builder, input: Value, mat1: Value, mat2: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    return b("Gemm", mat1, mat2, input, alpha=float(alpha), beta=float(beta))


@operator("_addmm_activation")
def addmm_activation(
    b: Builder,
    input: Value,
    mat1: Value,
    mat2: Value,
    *,
    beta: float = 1,
    alpha: float = 1,
    use_gelu: bool = False,
) -> Value:
    product = addmm(b, input, mat1, mat2, beta=beta, alpha=alpha)
    return b("Gelu", product, approximate="tanh") if use_gelu else b("Relu", product)


@operator("baddbmm", "addmv")
def baddbmm(b: Builder, input: Value, batch1: Value, batch2: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """With beta = 0 the addend does not count, not even where it is NaN."""
    product = b("MatMul", batch1, batch2)
    if alpha != 1:
        product = mul(b, product, alpha)
    if beta == 0:
        return product
    return b("Add", product, input if beta == 1 else mul(b, input, beta))


@operator("addbmm")
def addbmm(b: Builder, input: Value, batch1: Value, batch2: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    product = b("ReduceSum", b("MatMul", batch1, batch2), b.ints(0), keepdims=0)
    return add(b, mul(b, input, beta), mul(b, product, alpha))


@operator("addr")
def addr(b: Builder, input: Value, vec1: Value, vec2: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    return add(b, mul(b, input, beta), mul(b, outer(b, vec1, vec2), alpha))


@operator("outer", "ger")
def outer(b: Builder, input: Value, vec2: Value) -> Value:
    return mul(b, b.unsqueeze(input, 1), vec2)


@operator("inner")
def inner(b: Builder, input: Value, other: Value) -> Value:
    if b.rank(other) < 2:
        return b("MatMul", input, other) if b.rank(input) and b.rank(other) else mul(b, input, other)
    if b.rank(other) > 2:
        raise NotLowered("an inner product of tensors")
    return b("MatMul", input, b.transpose(other, (1, 0)))


@operator("bilinear")
def bilinear(b: Builder, input1: Value, input2: Value, weight: Value, bias: Value | None = None) -> Value:
    product = b("Einsum", input1, weight, input2, equation="...i,oij,...j->...o")
    return product if bias is None else b("Add", product, bias)


@operator("einsum")
def einsum(b: Builder, equation: str, *operands: Value | list[Value], path: object = None) -> Value:
    flat = [x for given in operands for x in (given if isinstance(given, list) else [given])]
    if not isinstance(equation, str) or any(not isinstance(x, Value) for x in flat):
        raise NotLowered("einsum with lists of axes")
    return b("Einsum", *b.promoted(*flat), equation=equation.replace(" ", ""), shape=None)


@operator("tensordot")
def tensordot(b: Builder, a: Value, other: Value, dims: int | list[list[int]] = 2, *rest: object) -> Value:
    """As an Einsum: the axes in common get the same letter."""
    left, right = b.rank(a), b.rank(other)
    if isinstance(dims, int):
        dims = [list(range(left - dims, left)), list(range(dims))]
    letters = [chr(ord("a") + place) for place in range(left + right)]
    first, second = letters[:left], letters[left:]
    pairs = [(x % left, y % right) for x, y in zip(*dims, strict=True)]
    for x, y in pairs:
        second[y] = first[x]
    shared = {first[x] for x, _ in pairs}
    kept = [letter for letter in (*first, *second) if letter not in shared]
    return b("Einsum", a, other, equation=f"{''.join(first)},{''.join(second)}->{''.join(kept)}", shape=None)


@operator("chain_matmul", "linalg_multi_dot")
def chain_matmul(b: Builder, *matrices: Value | list[Value]) -> Value:
    flat = [x for given in matrices for x in (given if isinstance(given, list) else [given])]
    product = flat[0]
    for matrix in flat[1:]:
        product = b("MatMul", product, matrix)
    return product


@operator("cross", "linalg_cross")
def cross(b: Builder, input: Value, other: Value, dim: int = -1) -> Value:
    """Over an axis of three: a rolled by one against b rolled by two, minus the reverse."""
    axis = b.axis(input, dim)

    def rolled(x: Value, *order: int) -> Value:
        return b("Gather", x, b.ints(*order), shape=x.shape, axis=axis)

    left = b("Mul", rolled(input, 1, 2, 0), rolled(other, 2, 0, 1))
    return b("Sub", left, b("Mul", rolled(input, 2, 0, 1), rolled(other, 1, 2, 0)))


@operator("linalg_det", "det")
def det(b: Builder, input: Value) -> Value:
    return b("Det", input)


@operator("trace")
def trace(b: Builder, input: Value) -> Value:
    return b("Einsum", input, equation="ii->", shape=())
