"""`bedplate monitor`: look for drift in captured requests and answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from bedplate.cli import options
from bedplate.domain.formatting import figure
from bedplate.domain.names import SCHEDULE_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bedplate.domain.drift import DriftReport
    from bedplate.domain.drift.report import DriftWindow
    from bedplate.domain.evidence.live_quality import LiveReport
    from bedplate.workflows.watch.schedules import ScheduleChange

BAR = 20
DATA_QUALITY = "data-quality"
_VERDICTS = {"PASS": "holds", "FAIL": "BROKEN", "NO_DATA": "NO_DATA", "MEASURED": ""}


@click.group("monitor")
def command() -> None:
    """Look for drift: in what is asked, in what is answered, and in how right the answers turned out to be."""


@command.command("run")
@options.model
@click.option("--from", "start", metavar="TIME", help="ISO 8601 or '2 hours ago'; default: one window of model.yaml.")
@click.option("--to", "end", metavar="TIME", help="Default: now.")
@options.stack
@options.wait
@options.as_json
def run(model: str, start: str | None, end: str | None, stack: str, wait: bool, as_json: bool) -> None:
    """Run the monitoring job now, with the schedule's settings, on what was captured and on the labels known by now.

    \b
    Examples:
      bedplate monitor run flight-delay
      bedplate monitor run flight-delay --from '2 hours ago'

    Exit codes: 0 no drift, 3 drift found, 6 too little data to say.
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.domain.timestamps import parse_moment
    from bedplate.wiring import connect
    from bedplate.workflows.watch.monitor import monitor

    platform = connect(options.project_dir(), stack)
    now = platform.clock.now()
    first, last = (parse_moment(text, now) if text else None for text in (start, end))
    say = say_silently if as_json else say_progress
    done = monitor(platform, model, start=first, end=last, reporter=say, wait=wait)
    if done.report is None:
        if as_json:
            from bedplate.cli.views.render import emit_json

            emit_json({"job": done.job.name, "uri": done.uri})
        else:
            click.echo(f"Job {done.job.name} is under way. Next: bedplate monitor report {model}")
        return
    _tell(model, done.report, f"{done.uri}drift.json", as_json=as_json)


@command.command("report")
@options.model
@click.option("--kind", type=click.Choice((DATA_QUALITY, *SCHEDULE_KINDS)), default=DATA_QUALITY, show_default=True)
@options.stack
@options.as_json
def report(model: str, kind: str, stack: str, as_json: bool) -> None:
    """Show the newest monitoring report, whether the schedule or a person had it made.

    \b
    Examples:
      bedplate monitor report flight-delay
      bedplate monitor report flight-delay --kind bias    of the newest run of another schedule
      bedplate report flight-delay --out report.html      the same with charts, and everything else, in one file

    Exit codes: 0 no drift, 3 drift found, 6 too little data to say.
    """
    from bedplate.wiring import connect
    from bedplate.workflows.watch.monitor import latest_live_report, latest_report

    platform = connect(options.project_dir(), stack)
    if kind == DATA_QUALITY:
        uri, found = latest_report(platform, model)
        _tell(model, found, uri, as_json=as_json)
        return
    uri, live = latest_live_report(platform, model, next(each for each in SCHEDULE_KINDS if each == kind))
    _tell_live(live, uri, as_json=as_json)


@command.command("list")
@options.model
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@options.stack
@options.as_json
def list_(model: str, limit: int, stack: str, as_json: bool) -> None:
    """List the runs of all the model's monitoring schedules, newest first. NO_DATA is a run with too little to judge.

    \b
    Example:
      bedplate monitor list flight-delay
    """
    from dataclasses import asdict

    from bedplate.cli.views.render import emit_json, table
    from bedplate.wiring import connect
    from bedplate.workflows.watch.monitor import executions

    found = executions(connect(options.project_dir(), stack), model, limit=limit)
    if as_json:
        emit_json([{"kind": kind, **asdict(run)} for kind, run in found])
    elif not found:
        click.echo(f"The schedule of {model} has not run yet. Next: bedplate monitor run {model}")
    else:
        rows = [(f"{e.scheduled_at:%Y-%m-%d %H:%M}", k, e.status, e.failure_reason or e.job or "") for k, e in found]
        table(None, ("scheduled (UTC)", "kind", "status", "job, or why it failed"), rows)


