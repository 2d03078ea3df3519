
"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const cards = [...document.querySelectorAll("article.finding")].map((card) => ({
    card, text: card.textContent.toLowerCase(), count: Number(card.dataset.count),
  }));
  const output = form.querySelector("output");
  const nothing = document.getElementById("nothing");
  const total = cards.reduce((sum, { count }) => sum + count, 0);

  const show = () => {
    const wanted = form.elements;
    const levels = new Set([...form.querySelectorAll("[name=level]:checked")].map((box) => box.value));
    const words = wanted.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { card, text, count } of cards) {
      const { level, rule, target } = card.dataset;
      const passes = levels.has(level) && words.every((word) => text.includes(word))
        && (!wanted.rule.value || wanted.rule.value === rule)
        && (!wanted.target.value || wanted.target.value === target);
      card.hidden = !passes;
      if (passes) shown += count;
    }
    nothing.hidden = shown > 0;
    output.textContent = `${shown === total ? "" : `${shown} of `}${total} finding${total === 1 ? "" : "s"}`;
  };

  const openTarget = () => {
    const name = decodeURIComponent(location.hash.slice(1));
    const details = name && document.getElementById(name);
    if (details instanceof HTMLDetailsElement) details.open = true;
  };

  form.hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(show));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      form.elements.text.focus();
    }
  });
  addEventListener("hashchange", openTarget);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((entry) => { entry.open = true; }));
  openTarget();
  show();
})();
