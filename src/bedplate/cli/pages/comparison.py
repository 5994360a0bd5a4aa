"""A comparison of two versions as one HTML file: figures, charts of the differences, and what they were made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bedplate.cli.pages import charts

if TYPE_CHECKING:
    from bedplate.domain.evidence.metrics import Estimate
    from bedplate.domain.versions.comparison import MetricRow
    from bedplate.workflows.versions.compare import VersionComparison

TONES = {"better": "good", "worse": "bad", "cannot tell": "warn"}


def render(found: VersionComparison, *, stack: str, made_at: datetime) -> str:
    """The page; it loads nothing from anywhere."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(
        (Path(__file__).parent / "comparison.html.j2").read_text(encoding="utf-8")
    )
    a, b = f"v{found.first.version}", f"v{found.second.version}"
    drawn = [(title, Markup(svg)) for title, svg in _charts(found, a, b)]
    return template.render(c=found, a=a, b=b, stack=stack, made_at=made_at, charts=drawn, number=_number, tones=TONES)


def _charts(found: VersionComparison, a: str, b: str) -> list[tuple[str, str]]:
    drawn = [
        (
            f"{f.metric}: {b} - {a}",
            charts.estimates({f.metric: {f"{b} - {a}": f.difference}}, x_label=f.metric, bands=[_nought()]),
        )
        for f in found.figures
        if math.isfinite(f.difference.low)
    ]
    for column, values in found.segments.items():
        known = {v: f for v, f in values.items() if math.isfinite(f.first.low) and math.isfinite(f.second.low)}
        if known:
            drawn.append((f"{found.metric} by {column}", charts.estimates(_both(known, a, b), x_label=found.metric)))
    return drawn


def _both(values: Mapping[str, MetricRow], a: str, b: str) -> dict[str, dict[str, Estimate]]:
    return {value: {a: f.first, b: f.second} for value, f in values.items()}


def _nought() -> charts.Band:
    return charts.Band(0.0, "no difference", charts.MUTED)


def _number(value: float) -> str:
    """
    >>> _number(0.12345), _number(float("nan"))
    ('0.1235', '')
    """
    return f"{value:.4g}" if math.isfinite(value) else ""
