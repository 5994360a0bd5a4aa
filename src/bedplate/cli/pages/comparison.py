"""Renders a comparison of two versions as one HTML file: metrics, charts of the differences, and their inputs."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from bedplate.cli.pages import charts
from bedplate.cli.pages.templates import render_template

if TYPE_CHECKING:
    from bedplate.workflows.versions.compare import VersionComparison

TONES = {"better": "good", "worse": "bad", "cannot tell": "warn"}


def render(comparison: VersionComparison, *, stack: str, created_at: datetime) -> str:
    """Returns the page, which loads nothing from anywhere."""
    a, b = f"v{comparison.first.version}", f"v{comparison.second.version}"
    return render_template(
        "comparison.html.j2",
        comparison=comparison,
        a=a,
        b=b,
        stack=stack,
        created_at=created_at,
        charts=_draw_charts(comparison, a, b),
        number=_format_value,
        tones=TONES,
    )


def _draw_charts(comparison: VersionComparison, a: str, b: str) -> list[tuple[str, str]]:
    label = f"{b} - {a}"
    band = charts.Band(0.0, "no difference", charts.MUTED)
    titled_charts = [
        (
            f"{row.metric}: {label}",
            charts.estimates({row.metric: {label: row.difference}}, x_label=row.metric, bands=[band]),
        )
        for row in comparison.metrics
        if math.isfinite(row.difference.ci_low)
    ]
    metric = comparison.segment_metric
    for column, rows in comparison.segments.items():
        finite = {
            value: {a: row.first, b: row.second}
            for value, row in rows.items()
            if math.isfinite(row.first.ci_low) and math.isfinite(row.second.ci_low)
        }
        if finite:
            titled_charts.append((f"{metric} by {column}", charts.estimates(finite, x_label=metric)))
    return titled_charts


def _format_value(value: float) -> str:
    """
    >>> _format_value(0.12345), _format_value(float("nan"))
    ('0.1235', '')
    """
    return f"{value:.4g}" if math.isfinite(value) else ""
