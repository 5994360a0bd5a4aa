"""`bedplate scorecard`: summarize a model for auditors and finance on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_table, warn

if TYPE_CHECKING:
    from bedplate.workflows.watch.scorecard import Scorecard

_OVERVIEW_TOPICS = (
    "approved by", "age", "drift", "performance on labels", "service", "spend this month", "open alerts",
)  # fmt: skip


@click.command()
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write the page to this file.")
@options.stack
@options.as_json
def command(model: str | None, html: Path | None, stack: str, as_json: bool) -> None:
    """Summarize MODEL, or every model, for auditors and finance: live release, approval, health, performance, cost.

    Each line has a state (OK, WARN, ALARM; NO_DATA, which is never OK, where nothing is known) and the source where it
    can be checked. Changes nothing. `status` is the view for daily work, `report` has the charts.

    \b
    Examples:
      bedplate scorecard
      bedplate scorecard flight-delay --html scorecard.html
    """
    from bedplate.workflows.watch.scorecard import build_scorecard

    connection = options.connect(stack)
    cards = [build_scorecard(connection, name) for name in ([model] if model else connection.outputs.models)]
    if html:
        from bedplate.cli.pages.scorecard import render

        html.write_text(render(cards, stack), encoding="utf-8")
        warn(f"Written: {html}")
    if as_json:
        documents = [_card_to_dict(card) for card in cards]
        emit_json(documents[0] if model else documents)
    elif model:
        _print_card(cards[0])
    else:
        _print_overview(cards)


def _print_card(card: Scorecard) -> None:
    console().print(f"[bold]{card.model}[/bold]  {card.live}  owner {card.owner}, risk {card.risk}")
    print_table(
        f"{card.at:%Y-%m-%d %H:%M} UTC",
        ("", "State", "", "Source"),
        [(line.topic, line.state, line.detail, line.source) for line in card.lines],
    )


def _print_overview(cards: list[Scorecard]) -> None:
    rows = [(c.model, c.state, c.live, *(c.line_of(topic).detail for topic in _OVERVIEW_TOPICS)) for c in cards]
    print_table(None, ("Model", "State", "Live", *(topic.capitalize() for topic in _OVERVIEW_TOPICS)), rows)


def _card_to_dict(card: Scorecard) -> dict[str, Any]:
    return {
        "model": card.model,
        "at": card.at,
        "owner": card.owner,
        "risk": card.risk,
        "live": card.live,
        "state": card.state,
        "lines": list(card.lines),
    }
