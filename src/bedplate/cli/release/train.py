"""`bedplate train`: train a model and register the result as a new version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bedplate.cli import options
from bedplate.cli.views.render import emit_json, objections, out, seconds, usd, where
from bedplate.domain.formatting import figure
from bedplate.errors import UsageError

if TYPE_CHECKING:
    from bedplate.workflows.training.train import TrainResult
    from bedplate.workflows.training.training_plan import TrainPlan


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--data",
    multiple=True,
    metavar="[MODEL=]FILE",
    help="Parquet or CSV file that fits the model's data contract; it is registered on the way.",
)
@click.option(
    "--dataset", metavar="VERSION", help="Registered version instead: its hash's first digits, or latest (accepted)."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE[,VALUE]",
    help="A hyper-parameter; several values: each of them.",
)
@click.option("--notes", default="", metavar="TEXT", help="Release notes: what is new, for those who rely on it.")
@click.option("--seed", type=int, help="Seed instead of model.yaml's.")
@click.option(
    "--spot/--no-spot", default=None, help="On spot instances, going on from checkpoints (model.yaml: training.spot)."
)
@click.option(
    "--parallel", type=click.IntRange(1, 64), default=2, show_default=True, help="Of several, how many at once."
)
@click.option("--max-usd", type=click.FloatRange(0), metavar="USD", help="Of several: what they may cost together.")
@options.dry_run
@options.wait
@options.stack
@options.as_json
def command(
    models: tuple[str, ...],
    data: tuple[str, ...],
    dataset: str | None,
    settings: tuple[str, ...],
    notes: str,
    seed: int | None,
    spot: bool | None,
    parallel: int,
    max_usd: float | None,
    dry_run: bool,
    wait: bool,
    stack: str,
    as_json: bool,
) -> None:
    """Train MODEL and register the result, which then waits for its gates and for approval.

    The last part of the data, in order of time, is held out: training never sees it, evaluation judges by it. The same
    data, code and settings find the training that was done already: a command that was interrupted is completed by
    typing it again. Data whose signature does not hold, or with columns that must not be trained on, is refused.

    \b
    Examples:
      bedplate train flight-delay --data flights.parquet
      bedplate train flight-delay --data flights.parquet --set max_iter=200 --seed 7 --dry-run
      bedplate train flight-delay --dataset latest --spot
      bedplate train flight-delay --dataset latest --set learning_rate=0.03,0.1 --set max_iter=100,200 --parallel 2
      bedplate train flight-delay churn --dataset latest

    Several models, or several values of a --set, are trained at once, every combination; one that fails keeps no other
    one waiting. Exit code of several: 0 when all are registered, else that of the first failure.
    """
    from bedplate.cli.views.progress_lines import say_progress, say_silently
    from bedplate.wiring import connect
    from bedplate.workflows.training.train import train
    from bedplate.workflows.training.train_many import grid, plan_all
    from bedplate.workflows.training.training_plan import TrainRequest
    from bedplate.workflows.training.training_plan import plan as planned

    sources, combinations = sources_of(models, data, dataset), grid(_values(settings))
    at = connect(options.project_dir(), stack)
    if not as_json:
        where(at.label)
    say = say_silently if as_json else say_progress
    if len(sources) * len(combinations) > 1 or max_usd is not None:
        from bedplate.cli.views.training_table import run

        several = plan_all(at, models, sources, combinations, say, seed=seed, notes=notes, spot=spot, limit_usd=max_usd)
        raise SystemExit(run(at, several, parallel=parallel, dry_run=dry_run, wait=wait, as_json=as_json))
    (model,) = models
    plan = planned(at, TrainRequest(model, sources[model], combinations[0], seed, spot, notes), say)
    if dry_run:
        _show_plan(plan, as_json=as_json)
        return
    done = train(at, plan, say, wait=wait)
    if as_json:
        emit_json(_json(plan, done))
    else:
        _show(plan, done)


def sources_of(models: tuple[str, ...], data: tuple[str, ...], dataset: str | None) -> dict[str, Path | str]:
    """Which data each model is trained on.

    >>> sources_of(("a", "b"), (), "latest"), sources_of(("a",), ("x=1.csv",), None)
    ({'a': 'latest', 'b': 'latest'}, {'a': PosixPath('x=1.csv')})

    Raises UsageError when a model has none, or several.
    """
    wanted = tuple(dict.fromkeys(models))
    if bool(data) == (dataset is not None):
        raise UsageError(
            "Data to train on: either --data FILE or --dataset VERSION", next_step=f"bedplate data list {models[0]}"
        )
    if dataset is not None:
        return dict.fromkeys(wanted, dataset)
    found: dict[str, Path | str] = {}
    for each in data:
        name, equals, file = each.partition("=")
        named = equals and name in wanted
        if not named and len(wanted) > 1:
            raise UsageError(f"--data {each}: with several models MODEL=FILE expected, as in --data {wanted[0]}={each}")
        model, path = (name, file) if named else (wanted[0], each)
        if model in found:
            raise UsageError(f"--data {each}: there is a file for {model} already, {found[model]}")
        found[model] = Path(path)
    missing = [model for model in wanted if model not in found]
    if missing:
        raise UsageError(
            f"There is no data for {missing[0]}", next_step=f"the same command with --data {missing[0]}=FILE"
        )
    return found


def pairs(settings: tuple[str, ...]) -> dict[str, str]:
    """`--set` where each has one value, commas and all. Raises UsageError."""
    found = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {setting}: KEY=VALUE expected, as in --set max_iter=200")
        found[key] = value
    return found


def _values(settings: tuple[str, ...]) -> Mapping[str, list[str]]:
    values: dict[str, list[str]] = {}
    for setting in settings:
        key, found, value = setting.partition("=")
        if not found or not key:
            raise UsageError(f"--set {setting}: KEY=VALUE expected, as in --set max_iter=200")
        values[key] = list(dict.fromkeys(value.split(",")))
    return values


def _show_plan(plan: TrainPlan, *, as_json: bool) -> None:
    if as_json:
        emit_json({**_json(plan, None), "steps": plan.steps, "objections": plan.objections})
        return
    lineage = plan.lineage
    out().print(
        f"[bold]{plan.spec.name}[/bold]  data {lineage.data_sha256[:12]}  code {lineage.source.code_sha256[:12]}"
    )
    if plan.parts.cut:
        out().print(f"trains on {plan.parts.first} to {plan.parts.cut}, is judged by what follows to {plan.parts.last}")
    price = "price unknown" if plan.cost.max_usd is None else f"at most {usd(plan.cost.max_usd)}"
    out().print(f"{plan.cost.instance_count} x {plan.cost.instance_type}, {price}")
    for number, step in enumerate(plan.steps, 1):
        out().print(f"{number}. {step}")
    objections(plan.objections)


def _show(plan: TrainPlan, done: TrainResult) -> None:
    if done.package is None:
        out().print(f"Training job {done.job.name} runs. The same command follows it and registers the result.")
        return
    ref = f"{plan.spec.name}:{done.package.version}"
    if plan.package:
        out().print(f"[bold]{ref}[/bold] was trained from exactly this already; nothing was done.")
    else:
        took = f" in {seconds(done.job.billable_s)} of billable time" if done.job.billable_s else ""
        out().print(
            f"[bold green]{ref}[/bold green] trained on {plan.parts.train_rows:,} rows{took}, waits for its gates"
        )
        if done.job.saved_pct is not None and done.job.training_s is not None:
            out().print(f"  ran {seconds(done.job.training_s)} on spot instances, saved {done.job.saved_pct:.0f} %")
        for name, value in done.metrics.items():
            out().print(f"  {name} = {figure(value)}")
    out().print(f"Next:  bedplate evaluate {ref}")


def _json(plan: TrainPlan, done: TrainResult | None) -> dict[str, Any]:
    lineage = plan.lineage
    told: dict[str, Any] = {
        "model": plan.spec.name,
        "training_job": plan.job_name,
        "dataset_sha256": lineage.dataset_sha256,
        "data_sha256": lineage.data_sha256,
        "data_uri": lineage.data_uri,
        "holdout_uri": lineage.holdout_uri,
        "train_rows": plan.parts.train_rows,
        "holdout_rows": plan.parts.holdout_rows,
        "code_sha256": lineage.source.code_sha256,
        "code_commit": lineage.source.commit,
        "code_dirty": lineage.source.dirty,
        "hyperparameters": dict(lineage.hyperparameters),
        "max_usd": plan.cost.max_usd,
        "version": plan.package.version if plan.package else None,
    }
    if done:
        told |= {
            "version": done.package.version if done.package else None,
            "status": done.job.status,
            "billable_s": done.job.billable_s,
            "training_s": done.job.training_s,
            "saved_pct": done.job.saved_pct,
            "metrics": dict(done.metrics),
            "data_warnings": [str(s) for s in plan.dataset.suspicions],
            "unchanged": plan.package is not None,
        }
    return told
