"""`bedplate status`: who is live, how it does and what it costs, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bedplate.cli import options

if TYPE_CHECKING:
    from bedplate.workflows.watch.status import ModelStatus


@click.command("status")
@options.model
@options.stack
@options.as_json
def command(model: str, stack: str, as_json: bool) -> None:
    """Show who is live (the endpoint itself is asked), its traffic, alarms, verdicts, drift and money, on one screen.

    \b
    Examples:
      bedplate status flight-delay
      bedplate status flight-delay --json
    """
    from bedplate.wiring import connect
    from bedplate.workflows.watch.status import status, to_json

    platform = connect(options.project_dir(), stack)
    told = status(platform, model)
    if as_json:
        from bedplate.cli.views.render import emit_json

        emit_json(to_json(told))
        return
    click.echo(platform.label, err=True)
    _show(told)


def _show(told: ModelStatus) -> None:
    from bedplate.cli.views.render import table

    table(f"{told.model} at {told.at:%Y-%m-%d %H:%M:%S} UTC", ("", ""), [("live", _live(told)), *_rows(told)])


def _live(told: ModelStatus) -> str:
    from bedplate.domain.release import spoken

    since = f", since {told.since:%Y-%m-%d %H:%M} UTC" if told.since else ""
    if told.trouble:
        return f"nobody answers: {told.trouble}"
    asked = spoken(told.answers or "?")
    if told.pending:
        return f"{asked} answered just now; {spoken(told.live)} hands over to {spoken(told.pending)} ({told.status})"
    odd = "" if told.answers == told.live or told.rollout else f" although {spoken(told.live)} is configured"
    return f"{asked}{odd}, asked just now{since}; endpoint {told.status}"


def _rows(told: ModelStatus) -> list[tuple[str, str]]:
    from bedplate.cli.views.render import usd
    from bedplate.domain.release import spoken

    rows = []
    if told.rollout:
        rows.append(("rollout", f"{told.rollout} (bedplate rollout status {told.model})"))
    if told.open_attempt and not told.pending:
        rows.append(("unfinished", "a deploy or rollback was interrupted: run the same command again"))
    elif told.recorded_live and told.recorded_live != told.live and not told.pending:
        rows.append(
            ("unfinished", f"the ledger last heard {spoken(told.recorded_live)}: someone else moved the traffic")
        )
    if told.retires:
        rows.append(("retirement", told.retires))
    t = told.traffic
    latency = f", p50 {t.p50_ms:.1f} ms, p99 {t.p99_ms:.1f} ms" if t.p50_ms is not None and t.p99_ms is not None else ""
    failed = f", {t.failed:,.0f} failed ({t.failed_pct:.2g} %)" if t.failed_pct is not None else ""
    rows.append(("last hour", f"{t.requests:,.0f} requests{failed}{latency}"))
    raised = [a for a in told.alarms if a.state == "ALARM"]
    quiet = f"{len(told.alarms)} alarms, none raised" if told.alarms else "no alarms"
    rows.append(("alarms", "; ".join(f"ALARM {a.name}: {a.reason}" for a in raised) or quiet))
    figures = ", ".join(
        f"{k.removeprefix('metric.')} {v}" for k, v in told.evaluation.items() if k.startswith("metric.")
    )
    verdict = told.evaluation.get("verdict", "never evaluated")
    rows.append(("evaluation", f"{verdict}{f': {figures}' if figures else ''}"))
    if told.evaluation.get("forced_by"):
        rows.append(("forced", f"by {told.evaluation['forced_by']}: {told.evaluation.get('force_reason', '')}"))
    m = told.monitored
    rows.append(("drift", f"{m.summary} ({m.at:%Y-%m-%d %H:%M} UTC)" if m else "never looked at: bedplate monitor run"))
    if told.schedules or told.schedules_strayed:
        wrong = "; ".join(told.schedules_strayed)
        mend = f" (bedplate monitor schedule {told.model})" if wrong else ""
        rows.append(("schedules", f"{wrong}{mend}" if wrong else f"data-quality, {', '.join(told.schedules)}"))
    if told.budget:
        b = told.budget.budget
        forecast = f", forecast {usd(b.forecast_usd)}" if b.forecast_usd is not None else ""
        rows.append(
            ("this month", f"{usd(b.actual_usd)} of {usd(b.limit_usd)} ({told.budget.used_pct:.0f} %){forecast}")
        )
    rows.append(("rollback to", spoken(told.rollback_to) if told.rollback_to else "nothing to go back to"))
    return rows
