"""`bedplate monitor`: check captured requests for drift and quality."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, print_table
from bedplate.domain.formatting import format_number
from bedplate.domain.names import SCHEDULE_KINDS
from bedplate.errors import GateFailed, NotEnoughData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bedplate.domain.drift import DriftReport
    from bedplate.domain.drift.report import DriftWindow
    from bedplate.domain.evidence.live_quality import LiveReport
    from bedplate.workflows.watch.schedules import ScheduleChange

BAR_WIDTH = 20
DATA_QUALITY = "data-quality"
_EXIT_CODES = {
    "DRIFT": GateFailed.exit_code, "VIOLATION": GateFailed.exit_code, "NO_DATA": NotEnoughData.exit_code,
}  # fmt: skip
_VERDICTS = {"PASS": "inside", "FAIL": "OUTSIDE", "NO_DATA": "NO_DATA", "MEASURED": ""}


@click.group("monitor")
def command() -> None:
    """Check captured requests for drift and quality: inputs, predictions, and predictions compared with labels."""


@command.command("run")
@options.model
@click.option("--from", "start", metavar="TIME", help="ISO 8601 or '2 hours ago'; default: one window before --to.")
@click.option("--to", "end", metavar="TIME", help="Default: now.")
@options.stack
@options.wait
@options.as_json
def run(model: str, start: str | None, end: str | None, stack: str, wait: bool, as_json: bool) -> None:
    """Run the monitoring job now, on the captured requests and the labels of a time span.

    Uses the settings of the data-quality schedule, and writes a report as the schedule does.

    \b
    Examples:
      bedplate monitor run flight-delay
      bedplate monitor run flight-delay --from '2 hours ago'

    \b
    Exit codes:
      0  no drift
      3  drift
      6  too little data for a verdict
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.domain.timestamps import parse_time
    from bedplate.workflows.watch.monitor import run_monitor

    connection = options.connect(stack)
    now = connection.clock.now()
    first, last = (parse_time(text, now) if text else None for text in (start, end))
    reporter = progress_reporter(quiet=as_json)
    result = run_monitor(connection, model, start=first, end=last, reporter=reporter, wait=wait)
    if result.report is None:
        if as_json:
            emit_json({"job": result.job.name, "uri": result.uri})
        else:
            click.echo(f"Job {result.job.name} is running. Next: bedplate monitor report {model}")
        return
    _output_report(model, result.report, f"{result.uri}drift.json", as_json=as_json)


@command.command("report")
@options.model
@click.option(
    "--kind", type=click.Choice((DATA_QUALITY, *SCHEDULE_KINDS)), default=DATA_QUALITY, show_default=True,
    help="Kind of the schedule.",
)  # fmt: skip
@options.stack
@options.as_json
def report(model: str, kind: str, stack: str, as_json: bool) -> None:
    """Show the newest monitoring report, of a schedule or of `monitor run`.

    \b
    Examples:
      bedplate monitor report flight-delay
      bedplate monitor report flight-delay --kind bias
      bedplate report flight-delay --out report.html      the same with charts, and more, in one file

    \b
    Exit codes:
      0  no drift, and every bound holds
      3  drift, or a bound is violated
      6  too little data for a verdict
    """
    from bedplate.workflows.watch.monitor import read_latest_live_report, read_latest_report

    connection = options.connect(stack)
    if kind == DATA_QUALITY:
        uri, drift_report = read_latest_report(connection, model)
        _output_report(model, drift_report, uri, as_json=as_json)
        return
    schedule_kind = next(name for name in SCHEDULE_KINDS if name == kind)
    uri, live_report = read_latest_live_report(connection, model, schedule_kind)
    _output_live_report(live_report, uri, as_json=as_json)


@command.command("list")
@options.model
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Number of newest runs.")
@options.stack
@options.as_json
def list_(model: str, limit: int, stack: str, as_json: bool) -> None:
    """List the runs of all monitoring schedules of MODEL, newest first. NO_DATA is a run with too little data.

    \b
    Example:
      bedplate monitor list flight-delay
    """
    from dataclasses import asdict

    from bedplate.workflows.watch.monitor import list_executions

    executions = list_executions(options.connect(stack), model, limit=limit)
    if as_json:
        emit_json([{"kind": kind, **asdict(run)} for kind, run in executions])
    elif not executions:
        click.echo(f"The schedule of {model} has not run yet. Next: bedplate monitor run {model}")
    else:
        rows = [
            (f"{run.scheduled_at:%Y-%m-%d %H:%M}", kind, run.status, run.failure_reason or run.job or "")
            for kind, run in executions
        ]
        print_table(None, ("scheduled (UTC)", "kind", "status", "job, or reason of the failure"), rows)


