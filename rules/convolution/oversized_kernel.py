"""A dense convolution with a large kernel where a stack of small ones sees as much for less.

## What it does

Reports a dense convolution over two or three dimensions, inside the network, whose kernel measures at least 7 along
every axis (a warning) or 5 to 6 (a note), if a stack of 3×3 convolutions with the same channels and at least the same
receptive field has fewer parameters.

The finding prints parameters, and multiplications where the size of the map is known, of the layer and of the stack.

## Why is this bad

A k×k kernel costs k² · inputs · outputs parameters, and as many multiplications at every position. Three 3×3 layers see
7×7 pixels for 27/49 of that price, and put two more non-linearities in between.

## Example

```onnx
body (float[N, 64, 56, 56] x, float[64, 64, 3, 3] w, float[64, 64, 7, 7] v) => (float[N, 64, 56, 56] y)
{
    h = Conv <pads = [1, 1, 1, 1]> (x, w)
    a = Relu(h)
    b = Conv <pads = [3, 3, 3, 3]> (a, v)      # want warning "7×7 convolution 64 → 64: 3 layers of 3×3 see as much"
    y = Relu(b)
}
```

The same where the map is padded by reflection:

```onnx
reflected (float[N, 3, H, W] x, float[64, 3, 3, 3] w, float[64, 64, 7, 7] v) => (float[N, 64, H, W] y)
<int64[8] pads = {0, 0, 3, 3, 0, 0, 3, 3}> {
    h = Conv <pads = [1, 1, 1, 1]> (x, w)
    a = Relu(h)
    p = Pad <mode = "reflect"> (a, pads)
    y = Conv (p, v)      # want warning "7×7 convolution 64 → 64"
}
```

5×5 is worth a note:

```onnx
body (float[N, 64, H, W] x, float[64, 64, 3, 3] w, float[64, 64, 5, 5] v) => (float[N, 64, H, W] y)
{
    h = Conv <pads = [1, 1, 1, 1]> (x, w)
    a = Relu(h)
    b = Conv <pads = [2, 2, 2, 2]> (a, v)      # want note "with 28 % fewer parameters"
    y = Relu(b)
}
```

## Use instead

A stack of 3×3 with a non-linearity after each:

```onnx
body (float[N, 64, 56, 56] x, float[64, 64, 3, 3] w, float[64, 64, 3, 3] v) => (float[N, 64, 56, 56] y)
{
    h = Conv <pads = [1, 1, 1, 1]> (x, w)
    a = Relu(h)
    b = Conv <pads = [1, 1, 1, 1]> (a, v)
    c = Relu(b)
    d = Conv <pads = [1, 1, 1, 1]> (c, v)
    e = Relu(d)
    f = Conv <pads = [1, 1, 1, 1]> (e, v)
    y = Relu(f)
}
```

Or, where the width of the view counts more than its shape, 1×7 and then 7×1:

```onnx
body (float[N, 64, 56, 56] x, float[64, 64, 3, 3] w, float[64, 64, 1, 7] u, float[64, 64, 7, 1] v)
  => (float[N, 64, 56, 56] y)
{
    h = Conv <pads = [1, 1, 1, 1]> (x, w)
    a = Relu(h)
    b = Conv <pads = [0, 3, 0, 3]> (a, u)
    c = Relu(b)
    d = Conv <pads = [3, 0, 3, 0]> (c, v)
    y = Relu(d)
}
```

## Spares

Stems: the first layer, whatever it reads, for instance an image folded by space-to-depth.

```onnx
stem (float[N, 3, 224, 224] x, float[64, 12, 7, 7] w, float[64, 64, 3, 3] v) => (float[N, 64, 112, 112] y)
{
    f = SpaceToDepth <blocksize = 2> (x)
    h = Conv <pads = [3, 3, 3, 3]> (f, w)
    a = Relu(h)
    y = Conv <pads = [1, 1, 1, 1]> (a, v)
}
```

Depthwise and other grouped kernels with at most 4 input channels a group (ConvNeXt, RepLKNet, blur filters):

```onnx
convnext (float[N, 64, 56, 56] x, float[64, 64, 1, 1] w, float[64, 1, 7, 7] v) => (float[N, 64, 56, 56] y)
{
    h = Conv (x, w)
    y = Conv <group = 64, pads = [3, 3, 3, 3]> (h, v)
}
```

A kernel as large as its map, which is a fully-connected layer in disguise (without padding, where the size of the map
is unknown, it is taken for one), and patch embeddings, whose windows do not overlap:

```onnx
classifier (float[N, 64, 14, 14] x, float[64, 64, 3, 3] w, float[256, 64, 7, 7] v, float[64, 64, 8, 8] p)
  => (float[N, 256, 1, 1] y, float[N, 64, 1, 1] z)
{
    h = Conv <pads = [1, 1, 1, 1]> (x, w)
    q = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (h)
    y = Conv (q, v)
    z = Conv <strides = [8, 8]> (h, p)
}
```

Layers that end in at most 4 channels, such as the last layer of a generator or of a super-resolution network: a stack
would have to pass through that width.

```onnx
generator (float[N, 64, 32, 32] x, float[64, 64, 3, 3] w, float[3, 64, 9, 9] v) => (float[N, 3, 32, 32] y)
{
    h = Conv <pads = [1, 1, 1, 1]> (x, w)
    a = Relu(h)
    b = Conv <pads = [4, 4, 4, 4]> (a, v)
    y = Tanh(b)
}
```

Kernels that are narrow along one axis (1×7, and the 1×256 of spectrograms), convolutions over one dimension, transposed
convolutions, and, at the first scale of images of at most 32 pixels, kernels below 7 and those without padding, which
bring the map down as well (capsule networks):

```onnx
digits (float[N, 1, 28, 28] x, float[32, 1, 5, 5] w, float[32, 32, 5, 5] v) => (float[N, 32, 20, 20] y)
{
    h = Conv (x, w)
    a = Relu(h)
    y = Conv (a, v)
}
```
```onnx
capsules (float[N, 1, 28, 28] x, float[64, 1, 9, 9] w, float[64, 64, 9, 9] v) => (float[N, 64, 6, 6] y)
{
    h = Conv (x, w)
    a = Relu(h)
    y = Conv <strides = [2, 2]> (a, v)
}
```

Masked kernels (PixelCNN), whose zeros a stack would not keep:

```onnx
pixels (float[N, 64, 28, 28] x, float[64, 64, 1, 1] w, float[64, 64, 7, 7] v, float[64, 64, 7, 7] m)
  => (float[N, 64, 28, 28] y)
{
    h = Conv (x, w)
    masked = Mul (v, m)
    y = Conv <pads = [3, 3, 3, 3]> (h, masked)
}
```

## Options

- `min-kernel` (default 5): the smallest kernel to report, along its shortest axis.

## Known limits

The stack is compared by parameters and multiplications. On some hardware one large kernel runs faster than three small
ones, and the maps in between take memory during training.

Whether the layer was trained with its large kernel on purpose cannot be seen: published networks with dense 7×7 layers
(convolutional pose machines, SPyNet) are reported.

## References

- K. Simonyan, A. Zisserman: Very deep convolutional networks for large-scale image recognition. ICLR 2015, section 2.3.
- C. Szegedy et al.: Rethinking the Inception architecture for computer vision. CVPR 2016, sections 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from netlint.analyses.shapes import Shapes, shapes
from netlint.graph import Dim, Graph, Node, Value
from netlint.ops import WEIGHTED
from netlint.rule import NOTE, WARNING, Evidence, Finding, Option, Scope, rule

_OPS = ("Conv", "QLinearConv", "ConvInteger")
# Raw channels (grey, colour, with alpha), attention maps and depthwise kernels: the kernel's area costs little there.
_FEW_CHANNELS = 4
_WARNED = 7
_SMALL_IMAGE = 32


@dataclass(frozen=True, slots=True)
class _Convolution:
    """What the rule compares: channels, kernel, stride, and the sizes of the maps as far as known."""

    outputs: int
    inputs_per_group: int
    group: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padded: bool
    before: tuple[Dim, ...]
    after: tuple[Dim, ...]

    @property
    def parameters(self) -> int:
        return self.outputs * self.inputs_per_group * prod(self.kernel)

    @property
    def layers(self) -> int:
        """How many 3×3 layers see as much. The first takes over the stride, so that the others reach further."""
        more: int = -(-(max(self.kernel) - 3) // (2 * min(self.strides)))
        return 1 + more

    @property
    def stack_parameters(self) -> int:
        inner = self.outputs // self.group
        area: int = 3 ** len(self.kernel)
        return area * self.outputs * (self.inputs_per_group + (self.layers - 1) * inner)


@rule(
    "CNV001",
    "oversized-kernel",
    level=WARNING,
    also=(NOTE,),
    since="0.1",
    requires=(shapes,),
    options=(Option("min-kernel", 5, "smallest kernel to report, along its shortest axis"),),
)
def oversized_kernel(scope: Scope) -> Iterator[Finding]:
    graph, least = scope.graph, scope.options["min-kernel"]
    candidates = [node for node in graph.of(*_OPS) if _perhaps_large(node, least)]
    if not candidates:
        return  # most models: no need to infer any shape
    known = scope[shapes]
    large = [(node, conv) for node in candidates if (conv := _read(node, graph, known)) and min(conv.kernel) >= least]
    inside, images = _behind_layers(graph), _images(graph, known)
    for node, conv in large:
        if node.input(0) not in inside or _serves_otherwise(conv) or _is_masked(node, graph, known):
            continue
        if (min(conv.kernel) < _WARNED or not conv.padded) and _at_first_scale(conv, images):
            continue
        if conv.stack_parameters < conv.parameters:
            yield _finding(node, conv)


def _perhaps_large(node: Node, least: int) -> bool:
    """Whether the kernel is large as far as the stored or declared shape of the weight tells."""
    weight = node.input(WEIGHTED[node.op].weight)
    shape = weight.shape if weight is not None else None
    return shape is None or all(not isinstance(size, int) or size >= least for size in shape[2:])


def _read(node: Node, graph: Graph, known: Shapes) -> _Convolution | None:
    """A convolution over two or more dimensions with a weight of known shape."""
    data, weight = known.of(node.input(0)), known.of(node.input(WEIGHTED[node.op].weight))
    if node.domain or weight is None or len(weight) < 4:
        return None
    sizes = [size for size in weight if isinstance(size, int)]
    group, strides = node.attrs.get("group", 1), node.attrs.get("strides", (1,) * (len(weight) - 2))
    if len(sizes) != len(weight) or 0 in sizes or group < 1 or len(strides) != len(sizes) - 2 or min(strides) < 1:
        return None
    kernel = tuple(sizes[2:])
    unknown = (None,) * len(kernel)
    before = data[2:] if data is not None and len(data) == len(weight) else unknown
    after = (known.of(node.output()) or (None, None, *unknown))[2:]
    return _Convolution(sizes[0], sizes[1], group, kernel, strides, _is_padded(node, graph), before, after)


def _is_padded(node: Node, graph: Graph) -> bool:
    """Whether the convolution pads its input, or a node before it does (by reflection, for instance)."""
    producer = graph.producer(node.input(0))
    if producer is not None and producer.op == "Pad" and not producer.domain:
        return True
    return any(node.attrs.get("pads", ())) or str(node.attrs.get("auto_pad", "")).startswith("SAME")


def _behind_layers(graph: Graph) -> set[Value | None]:
    """The values that some weighted layer lies before: what is not among them is the input, or made from it alone."""
    inside: set[Value | None] = set()
    for node in graph.nodes:
        if node.op in WEIGHTED or not inside.isdisjoint(node.inputs):
            inside.update(node.outputs)
    inside.discard(None)
    return inside


def _serves_otherwise(conv: _Convolution) -> bool:
    """Whether the kernel is large for a reason that a stack of small ones would not serve."""
    if conv.inputs_per_group <= _FEW_CHANNELS or conv.outputs <= _FEW_CHANNELS:
        return True
    if all(stride >= size for stride, size in zip(conv.strides, conv.kernel, strict=True)):
        return True  # a patch embedding
    pairs = list(zip(conv.kernel, conv.before, strict=True))
    as_large = all(isinstance(length, int) and size >= length for size, length in pairs)
    perhaps = all(length is None or isinstance(length, str) or size >= length for size, length in pairs)
    return as_large or (perhaps and not conv.padded)


def _is_masked(node: Node, graph: Graph, known: Shapes) -> bool:
    """Whether the kernel is multiplied with as many other numbers; what scales it has one for each unit."""
    weight = node.input(WEIGHTED[node.op].weight)
    made = graph.producer(weight)
    whole = known.of(weight)
    return (
        made is not None and made.op == "Mul" and whole is not None and all(known.of(v) == whole for v in made.inputs)
    )


def _images(graph: Graph, known: Shapes) -> list[tuple[Dim, ...]]:
    """The sizes of the graph's inputs with spatial axes; the weights of a training graph are none."""
    shapes_of = {value: known.of(value) or () for value in graph.inputs}
    return [
        shape[2:]
        for value, shape in shapes_of.items()
        if len(shape) > 3
        and not any(user.op in _OPS and user.input(WEIGHTED[user.op].weight) is value for user in graph.uses(value))
    ]


