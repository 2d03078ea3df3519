"""The text report: folding, source lines, and nothing of a model's text that a terminal would obey."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from netlint.graph import Location
from netlint.registry import load_rules
from netlint.report import Run
from netlint.report.text import render
from netlint.report.wording import clean
from netlint.reported import Cut, Report, Reported
from netlint.rule import Evidence, Finding, Level
from netlint.sources import Sources

RULE = load_rules().find("sigmoid-hidden")


def reported(loc: Location, message: str = "a sigmoid", op: str = "Sigmoid") -> Reported:
    finding = Finding(
        message, loc, (Evidence("slope", 0.25), Evidence("loss", "mse_loss", "--loss")), "use ReLU", "why"
    )
    return Reported(RULE, Level.WARNING, finding, loc, op, (), "Gemm → Sigmoid → Gemm   float32[N, 8]", "0" * 16)


def text(*findings: Reported, root: Path = Path("/nonexistent"), verbose: int = -1) -> str:
    return render(Run((Report("m.onnx", findings, (), (), {}, (), {}),), Sources(root), verbose))


def test_a_finding_as_it_is_printed() -> None:
    found = reported(Location("head ▸ Sigmoid", ("/home/ann/proj/net.py", 88), "head"))
    assert text(found) == (
        "warning[ACT004] sigmoid-hidden: a sigmoid\n"
        "  --> proj/net.py:88 (not below this folder)   m.onnx ▸ head ▸ Sigmoid\n"
        "   = graph: Gemm → Sigmoid → Gemm   float32[N, 8]\n"
        "   = evidence: slope 0.25; loss mse_loss (from --loss)\n"
        "   = why: why\n"
        "   = help: use ReLU\n"
        "   = docs: netlint rule ACT004\n"
    )


def test_of_many_further_places_the_first_are_shown() -> None:
    places = tuple(("a layer of the stack", Location(f"layers.{at}")) for at in range(200))
    found = reported(Location("head"))
    shown = text(dataclasses.replace(found, finding=dataclasses.replace(found.finding, related=places)))
    assert "see: a layer of the stack (layers.5)\n   = see: 194 more" in shown and "layers.6" not in shown


def test_source_line_is_shown_where_the_file_is_at_hand(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import torch\n    y = self.fc(x)\n")
    shown = text(reported(Location("head", ("C:\\work\\net.py", 2), "head")), root=tmp_path)
    assert "  --> net.py:2   m.onnx ▸ head\n   |\n 2 |     y = self.fc(x)\n   |     ^^^^^^^^^^^^^^\n" in shown


def test_a_recorded_path_cannot_lead_out_of_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("secret\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    assert "secret\n" not in text(reported(Location("head", ("/x/../secret.py", 1))), root=inside)


def test_equal_findings_in_numbered_blocks_are_folded_and_none_is_lost() -> None:
    blocks = [reported(Location(f"layers.{i} ▸ Sigmoid", None, f"layers.{i}.ff")) for i in (0, 1, 2, 3, 7)]
    shown = text(*blocks, verbose=0)
    assert shown.count("warning[ACT004]") == 1
    assert "same in: layers.1–3,7.ff" in shown
    assert "1 model checked: 5 warnings" in shown


def test_findings_that_differ_in_more_than_numbers_are_not_folded() -> None:
    head, body = reported(Location("a", None, "head")), reported(Location("b", None, "body"))
    assert text(head, body).count("warning[ACT004]") == 2
    assert text(head, reported(Location("a", None, "head"), "another")).count("warning[ACT004]") == 2


def test_names_cannot_command_the_terminal() -> None:
    evil = reported(Location("x\x1b[2J\r\n\u202eevil ▸ Sigmoid"), message="\x1b]0;title\x07")
    shown = text(evil)
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert "\u202e" not in shown
    assert "x\\x1b[2J\\r\\n" in shown


def test_endless_names_are_cut() -> None:
    assert len(clean("a" * 10_000)) < 500


def test_what_is_not_analysed_is_named_with_its_place() -> None:
    cut = Cut("my::Warp", Location("body ▸ Warp"), 2, 12)
    report = Report("m.onnx", (), (), (), {}, (), {"my::Warp": 3, "my::Last": 1}, cuts=(cut,))
    shown = render(Run((report,), Sources(Path("/nonexistent"))))
    assert "not analysed behind my::Warp at body ▸ Warp and 2 more (12 nodes)\n" in shown
    assert "not understood: 1 node with unknown operators: my::Last\n" in shown
