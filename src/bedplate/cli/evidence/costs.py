"""`bedplate costs`: show spend by model, stage or owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, format_usd, print_table

if TYPE_CHECKING:
    from bedplate.workflows.record.costs import Bill

BAR_WIDTH = 30


@click.command("costs")
@click.option("--model", metavar="MODEL", help="Show only this model's spend.")
@click.option(
    "--by", "group_by", type=click.Choice(["model", "stage", "owner"]), help="Default: model; with --model stage."
)
@click.option(
    "--days", type=click.IntRange(1, 365), default=30, show_default=True, help="Number of days, including today."
)
@options.stack
@options.as_json
def command(model: str | None, group_by: Any, days: int, stack: str, as_json: bool) -> None:
    """Show spend by model, by stage (training, processing, serving, storage) or by owner.

    The amounts are Cost Explorer's, by cost-allocation tag. On AWS they are up to a day old; the local platform prices
    jobs and endpoints while they run.

    \b
    Examples:
      bedplate costs
      bedplate costs --model flight-delay --days 7
      bedplate costs --by owner --json
    """
    from bedplate.workflows.record.costs import read_bill

    group_by = group_by or ("stage" if model else "model")
    bill = read_bill(options.connect(stack), group_by=group_by, days=days, model=model)
    if as_json:
        emit_json(
            {
                "from": bill.start.date().isoformat(),
                "to": bill.end.date().isoformat(),
                "group_by": bill.group_by,
                "total_usd": bill.spending.total_usd,
                "shares": bill.spending.shares,
                "days": [{"day": day.isoformat(), "usd": usd} for day, usd in bill.spending.days],
                "models": bill.usage,
            }
        )
        return
    _print_bill(bill, days)


def _print_bill(bill: Bill, days: int) -> None:

    if not bill.spending.shares:
        click.echo(f"Nothing was spent in the last {days} days.")
        return
    rows = [
        (s.group, format_usd(s.usd), f"{s.pct:.0f} %", "█" * round(BAR_WIDTH * s.pct / 100))
        for s in bill.spending.shares
    ]
    rows.append(("total", format_usd(bill.spending.total_usd), "", ""))
    title = f"Spend from {bill.start:%Y-%m-%d} to {bill.end:%Y-%m-%d}"
    print_table(title, (bill.group_by, "spent", "share", ""), rows, right_aligned=("spent", "share"))
    for usage in bill.usage:
        if usage.usd_per_thousand is None:
            click.echo(f"{usage.model}: no predictions in this time")
        else:
            usd = format_usd(usage.usd_per_thousand)
            click.echo(f"{usage.model}: {usd} per 1,000 predictions ({usage.predictions:,.0f} predictions)")