def _at_first_scale(conv: _Convolution, images: list[tuple[Dim, ...]]) -> bool:
    """Whether the layer reads a small image that has not been shrunk, but for the margins of earlier kernels."""
    return any(
        len(image) == len(conv.before)
        and all(
            isinstance(length, int) and isinstance(size, int) and 2 * size <= 3 * length <= 3 * size <= 3 * _SMALL_IMAGE
            for length, size in zip(conv.before, image, strict=True)
        )
        for image in images
    )


def _finding(node: Node, conv: _Convolution) -> Finding:
    size, small = "×".join(map(str, conv.kernel)), "×".join("3" * len(conv.kernel))
    fewer = round(100 * (1 - conv.stack_parameters / conv.parameters))
    channels = f"{conv.inputs_per_group * conv.group} → {conv.outputs}"
    return Finding(
        f"{size} convolution {channels}: {conv.layers} layers of {small} see as much with {fewer} % fewer parameters",
        node,
        evidence=tuple(_evidence(conv)),
        help=f"stack {conv.layers} convolutions of {small}, each with its non-linearity, or factor the kernel into one "
        f"for each axis ({_factored(conv.kernel)})",
        why="a dense kernel costs its area times both channel counts; small kernels in series see as far for less",
        level=WARNING if min(conv.kernel) >= _WARNED else NOTE,
    )


def _evidence(conv: _Convolution) -> Iterator[Evidence]:
    yield Evidence("kernel", list(conv.kernel))
    yield Evidence("parameters", conv.parameters)
    yield Evidence("parameters of the stack", conv.stack_parameters)
    positions = [length for length in conv.after if isinstance(length, int)]
    if len(positions) == len(conv.after):
        yield Evidence("multiplications", conv.parameters * prod(positions))
        yield Evidence("multiplications of the stack", conv.stack_parameters * prod(positions))


def _factored(kernel: tuple[int, ...]) -> str:
    ones = [["1"] * axis + [str(size)] + ["1"] * (len(kernel) - axis - 1) for axis, size in enumerate(kernel)]
    return ", ".join("×".join(sizes) for sizes in reversed(ones))
