"""`bedplate evaluate`: put a version through its gates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, out, table, where
from bedplate.domain.formatting import figure
from bedplate.errors import GateFailed, NotEnoughData

if TYPE_CHECKING:
    from bedplate.domain.gate import GateReport, Verdict
    from bedplate.workflows.stack_context import StackContext
    from bedplate.workflows.versions.evaluate import EvaluationPlan, EvaluationResult


@click.command()
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option("--all", "everything", is_flag=True, help="Show every segment, not only those that speak.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the page of verdicts and charts here too."
)
@click.option(
    "--again", is_flag=True, help="Measure anew, also what was measured already; latency differs from time to time."
)
@options.dry_run
@options.wait
@options.stack
@options.as_json
def command(
    model: str,
    everything: bool,
    html: Path | None,
    again: bool,
    dry_run: bool,
    wait: bool,
    stack: str,
    as_json: bool,
) -> None:
    """Score the newest version, or the one named, and the live one on the same held-out rows, and judge it.

    A gate says PASS when the whole 95 % interval of its figure keeps the bound, FAIL when all of it breaks the bound,
    NO_DATA when these rows cannot tell. Exit code 3 says that a gate failed, 6 that there was too little data.
    A page with every verdict and its charts is kept beside the evaluation; --html writes it to a file as well.

    \b
    Examples:
      bedplate evaluate flight-delay
      bedplate evaluate flight-delay:3 --html gates.html
      bedplate evaluate flight-delay:3 --json
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.wiring import connect
    from bedplate.workflows.versions import evaluate as work

    name, version = options.model_and_version(model)
    at = connect(options.project_dir(), stack)
    if not as_json:
        where(at.label)
    plan = work.plan(at, name, version, again=again)
    if dry_run:
        _show_plan(plan, as_json=as_json)
        return
    done = work.evaluate(at, plan, say_silently if as_json else say_progress, wait=wait)
    _page(at, done, html)
    if as_json:
        emit_json(_json(done))
        if done.judgement and done.judgement.outcome != "PASS":
            raise SystemExit(GateFailed.exit_code if done.judgement.outcome == "FAIL" else NotEnoughData.exit_code)
        return
    if done.judgement is None:
        out().print(f"Evaluation job {done.job.name} runs. The same command follows it and judges.")
        return
    _show(done, done.judgement, everything=everything)


def _page(stack: StackContext, done: EvaluationResult, html: Path | None) -> None:
    """Keep the page beside the evaluation, and write it where --html says."""
    if done.evaluation is None or done.judgement is None:
        return
    from bedplate.cli.pages.gates import render
    from bedplate.workflows.versions.evaluate import keep_page

    plan = done.plan
    page = render(
        f"{plan.model}:{plan.package.version}",
        plan.spec.gates,
        done.evaluation,
        done.judgement,
        description=plan.spec.description,
        stack=stack.name,
        champion=plan.champion.called if plan.champion else "nobody",
        source=plan.evaluation_uri,
        made_at=stack.clock.now(),
    )
    keep_page(stack, plan, page)
    if html:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page, encoding="utf-8")


def _show(done: EvaluationResult, judgement: GateReport, *, everything: bool) -> None:
    ref = f"{done.plan.model}:{done.plan.package.version}"
    shown = [v for v in judgement.verdicts if everything or v.decides or v.outcome == "FAIL" or v.kind == "explanation"]
    rows = [
        (
            v.outcome,
            v.kind,
            v.name if v.decides else f"  {v.name}",
            f"{_number(v)} {_interval(v)}".strip(),
            v.bound,
            f"{v.n:,}" if v.n else "",
            v.key,
        )
        for v in shown
    ]
    columns = ("Verdict", "Gate", "Of", "Figure, 95 % interval", "Bound", "Rows", "Set by, in model.yaml")
    table(f"{ref}: {judgement.outcome}", columns, rows, right=("Rows",), spare=columns[-1:])
    for v in shown:
        if v.outcome != "PASS":
            out().print(f"{v.outcome} {v.name}: {v.reason}", soft_wrap=True)
    out().print(f"Evidence: {done.plan.evaluation_uri} and .html", soft_wrap=True)
    if judgement.outcome == "PASS":
        out().print(f"Next:  bedplate approve {ref}")
        return
    stopped = judgement.of(judgement.outcome)
    told = "; ".join(f"{v.name} {v.reason}" for v in stopped) or "model.yaml declares no gates"
    if judgement.outcome == "FAIL":
        raise GateFailed(f"{ref} did not pass its gates: {told}", next_step=f"bedplate models list {done.plan.model}")
    slow = {v.kind for v in stopped} == {"latency"}
    step = f"bedplate evaluate {ref} --again" if slow else f"bedplate train {done.plan.model} --data <more rows>"
    raise NotEnoughData(f"{ref} could not be judged: {told}", next_step=step)


def _show_plan(plan: EvaluationPlan, *, as_json: bool) -> None:
    champion = plan.champion.called if plan.champion else None
    if as_json:
        emit_json(
            {
                "model": plan.model,
                "version": plan.package.version,
                "champion": champion,
                "holdout_uri": plan.holdout_uri,
                "job": plan.job_name,
                "adopts": plan.job is not None,
            }
        )
        return
    verb = "judge what" if plan.job else "run"
    done = "scored already" if plan.job else "on the rows held out"
    out().print(f"{verb} {plan.job_name} {done}: {plan.model}:{plan.package.version} against {champion or 'nobody'}")


def _number(verdict: Verdict) -> str:
    if verdict.value is None:
        return "-"
    counted = verdict.low is None and verdict.value == int(verdict.value)
    return f"{verdict.value:,.0f}" if counted else figure(verdict.value)


def _interval(verdict: Verdict) -> str:
    """Ends that these rows cannot give are left open."""
    if verdict.low is None or verdict.high is None:
        return ""
    low, high = (figure(end) if math.isfinite(end) else "..." for end in (verdict.low, verdict.high))
    return f"[{low}, {high}]"


def _json(done: EvaluationResult) -> dict[str, Any]:
    from bedplate.workflows.versions.evaluate import verdict_json

    plan = done.plan
    return {
        "model": plan.model,
        "version": plan.package.version,
        "job": done.job.name,
        "status": done.job.status,
        "champion": plan.champion.release if plan.champion else None,
        "verdict": done.judgement.outcome if done.judgement else None,
        "gates": [verdict_json(v) for v in done.judgement.verdicts] if done.judgement else [],
        "evaluation_uri": plan.evaluation_uri,
        "page_uri": plan.page_uri,
        "evaluation": done.evaluation.to_json() if done.evaluation else None,
    }
