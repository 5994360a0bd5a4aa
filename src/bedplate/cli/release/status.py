"""`bedplate status`: show the live release, its health and its cost on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, format_usd, print_table

if TYPE_CHECKING:
    from bedplate.workflows.watch.status import ModelStatus


@click.command("status")
@options.model
@options.stack
@options.as_json
def command(model: str, stack: str, as_json: bool) -> None:
    """Show the live release of MODEL, its health and its cost on one screen.

    The endpoint itself is invoked to see which release answers. Shows traffic, alarms, evaluation, drift, schedules,
    spend of this month and the rollback target. Changes nothing.

    \b
    Examples:
      bedplate status flight-delay
      bedplate status flight-delay --json
    """
    from bedplate.workflows.watch.status import read_status, to_json

    connection = options.connect(stack)
    status = read_status(connection, model)
    if as_json:
        emit_json(to_json(status))
        return
    click.echo(connection.label, err=True)
    _print_status(status)


def _print_status(status: ModelStatus) -> None:

    rows = [("live", _format_live(status)), *_format_rows(status)]
    print_table(f"{status.model} at {status.at:%Y-%m-%d %H:%M:%S} UTC", ("", ""), rows)


def _format_live(status: ModelStatus) -> str:
    from bedplate.domain.release import display_name

    since = f", since {status.since:%Y-%m-%d %H:%M} UTC" if status.since else ""
    if status.probe_error:
        return f"no release answers: {status.probe_error}"
    responding, live = display_name(status.probed_release or "?"), display_name(status.live)
    if status.pending:
        pending = display_name(status.pending)
        return f"{responding} answered just now; {pending} is replacing {live} ({status.status})"
    is_expected = status.probed_release == status.live or status.rollout
    mismatch = "" if is_expected else f" although {live} is configured"
    return f"{responding} answered just now{mismatch}{since}; endpoint {status.status}"


def _format_rows(status: ModelStatus) -> list[tuple[str, str]]:
    from bedplate.domain.release import display_name

    rows = []
    if status.rollout:
        rows.append(("rollout", f"{status.rollout} (bedplate rollout status {status.model})"))
    if status.open_attempt and not status.pending:
        rows.append(("interrupted", "a deployment or rollback did not finish: run the same command again"))
    elif status.recorded_live and status.recorded_live != status.live and not status.pending:
        recorded = display_name(status.recorded_live)
        rows.append(
            ("not in the ledger", f"the ledger's live release is {recorded}: traffic was moved outside Bedplate")
        )
    if status.retirement:
        rows.append(("retirement", status.retirement))
    traffic = status.traffic
    has_latency = traffic.p50_ms is not None and traffic.p99_ms is not None
    latency = f", p50 {traffic.p50_ms:.1f} ms, p99 {traffic.p99_ms:.1f} ms" if has_latency else ""
    failed = f", {traffic.failed:,.0f} failed ({traffic.failed_pct:.2g} %)" if traffic.failed_pct is not None else ""
    rows.append(("last hour", f"{traffic.requests:,.0f} requests{failed}{latency}"))
    raised = [a for a in status.alarms if a.state == "ALARM"]
    no_alarm = f"{len(status.alarms)} alarms, none raised" if status.alarms else "no alarms"
    rows.append(("alarms", "; ".join(f"ALARM {a.name}: {a.reason}" for a in raised) or no_alarm))
    values = {k.removeprefix("metric."): v for k, v in status.evaluation.items() if k.startswith("metric.")}
    metrics = f": {', '.join(f'{name} {value}' for name, value in values.items())}" if values else ""
    rows.append(("evaluation", f"{status.evaluation.get('verdict', 'never evaluated')}{metrics}"))
    if status.evaluation.get("forced_by"):
        rows.append(("forced", f"by {status.evaluation['forced_by']}: {status.evaluation.get('force_reason', '')}"))
    run = status.last_monitoring
    drift = f"{run.summary} ({run.at:%Y-%m-%d %H:%M} UTC)" if run else "never checked: bedplate monitor run"
    rows.append(("drift", drift))
    if status.schedule_deviations:
        deviations = "; ".join(status.schedule_deviations)
        rows.append(("schedules", f"{deviations} (bedplate monitor schedule {status.model})"))
    elif status.schedules:
        rows.append(("schedules", f"data-quality, {', '.join(status.schedules)}"))
    if status.budget:
        budget = status.budget.budget
        spent = f"{format_usd(budget.actual_usd)} of {format_usd(budget.limit_usd)} ({status.budget.used_pct:.0f} %)"
        forecast = f", forecast {format_usd(budget.forecast_usd)}" if budget.forecast_usd is not None else ""
        rows.append(("this month", spent + forecast))
    rows.append(("rollback to", display_name(status.rollback_to) if status.rollback_to else "no earlier release"))
    return rows
