"""The page for a browser: complete in itself, and deaf to what a model's names would have it do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from lxml import html as markup

from netlint.graph import Location
from netlint.report import Run
from netlint.report.html import render
from netlint.report.html.findings import MOST
from netlint.report.html.picture import picture
from netlint.reported import Box, Neighbourhood
from netlint.rule import Level
from tests.report_runs import HOSTILE, NAMES, report, reported, run, runs

VOID = {"meta", "input", "br", "path", "rect"}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this system")


@pytest.fixture(params=NAMES)
def a_run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    return runs(tmp_path)[request.param]


def page(of: Run) -> markup.HtmlElement:
    return markup.document_fromstring(render(of))


def test_every_element_is_closed_where_it_was_opened(a_run: Run) -> None:
    text = re.sub(r"<(style|script)>.*?</\1>", "", render(a_run), flags=re.DOTALL)
    stack: list[str] = []
    for closing, name, empty in re.findall(r"<(/?)([a-zA-Z][\w-]*)[^<>]*?(/?)>", text):
        if closing:
            assert stack.pop() == name
        elif name not in VOID and not empty:
            stack.append(name)
    assert stack == []


def test_the_page_loads_nothing(a_run: Run) -> None:
    tree = page(a_run)
    assert not tree.xpath("//img | //link | //iframe | //object | //embed | //base | //script[@src]")
    assert not [value for value in tree.xpath("//@src | //@href | //@action") if not value.startswith("#")]
    assert "default-src 'none'" in tree.xpath("string(//meta[@http-equiv]/@content)")
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest", render(a_run))


def test_no_name_becomes_markup(a_run: Run) -> None:
    tree = page(a_run)
    assert len(tree.xpath("//script")) == 1
    assert not [name for element in tree.iter() for name in element.attrib if name.startswith("on")]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", render(a_run))


def test_every_finding_has_its_card_with_place_evidence_and_picture(tmp_path: Path) -> None:
    (card,) = page(runs(tmp_path)["source"]).xpath("//article")
    said = " ".join(card.text_content().split())
    for part in ("error", "LOS002 double-softmax", "two softmaxes", "net.py:5", "models/m.onnx ▸ head ▸ Softmax"):
        assert part in said
    assert card.xpath("string(.//pre[@class='source']/code)") == "y = torch.softmax(x)"
    facts = [[cell.text_content() for cell in row] for row in card.xpath(".//tbody/tr")]
    assert facts[0] == ["classes", "10", "--classes"]
    (drawing,) = card.xpath(".//*[local-name() = 'svg']")
    assert drawing.get("aria-label") == (
        "Operators around Softmax: x → Gemm; Gemm → Softmax; Softmax → y; Softmax → +7 more"
    )


def test_pages_of_the_rules_that_found_something_are_rendered(tmp_path: Path) -> None:
    tree = page(runs(tmp_path)["suppressed"])
    (details,) = tree.xpath("//section[@id='rules']/details")
    assert details.get("id") == "rule-LOS002"
    assert "What it does" in details.xpath(".//h3/text()")
    assert details.xpath(".//pre/code")
    assert tree.xpath("//a[@href='#rule-LOS002']")


def test_what_was_not_judged_is_told(tmp_path: Path) -> None:
    known = runs(tmp_path)
    assert "needs a loss: --loss" in page(known["clean"]).xpath("string(//section[@id='limits'])")
    assert "the loss is meant (comment at net.py:5)" in page(known["suppressed"]).xpath(
        "string(//section[@id='suppressed'])"
    )
    assert "KeyError" in page(known["crash"]).xpath("string(//section[@id='failed'])")


def test_equal_findings_of_numbered_blocks_share_a_card() -> None:
    blocks = [reported(loc=Location(f"layers.{i} ▸ Softmax", None, f"layers.{i}"), number=i) for i in range(12)]
    (card,) = page(run(report("m.onnx", *blocks))).xpath("//article")
    assert card.get("data-count") == "12"
    assert "layers.1–11" in card.text_content()


def test_a_page_holds_so_many_cards_and_the_worst(tmp_path: Path) -> None:
    notes = [reported(level=Level.NOTE, message=f"note {'x' * number}"[:300], number=number) for number in range(200)]
    more = [report(f"m{index}.onnx", *notes) for index in range(6)]
    text = render(run(*more, report("last.onnx", reported(message="the worst"))))
    assert text.count("<article") == MOST
    assert "the worst" in text
    assert "201 more findings, none worse than these" in text


def test_arrows_pass_around_what_they_skip() -> None:
    boxes = (Box("node", "Relu", "", "", -2), Box("node", "Neg", "", "", -1), Box("flagged", "Add", "", "", 0))
    drawn = picture(Neighbourhood(boxes, ((0, 1), (1, 2), (0, 2))))
    (view,) = re.findall(r'viewBox="0 0 (\d+)', drawn)
    right = max(float(x) + float(w) for x, w in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="(\d+)"', drawn))
    (side,) = re.findall(r"M[\d.]+ [\d.]+ C([\d.]+) [\d.]+ \1 ", drawn)[-1:]
    assert right < float(side) <= float(view)


def dom(text: str, tmp_path: Path) -> markup.HtmlElement:
    """The page as a browser holds it after its script has run."""
    assert CHROMIUM is not None
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *options, "--virtual-time-budget=2000", file.as_uri()], capture_output=True, text=True, timeout=120
    )
    return markup.document_fromstring(done.stdout)


def driven(text: str, script: str) -> str:
    """The page with a script of the test's own, which its policy would not let run."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    return text.replace("</body>", f"<script>{script}</script></body>")


