"""`bedplate budgets`: budgets, forecasts and thresholds crossed."""

from __future__ import annotations

import click

from bedplate.cli import options


@click.command("budgets")
@click.option("--model", metavar="MODEL", help="Only this model's.")
@click.option("--check", is_flag=True, help="Exit 8 when a budget is used up.")
@click.option("--resume", metavar="BUDGET", help="Let trainings go on that this budget's action has stopped.")
@options.yes
@options.stack
@options.as_json
def command(model: str | None, check: bool, resume: str | None, yes: bool, stack: str, as_json: bool) -> None:
    """Show every budget of the stack: limit, spent so far, forecast for the month, and the thresholds crossed.

    A budget that reached its stop (budget.stop_training_at_pct) has denied new trainings; they go on by themselves next
    month on the local platform, and with --resume at once anywhere.

    \b
    Examples:
      bedplate budgets
      bedplate budgets --model flight-delay --check
      bedplate budgets --resume bedplate-local-flight-delay

    Exit codes: 0, or with --check 8 when a budget is used up.
    """
    from bedplate.cli.views.render import emit_json, table, usd
    from bedplate.errors import OverBudget
    from bedplate.wiring import connect
    from bedplate.workflows.record.costs import budgets
    from bedplate.workflows.record.costs import resume as resume_budget

    at = connect(options.project_dir(), stack)
    if resume:
        options.confirm(f"Let trainings go on although {resume} is used up?", assume_yes=yes, as_json=as_json)
        undone = resume_budget(at, resume)
        click.echo(f"{resume}: {undone} action{'s' if undone != 1 else ''} undone", err=True)
    standing = budgets(at, model)
    if as_json:
        emit_json([{"of": s.of, **_plain(s.budget), "used_pct": s.used_pct, "crossed": s.crossed} for s in standing])
    elif not standing:
        click.echo("There are no budgets in this stack. Next: bedplate up")
    else:
        rows = [
            (
                s.of,
                usd(s.budget.limit_usd),
                usd(s.budget.actual_usd),
                f"{s.used_pct:.0f} %",
                "-" if s.budget.forecast_usd is None else usd(s.budget.forecast_usd),
                ", ".join(f"{kind.lower()} {pct:g} %" for kind, pct in s.crossed) or "none",
                "stopped" if s.budget.stopped else "allowed",
            )
            for s in standing
        ]
        columns = ("budget", "limit", "spent", "used", "forecast", "thresholds crossed", "trainings")
        table("This month", columns, rows, right=("limit", "spent", "used", "forecast"))
    over = [s for s in standing if s.over]
    if check and over:
        told = ", ".join(f"{s.of} {usd(s.budget.actual_usd)} of {usd(s.budget.limit_usd)}" for s in over)
        raise OverBudget(f"Used up: {told}", next_step=f"bedplate costs --stack {stack}")


def _plain(budget: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(budget)  # type: ignore[call-overload, no-any-return]
