"""The pages of the rules that found something."""

from __future__ import annotations

from typing import Any

from netlint.report import Run
from netlint.report.html.markup import tag, text
from netlint.report.order import rules_of, silenced, worst_first
from netlint.rule import RuleInfo


def rule_pages(run: Run) -> str:
    """Each page of a rule with a finding, folded away."""
    rules = rules_of([*worst_first(run), *silenced(run)], run.reports)
    if not rules:
        return ""
    markdown = _markdown()
    body = "\n".join(_page(rule, markdown) for rule in rules)
    return f'<section id="rules">\n<h2>Rules</h2>\n{body}\n</section>'


def _page(rule: RuleInfo, markdown: Any) -> str:
    levels = "/".join(str(level) for level in rule.levels)
    head = text("summary", f"{rule.code} {rule.name}: {rule.summary} ({levels}, since {rule.since}, {rule.status})")
    return tag("details", head + tag("div", markdown.render(rule.page.strip()), class_="page"), id=f"rule-{rule.code}")


def _markdown() -> Any:
    """Markdown without raw HTML and without images, its headings below those of this page."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")

    def lower(state: Any) -> None:
        for token in state.tokens:
            if token.type in ("heading_open", "heading_close"):
                token.tag = f"h{min(6, int(token.tag[1]) + 1)}"

    markdown.core.ruler.push("lower_headings", lower)
    return markdown
