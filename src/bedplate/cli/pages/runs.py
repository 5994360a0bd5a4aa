"""Renders a comparison of training runs as HTML: one bar chart per metric, and the parameters that differ."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from bedplate.cli.pages.charts import GOOD, GRID, INK, MUTED, PALETTE
from bedplate.domain.versions.runs import find_best_index, is_higher_better

if TYPE_CHECKING:
    from bedplate.workflows.training.runs import RunComparison

# In units of the SVG's viewBox. A chart has the labels at the left, the bars, and space for the values at the right.
WIDTH, BAR_HEIGHT, GAP, LABEL_WIDTH, VALUE_WIDTH = 640, 18, 8, 150, 90


def render(model: str, comparison: RunComparison, metrics: Sequence[str] = ()) -> str:
    """Returns a self-contained HTML document with charts of `metrics`, or of every metric that differs.

    A run that produced a version is labelled with its name (`churn:3`), any other with the start of its id.
    """
    labels = [run.name if run.tags.get("version") else run.id[:8] for run in comparison.runs]
    rows = [row for row in comparison.metrics if (row.name in metrics if metrics else row.is_different)]
    metric_values = [(row.name, [v if isinstance(v, float) else None for v in row.values]) for row in rows]
    charts = "".join(f"<h2>{escape(name)}</h2>{draw_bars(name, labels, values)}" for name, values in metric_values)
    params = "".join(
        f"<tr><th>{escape(row.name)}</th>{''.join(f'<td>{escape(str(v))}</td>' for v in row.values)}</tr>"
        for row in comparison.params
        if row.is_different
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in labels)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(model)}: runs compared</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;color:{INK};max-width:860px;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}th,td{{border-bottom:1px solid {GRID};padding:.25rem .8rem;text-align:right}}
th:first-child{{text-align:left}}h2{{font-size:1rem;margin:1.5rem 0 .3rem}}</style></head>
<body><h1>{escape(model)}: {len(labels)} runs compared</h1>
<table><tr><th>parameter</th>{head}</tr>{params}</table>
{charts or "<p>The runs differ in no metric.</p>"}</body></html>
"""


def draw_bars(metric: str, labels: Sequence[str], values: Sequence[float | None]) -> str:
    """Returns an SVG chart with one horizontal bar per run, from 0; the best one is green and has the word `best`."""
    numbers = [value for value in values if value is not None]
    low, high = min([0.0, *numbers]), max([0.0, *numbers]) or 1.0  # 1.0 avoids a range of 0
    best_index = find_best_index(metric, values)
    height = len(labels) * (BAR_HEIGHT + GAP)
    span = WIDTH - LABEL_WIDTH - VALUE_WIDTH
    shapes = []
    for index, (name, value) in enumerate(zip(labels, values, strict=True)):
        y = index * (BAR_HEIGHT + GAP)
        label = f'<text x="{LABEL_WIDTH - 8}" y="{y + 13}" text-anchor="end" fill="{INK}">{escape(name)}</text>'
        if value is None:
            shapes.append(f'{label}<text x="{LABEL_WIDTH}" y="{y + 13}" fill="{MUTED}">no value</text>')
            continue
        start = LABEL_WIDTH + span * (min(0.0, value) - low) / (high - low)
        width = max(1.0, span * abs(value) / (high - low))
        color, suffix = (GOOD, " best") if index == best_index else (PALETTE[0], "")
        bar = f'<rect x="{start:.1f}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{color}"/>'
        value_text = f'<text x="{start + width + 6:.1f}" y="{y + 13}" fill="{INK}">{value:.5g}{suffix}</text>'
        shapes.append(label + bar + value_text)
    description = escape(f"{metric}, {'higher' if is_higher_better(metric) else 'lower'} is better")
    return (
        f'<svg role="img" aria-label="{description}" viewBox="0 0 {WIDTH} {height}" width="100%" font-size="12">'
        f"{''.join(shapes)}</svg>"
    )