@command.command("schedule")
@options.model
@click.argument("version", metavar="[VERSION]", required=False)
@options.dry_run
@options.stack
@options.as_json
def schedule_(model: str, version: str | None, dry_run: bool, stack: str, as_json: bool) -> None:
    """Create, update or delete monitoring schedules to match monitors.schedules in model.yaml.

    These are the schedules of model quality, bias and explainability; `bedplate up` creates the one of data quality.
    Their bounds come from the evaluation of the live version, or of VERSION. Each schedule gets an alarm.

    \b
    Examples:
      bedplate monitor schedule flight-delay --dry-run
      bedplate monitor schedule flight-delay
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.workflows.watch.schedules import apply_schedules

    number = options.parse_model_version(f"{model}:{version}")[1] if version else None
    connection = options.connect(stack)
    reporter = progress_reporter(quiet=as_json)
    changes = apply_schedules(connection, model, number, reporter, dry_run=dry_run)
    if as_json:
        emit_json(changes)
        return
    print_schedules(model, changes, is_plan=dry_run)


def print_schedules(model: str, changes: Sequence[ScheduleChange], *, is_plan: bool) -> None:
    """Prints what was changed, or with `is_plan` what would be changed."""
    if not changes:
        click.echo(f"models/{model}/model.yaml declares no schedule beside data quality (monitors.schedules)")
        return
    past = {"create": "created", "update": "updated", "none": "unchanged", "delete": "deleted"}
    descriptions = {"none": "no change"} if is_plan else past
    rows = [
        (c.kind, c.cron, f"v{c.version}" if c.version is not None else "", descriptions.get(c.change, c.change))
        for c in changes
    ]
    print_table(None, ("schedule", "runs", "bounds of", "change"), rows)


def _output_report(model: str, report: DriftReport, uri: str, *, as_json: bool) -> None:
    if as_json:
        emit_json({"uri": uri, **report.to_json()})
        raise SystemExit(_EXIT_CODES.get(report.outcome, 0))
    print_report(report)
    if report.outcome == "DRIFT":
        raise GateFailed(report.summary, next_step=f"bedplate train {model} --data FRESH.parquet")
    if report.outcome == "NO_DATA":
        raise NotEnoughData(report.summary, next_step=f"bedplate monitor run {model} --from '30 days ago'")


def _output_live_report(report: LiveReport, uri: str, *, as_json: bool) -> None:
    if as_json:
        emit_json({"uri": uri, **report.to_json()})
        raise SystemExit(_EXIT_CODES.get(report.outcome, 0))
    coverage = f"{report.labelled_rows:,} of {report.rows:,} rows labelled"
    if report.kind == "explainability":
        coverage = f"{report.explained_rows:,} of {report.rows:,} rows explained"
    rows = [
        (f.metric, f.subject, *map(_value, (f.value, f.reference, f.bound)), f"{f.n_rows:,}", _VERDICTS[f.verdict])
        for f in report.findings
    ]
    columns = ("metric", "of", "now", "evaluation", "bound", "rows", "")
    title = f"{report.kind} of {report.model} v{report.version}: {coverage}"
    print_table(title, columns, rows, right_aligned=columns[2:6])
    if report.outcome == "VIOLATION":
        raise GateFailed(report.summary, next_step=f"bedplate rollback {report.model} --dry-run")
    if report.outcome == "NO_DATA":
        raise NotEnoughData(report.summary, next_step=f"bedplate labels add {report.model} FILE")


def print_report(report: DriftReport) -> None:
    """Prints the report as tables: features by PSI, windows, performance, violated rules of the contract, alerts."""
    span = f", {report.start:%Y-%m-%d} to {report.end:%Y-%m-%d}" if report.start and report.end else ""
    assessed = {**report.features, **({"(predictions)": report.prediction} if report.prediction else {})}
    rows = [
        (name, _value(d.psi), d.verdict, _bar(d.psi, report.psi_alert), _p_value(d.p_adjusted), f"{d.n_current:,}")
        for name, d in sorted(assessed.items(), key=lambda item: _psi_rank(item[1].psi))
    ]
    columns = ("column", "PSI", "verdict", f"0 to {report.psi_alert:g} and above", "p (adjusted)", "rows")
    title = f"{report.model}: {report.rows:,} captured rows{span}"
    print_table(title, columns, rows, right_aligned=("PSI", "p (adjusted)", "rows"))
    if report.windows:
        _print_windows(report.windows)
    if report.performance:
        p = report.performance
        metrics = [(m, _value(value), _value(p.reference.get(m))) for m, value in p.metrics.items()]
        title = f"On {p.n_labelled:,} labelled rows"
        print_table(title, ("metric", "now", "holdout"), metrics, right_aligned=("now", "holdout"))
    if report.contract:
        violations = [(v.column, v.rule, v.expected, f"{v.count:,}", "; ".join(v.examples)) for v in report.contract]
        print_table(
            "Requests that violate the data contract", ("column", "rule", "expected", "rows", "first"), violations
        )
    for alert in report.alerts:
        style = {"fg": "red"} if alert.severity == "alert" else {"fg": "yellow"}
        click.echo(f"{click.style(alert.severity.upper(), **style)} {alert.message}")  # type: ignore[arg-type]


def _print_windows(windows: Sequence[DriftWindow]) -> None:
    """Prints one row per window, or one sentence when no window has enough rows for a value of its own."""
    max_psis = [max((psi for psi in w.psi.values() if psi is not None), default=None) for w in windows]
    metrics = list(dict.fromkeys(m for w in windows for m, v in w.performance.items() if v is not None))
    if not metrics and all(psi is None for psi in max_psis) and all(w.prediction_psi is None for w in windows):
        largest = max(window.n_rows for window in windows)
        click.echo(f"None of {len(windows)} windows has enough rows for a value of its own: at most {largest:,} rows")
        return
    rows = [
        (
            f"{window.start:%Y-%m-%d}",
            f"{window.n_rows:,}",
            _value(max_psi),
            _value(window.prediction_psi),
            f"{window.n_labelled:,}",
            *(_value(window.performance.get(metric)) for metric in metrics),
        )
        for window, max_psi in zip(windows, max_psis, strict=True)
    ]
    columns = ("from", "rows", "largest PSI", "PSI of predictions", "labelled", *metrics)
    print_table("By window", columns, rows, right_aligned=columns[1:])


def _value(value: float | None) -> str:
    return "-" if value is None else format_number(value, 3)


def _p_value(value: float) -> str:
    return "-" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _psi_rank(psi: float) -> float:
    return math.inf if math.isnan(psi) else -psi


def _bar(psi: float, alert: float) -> str:
    return "" if math.isnan(psi) else "█" * min(BAR_WIDTH, math.ceil(BAR_WIDTH / 2 * psi / alert))
