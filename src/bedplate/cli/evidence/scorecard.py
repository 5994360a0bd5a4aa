"""`bedplate scorecard`: one page about a model for auditors and finance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, remark, table

if TYPE_CHECKING:
    from bedplate.workflows.watch.scorecard import Scorecard

_SHOWN = ("approved by", "age", "drift", "performance on labels", "service", "spend this month", "open alerts")


@click.command()
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the page to a file.")
@options.stack
@options.as_json
def command(model: str | None, html: Path | None, stack: str, as_json: bool) -> None:
    """Say of MODEL, or of every model, what is live since when and by whom, how it does, and what it costs.

    Each line has a state (OK, WARN, ALARM, or NO_DATA where nothing is known: that is never OK) and the source to check
    it by. Nothing is changed. For the day-to-day view see `status`, for charts `report`.

    \b
    Examples:
      bedplate scorecard
      bedplate scorecard flight-delay --html scorecard.html
    """
    from bedplate.wiring import connect
    from bedplate.workflows.watch.scorecard import scorecard

    at = connect(options.project_dir(), stack)
    cards = [scorecard(at, name) for name in ([model] if model else at.outputs.models)]
    if html:
        from bedplate.cli.pages.scorecard import render

        html.write_text(render(cards, stack), encoding="utf-8")
        remark(f"Written: {html}")
    if as_json:
        told = [_json(card) for card in cards]
        emit_json(told[0] if model else told)
    elif model:
        _show(cards[0])
    else:
        _overview(cards)


def _show(card: Scorecard) -> None:
    out().print(f"[bold]{card.model}[/bold]  {card.live}  owner {card.owner}, risk {card.risk}")
    table(
        f"{card.at:%Y-%m-%d %H:%M} UTC",
        ("", "State", "", "Source"),
        [(line.question, line.state, line.answer, line.source) for line in card.lines],
    )


def _overview(cards: list[Scorecard]) -> None:
    rows = [(c.model, c.state, c.live, *(c.answer(question).answer for question in _SHOWN)) for c in cards]
    table(None, ("Model", "State", "Live", *(question.capitalize() for question in _SHOWN)), rows)


def _json(card: Scorecard) -> dict[str, Any]:
    return {
        "model": card.model,
        "at": card.at,
        "owner": card.owner,
        "risk": card.risk,
        "live": card.live,
        "state": card.state,
        "lines": list(card.lines),
    }
