"""JUnit XML, which nearly every CI server shows: a suite for each target, a case for each finding."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from netlint.report import Failure, Run
from netlint.report.places import place
from netlint.report.wording import clean, evidence, plural
from netlint.reported import Report, Reported

_COUNTED = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error"}


def render(run: Run) -> str:
    """Findings that fail the run are failures, the others pass with a text; what was not judged is skipped."""
    root = Element("testsuites", name="netlint")
    for result in run.results:
        suite = SubElement(root, "testsuite", name=clean(result.target))
        if isinstance(result, Failure):
            _failure(suite, result)
        else:
            _report(suite, result, run)
        _count(suite, skipped="testcase/skipped")
    _count(root)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _failure(suite: Element, failure: Failure) -> None:
    case = _case(suite, failure.target, "can be analysed")
    why = clean("; ".join(str(failure.error).splitlines()))
    SubElement(case, "error", type="not-analysed", message=why).text = clean(failure.error.help)


def _report(suite: Element, report: Report, run: Run) -> None:
    for found in report.findings:
        case = _finding(suite, report.target, found, run)
        said = _said(found)
        if found.level >= run.fail_on:
            message = f"{found.level} {found.rule.code}: {clean(found.finding.message)}"
            SubElement(case, "failure", type=found.rule.name, message=message).text = said
        else:
            SubElement(case, "system-out").text = f"{found.level} {found.rule.code}: {said}"
    for entry in report.suppressed:
        case = _finding(suite, report.target, entry.found, run)
        SubElement(case, "skipped", message=clean(f"suppressed by {entry.origin}: {entry.reason}".rstrip(": ")))
    for crash in report.crashed:
        case = _case(suite, report.target, crash.rule.name)
        SubElement(case, "error", type="crash", message=clean(repr(crash.error))).text = clean(crash.where)
    reasons: dict[str, list[str]] = {}
    for skip in report.skipped:
        reasons.setdefault(skip.why, []).append(skip.rule.name)
    for why, names in reasons.items():
        case = _case(suite, report.target, f"{plural(len(names), 'rule')} not judged")
        SubElement(case, "skipped", message=clean(f"{', '.join(names)}: {why}"))
    if not report.findings and not report.crashed:
        _case(suite, report.target, "no findings")


def _finding(suite: Element, target: str, found: Reported, run: Run) -> Element:
    case = _case(suite, target, f"{found.rule.name} at {found.loc.path}")
    at = place(found.loc, target, run.sources)
    case.set("file", clean(at.file))
    case.set("line", str(at.line))
    return case


def _case(suite: Element, target: str, name: str) -> Element:
    return SubElement(suite, "testcase", classname=clean(target), name=clean(name))


def _said(found: Reported) -> str:
    finding = found.finding
    lines = [finding.message, found.context, *(f"evidence: {evidence(fact)}" for fact in finding.evidence)]
    lines += [f"why: {finding.why}"] if finding.why else []
    lines += [f"help: {finding.help}"] if finding.help else []
    return "\n".join(clean(line) for line in lines if line)


def _count(element: Element, **more: str) -> None:
    for name, path in {**_COUNTED, **more}.items():
        element.set(name, str(len(element.findall(path if element.tag == "testsuite" else f"testsuite/{path}"))))
