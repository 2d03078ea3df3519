"""Runs that reporters must render, from empty to hostile."""

from __future__ import annotations

from pathlib import Path

from netlint.frontends import TargetError
from netlint.graph import Location, Value
from netlint.registry import load_rules
from netlint.report import Failure, Run
from netlint.reported import Box, Crashed, Cut, Neighbourhood, Report, Reported, Skipped, Suppressed
from netlint.rule import Claim, Evidence, Finding, Level
from netlint.sources import Sources
from netlint.times import Spent
from netlint.training import Interval, Known

RULES = load_rules()
HOSTILE = (
    "</script>\"'><img src=x onerror=alert(1)> ]]> \x1b[2J\r\n\u202egnp.exe \x00 %0A::error::x,a:b [x](http://y.z) ￿"
)
NAMES = ("nothing", "clean", "source", "no source", "factory", "failures", "crash", "suppressed", "hostile", "many")
HOSTILE_FILE = 'mod\udcffel\'s "%41" #1?.onnx'  # bytes that are no UTF-8, as the file system hands them out


def reported(
    code: str = "LOS002",
    level: Level = Level.ERROR,
    message: str = "two softmaxes",
    loc: Location | None = None,
    number: int = 0,
    text: str = "",
) -> Reported:
    place = loc or Location("head ▸ Softmax", None, "head")
    evidence = (
        Evidence("classes", 10, "--classes"),
        Evidence("range" + text, [0.0, float("inf"), text]),
        Evidence("not a number", float("nan")),
    )
    claim = Claim(Value("probabilities" + text, "float32", ("N", 10)), 0.0, float("inf"))
    finding = Finding(message, place, evidence, f"return logits{text}", f"flat{text}", None, ((text, place),), claim)
    return Reported(
        RULES[code],
        level,
        finding,
        place,
        "Softmax",
        ("y" + text,),
        f"Gemm → Softmax → output   float32[N, 10]{text}",
        f"{number:016x}",
        neighbourhood(text),
    )


def neighbourhood(text: str = "") -> Neighbourhood:
    boxes = (
        Box("input", "x" + text, "float32[N, 3]" + text, "", -2),
        Box("node", "Gemm", "float32[N, 10]", "fc ▸ Gemm" + text, -1, ("float32[3, 10]" + text,)),
        Box("flagged", "Softmax" + text, "float32[N, 10]", "head ▸ Softmax", 0),
        Box("output", "y" + text, "float32[N, 10]", "", 1),
        Box("more", "+7 more", "", "", 1),
    )
    return Neighbourhood(boxes, ((0, 1), (1, 2), (2, 3), (2, 4)))


def report(target: str, *findings: Reported, text: str = "", suppressed: tuple[Suppressed, ...] = ()) -> Report:
    return Report(
        target,
        findings,
        (Skipped(RULES["LOS001"], f"needs a loss: --loss{text}"),),
        (),
        {"targets": Known(Interval(-1.0, 1.0), "--targets"), "optimizer": Known("adam" + text, "a test")},
        (),
        {f"aten.foo{text}": 3},
        12,
        suppressed,
        times=(
            Spent("load", "front end", 0.25),
            Spent("analysis", "ranges", 0.5),
            Spent("rule", "double-softmax", 0.1),
        ),
        cuts=(Cut(f"aten.foo{text}", Location(f"body{text} ▸ foo"), 1, 4),),
    )


def crashed(target: str, text: str = "") -> Report:
    crash = Crashed(RULES["NUM001"], KeyError(f"boom{text}"), "netlint_rules.numerics.log_domain:12")
    return Report(target, (), (), (crash,), {}, ("targets: is no range" + text,), {})


def run(*results: Report | Failure, root: Path = Path("/nonexistent"), **settings: object) -> Run:
    return Run(results, Sources(root), **settings)  # type: ignore[arg-type]


def failure(target: str, message: str = "does not parse") -> Failure:
    return Failure(target, TargetError(message, "export it again"))


def runs(root: Path) -> dict[str, Run]:
    """By `NAMES`, which say what they are about; `root` becomes a checkout with a source file."""
    (root / "net.py").write_text("import torch\n\n\nclass Net(torch.nn.Module):\n    y = torch.softmax(x)\n")
    sourced = Location("head ▸ Softmax", ("/home/ann/proj/net.py", 5), "head")
    lost = Location("head ▸ Softmax", ("/home/ann/proj/other.py", 5), "head")
    evil = Location(HOSTILE, (f"/x/{HOSTILE}.py", 3), HOSTILE)
    hostile = reported(message=HOSTILE, loc=evil, text=HOSTILE)
    silenced = Suppressed(reported(loc=sourced), "the loss is meant", "comment at net.py:5")
    listed = Suppressed(reported(level=Level.NOTE, number=7), "", "baseline netlint.baseline")
    many = [
        report(f"models/m{index}.onnx", *(reported(level=level, number=k) for k, level in enumerate(Level)))
        for index in range(40)
    ]
    return {
        "nothing": run(root=root),
        "clean": run(report("m.onnx"), root=root),
        "source": run(report("models/m.onnx", reported(loc=sourced)), root=root, exit_code=1),
        "no source": run(report("m.onnx", reported(loc=lost), reported(number=1)), root=root, exit_code=1),
        "factory": run(report("net.py:Net(3)", reported()), root=root, exit_code=1),
        "failures": run(
            failure("m.onnx"), failure("-", "is empty\nand twice"), report("n.onnx"), root=root, exit_code=3
        ),
        "crash": run(crashed("m.onnx"), report("n.onnx", reported()), root=root, exit_code=4),
        "suppressed": run(report("m.onnx", reported(number=3), suppressed=(silenced, listed)), root=root, exit_code=1),
        "hostile": run(
            report(HOSTILE_FILE, hostile, text=HOSTILE, suppressed=(Suppressed(hostile, HOSTILE, HOSTILE),)),
            crashed(HOSTILE, HOSTILE),
            failure(HOSTILE, HOSTILE),
            root=root,
            exit_code=4,
        ),
        "many": run(*many, root=root, verbose=1, statistics=True, profile=True, exit_code=1),
    }
