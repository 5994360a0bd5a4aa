"""`bedplate evaluate`: evaluate a version against its gates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import console, emit_json, print_table
from bedplate.domain.formatting import format_number
from bedplate.errors import GateFailed, NotEnoughData

if TYPE_CHECKING:
    from bedplate.domain.gate import GateReport, Verdict
    from bedplate.workflows.stack_context import StackContext
    from bedplate.workflows.versions.evaluate import EvaluationPlan, EvaluationResult


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--all", "show_all", is_flag=True, help="Show every segment, not only those that decide or fail.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write the page of verdicts and charts here."
)
@click.option("--again", "rerun", is_flag=True, help="Run a new evaluation job even if one exists (latency varies).")
@options.dry_run
@options.wait
@options.stack
@options.as_json
def command(
    model: str,
    show_all: bool,
    html: Path | None,
    rerun: bool,
    dry_run: bool,
    wait: bool,
    stack: str,
    as_json: bool,
) -> None:
    """Evaluate a version against its gates: the one named, or the newest version of MODEL.

    The version and the live release score the same held-out rows in a processing job. A gate's verdict is PASS when its
    whole 95 % interval is within the bound, FAIL when the whole interval is outside, and NO_DATA otherwise. Stores a
    page with every verdict and its charts beside the evaluation; --html also writes it to a file.

    \b
    Examples:
      bedplate evaluate flight-delay
      bedplate evaluate flight-delay:3 --html gates.html
      bedplate evaluate flight-delay:3 --json

    \b
    Exit codes:
      0  every gate passed
      3  a gate failed
      6  too little data for a verdict
    """
    from bedplate.cli.views.progress_lines import progress_reporter
    from bedplate.workflows.versions import evaluate as work

    name, version = options.parse_model_version(model)
    connection = options.connect_target(stack, as_json=as_json)
    plan = work.plan_evaluation(connection, name, version, rerun=rerun)
    if dry_run:
        _print_plan(plan, as_json=as_json)
        return
    result = work.evaluate(connection, plan, progress_reporter(quiet=as_json), wait=wait)
    _write_page(connection, result, html)
    if as_json:
        emit_json(_result_to_dict(result))
        if result.gate_report and result.gate_report.outcome != "PASS":
            raise SystemExit(GateFailed.exit_code if result.gate_report.outcome == "FAIL" else NotEnoughData.exit_code)
        return
    if result.gate_report is None:
        console().print(f"Evaluation job {result.job.name} is running. The same command follows it to the verdicts.")
        return
    _print_result(result, result.gate_report, show_all=show_all)


def _write_page(stack: StackContext, result: EvaluationResult, html: Path | None) -> None:
    """Stores the page beside the evaluation, and writes it to `html`."""
    if result.evaluation is None or result.gate_report is None:
        return
    from bedplate.cli.pages.gates import render
    from bedplate.workflows.versions.evaluate import store_page

    plan = result.plan
    page = render(
        f"{plan.model}:{plan.package.version}",
        plan.spec.gates,
        result.evaluation,
        result.gate_report,
        description=plan.spec.description,
        stack=stack.name,
        champion=plan.champion.display_name if plan.champion else "none",
        source=plan.evaluation_uri,
        created_at=stack.clock.now(),
    )
    store_page(stack, plan, page)
    if html:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page, encoding="utf-8")


def _print_result(result: EvaluationResult, report: GateReport, *, show_all: bool) -> None:
    ref = f"{result.plan.model}:{result.plan.package.version}"
    verdicts = [v for v in report.verdicts if show_all or v.decides or v.outcome == "FAIL" or v.kind == "explanation"]
    rows = [
        (
            v.outcome,
            v.kind,
            v.name if v.decides else f"  {v.name}",
            f"{_format_value(v)} {_format_interval(v)}".strip(),
            v.bound,
            f"{v.n_rows:,}" if v.n_rows else "",
            v.key,
        )
        for v in verdicts
    ]
    columns = ("Verdict", "Gate", "Of", "Value, 95 % interval", "Bound", "Rows", "Key in model.yaml")
    print_table(f"{ref}: {report.outcome}", columns, rows, right_aligned=("Rows",), droppable=columns[-1:])
    for v in verdicts:
        if v.outcome != "PASS":
            console().print(f"{v.outcome} {v.name}: {v.reason}", soft_wrap=True)
    console().print(f"Evidence: {result.plan.evaluation_uri} and .html", soft_wrap=True)
    if report.outcome == "PASS":
        console().print(f"Next:  bedplate approve {ref}")
        return
    blocking = report.with_outcome(report.outcome)
    reasons = "; ".join(f"{v.name} {v.reason}" for v in blocking) or "model.yaml declares no gates"
    model = result.plan.model
    if report.outcome == "FAIL":
        raise GateFailed(f"{ref} did not pass its gates: {reasons}", next_step=f"bedplate models list {model}")
    only_latency = {v.kind for v in blocking} == {"latency"}
    next_step = f"evaluate {ref} --again" if only_latency else f"train {model} --data <more rows>"
    raise NotEnoughData(f"{ref} has no verdict yet: {reasons}", next_step=f"bedplate {next_step}")


def _print_plan(plan: EvaluationPlan, *, as_json: bool) -> None:
    champion = plan.champion.display_name if plan.champion else None
    if as_json:
        emit_json(
            {
                "model": plan.model,
                "version": plan.package.version,
                "champion": champion,
                "holdout_uri": plan.holdout_uri,
                "job": plan.job_name,
                "reuses_job": plan.job is not None,
            }
        )
        return
    action = f"use the scores of {plan.job_name}" if plan.job else f"run {plan.job_name} on the held-out rows"
    console().print(f"{action}: {plan.model}:{plan.package.version} against {champion or 'no champion'}")


def _format_value(verdict: Verdict) -> str:
    if verdict.value is None:
        return "-"
    is_count = verdict.ci_low is None and verdict.value == int(verdict.value)
    return f"{verdict.value:,.0f}" if is_count else format_number(verdict.value)


def _format_interval(verdict: Verdict) -> str:
    """Formats the 95 % interval; an end that the rows do not determine is shown as `...`."""
    if verdict.ci_low is None or verdict.ci_high is None:
        return ""
    low, high = (format_number(end) if math.isfinite(end) else "..." for end in (verdict.ci_low, verdict.ci_high))
    return f"[{low}, {high}]"


def _result_to_dict(result: EvaluationResult) -> dict[str, Any]:
    from bedplate.workflows.versions.evaluate import verdict_json

    plan = result.plan
    return {
        "model": plan.model,
        "version": plan.package.version,
        "job": result.job.name,
        "status": result.job.status,
        "champion": plan.champion.release if plan.champion else None,
        "verdict": result.gate_report.outcome if result.gate_report else None,
        "gates": [verdict_json(v) for v in result.gate_report.verdicts] if result.gate_report else [],
        "evaluation_uri": plan.evaluation_uri,
        "page_uri": plan.page_uri,
        "evaluation": result.evaluation.to_json() if result.evaluation else None,
    }
