"""Renders the scorecards of a stack's models as one HTML page that loads nothing and can be printed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from bedplate.cli.pages.charts import BAD, GOOD, GRID, INK, MUTED, WARN

if TYPE_CHECKING:
    from bedplate.workflows.watch.scorecard import Scorecard

_COLORS = {"OK": GOOD, "WARN": WARN, "ALARM": BAD, "NO_DATA": MUTED}


def render(cards: Sequence[Scorecard], stack: str) -> str:
    """Returns the page: one section per model, with the state of each line in words and in colour."""
    sections = "".join(_section(card) for card in cards)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Scorecard: {escape(stack)}</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;color:{INK};max-width:980px;margin:2rem auto;padding:0 1rem}}
section{{break-inside:avoid;margin-bottom:2.5rem}}table{{border-collapse:collapse;width:100%}}
td,th{{border-bottom:1px solid {GRID};padding:.35rem .7rem;text-align:left;vertical-align:top}}
.s{{font-weight:600;white-space:nowrap}}.m{{color:{MUTED};font-size:.85rem}}</style></head>
<body><h1>Scorecard: {escape(stack)}</h1>
{sections}</body></html>
"""


def _section(card: Scorecard) -> str:
    rows = "".join(
        f"<tr><th>{escape(line.topic)}</th>{_state(line.state)}"
        f'<td>{escape(line.detail)}</td><td class="m">{escape(line.source)}</td></tr>'
        for line in card.lines
    )
    return (
        f"<section><h2>{escape(card.model)}: {escape(card.live)}</h2>"
        f'<p class="m">{card.at:%Y-%m-%d %H:%M} UTC, owner {escape(card.owner)}, risk {escape(card.risk)}</p>'
        f"<table>{rows}</table></section>"
    )


def _state(state: str) -> str:
    return f'<td class="s" style="color:{_COLORS[state]}">{state}</td>'