@in_a_browser
def test_the_pages_own_script_runs_and_no_other(tmp_path: Path) -> None:
    text = render(runs(tmp_path)["hostile"])
    injected = text.replace("</main>", "<script>document.title = 'pwned'</script><img src=x onerror=alert(1)></main>")
    tree = dom(injected, tmp_path)
    assert tree.xpath("string(//output)") == "1 finding"
    assert "hidden" not in tree.get_element_by_id("filter").attrib
    assert tree.xpath("string(//title)").startswith("netlint: ")


@in_a_browser
def test_the_filter_shows_what_is_asked_for(tmp_path: Path) -> None:
    text = render(runs(tmp_path)["many"])

    def shown(*lines: str) -> tuple[str, int]:
        script = f"""
        const form = document.getElementById("filter"), wanted = form.elements;
        {"; ".join(lines)};
        form.dispatchEvent(new Event("input", {{bubbles: true}}));
        """
        tree = dom(driven(text, script), tmp_path)
        return tree.xpath("string(//output)"), len(tree.xpath("//article[not(@hidden)]"))

    assert shown() == ("120 findings", 120)
    assert shown('form.querySelector("[value=note]").checked = false', 'wanted.target.value = "models/m7.onnx"') == (
        "2 of 120 findings",
        2,
    )
    assert shown('wanted.text.value = "M31 softmaxes"') == ("3 of 120 findings", 3)
    assert shown('wanted.text.value = "nowhere"') == ("0 of 120 findings", 0)


@in_a_browser
def test_a_link_to_a_rule_opens_its_page(tmp_path: Path) -> None:
    text = driven(render(runs(tmp_path)["source"]), "document.querySelector('a.rule').click();")
    assert dom(text, tmp_path).xpath("//details[@id='rule-LOS002']/@open") == [""]


def test_hostile_text_is_shown_as_it_is_spelled(tmp_path: Path) -> None:
    said = page(runs(tmp_path)["hostile"]).xpath("string(//article//*[@class='message'])")
    assert said.startswith("</script>\"'><img src=x onerror=alert(1)>")
    assert "\\u202egnp.exe" in said
    assert "\u202e" in HOSTILE
