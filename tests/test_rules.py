"""Every example in every rule's page does what the page says."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from netlint import onnxlib
from netlint.examples import Example, examples, run, runnable
from netlint.frontends.onnx import onnx_text
from netlint.registry import load_rules
from netlint.rule import Rule

RULES = list(load_rules().values())
CASES = [
    pytest.param(rule, example, id=f"{rule.name}-{index}")
    for rule in RULES
    for index, example in enumerate(examples(rule))
]


@pytest.mark.parametrize(("rule", "example"), CASES)
def test_example(rule: Rule, example: Example) -> None:
    if not runnable(example):
        pytest.skip("torch is not installed")
    assert run(rule, example) == []


@pytest.mark.parametrize(("rule", "example"), [case for case in CASES if case.values[1].language == "onnx"])
def test_example_is_a_valid_model(rule: Rule, example: Example) -> None:
    serialized = onnx_text(example.text).SerializeToString()
    about_validity = rule.code in ("GRA001", "SEC001", "SEC004") and example.wants
    with pytest.raises(Exception, match=r"\S") if about_validity else nullcontext():
        onnxlib.core().checker.check_model(serialized, False, False, False)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_page_has_bad_good_and_spared_examples(rule: Rule) -> None:
    found = examples(rule)
    assert len(found) >= 3
    assert any(example.wants for example in found if example.section == "Example")
    assert not any(example.wants for example in found if example.section == "Use instead")
    assert any(not example.wants for example in found if example.section not in ("Example", "Use instead"))
