"""`bedplate budgets`: show budgets, forecasts and crossed thresholds."""

from __future__ import annotations

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, format_usd, print_table
from bedplate.domain.formatting import format_count
from bedplate.errors import OverBudget


@click.command("budgets")
@click.option("--model", metavar="MODEL", help="Show only this model's budget.")
@click.option("--check", is_flag=True, help="Exit with code 8 when a budget is used up.")
@click.option("--resume", metavar="BUDGET", help="Reverse this budget's action, so that training is allowed again.")
@options.yes
@options.stack
@options.as_json
def command(model: str | None, check: bool, resume: str | None, yes: bool, stack: str, as_json: bool) -> None:
    """Show budgets, forecasts and crossed thresholds of this month.

    A budget that reached budget.stop_training_at_pct has executed its action: new training jobs are denied. --resume
    reverses the action; on the local platform the next month does so by itself.

    \b
    Examples:
      bedplate budgets
      bedplate budgets --model flight-delay --check
      bedplate budgets --resume bedplate-local-flight-delay

    \b
    Exit codes:
      0  shown
      8  a budget is used up (with --check)
    """
    from dataclasses import asdict

    from bedplate.workflows.record.costs import list_budgets, resume_budget

    connection = options.connect(stack)
    if resume:
        options.confirm(f"Allow training although {resume} is used up?", assume_yes=yes, as_json=as_json)
        count = resume_budget(connection, resume)
        click.echo(f"{resume}: {format_count(count, 'action')} reversed", err=True)
    budgets = list_budgets(connection, model)
    if as_json:
        derived = ((s, {"used_pct": s.used_pct, "crossed_thresholds": s.crossed_thresholds}) for s in budgets)
        emit_json([{"scope": s.scope, **asdict(s.budget), **values} for s, values in derived])
    elif not budgets:
        click.echo("There are no budgets in this stack. Next: bedplate up")
    else:
        rows = [
            (
                s.scope,
                format_usd(s.budget.limit_usd),
                format_usd(s.budget.actual_usd),
                f"{s.used_pct:.0f} %",
                "-" if s.budget.forecast_usd is None else format_usd(s.budget.forecast_usd),
                ", ".join(f"{kind.lower()} {pct:g} %" for kind, pct in s.crossed_thresholds) or "none",
                "stopped" if s.budget.blocks_training else "allowed",
            )
            for s in budgets
        ]
        columns = ("budget", "limit", "spent", "used", "forecast", "thresholds crossed", "training")
        print_table("This month", columns, rows, right_aligned=("limit", "spent", "used", "forecast"))
    over = [s for s in budgets if s.is_over]
    if check and over:
        amounts = (f"{s.scope} {format_usd(s.budget.actual_usd)} of {format_usd(s.budget.limit_usd)}" for s in over)
        raise OverBudget(f"Used up: {', '.join(amounts)}", next_step=f"bedplate costs --stack {stack}")