@command.command("schedule")
@options.model
@click.argument("version", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@options.stack
@options.as_json
def schedule_(model: str, version: str | None, dry_run: bool, stack: str, as_json: bool) -> None:
    """Make the schedules of model quality, bias and explainability what monitors.schedules of model.yaml asks for.

    Their bounds are what the live version, or VERSION, showed when it was evaluated. Each gets an alarm. A schedule
    that model.yaml does not ask for any more is deleted. Data quality has its schedule from bedplate up.

    \b
    Examples:
      bedplate monitor schedule flight-delay --dry-run
      bedplate monitor schedule flight-delay
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.wiring import connect
    from bedplate.workflows.watch.schedules import schedule

    number = options.model_and_version(f"{model}:{version}")[1] if version else None
    platform = connect(options.project_dir(), stack)
    say = say_silently if as_json else say_progress
    changes = schedule(platform, model, number, say, dry_run=dry_run)
    if as_json:
        from bedplate.cli.views.render import emit_json

        emit_json(changes)
        return
    show_schedules(model, changes, planned=dry_run)


def show_schedules(model: str, changes: tuple[ScheduleChange, ...], *, planned: bool) -> None:
    from bedplate.cli.views.render import table

    if not changes:
        click.echo(f"model.yaml of {model} asks for no schedule beside data quality (monitors.schedules)")
        return
    done = {"create": "created", "update": "updated", "none": "as it was", "delete": "deleted"}
    words = {"none": "nothing to do"} if planned else done
    rows = [
        (c.kind, c.cron, f"v{c.version}" if c.version is not None else "", words.get(c.change, c.change))
        for c in changes
    ]
    table(None, ("schedule", "runs", "bounds of", "to do" if planned else "done"), rows)


def _tell(model: str, report: DriftReport, uri: str, *, as_json: bool) -> None:
    from bedplate.errors import GateFailed, NotEnoughData

    if as_json:
        from bedplate.cli.views.render import emit_json

        emit_json({"uri": uri, **report.to_json()})
    else:
        show(report)
    if as_json and report.outcome in ("DRIFT", "NO_DATA"):
        raise SystemExit(GateFailed.exit_code if report.outcome == "DRIFT" else NotEnoughData.exit_code)
    if report.outcome == "DRIFT":
        raise GateFailed(report.summary, next_step=f"bedplate train {model} --data FRESH.parquet")
    if report.outcome == "NO_DATA":
        raise NotEnoughData(report.summary, next_step=f"bedplate monitor run {model} --from '30 days ago'")


def _tell_live(report: LiveReport, uri: str, *, as_json: bool) -> None:
    from bedplate.cli.views.render import emit_json, table
    from bedplate.errors import GateFailed, NotEnoughData

    codes = {"VIOLATION": GateFailed.exit_code, "NO_DATA": NotEnoughData.exit_code}
    if as_json:
        emit_json({"uri": uri, **report.to_json()})
        raise SystemExit(codes.get(report.outcome, 0))
    looked_at = f"{report.labelled:,} of {report.rows:,} rows labelled"
    if report.kind == "explainability":
        looked_at = f"{report.explained:,} of {report.rows:,} rows explained"
    rows = [
        (
            f.metric,
            f.subject,
            _figure(f.figure),
            _figure(f.reference),
            _figure(f.bound),
            f"{f.n:,}",
            _VERDICTS[f.verdict],
        )
        for f in report.findings
    ]
    columns = ("figure", "of", "now", "evaluation", "bound", "rows", "")
    table(f"{report.kind} of {report.model} v{report.version}: {looked_at}", columns, rows, right=columns[2:6])
    if report.outcome == "VIOLATION":
        raise GateFailed(report.summary, next_step=f"bedplate rollback {report.model} --dry-run")
    if report.outcome == "NO_DATA":
        raise NotEnoughData(report.summary, next_step=f"bedplate labels add {report.model} FILE")


def show(report: DriftReport) -> None:
    """The report as tables: features by PSI, windows, performance, the contract's broken rules, alerts."""
    from bedplate.cli.views.render import table

    span = f", {report.start:%Y-%m-%d} to {report.end:%Y-%m-%d}" if report.start and report.end else ""
    columns = ("column", "PSI", "band", f"0 to {report.psi_alert:g} and above", "p (adjusted)", "rows")
    judged = {**report.features, **({"(answers)": report.prediction} if report.prediction else {})}
    rows = [
        (name, _figure(d.psi), d.verdict, _bar(d.psi, report.psi_alert), _p(d.p_adjusted), f"{d.n:,}")
        for name, d in sorted(judged.items(), key=lambda item: _rank(item[1].psi))
    ]
    table(f"{report.model}: {report.rows:,} rows asked{span}", columns, rows, right=("PSI", "p (adjusted)", "rows"))
    if report.windows:
        _windows(report.windows)
    if report.performance:
        p = report.performance
        lines = [(m, _figure(value), _figure(p.reference.get(m))) for m, value in p.metrics.items()]
        table(f"On {p.n_labelled:,} labelled rows", ("metric", "now", "holdout"), lines, right=("now", "holdout"))
    if report.contract:
        broken = [(v.column, v.rule, v.expected, f"{v.count:,}", "; ".join(v.examples)) for v in report.contract]
        table("Requests that break the data contract", ("column", "rule", "expected", "rows", "first"), broken)
    for alert in report.alerts:
        style = {"fg": "red"} if alert.severity == "alert" else {"fg": "yellow"}
        click.echo(f"{click.style(alert.severity.upper(), **style)} {alert.message}")  # type: ignore[arg-type]


def _windows(windows: Sequence[DriftWindow]) -> None:
    """A line a window; one sentence where none of them held enough rows for a figure of its own."""
    from bedplate.cli.views.render import table

    worst = [max((v for v in w.psi.values() if v is not None), default=None) for w in windows]
    metrics = list(dict.fromkeys(m for w in windows for m, v in w.performance.items() if v is not None))
    if not metrics and all(most is None for most in worst) and all(w.prediction_psi is None for w in windows):
        largest = max(w.n for w in windows)
        click.echo(f"None of {len(windows)} windows has a figure of its own: at most {largest:,} rows in one of them")
        return
    lines = [
        (
            f"{w.start:%Y-%m-%d}",
            f"{w.n:,}",
            _figure(most),
            _figure(w.prediction_psi),
            f"{w.n_labelled:,}",
            *(_figure(w.performance.get(m)) for m in metrics),
        )
        for w, most in zip(windows, worst, strict=True)
    ]
    headings = ("from", "rows", "largest PSI", "PSI of answers", "labelled", *metrics)
    table("By window", headings, lines, right=headings[1:])


def _figure(value: float | None) -> str:
    return "-" if value is None else figure(value, 3)


def _p(value: float) -> str:
    return "-" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _rank(psi: float) -> float:
    return math.inf if math.isnan(psi) else -psi


def _bar(psi: float, alert: float) -> str:
    return "" if math.isnan(psi) else "█" * min(BAR, math.ceil(BAR / 2 * psi / alert))
