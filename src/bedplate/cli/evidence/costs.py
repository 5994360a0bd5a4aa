"""`bedplate costs`: what was spent, by model, stage or owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bedplate.cli import options

if TYPE_CHECKING:
    from bedplate.workflows.record.costs import Bill

BAR = 30


@click.command("costs")
@click.option("--model", metavar="MODEL", help="Only this model's.")
@click.option("--by", type=click.Choice(["model", "stage", "owner"]), help="Default: model, or stage with --model.")
@click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True, help="Up to and with today.")
@options.stack
@options.as_json
def command(
    model: str | None, by: Literal["model", "stage", "owner"] | None, days: int, stack: str, as_json: bool
) -> None:
    """Show what was spent, by model, by stage of its life (training, processing, serving, storage) or by owner.

    The figures are Cost Explorer's, by cost-allocation tag: on AWS up to a day old, locally priced as things run.

    \b
    Examples:
      bedplate costs
      bedplate costs --model flight-delay --days 7
      bedplate costs --by owner --json
    """
    from bedplate.wiring import connect
    from bedplate.workflows.record.costs import bill

    told = bill(connect(options.project_dir(), stack), by=by or ("stage" if model else "model"), days=days, model=model)
    if as_json:
        from bedplate.cli.views.render import emit_json

        emit_json(
            {
                "from": told.start.date().isoformat(),
                "to": told.end.date().isoformat(),
                "by": told.by,
                "total_usd": told.spending.total_usd,
                "shares": told.spending.shares,
                "days": [{"day": day.isoformat(), "usd": usd} for day, usd in told.spending.days],
                "models": told.use,
            }
        )
        return
    _show(told, days)


def _show(told: Bill, days: int) -> None:
    from bedplate.cli.views.render import table, usd

    if not told.spending.shares:
        click.echo(f"Nothing was spent in the last {days} days.")
        return
    rows = [(s.group, usd(s.usd), f"{s.pct:.0f} %", "█" * round(BAR * s.pct / 100)) for s in told.spending.shares]
    rows.append(("total", usd(told.spending.total_usd), "", ""))
    table(
        f"Spent from {told.start:%Y-%m-%d} to {told.end:%Y-%m-%d}",
        (told.by, "spent", "share", ""),
        rows,
        right=("spent", "share"),
    )
    for use in told.use:
        if use.usd_per_thousand is not None:
            click.echo(f"{use.model}: {usd(use.usd_per_thousand)} for 1,000 predictions ({use.predictions:,.0f} made)")
        else:
            click.echo(f"{use.model}: no predictions in this time")
