"""The charts of a run, in the page for a browser, and its numbers in the JSON report."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import html as markup

from netlint.probe.observed import Setup, WeightSeen
from netlint.probe.summary import Curve, Row, Summary
from netlint.report import Run
from netlint.report.html import render
from netlint.report.json import render as render_json
from netlint.sources import Sources
from tests.report_runs import report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def run(probe: Summary) -> Run:
    return Run((replace(report("m.onnx"), probe=probe),), Sources(Path.cwd()))


def row(place: int, std: float, grad: float | None) -> Row:
    return Row(f"v{place}", f"layer.{place} ▸ relu", "Relu", "float32[2]", 0.0, std, -1.0, 1.0, 0.25, 0, None, grad)


def summary() -> Summary:
    setup = Setup("cpu", "torch", "synthetic, 16 samples in [0, 1]", 16, 0, loss="mse_loss <b>", notes=("a note",))
    rows = (row(0, 1.0, 1e-9), row(1, 0.1, 1e-6), row(2, float("inf"), None), row(3, 0.01, 1e-2))
    curve = Curve((2.0, 0.5, 0.001), (0.01, 0.01, 0.01), "Adam")
    return Summary(setup, loss=2.0, rows=rows, weights=(WeightSeen("w", 1.0, None),), overfit=curve)


def test_layers_are_drawn_in_order_of_depth() -> None:
    tree = markup.document_fromstring(render(run(summary())))
    (section,) = tree.xpath("//section[@id='probe']")
    said = " ".join(section.text_content().split())
    assert "synthetic, 16 samples in [0, 1], seed 0, on cpu with torch; loss: mse_loss <b>, 2 at first; a note" in said
    spread, shares, losses = section.xpath(".//figure")
    places = [float(dot.get("cx")) for dot in spread.xpath(".//*[@class='line-0']/circle")]
    assert len(places) == 3 and places == sorted(places)  # what is infinite is left out, and breaks the line
    heights = [float(dot.get("cy")) for dot in spread.xpath(".//*[@class='line-1']/circle")]
    assert len(heights) == 3 and heights == sorted(heights, reverse=True)  # gradients grow towards the head
    assert spread.xpath("string(.//*[@class='line-0']/path/@d)").count("M") == 2
    assert shares.xpath("count(.//*[@class='line-0']/circle)") == 4
    assert "layer.0 ▸ relu (Relu): zeros 0.25" in shares.text_content()
    assert "One batch learnt by heart: loss by step, Adam at 0.01" in losses.text_content()


def test_where_nothing_was_run_the_reason_is_told() -> None:
    tree = markup.document_fromstring(render(run(Summary(None, "memory runs out with 1 sample"))))
    assert "not run: memory runs out with 1 sample" in tree.xpath("string(//section[@id='probe'])")
    assert not markup.document_fromstring(render(Run((report("m.onnx"),), Sources(Path.cwd())))).xpath(
        "//*[@id='probe']"
    )


def test_the_numbers_are_in_the_json_report() -> None:
    (target,) = json.loads(render_json(run(summary())))["targets"]
    seen = target["probe"]
    assert [value["std"] for value in seen["values"]] == [1.0, 0.1, "inf", 0.01]
    assert seen["overfit"]["losses"] == [2.0, 0.5, 0.001]
    assert seen["setup"]["device"] == "cpu"
    assert json.loads(render_json(Run((report("m.onnx"),), Sources(Path.cwd()))))["targets"][0]["probe"] is None


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this system")
def test_a_browser_draws_the_charts(tmp_path: Path) -> None:
    assert CHROMIUM is not None
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(render(run(summary())), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    for wanted in ("--dump-dom", f"--screenshot={picture}"):
        done = subprocess.run(
            [CHROMIUM, *options, "--window-size=1100,1200", wanted, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        if wanted == "--dump-dom":
            tree = markup.document_fromstring(done.stdout)
            assert len(tree.xpath("//section[@id='probe']//figure")) == 3
    assert picture.stat().st_size > 10_000
