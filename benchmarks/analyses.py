"""`python -m benchmarks.analyses`: what the ranges cost beside shape inference, netlint's own and onnx's.

Times are CPU seconds within this process, medians over runs in turn; parsing and loading are left out.
"""

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx

from benchmarks.residual_chain import write_residual_chain
from benchmarks.transformer import NODES_PER_LAYER, transformer
from netlint.analyses.constants import constants
from netlint.analyses.ranges import ranges, training_ranges
from netlint.analyses.shapes import shapes
from netlint.analysis import Results
from netlint.frontends.onnx import load_bytes
from netlint.training import Training

LAYERS = 1000 // NODES_PER_LAYER + 1
STORED, ANY, SHAPES, ONNX = "ranges, stored weights", "ranges, any weights", "netlint's shapes", "onnx.shape_inference"
MOST_TIMES = 3.0
"""What the ranges may cost, as a multiple of onnx's shape inference."""

Times = dict[str, list[float]]


def main() -> int:
    """Print one table; the exit code is 0 whatever it says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analyses", description="Measure the range analysis.")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="counted runs (default 5)")
    parser.add_argument("--skip-large", action="store_true", help="leave out the graphs of 100,000 and 200,000 nodes")
    options = parser.parse_args()
    print(f"{'CPU ms, median':34}" + "".join(f"{name:>24}" for name in (STORED, ANY, SHAPES, ONNX)) + "  / onnx  / own")
    for name, stored in (("transformer, no shapes stored", False), ("transformer, all shapes stored", True)):
        _row(name, measure(transformer(LAYERS, stored).SerializeToString(), options.runs))
    if not options.skip_large:
        _linear(options.runs)
    return 0


def measure(model: bytes, runs: int) -> Times:
    """CPU seconds of each analysis; every run begins with a graph that nothing is known of."""
    times: Times = {STORED: [], ANY: [], SHAPES: [], ONNX: []}
    for counted in [False] + [True] * runs:
        proto, results = onnx.load_from_string(model), Results(load_bytes(model), Training())
        found = {ONNX: _cpu(partial(onnx.shape_inference.infer_shapes, proto))}
        found[SHAPES] = _cpu(partial(results.get, shapes))
        results.get(constants)
        found[STORED] = _cpu(partial(results.get, ranges))
        found[ANY] = _cpu(partial(results.get, training_ranges))
        for name, spent in found.items() if counted else ():
            times[name].append(spent)
    return times


def _cpu(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    start = time.process_time()
    work()
    spent = time.process_time() - start
    gc.enable()
    return spent


def _row(name: str, times: Times) -> None:
    middle = {label: statistics.median(spent) for label, spent in times.items()}
    ratio = middle[STORED] / middle[ONNX]
    verdict = "ok" if ratio <= MOST_TIMES else "MISSED"
    cells = "".join(f"{1000 * middle[label]:>24.1f}" for label in (STORED, ANY, SHAPES, ONNX))
    print(f"{name:34}{cells}{ratio:>7.2f}x{middle[STORED] / middle[SHAPES]:>6.2f}x  {verdict}", flush=True)


def _linear(runs: int) -> None:
    """Twice the nodes, and how much more time."""
    middle = []
    for nodes in (100_000, 200_000):
        with tempfile.TemporaryDirectory(prefix="netlint-benchmarks-") as folder:
            path = Path(folder) / "chain.onnx"
            write_residual_chain(path, nodes)
            times = measure(path.read_bytes(), min(runs, 3))
        _row(f"residual chain, {nodes:,} nodes", times)
        middle.append(statistics.median(times[STORED]))
    print(f"ranges on 200,000 nodes beside 100,000: {middle[1] / middle[0]:.2f}x")


if __name__ == "__main__":
    raise SystemExit(main())
